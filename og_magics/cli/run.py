"""The `run` verb: execute a notebook in a real kernel and print its outputs as its cells finish."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from ..core.errors import ConfigError, LedgerError
from ..core.settings import Settings
from ..display import receipts_table
from ..display.sanitize import printable
from ..ledger import ledger_of, open_ledger
from ..notebook.file import read_notebook, write_notebook

if TYPE_CHECKING:
    from nbclient import NotebookClient

_TIMEOUT = 600
"""Seconds for one cell."""
_NOTHING = "Nothing was run and nothing was paid."
_NOTEBOOK = "Name an .ipynb file that Jupyter opens."
_STOPPED = 130
"""Exit status of a command that Ctrl-C ended."""


def run_notebook(path: Path, *, output: Path | None, kernel: str) -> int:
    """Execute a notebook, print its outputs and then its receipts.

    With `output`, the notebook so far is written after each cell, so that it has every answer that was paid, however
    the run ends.

    Returns:
        0 if every cell ran, 1 if one failed or the kernel died, 130 if it was interrupted.

    Raises:
        ConfigError: no such notebook, no such kernel, no place for the output, or what runs notebooks is not installed.
        LedgerError: a receipt that cannot be read.
    """
    nbclient = _nbclient()
    notebook = _read(path)
    if output is not None:
        _check_writable(output)
    started = time.time()
    with tempfile.TemporaryFile("w+", errors="replace") as said:
        run = _Run(nbclient, notebook, path, output, kernel)
        status = run.execute(said)
    if not status:
        print(
            f"{path}: {len(notebook.cells)} cell{'s' * (len(notebook.cells) != 1)}, {time.time() - started:.0f} s.",
            file=sys.stderr,
        )
    # From the ledger and not from the outputs: calls from Python are there too, and payments settled since.
    ledger = open_ledger(ledger_of(Settings.from_env(), path.absolute()))
    receipts = [receipt for receipt in ledger.receipts() if receipt.time >= started]
    print(f"\n{len(receipts)} receipt{'s' * (len(receipts) != 1)}\n{receipts_table(receipts)}", flush=True)
    return status


class _CannotKeep(Exception):
    """The notebook cannot be written any more: what would be paid from here on could not be kept."""


class _Run:
    """One execution of a notebook, which keeps what there is of it after each cell."""

    def __init__(self, nbclient: Any, notebook: Any, path: Path, output: Path | None, kernel: str) -> None:
        self._nbclient, self._notebook, self._output = nbclient, notebook, output
        self._cell = self._signals = 0
        # As a Jupyter server does: the kernel learns its notebook's path, beside which the ledger goes.
        os.environ["JPY_SESSION_NAME"] = str(path.absolute())
        name, specs = _kernel(notebook, kernel)
        self._client: NotebookClient = nbclient.NotebookClient(
            notebook,
            timeout=_TIMEOUT,
            record_timing=False,  # running twice should change as little as possible
            kernel_name=name,
            resources={"metadata": {"path": str(path.absolute().parent)}},
            extra_arguments=["--log-level=ERROR"],  # its notice on unencrypted TCP: it listens on loopback only
            on_cell_start=self._start,
            on_cell_executed=self._executed,
        )
        self._client.log.setLevel(logging.CRITICAL)  # each of its errors is said below, in one line
        self._client.km = self._client.create_kernel_manager()
        if specs is not None:
            self._client.km.kernel_spec_manager = specs

    def execute(self, said: IO[str]) -> int:
        """Run the cells and return the exit status; `said` takes what the kernel's process writes itself."""
        errors = self._nbclient.exceptions
        try:
            self._client.execute(stdout=said, stderr=said)
        except _CannotKeep:
            return 1
        except errors.CellExecutionError as error:
            if self._signals:
                return self._interrupted()
            first = printable(" ".join(str(error.evalue).split()))
            return self._failed(f"Cell {self._cell} failed: {printable(error.ename)}: {first[:2000]}")
        except errors.CellTimeoutError:
            return self._failed(f"Cell {self._cell} did not end within {_TIMEOUT} s.")
        except errors.DeadKernelError:
            if self._signals:
                return self._interrupted()
            said.seek(0)
            last = [line for line in said.read()[-4000:].splitlines() if line.strip()][-3:]
            why = "".join(f"\n  {printable(line)}" for line in last)
            return self._failed(f"The kernel died in cell {self._cell}.{why}")
        except KeyboardInterrupt:
            return self._interrupted()
        except Exception as error:  # noqa: BLE001 - whatever ends the run, what was paid is kept
            return self._failed(f"The run ended in cell {self._cell}: {type(error).__name__}: {printable(str(error))}")
        return self._saved()

    def _interrupted(self) -> int:
        self._failed(f"Interrupted in cell {self._cell}.")
        return _STOPPED

    def _on_signal(self) -> None:
        """Interrupt the cell, as the stop button does: what had arrived of an answer is kept. The second time, kill."""
        self._signals += 1
        manager: Any = self._client.km
        stop = manager.interrupt_kernel() if self._signals == 1 else manager.shutdown_kernel(now=True)
        self._stopping = asyncio.ensure_future(stop)

    def _failed(self, what: str) -> int:
        self._saved()
        print(f"{what}{self._where()}", file=sys.stderr)
        return 1

    def _where(self) -> str:
        return "" if self._output is None else f" The notebook so far is in {self._output}."

    def _saved(self) -> int:
        """Write the notebook so far in the place of the last; where that fails, the last one stays."""
        if self._output is None:
            return 0
        try:
            write_notebook(self._output, self._notebook)
        except LedgerError as error:
            kept = "What it held before is still there, and the receipts are in the ledger."
            print(f"og-magics: {error} {kept}", file=sys.stderr)
            return 1
        return 0

    def _start(self, cell: Any, cell_index: int) -> None:
        self._cell = cell_index + 1
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # nbclient's own handlers would kill the kernel at once
            if hasattr(signal, name):
                with contextlib.suppress(RuntimeError, NotImplementedError):  # another thread; Windows
                    asyncio.get_running_loop().add_signal_handler(getattr(signal, name), self._on_signal)
        if cell.cell_type == "code":
            print("\n" + printable("\n".join(f"    {line}" for line in cell.source.splitlines())), flush=True)

    def _executed(self, cell: Any, cell_index: int, execute_reply: Any) -> None:
        for output in cell.get("outputs", []):
            if output.output_type == "stream":
                print(printable(output.text), end="", flush=True)
            elif "data" in output:
                print(printable(str(output.data.get("text/plain", ""))), flush=True)
        if self._saved():
            raise _CannotKeep


def _nbclient() -> Any:
    try:
        importlib.import_module("nbformat")
        importlib.import_module("nbclient.exceptions")
        return importlib.import_module("nbclient")
    except ImportError as error:
        raise ConfigError(
            f"Running notebooks needs {error.name}.", remedy="pip install 'og_magics[notebook]'"
        ) from None


def _read(path: Path) -> Any:
    """Return the notebook in a file.

    Raises:
        ConfigError: there is none that can be run.
    """
    nbformat: Any = importlib.import_module("nbformat")  # no types
    try:
        if path.is_dir():
            raise ConfigError(f"{path} is a folder.", money=_NOTHING, remedy="Give the path of an .ipynb file.")
        old = _old_format(path)
        if old:
            raise ConfigError(
                f"{path} is a notebook of format {old}; format 4 is run.",
                money=_NOTHING,
                remedy=f"jupyter nbconvert --to notebook --inplace {path} brings it up to date.",
            )
        read_notebook(path)
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
    except ConfigError:  # a ValueError as well
        raise
    except LedgerError as error:
        raise ConfigError(error.what, money=_NOTHING, remedy=error.remedy) from None
    except nbformat.ValidationError as error:
        raise ConfigError(
            f"{path} is not a valid notebook: {printable(str(error).splitlines()[0][:200])}.",
            money=_NOTHING,
            remedy=_NOTEBOOK,
        ) from None
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path} is not a notebook: {printable(str(error))[:200]}.", money=_NOTHING, remedy=_NOTEBOOK
        ) from None
    return notebook


def _old_format(path: Path) -> int | None:
    """Return the major version of a notebook of before 2015, which has worksheets; None for any other file."""
    from ..core.untrusted_json import read_json

    try:
        content = read_json(path.read_bytes())
    except (OSError, ValueError):
        return None
    version = content.get("nbformat") if isinstance(content, dict) else None
    return version if isinstance(version, int) and 0 < version < 4 else None


def _check_writable(output: Path) -> None:
    """Refuse an output that could not be written, before anything is paid.

    Raises:
        ConfigError: it could not.
    """
    problem = ""
    if output.is_dir():
        problem = "it is a folder"
    elif not output.absolute().parent.is_dir():
        problem = f"there is no folder {output.absolute().parent}"
    else:
        try:
            with tempfile.TemporaryFile(dir=output.absolute().parent):
                pass
            if output.exists() and not os.access(output, os.W_OK):
                problem = "the file that is there is read-only"
        except OSError as error:
            problem = str(error.strerror)
    if problem:
        raise ConfigError(f"{output} cannot be written: {problem}.", money=_NOTHING, remedy="Give -o another place.")


def _kernel(notebook: Any, asked: str) -> tuple[str, Any]:
    """Return the name of the kernel, and what makes it where this Python does: it is not installed under that name.

    Raises:
        ConfigError: the kernel that was asked for is not there, or the notebook is in another language.
    """
    from jupyter_client.kernelspec import KernelSpecManager, NoSuchKernel

    metadata = notebook.metadata
    spec = metadata.get("kernelspec") or {}
    name = asked or str(spec.get("name") or "python3")
    try:
        KernelSpecManager().get_kernel_spec(name)
    except NoSuchKernel:
        known = ", ".join(sorted(KernelSpecManager().find_kernel_specs())) or "none"
        if asked:
            raise ConfigError(
                f"There is no kernel {printable(asked)!r}; there are {known}.",
                money=_NOTHING,
                remedy="Leave --kernel out to run the notebook by this Python.",
            ) from None
        language = str(spec.get("language") or (metadata.get("language_info") or {}).get("name") or "python")
        if language.lower() not in ("python", "python3", "ipython"):
            raise ConfigError(
                f"The notebook is in {printable(language)[:40]}; its kernel {printable(name)[:80]!r} is not installed.",
                money=_NOTHING,
                remedy=f"Install that kernel, or name another with --kernel: {known}.",
            ) from None
        print(
            f"The notebook's kernel {printable(name)[:80]!r} is not installed here: this Python runs it.",
            file=sys.stderr,
        )
        return "python3", _this_python()
    return name, None


def _this_python() -> Any:
    """Return a manager that knows one kernel: this Python's."""
    from ipykernel.kernelspec import get_kernel_dict
    from jupyter_client.kernelspec import KernelSpec, KernelSpecManager

    class ThisPython(KernelSpecManager):
        def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
            return KernelSpec(**get_kernel_dict())

    return ThisPython()
