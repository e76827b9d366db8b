"""Notebooks that run as other programs run them: in processes of their own, in folders of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest

from og_magics.devnet import Devnet
from og_magics.ledger import Ledger

_NO_NETWORK = """
import os, socket

def _refuse(self, address, *args):
    if self.family in (socket.AF_INET, socket.AF_INET6):
        with open(os.environ["OG_TEST_CONNECTIONS"], "a") as file:
            print(address, file=file)
        raise OSError("there is no network here")
    return _connect(self, address, *args)

_connect = socket.socket.connect
socket.socket.connect = socket.socket.connect_ex = _refuse
"""
"""A sitecustomize: Python code in the kernel reaches nothing, and what it tries is written down."""


@dataclass
class Ran:
    """One run of a notebook.

    Attributes:
        path: of the file with the outputs.
        failed: what the program said where it failed, "" where it did not.
        connections: what the kernel tried to reach, a line each.
    """

    path: Path
    failed: str
    connections: str

    @property
    def notebook(self) -> Any:
        return nbformat.read(self.path, as_version=4)

    @property
    def ledger(self) -> Ledger:
        """The one beside it."""
        return Ledger(next((self.path.parent / ".og").glob("*.db")))

    def outputs(self) -> list[str]:
        """The text of each cell's outputs."""
        return ["".join(map(_text, cell.get("outputs", []))) for cell in self.notebook.cells]


def _text(output: Any) -> str:
    if "data" in output:
        return str(output["data"].get("text/plain", ""))
    return str(output.get("text", "") or output.get("evalue", ""))


@pytest.fixture(scope="module")
def devnet() -> Iterator[Devnet]:
    with Devnet(settle_after=1, batch_after=0.2, token_delay=0.002) as running:
        yield running


Execute = Callable[..., Ran]


@pytest.fixture(scope="module")
def execute(bare_environment: Callable[[], dict[str, str]], tmp_path_factory: pytest.TempPathFactory) -> Execute:
    """Runs a notebook with `jupyter execute`, on a devnet or on no network at all."""
    blocked = tmp_path_factory.mktemp("blocked")
    (blocked / "sitecustomize.py").write_text(_NO_NETWORK)

    def run(path: Path, devnet: Devnet | None = None, **env: str) -> Ran:
        tried = tmp_path_factory.mktemp("run") / "connections.txt"
        tried.touch()
        env.setdefault("OG_REPLAY_FROM", path.name)  # `jupyter execute` does not tell a kernel which notebook it runs
        alone = {} if devnet else {"PYTHONPATH": str(blocked), "OG_TEST_CONNECTIONS": str(tried)}
        told = {"OG_DEVNET": json.dumps(devnet.info)} if devnet else {}
        command = [sys.executable, "-m", "jupyter", "execute", "--inplace", "--timeout=120", path.name]
        done = subprocess.run(
            command,
            cwd=path.parent,
            env=bare_environment() | told | alone | env,
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
        )
        return Ran(path, done.stdout + done.stderr if done.returncode else "", tried.read_text())

    return run


@pytest.fixture(scope="session")
def written() -> Callable[[Path, Sequence[str]], Path]:
    """Writes a notebook of code cells."""

    def write(path: Path, cells: Sequence[str]) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
        for number, cell in enumerate(notebook.cells):
            cell["id"] = f"cell-{number}"
        spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
        notebook.metadata.update(kernelspec=spec, language_info={"name": "python"})
        nbformat.write(notebook, path)
        return path

    return write


@pytest.fixture(scope="session")
def og_magics(bare_environment: Callable[[], dict[str, str]]) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs `og-magics` with arguments, on no network of its own."""

    def run(*arguments: str | Path, **env: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "og_magics", *map(str, arguments)]
        return subprocess.run(
            command, env=bare_environment() | env, capture_output=True, text=True, timeout=120, check=False
        )

    return run
