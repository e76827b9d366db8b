"""Which cell of which notebook is asking. Outside of a notebook: none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Origin = tuple[str, str]
"""(cell, notebook): an execution count and a file name, "" where not known."""


def _nowhere() -> Origin:
    return "", ""


_ask: Callable[[], Origin] = _nowhere
_names: Mapping[str, Any] = {}


def origin() -> Origin:
    """Where the code that runs now stands."""
    return _ask()


def namespace() -> Mapping[str, Any]:
    """The notebook's own names, in which some front ends say where the notebook is."""
    return _names


def tell_by(ask: Callable[[], Origin] | None, names: Mapping[str, Any] | None = None) -> None:
    """A shell that knows says so from now on; None takes it back."""
    global _ask, _names
    _ask, _names = ask or _nowhere, names or {}
