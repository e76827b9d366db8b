"""Pauses between cells: time for work that no cell should wait for."""

from __future__ import annotations

import threading
from typing import Any


class Pauses:
    """Follows the cells of a shell. Made while one runs, or before the first."""

    def __init__(self, shell: Any) -> None:
        self._events = shell.events
        self._pause = threading.Event()

    def install(self) -> None:
        """Start following the cells."""
        self._events.register("pre_run_cell", self._begin)
        self._events.register("post_run_cell", self._end)

    def remove(self) -> None:
        """Stop following them; who waits goes on."""
        for event, callback in (("pre_run_cell", self._begin), ("post_run_cell", self._end)):
            if callback in self._events.callbacks[event]:
                self._events.unregister(event, callback)
        self._pause.set()

    def wait(self, seconds: float) -> bool:
        """Wait for a pause, at most so long; return True in one."""
        return self._pause.wait(seconds)

    def _begin(self, _info: Any) -> None:
        self._pause.clear()

    def _end(self, _result: Any) -> None:
        self._pause.set()
