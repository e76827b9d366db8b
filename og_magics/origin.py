"""Which cell of which notebook is asking. Outside of a notebook: none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Origin = tuple[str, str]
"""(cell, notebook): an execution count and a file name, "" where not known."""


@dataclass(frozen=True, slots=True)
class Execution:
    """One run of one cell, with what tells the cell again when it is run once more.

    Attributes:
        run: an id of this run alone.
        cell: the front end's id of the cell behind what it is unique in, "cell:3f2a…"; "" where none is sent.
        source: digest of the cell's text, and which one of this session's cells with that text it is, "9d1c…#1".
    """

    run: str
    cell: str
    source: str


NOWHERE = Execution("", "", "")
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


def _no_cell() -> Execution:
    return NOWHERE


_ask: Callable[[], Origin] = _nowhere
_run: Callable[[], Execution] = _no_cell
_names: Mapping[str, Any] = {}
_cells: Callable[[], Sequence[CellRun]] = tuple


def origin() -> Origin:
    """Where the code that runs now stands."""
    return _ask()


def execution() -> Execution:
    """The run of the cell that the code that runs now is part of; all of it is "" where that is no cell that could be
    run again: in a script, in a terminal, or where a widget asks."""
    return _run()


def cells() -> Sequence[CellRun]:
    """The cells that have run before the one that runs now, oldest first, where somebody remembers them."""
    return _cells()


def remember_by(ran: Callable[[], Sequence[CellRun]] | None) -> None:
    """Who remembers the cells says so from now on; None takes it back."""
    global _cells
    _cells = ran or tuple


def namespace() -> Mapping[str, Any]:
    """The notebook's own names, in which some front ends say where the notebook is."""
    return _names


def tell_by(
    ask: Callable[[], Origin] | None,
    names: Mapping[str, Any] | None = None,
    run: Callable[[], Execution] | None = None,
) -> None:
    """A shell that knows says so from now on; None takes it back."""
    global _ask, _names, _run
    _ask, _names, _run = ask or _nowhere, names or {}, run or _no_cell
