"""The progress of many requests: a bar in a notebook, a line in a terminal, nothing in a log."""

from __future__ import annotations

import sys
import time
from html import escape
from typing import Any, Protocol
from uuid import uuid4

from .outlets import show_bundle, updated_in_place

_APART = 0.25
"""Seconds between updates."""


class ProgressBar(Protocol):
    """Used on the thread that asked."""

    def show(self, ended: int, summary: str, *, last: bool = False) -> None:
        """Show that `ended` requests are done; `summary` is the text beside the bar."""


def progress_bar_for(shell: Any, total: int) -> ProgressBar:
    """Return the bar that suits a shell, or none (None)."""
    if getattr(shell, "kernel", None) is not None:
        return _Rich(total)
    return _Line() if sys.stderr.isatty() else _Silent()


class _Rich:
    def __init__(self, total: int) -> None:
        self._total = total
        self._id = uuid4().hex
        self._shown = ""
        self._next = 0.0
        self._once = not updated_in_place()

    def show(self, ended: int, summary: str, *, last: bool = False) -> None:
        if self._once and not last:
            return
        if summary == self._shown or (time.monotonic() < self._next and not last):
            return
        self._next = time.monotonic() + _APART
        html = f'<progress value="{ended}" max="{max(self._total, 1)}"></progress> {escape(summary)}'
        show_bundle({"text/html": html, "text/plain": summary}, display_id=self._id, update=bool(self._shown))
        self._shown = summary


class _Line:
    def __init__(self) -> None:
        self._shown = ""

    def show(self, ended: int, summary: str, *, last: bool = False) -> None:
        if summary != self._shown or last:
            sys.stderr.write("\r" + summary.ljust(len(self._shown)) + "\n" * last)
            sys.stderr.flush()
            self._shown = summary


class _Silent:
    def show(self, ended: int, summary: str, *, last: bool = False) -> None:
        pass
