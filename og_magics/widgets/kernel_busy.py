"""Detection of a running cell, during which the kernel may not handle clicks."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

_PATIENCE = 0.4
"""Seconds that a cell may run before the panel mentions it."""


class CellWatch:
    """Watches when the shell's cells begin and end; `changed` is called at both."""

    def __init__(self, changed: Callable[[], None]) -> None:
        from IPython.core.getipython import get_ipython

        self._changed = changed
        self._began: float | None = None
        self._events: Any = getattr(get_ipython(), "events", None)
        if self._events is not None:
            self._events.register("pre_run_cell", self._begin)
            self._events.register("post_run_cell", self._end)

    def busy(self, now: float) -> tuple[bool, float]:
        """Return True once a cell has run for a while, and the seconds after which to ask again."""
        began = self._began
        if began is None:
            return False, float("inf")
        remaining = began + _PATIENCE - now
        return remaining <= 0, remaining if remaining > 0 else float("inf")

    def close(self) -> None:
        """Stop watching."""
        if self._events is not None:
            for name, callback in (("pre_run_cell", self._begin), ("post_run_cell", self._end)):
                with contextlib.suppress(ValueError):
                    self._events.unregister(name, callback)

    def _begin(self, _: Any) -> None:
        self._began = time.monotonic()
        self._changed()

    def _end(self, _: Any) -> None:
        self._began = None
        self._changed()
