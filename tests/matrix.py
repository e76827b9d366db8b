"""Runs the tests of the magics on several Pythons, ipykernels and IPythons, and prints a table.

    python tests/matrix.py [COMBINATION ...] [--folder DIR] [-- PYTEST_ARGUMENTS]

A combination is PYTHON/IPYKERNEL/IPYTHON, such as 3.12/7.4/9; without any, the small matrix below. A Python is found as
pythonX.Y on the PATH or in pyenv's folder; one that is not there is skipped with a line that says so. Each combination
gets an environment of its own in DIR (default: a temporary folder that is removed). The exit status is 1 if one failed.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
MATRIX = ("3.12/6.31/8", "3.13/7.4/9")


class Combination(NamedTuple):
    """Versions as they are pinned: `ipykernel==7.4.*`, `ipython==9.*`."""

    python: str
    ipykernel: str
    ipython: str

    @classmethod
    def parse(cls, text: str) -> Combination:
        parts = text.split("/")
        if len(parts) != 3 or not all(part.replace(".", "").isdigit() for part in parts):
            raise argparse.ArgumentTypeError(f"{text!r} is not PYTHON/IPYKERNEL/IPYTHON, such as 3.12/7.4/9")
        return cls(*parts)

    def __str__(self) -> str:
        return f"Python {self.python}, ipykernel {self.ipykernel}, IPython {self.ipython}"


class Row(NamedTuple):
    """One line of the table."""

    combination: Combination
    outcome: str
    summary: str
    seconds: float


def interpreter(version: str) -> Path | None:
    """A Python of this version that really starts: pyenv leaves names on the PATH that lead nowhere."""
    candidates = [Path(found)] if (found := shutil.which(f"python{version}")) else []
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    candidates += sorted(pyenv.glob(f"{version}*/bin/python{version}"))
    for candidate in candidates:
        started = subprocess.run([candidate, "-c", "import venv"], capture_output=True, check=False)
        if started.returncode == 0:
            return candidate
    return None


def run(combination: Combination, folder: Path, arguments: list[str]) -> Row:
    """Makes the environment, if it is not there yet, and runs the tests in it."""
    began = time.monotonic()

    def row(outcome: str, summary: str) -> Row:
        return Row(combination, outcome, summary, time.monotonic() - began)

    python = interpreter(combination.python)
    if python is None:
        print(f"skipped: there is no Python {combination.python} on this machine", flush=True)
        return row("skipped", "no such Python")
    home = folder / "-".join(combination)
    own = home / "bin" / "python"
    pins = [f"ipykernel=={combination.ipykernel}.*", f"ipython=={combination.ipython}.*"]
    print(f"== {combination}", flush=True)
    if not own.is_file():
        subprocess.run([python, "-m", "venv", home], check=True)
    install = [own, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-e", f"{ROOT}[dev]", *pins]
    installed = subprocess.run(install, capture_output=True, text=True, check=False)
    if installed.returncode != 0:
        print(installed.stdout + installed.stderr, flush=True)
        return row("failed", "the environment could not be made")
    test = [own, "-m", "pytest", "-q", "-p", "no:cacheprovider", *(arguments or ["tests/kernel"])]
    lines: list[str] = []
    with subprocess.Popen(test, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            lines.append(line.strip())
    summary = next((line for line in reversed(lines) if " in " in line and line[0].isdigit()), "no summary")
    return row("passed" if process.returncode == 0 else "failed", summary)


def main() -> int:
    """The command."""
    typed = sys.argv[1:]
    cut = typed.index("--") if "--" in typed else len(typed)
    known, arguments = typed[:cut], typed[cut + 1 :]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("combinations", nargs="*", type=Combination.parse, metavar="COMBINATION")
    parser.add_argument("--folder", type=Path, help="where the environments are, and stay")
    options = parser.parse_args(known)
    combinations = options.combinations or [Combination.parse(text) for text in MATRIX]
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        rows = [run(combination, folder.resolve(), arguments) for combination in combinations]
    print(f"\n{'python':8}{'ipykernel':11}{'ipython':9}{'outcome':9}{'seconds':>8}  tests")
    for (python, ipykernel, ipython), outcome, summary, seconds in rows:
        print(f"{python:8}{ipykernel:11}{ipython:9}{outcome:9}{seconds:8.0f}  {summary}")
    return int(any(row.outcome == "failed" for row in rows) or all(row.outcome == "skipped" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
