"""Which cell of which notebook is asking. Outside of a notebook: none."""

from __future__ import annotations

from collections.abc import Callable

Origin = tuple[str, str]
"""(cell, notebook): an execution count and a file name, "" where not known."""


def _nowhere() -> Origin:
    return "", ""


_ask: Callable[[], Origin] = _nowhere


def origin() -> Origin:
    """Where the code that runs now stands."""
    return _ask()


def tell_by(ask: Callable[[], Origin] | None) -> None:
    """A shell that knows says so from now on; None takes it back."""
    global _ask
    _ask = ask or _nowhere
