"""Questions to the person at the notebook or the terminal: whether a function is called, and whether much is spent."""

from __future__ import annotations

import sys
from typing import Any

from ..core.estimate import Estimate
from ..core.progress import Call, Confirmable, SpendRequest
from ..display import show_or_print
from ..display.sanitize import printable

_LONGEST = 2_000
_YES = ("y", "yes")


def confirm_tool_call(call: Call) -> bool | None:
    """Ask the person whether a call is allowed; None where nobody can be asked: headless, or without a terminal.

    It is asked by `input()`, so on the thread that runs the cell.
    """
    arguments = printable(" ".join(call.arguments.split()))
    if len(arguments) > _LONGEST:
        arguments = f"{arguments[:_LONGEST]}… [{len(arguments) - _LONGEST:,} more characters]"
    marked = ", which writes or spends" if call.guarded else ""
    return _asked(f"The model wants to call {printable(call.name)}({arguments}){marked}. Allow it? [y/N] ")


def confirm(asked: Confirmable) -> bool | None:
    """Ask the person whether a call is allowed, or whether more may be spent than was agreed; None where nobody is."""
    return _spend(asked.text) if isinstance(asked, SpendRequest) else confirm_tool_call(asked)


def confirm_estimate(estimate: Estimate, question: str) -> bool | None:
    """Show an estimate, and ask whether so much may be spent; None, and nothing is shown, where nobody can be asked."""
    if not _can_ask():
        return None
    show_or_print(shell(), estimate.bundle())
    return _spend(question)


def shell() -> Any:
    """Return the IPython shell that runs this, or None. IPython is not imported to find out."""
    ipython = sys.modules.get("IPython")
    return None if ipython is None else ipython.get_ipython()


def _can_ask() -> bool:
    """Return False where nobody reads: a script without a terminal, and a front end that takes no input."""
    running = shell()
    if running is None:
        return sys.stdin is not None and sys.stdin.isatty()
    kernel = getattr(running, "kernel", None)
    return kernel is None or bool(getattr(kernel, "_allow_stdin", True))


def _spend(text: str) -> bool | None:
    return _asked(f"{printable(text)} Go on? [y/N] ") if _can_ask() else None


def _asked(question: str) -> bool | None:
    try:
        said = input(question)
    except (EOFError, NotImplementedError):
        return None
    return said.strip().lower() in _YES
