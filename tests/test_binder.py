"""What Binder builds from `binder/` runs every notebook, on the devnet.

The environment takes minutes to build, so only `OG_BINDER=1 python -m pytest tests/test_binder.py` does it, as CI does:
by pip, from the same files, where Binder has conda. repo2docker itself is asked how it reads them; it needs no container
engine for that.
"""

from __future__ import annotations

import json
import os
import runpy
import shlex
import shutil
import socket
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import yaml

from og_magics.notebook.file import receipts_in

ROOT = Path(__file__).resolve().parents[1]
BINDER = ROOT / "binder"
NOTEBOOKS = sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))
FIRST = "notebooks/01_quickstart.ipynb"

built = pytest.mark.skipif(not os.environ.get("OG_BINDER"), reason="it takes minutes: OG_BINDER=1 builds it")


def wanted() -> tuple[str, list[str]]:
    """The version of Python and the lines for pip."""
    dependencies = yaml.safe_load((BINDER / "environment.yml").read_text())["dependencies"]
    (python,) = [one for one in dependencies if isinstance(one, str) and one.startswith("python=")]
    (pip,) = [one["pip"] for one in dependencies if isinstance(one, dict)]
    assert "pip" in dependencies, "conda warns, and does not promise a pip, where it is not named"
    return python.removeprefix("python="), pip


def run(*command: object, cwd: Path, env: dict[str, str], timeout: float = 900) -> str:
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=env, capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == 0, f"{shlex.join(map(str, command))}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def bare(home: Path) -> dict[str, str]:
    """The environment of a visitor: nothing was ever set."""
    own = ("OG_", "JPY_", "JUPYTER", "IPYTHON", "PYTHON", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if not name.startswith(own)} | {"HOME": str(home)}


def test_its_python_is_one_that_the_package_runs_on():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"Programming Language :: Python :: {wanted()[0]}" in project["classifiers"]


def test_it_installs_this_checkout_and_no_release():
    assert "-e ..[devnet,notebook,parquet]" in wanted()[1]


def test_what_runs_after_the_build_can_be_executed():
    script = BINDER / "postBuild"
    assert script.read_text().startswith("#!/usr/bin/env bash\n")
    assert os.access(script, os.X_OK)


def test_the_notebook_that_the_readme_opens_is_there():
    assert f"urlpath=lab/tree/{FIRST}" in (ROOT / "README.md").read_text()
    assert (ROOT / FIRST).is_file()


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Path:
    """The repository as Binder clones it: what is committed, and what could be."""
    folder = tmp_path_factory.mktemp("binder") / "og_magics"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode:  # where there is no repository
        leave = shutil.ignore_patterns(".venv*", ".git", ".og", "artifacts", "*_cache", "__pycache__")
        return Path(shutil.copytree(ROOT, folder, ignore=leave))
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def visitor(clone: Path) -> dict[str, str]:
    """The environment that Binder's files make, as a shell in it has it."""
    version, pip = wanted()
    python = runpy.run_path(str(ROOT / "tests" / "matrix.py"))["interpreter"](version)
    assert python is not None, f"There is no Python {version} on this machine."
    home = clone.parent
    environment = bare(home)
    run(python, "-m", "venv", home / "env", cwd=home, env=environment)
    environment["PATH"] = f"{home / 'env' / 'bin'}{os.pathsep}{environment['PATH']}"
    lines = home / "pip.txt"
    lines.write_text("\n".join(pip))
    run("python", "-m", "pip", "install", "-q", "-r", lines, cwd=clone / "binder", env=environment)
    run(clone / "binder" / "postBuild", cwd=clone, env=environment)
    return environment


@built
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_every_notebook_runs_there_without_a_key_and_pays_on_the_devnet(clone, visitor, name):
    output = clone.parent / name
    print(run("og-magics", "run", f"notebooks/{name}", "-o", output, cwd=clone, env=visitor)[-2000:])
    receipts = receipts_in(output)
    assert receipts
    assert {receipt.network for receipt in receipts} == {"devnet"}


@built
@pytest.mark.timeout(1800)
def test_its_jupyterlab_opens_at_the_quickstart(clone, visitor):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    base = f"http://127.0.0.1:{port}"
    command = ["jupyter", "lab", "--no-browser", "--ip=127.0.0.1", f"--port={port}", "--IdentityProvider.token=t"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    lab = subprocess.Popen(command, cwd=clone, env=visitor, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        cells = json.loads(_fetched(f"{base}/api/contents/{FIRST}?token=t", lab))["content"]["cells"]
        assert any("%load_ext og_magics" in cell["source"] for cell in cells)
        assert "JupyterLab" in _fetched(f"{base}/lab/tree/{FIRST}?token=t", lab)
        kernels = json.loads(_fetched(f"{base}/api/kernelspecs?token=t", lab))["kernelspecs"]
        assert "python3" in kernels
    finally:
        lab.terminate()
        lab.wait(30)


def _fetched(url: str, server: subprocess.Popen[bytes]) -> str:
    end = time.monotonic() + 120
    while True:
        try:
            with urllib.request.urlopen(url, timeout=30) as answer:
                return answer.read().decode()
        except (urllib.error.URLError, ConnectionError):
            assert server.poll() is None, "JupyterLab has ended."
            assert time.monotonic() < end, f"{url} was not served."
            time.sleep(0.2)


@built
@pytest.mark.timeout(900)
def test_repo2docker_reads_the_files_as_they_are_meant(clone):
    home = clone.parent / "r2d"
    environment = bare(home)
    run(sys.executable, "-m", "venv", home, cwd=clone, env=environment)
    run(home / "bin" / "pip", "install", "-q", "jupyter-repo2docker", cwd=clone, env=environment)
    shown = subprocess.run(
        [home / "bin" / "repo2docker", "--no-build", "--debug", str(clone)],
        capture_output=True, text=True, env=environment, timeout=300, check=False,
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    dockerfile = shown.stdout + shown.stderr
    version, made = wanted()[0], '--file "binder/environment.yml"'
    assert f"conda environment for python={version}" in dockerfile
    assert "RUN ./binder/postBuild" in dockerfile
    # The whole repository is there before pip is asked to install it.
    assert dockerfile.index("src/ ${REPO_DIR}") < dockerfile.index(made) < dockerfile.index("RUN ./binder/postBuild")
