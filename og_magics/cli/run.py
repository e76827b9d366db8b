"""Running a notebook in a real kernel with nobody watching: its answers are printed as its cells finish."""

from __future__ import annotations

import importlib
import os
import sys
import time
from pathlib import Path
from typing import Any

from ..display import receipts_table
from ..errors import ConfigError
from ..ledger import open_ledger
from ..settings import Settings, ledger_path

_TIMEOUT = 600
"""Seconds for one cell."""


def run_notebook(path: Path, *, output: Path | None, kernel: str) -> int:
    """Execute a notebook, print what it says, and at the end its receipts. 0, or 1 when a cell failed.

    Raises:
        ConfigError: no such notebook, or what runs notebooks is not installed.
        LedgerError: a receipt that cannot be read.
    """
    try:
        nbformat: Any = importlib.import_module("nbformat")  # no types
        from nbclient import NotebookClient
        from nbclient.exceptions import CellExecutionError
    except ImportError as error:
        raise ConfigError(
            f"Running notebooks needs {error.name}.", remedy="pip install 'og_magics[notebook]'"
        ) from None
    try:
        notebook = nbformat.read(path, as_version=4)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise ConfigError(f"{path} is not a notebook: {error}") from None

    # The kernel learns its notebook as it would from a Jupyter server: the ledger goes beside it.
    os.environ["JPY_SESSION_NAME"] = str(path.absolute())
    client: Any = NotebookClient(
        notebook,
        timeout=_TIMEOUT,
        record_timing=False,  # so that running twice changes as little as possible
        kernel_name=kernel or notebook.metadata.get("kernelspec", {}).get("name", "python3"),
        resources={"metadata": {"path": str(path.absolute().parent)}},
        on_cell_start=lambda cell, cell_index: _show_source(cell),
        on_cell_executed=lambda cell, cell_index, execute_reply: _show_outputs(cell),
    )
    failed, started = False, time.time()
    try:
        client.execute()
    except CellExecutionError as error:
        print(f"The notebook failed: {error.ename}: {error.evalue}", file=sys.stderr)
        failed = True
    if output is not None:
        nbformat.write(notebook, output)
    # From the ledger and not from the outputs: calls from Python are there too, and payments settled since.
    ledger = open_ledger(ledger_path(Settings.from_env(), path.absolute()))
    receipts = [receipt for receipt in ledger.receipts() if receipt.time >= started]
    print(f"\n{len(receipts)} receipt{'s' * (len(receipts) != 1)}\n{receipts_table(receipts)}", flush=True)
    return 1 if failed else 0


def _show_source(cell: Any) -> None:
    if cell.cell_type == "code":
        print("\n" + "\n".join(f"    {line}" for line in cell.source.splitlines()), flush=True)


def _show_outputs(cell: Any) -> None:
    for output in cell.get("outputs", []):
        if output.output_type == "stream":
            print(output.text, end="", flush=True)
        elif "data" in output:
            print(output.data.get("text/plain", ""), flush=True)
