"""The cell and the notebook that are asking; empty outside of a notebook."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Origin = tuple[str, str]
"""(cell, notebook): an execution count and a file name, "" where not known."""


@dataclass(frozen=True, slots=True)
class CellExecution:
    """One run of one cell, with what tells the cell again when it is run once more.

    Attributes:
        run: an id of this run alone.
        cell: the front end's id of the cell behind what it is unique in, "cell:3f2a…"; "" where none is sent.
        source: digest of the cell's text, and which one of this session's cells with that text it is, "9d1c…#1".
    """

    run: str
    cell: str
    source: str


def source_digest(text: str) -> str:
    """Return the digest by which a cell is known again by its text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


NO_CELL = CellExecution("", "", "")
"""No run of a cell that is known."""


@dataclass(frozen=True, slots=True)
class CellRun:
    """A cell that has run, and what a reader of the notebook sees of it. Texts are bounded.

    Attributes:
        number: its execution count.
        source: as it was typed.
        printed: by it. shown: its value and displays, as plain text.
        error: the exception that ended it, with its traceback, free of paths of this machine; "" where none did.
    """

    number: int
    source: str
    printed: str = ""
    shown: str = ""
    error: str = ""


def _nowhere() -> Origin:
    return "", ""


def _no_cell() -> CellExecution:
    return NO_CELL


_ask: Callable[[], Origin] = _nowhere
_run: Callable[[], CellExecution] = _no_cell
_names: Mapping[str, Any] = {}
_cells: Callable[[], Sequence[CellRun]] = tuple


def origin() -> Origin:
    """Return the cell and the notebook of the code that runs now."""
    return _ask()


def execution() -> CellExecution:
    """Return the current cell execution; `NO_CELL` in a script, a terminal or a widget callback."""
    return _run()


def cell_history() -> Sequence[CellRun]:
    """Return the cells that have run before the current one, oldest first; none where no provider is set."""
    return _cells()


def set_history_provider(ran: Callable[[], Sequence[CellRun]] | None) -> None:
    """Set the provider of the earlier cells; None removes it."""
    global _cells
    _cells = ran or tuple


def namespace() -> Mapping[str, Any]:
    """Return the notebook's own names; some front ends put its path there."""
    return _names


def set_cell_provider(
    ask: Callable[[], Origin] | None,
    names: Mapping[str, Any] | None = None,
    run: Callable[[], CellExecution] | None = None,
) -> None:
    """Set the provider of the current cell; None removes it."""
    global _ask, _names, _run
    _ask, _names, _run = ask or _nowhere, names or {}, run or _no_cell
