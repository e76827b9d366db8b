"""Asking the person at the notebook whether a function may be called."""

from __future__ import annotations

from ..display.safe import printable
from ..progress import Call

_LONGEST = 2_000
_YES = ("y", "yes")


def confirmed(call: Call) -> bool | None:
    """Whether the person says yes to this call; None where nobody can be asked: headless, or without a terminal.

    It is asked by `input()`, so on the thread that runs the cell.
    """
    arguments = printable(" ".join(call.arguments.split()))
    if len(arguments) > _LONGEST:
        arguments = f"{arguments[:_LONGEST]}… [{len(arguments) - _LONGEST:,} more characters]"
    marked = ", which writes or spends" if call.guarded else ""
    try:
        said = input(f"The model wants to call {printable(call.name)}({arguments}){marked}. Allow it? [y/N] ")
    except (EOFError, NotImplementedError):
        return None
    return said.strip().lower() in _YES
