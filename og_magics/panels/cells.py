"""Whether a cell is running: in the meantime the kernel hears no clicks."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

_PATIENCE = 0.4
"""Seconds that a cell may run before it is worth a word."""


class CellWatch:
    """Follows the shell's cells."""

    def __init__(self, changed: Callable[[], None]) -> None:
        from IPython.core.getipython import get_ipython

        self._changed = changed
        self._began: float | None = None
        self._events: Any = getattr(get_ipython(), "events", None)
        if self._events is not None:
            self._events.register("pre_run_cell", self._begin)
            self._events.register("post_run_cell", self._end)

    def busy(self, now: float) -> tuple[bool, float]:
        """Whether a cell has been running for a while, and the seconds after which to ask again."""
        began = self._began
        if began is None:
            return False, float("inf")
        left = began + _PATIENCE - now
        return left <= 0, left if left > 0 else float("inf")

    def close(self) -> None:
        """Follow no more."""
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
