"""The wheel in an empty venv: quickstart executed, its receipts verified.

    python tests/check_wheel.py [PYTHON ...] [--dist DIR]

Builds the sdist and, from it, the wheel. Then, for each Python (3.11 to 3.14 unless named), installs the wheel with
`[devnet,notebook]` into a fresh venv and uses it with an empty home in an empty folder, far from this checkout:
`quickstart`, `verify`, `receipts`, `doctor`, and `devnet --json`, which is started, asked and stopped by its pid.
A Python is found as tests/matrix.py finds it; one that is not there is skipped with a line that says so. The exit
status is 1 if anything failed, or if no Python was found.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
VERSIONS = ("3.11", "3.12", "3.13", "3.14")
EXTRAS = "devnet,notebook"

sys.path.insert(0, str(Path(__file__).parent))

from matrix import interpreter  # noqa: E402 - a script beside this one


class Failed(Exception):
    """A step that did not do what it should; its output is the message."""


def build(folder: Path) -> Path:
    """Build the sdist and, from it, the wheel. Return the wheel's path."""
    here = ["--no-isolation"] if importlib.util.find_spec("hatchling") else []
    _run([sys.executable, "-m", "build", *here, "--outdir", folder, ROOT], cwd=folder, env=dict(os.environ))
    (wheel,) = folder.glob("*.whl")
    return wheel


def check(python: Path, wheel: Path, work: Path) -> str:
    """Install the wheel and use it as a stranger would. Return one line that says what was seen.

    Raises:
        Failed: a step failed.
    """
    venv, home, folder = work / "venv", work / "home", work / "folder"
    home.mkdir(parents=True)
    folder.mkdir()
    _run([python, "-m", "venv", venv], cwd=work, env=dict(os.environ))
    # In the form that the manual gives for Colab, with a file in the place of a repository.
    wanted = f"og_magics[{EXTRAS}] @ {wheel.as_uri()}"
    pip = [venv / "bin" / "python", "-m", "pip", "--disable-pip-version-check"]
    _run([*pip, "install", "--quiet", wanted], cwd=folder, env=dict(os.environ), timeout=1200)
    _run([*pip, "check"], cwd=folder, env=dict(os.environ))

    env = {"HOME": str(home), "PATH": f"{venv / 'bin'}:/usr/bin:/bin", "LANG": "C.UTF-8"}
    where = _run([venv / "bin" / "python", "-c", "import og_magics; print(og_magics.__file__)"], cwd=folder, env=env)
    _expect(str(venv) in where, f"imported from {where}")

    said = _run(["og-magics", "quickstart"], cwd=folder, env=env)
    _expect("receipts hold: enclave, attestation." in said and "Next:" in said, said)
    again = subprocess.run(
        ["og-magics", "quickstart"], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    _expect(again.returncode == 1 and "exists already" in again.stderr, again.stdout + again.stderr)
    rows = json.loads(_run(["og-magics", "verify", "quickstart.ipynb", "--json"], cwd=folder, env=env))
    proven = sum(row["verdicts"]["enclave"]["ok"] is True for row in rows)
    _expect(0 < proven == len(rows), json.dumps(rows, indent=1))
    receipts = json.loads(_run(["og-magics", "receipts", "quickstart.ipynb", "--json"], cwd=folder, env=env))
    _expect(len(receipts) == len(rows), f"{len(receipts)} receipts, {len(rows)} verified")
    _run(["og-magics", "doctor", "quickstart.ipynb"], cwd=folder, env=env)
    with _devnet(folder, env) as info:
        health = _get(f"{info['gateway_url_http']}/health")
        _expect(health["status"] == "OK", str(health))
        ask = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
        chain_id = int(_get(info["rpc_url"], ask)["result"], 16)
        _expect(chain_id == info["chain_id"], f"chain {chain_id}, announced as {info['chain_id']}")
    return f"{proven} of {len(rows)} receipts verified; devnet started, asked and stopped; doctor content"


@contextmanager
def _devnet(folder: Path, env: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Start `og-magics devnet --json`, give what it announces, and stop it by its pid; it must end by itself."""
    with subprocess.Popen(
        ["og-magics", "devnet", "--json"], cwd=folder, env=env, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            _expect(line.startswith("{"), f"og-magics devnet --json said {line!r}")
            yield json.loads(line)
            os.kill(process.pid, signal.SIGTERM)
            _expect(process.wait(30) == 0, f"the devnet ended with status {process.returncode}")
        finally:
            if process.poll() is None:
                process.kill()


def _get(url: str, body: object = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def _run(command: list[Any], *, cwd: Path, env: dict[str, str], timeout: float = 600) -> str:
    """Run a command and return its stdout.

    Raises:
        Failed: its exit status was not 0.
    """
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd, env=env, capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))}: status {done.returncode}\n{done.stdout}{done.stderr}")
    return done.stdout


def _expect(true: bool, seen: str) -> None:
    if not true:
        raise Failed(seen)


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("versions", nargs="*", default=VERSIONS, metavar="PYTHON", help="such as 3.12")
    parser.add_argument("--dist", type=Path, help="build into this folder, and keep what was built")
    options = parser.parse_args()
    outcomes: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary).resolve()
        dist = (options.dist or work / "dist").resolve()
        dist.mkdir(parents=True, exist_ok=True)
        wheel = build(dist)
        print(f"built {wheel.name}", flush=True)
        for version in options.versions:
            python = interpreter(version)
            if python is None:
                print(f"Python {version}: skipped, there is none on this machine", flush=True)
                continue
            began = time.monotonic()
            try:
                outcomes[version] = check(python, wheel, work / version)
                print(f"Python {version}: {outcomes[version]} ({time.monotonic() - began:.0f} s)", flush=True)
            except (Failed, OSError, subprocess.TimeoutExpired) as error:
                outcomes[version] = ""
                print(f"Python {version}: FAILED\n{error}", flush=True)
    return int(not outcomes or not all(outcomes.values()))


if __name__ == "__main__":
    sys.exit(main())
