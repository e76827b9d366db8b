"""Writes the files that later versions must be able to read and audit: `python -m tests.compat.make`.

Real kernels ask a real devnet. The files go to a folder named after this version's first two numbers. They are made
once for each release, and kept: a later version that cannot read them has lost what its users saved.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient

from og_magics import __version__
from og_magics.cli import main as command_line
from og_magics.devnet import Devnet

HERE = Path(__file__).resolve().parent
FOLDER = HERE / ".".join(__version__.split(".")[:2])
BEFORE = HERE / "before-0.1"
_REVISION = "7f60647"
"""The last commit at which an output was audited by showing it again; its notebooks are kept as they were."""
_OLD = ("01_quickstart", "02_receipts", "03_panel", "05_tools", "06_replay")
_FOLDERS = re.compile(r"/(?:[\w.\-]+/)+(?=[\w.\-])")
"""Of a traceback: the folders of the machine that made it."""
_OURS = re.compile(r"OG_|JUPYTER|IPYTHON|VSCODE|PYTEST", re.I)

_TOOLS = '''
import og_magics as og

@og.tool
def add(a: int, b: int) -> int:
    """Add two numbers.

    Args:
        a: one. b: the other.
    """
    return a + b
'''
_BREAK = "import _thread, threading\nthreading.Timer(2.8, _thread.interrupt_main).start()"

ANSWERS = (
    "%load_ext og_magics\nimport og_magics as og",
    "%%ogchat -n 40\nWhat is a receipt?",
    "%%ogchat -p anthropic -s private -n 40\nWhat stays private?",
    "%%ogchat -p google -s individual -n 40\nWhat is public?",
    "%ogchat -n 30 What is a Merkle tree?",
    "%%ogchat -f text -n 40\nSay it as plain text.",
    "%%ogchat -f json -n 60\nGive a JSON object.",
    "%%ogchat -f code -n 60\nWrite a function.",
    "%%ogchat -f html -n 60\nWrite a page.",
    "%%ogchat --thread talk -n 30\nMy name is Ada.",
    "%%ogchat --thread talk -n 30\nWhat is my name?",
    "thing = 'receipt'",
    "%%ogchat -n 30 --context last\nWhat does {thing} stand for?",
    "print('the user prints this')\nanswer = og.ask('What is a ledger?', max_tokens=20)\nprint(answer.text)\nanswer",
)
TURNS = (
    "%load_ext og_magics",
    _TOOLS,
    "%%ogchat --tools add -n 80\nHow much is 2 and 3?",
    "%%ogchat --tools add --tools-show -n 40\nHow much is 4 and 5?",
    "%%ogcompare -m openai/gpt-5 -m anthropic/claude-haiku-4-5 -m google/gemini-2.5-flash -n 40\nWhat is compared?",
    "%%ogcompare -m openai/gpt-5 -m openai/no-such-model -n 30\nWhat if one of them fails?",
)
BROKEN = (
    "%load_ext og_magics",
    _BREAK,
    "%%ogchat -n 400\nTell a long story about a ledger.",
    "%%ogchat -m openai/no-such-model\nIs anybody there?",
    "%%ogchat -n 30\nWhat can be asked again?",
    "%%ogchat -n 30 --replay only\nWhat can be asked again?",
)
_END = "%og receipts --wait 60 --csv receipts.csv --json receipts.json --parquet receipts.parquet"
NOTEBOOKS = {"answers": ANSWERS, "turns": TURNS, "broken": BROKEN}


def make(folder: Path) -> None:
    """Run all notebooks and write them, with the exports and the ledger of the first, into a folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name, cells in NOTEBOOKS.items():
        delay = 0.15 if name == "broken" else 0.005  # seconds a token: slow enough to be interrupted
        with (
            Devnet(settle_after=0.5, batch_after=0.5, token_delay=delay) as devnet,
            tempfile.TemporaryDirectory() as work,
        ):
            notebook = Path(work) / f"{name}.ipynb"
            execute(notebook, [*cells, _END], devnet)
            keep(notebook, folder)
    command_line(["scrub", str(folder / "answers.ipynb"), "-o", str(folder / "scrubbed.ipynb")])
    _check(folder)


def execute(notebook: Path, cells: list[str], devnet: Devnet) -> None:
    """Run cells headless, in a kernel whose environment knows nothing of this machine's settings."""
    content: Any = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in cells])
    for place, cell in enumerate(content.cells):
        cell["id"] = f"cell-{place}"
    spec = notebook.parent / "kernels" / "python3"
    spec.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (spec / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "Python 3", "language": "python"}))
    specs = KernelSpecManager(ensure_native_kernel=False)
    specs.kernel_dirs = [str(spec.parent)]
    home = notebook.parent / "home"
    home.mkdir()
    environment = {name: value for name, value in os.environ.items() if not _OURS.match(name)}
    environment |= {"IPYTHONDIR": str(home), "OG_DEVNET": json.dumps(devnet.info)}
    manager = AsyncKernelManager(kernel_name="python3", kernel_spec_manager=specs)
    client = NotebookClient(
        content,
        km=manager,
        timeout=120,
        resources={"metadata": {"path": str(notebook.parent)}},
        allow_errors=True,
        record_timing=False,
    )
    client.execute(env=environment, cleanup_kc=True)
    for output in (output for cell in content.cells for output in cell.outputs if output.output_type == "error"):
        output["traceback"] = [_FOLDERS.sub("", line) for line in output["traceback"]]
    nbformat.write(content, notebook)


def keep(notebook: Path, folder: Path) -> None:
    """Copy a notebook, its exports and its ledger, each under the notebook's name."""
    shutil.copy(notebook, folder / notebook.name)
    for export in notebook.parent.glob("receipts.*"):
        shutil.copy(export, folder / f"{notebook.stem}{export.suffix}")
    (ledger,) = (path for path in (notebook.parent / ".og").rglob("*.db"))
    with sqlite3.connect(ledger) as source, sqlite3.connect(folder / f"{notebook.stem}.db") as target:
        source.backup(target)
        target.execute("PRAGMA journal_mode = DELETE")


def keep_older(folder: Path) -> None:
    """Write the committed notebooks as they were before outputs were audited by reading them."""
    folder.mkdir(exist_ok=True)
    for name in _OLD:
        old = subprocess.run(
            ["git", "show", f"{_REVISION}:notebooks/{name}.ipynb"], check=True, capture_output=True, cwd=HERE
        )
        (folder / f"{name}.ipynb").write_bytes(old.stdout)


def _check(folder: Path) -> None:
    """Fail where a file names a folder of this machine."""
    for path in folder.iterdir():
        content = path.read_bytes()
        for private in (str(HERE.parents[1]), str(Path.home()), tempfile.gettempdir()):
            if len(private) > 1 and private.encode() + b"/" in content:
                raise SystemExit(f"{path.name} names {private}")


if __name__ == "__main__":
    make(FOLDER)
    keep_older(BEFORE)
    print(f"{sum(1 for _ in FOLDER.iterdir())} files in {FOLDER.name}")
