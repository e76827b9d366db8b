"""How far many questions are: a bar in a notebook, a line that is drawn over in a terminal, nothing in a log."""

from __future__ import annotations

import sys
import time
from html import escape
from typing import Any, Protocol
from uuid import uuid4

from .live import show_bundle

_APART = 0.25
"""Seconds between updates."""


class Bar(Protocol):
    """Used on the thread that asked."""

    def show(self, ended: int, told: str, *, last: bool = False) -> None:
        """So many have ended, one way or the other; `told` says it in words."""


def bar_for(shell: Any, total: int) -> Bar:
    """The bar that suits a shell, or none (None)."""
    if getattr(shell, "kernel", None) is not None:
        return _Rich(total)
    return _Line() if sys.stderr.isatty() else _Silent()


class _Rich:
    def __init__(self, total: int) -> None:
        self._total = total
        self._id = uuid4().hex
        self._shown = ""
        self._next = 0.0

    def show(self, ended: int, told: str, *, last: bool = False) -> None:
        if told == self._shown or (time.monotonic() < self._next and not last):
            return
        self._next = time.monotonic() + _APART
        html = f'<progress value="{ended}" max="{max(self._total, 1)}"></progress> {escape(told)}'
        show_bundle({"text/html": html, "text/plain": told}, display_id=self._id, update=bool(self._shown))
        self._shown = told


class _Line:
    def __init__(self) -> None:
        self._shown = ""

    def show(self, ended: int, told: str, *, last: bool = False) -> None:
        if told != self._shown or last:
            sys.stderr.write("\r" + told.ljust(len(self._shown)) + "\n" * last)
            sys.stderr.flush()
            self._shown = told


class _Silent:
    def show(self, ended: int, told: str, *, last: bool = False) -> None:
        pass
