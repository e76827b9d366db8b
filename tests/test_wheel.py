"""What is built holds everything that runs. tests/check_wheel.py installs it and runs it."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGED = ROOT / "og_magics" / "notebook" / "quickstart.ipynb"


pytestmark = pytest.mark.ci


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def sdist(built: Path) -> set[str]:
    """Its files, without the folder that holds them all."""
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        return {member.name.partition("/")[2] for member in archive if member.isfile()}


@pytest.fixture(scope="module")
def wheel(built: Path) -> set[str]:
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return set(archive.namelist())


def sources(*folders: str) -> set[str]:
    """The files of the repository below these folders; all that are there, where there is no repository."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", *folders]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode == 0 and done.stdout:
        named = {name for name in done.stdout.split("\0") if name}
    else:
        found = (path for folder in folders for path in (ROOT / folder).rglob("*"))
        named = {str(path.relative_to(ROOT)) for path in found if "__pycache__" not in path.parts}
    return {name for name in named if (ROOT / name).is_file()}


def test_the_wheel_holds_every_file_of_the_package_and_nothing_else(wheel: set[str]) -> None:
    packaged = {name for name in wheel if ".dist-info/" not in name}
    assert packaged == sources("og_magics")


def test_the_sdist_holds_the_package_the_notebooks_and_its_tests_with_the_benchmarks_that_they_use(
    sdist: set[str],
) -> None:
    rest = {".gitignore", "CHANGELOG.md", "LICENSE", "PKG-INFO", "README.md", "pyproject.toml"}
    assert sdist - rest == sources("og_magics", "tests", "benchmarks", "notebooks")
    assert sdist >= rest


@pytest.mark.parametrize(
    "name",
    [
        "og_magics/py.typed",
        "og_magics/notebook/quickstart.ipynb",
        *(
            f"og_magics/devnet/contracts/artifacts/{name}.json"
            for name in ("ExactPermit2Proxy", "OPG", "Permit2", "SettlementRelay", "TEERegistry", "UptoPermit2Proxy")
        ),
        *(
            f"og_magics/chain/abi/{name}.json"
            for name in ("eip3009", "erc20", "exact_proxy", "permit2", "settlement_relay", "tee_registry", "upto_proxy")
        ),
    ],
)
def test_what_the_code_reads_at_run_time_is_in_the_wheel(wheel: set[str], name: str) -> None:
    assert name in wheel


def test_the_wheel_has_the_command_and_the_license(built: Path, wheel: set[str]) -> None:
    (path,) = built.glob("*.whl")
    (info,) = {name.partition("/")[0] for name in wheel if ".dist-info/" in name}
    with zipfile.ZipFile(path) as archive:
        assert "og-magics = og_magics.cli:main" in archive.read(f"{info}/entry_points.txt").decode()
    assert f"{info}/licenses/LICENSE" in wheel


def test_the_packaged_quickstart_is_the_repositorys_without_outputs() -> None:
    """After a change of notebooks/01_quickstart.ipynb: `python tests/test_wheel.py` writes the packaged one anew."""
    assert json.loads(PACKAGED.read_text(encoding="utf-8")) == _quickstart()


def _quickstart() -> dict[str, object]:
    """Return the repository's quickstart as it is packaged: no outputs, no counts, no versions."""
    notebook = json.loads((ROOT / "notebooks" / "01_quickstart.ipynb").read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell |= {"execution_count": None, "outputs": []}
    notebook["metadata"] = {
        "kernelspec": notebook["metadata"]["kernelspec"],
        "language_info": {"name": "python"},
    }
    return notebook


if __name__ == "__main__":
    PACKAGED.write_text(json.dumps(_quickstart(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
