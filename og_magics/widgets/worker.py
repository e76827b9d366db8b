"""The threads of one panel and the lock on its widgets, shared by its sections.

Callbacks of widgets run on the kernel's main thread or on a subshell, so they only queue work and return. One thread
changes settings, in the order of the clicks. Slow work has a thread of its own. One more thread, the painter, brings
the widgets up to date. All are daemon threads, so that none keeps the process alive.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from ..core.errors import OGError
from ..core.settings import Settings
from ..session import Session

Work = Callable[[], None]
OnError = Callable[[BaseException], None]
"""Shows an error in the panel."""

_QUIET = 0.15
"""Seconds without a new click after which all earlier clicks count as arrived."""


class PanelWorker:
    """Runs the work of one panel. Methods may be called from any thread; only `settled` and `sleep` block."""

    def __init__(self, app: Session) -> None:
        self.app = app
        self._lock = threading.RLock()
        self._closed = threading.Event()
        self._wake = threading.Event()
        self._thread_state = threading.local()
        self._queue: queue.SimpleQueue[tuple[Work, OnError] | None] = queue.SimpleQueue()
        self._pending = self._queued = 0

    @property
    def closed(self) -> bool:
        """True once the panel is closed."""
        return self._closed.is_set()

    @property
    def pending(self) -> bool:
        """True while queued changes are not yet applied: the widgets are then newer than the notebook's settings."""
        return self._pending > 0

    @property
    def painting(self) -> bool:
        """True while this thread sets widgets; observers then ignore the event, since no person caused it."""
        return getattr(self._thread_state, "painting", False)

    def put(self, widget: Any, **traits: Any) -> None:
        """Set the traits that differ. Observers can tell it from a person's input by `painting`."""
        with self._lock, self._painting():
            for name, value in traits.items():
                if not self.closed and getattr(widget, name) != value:
                    setattr(widget, name, value)

    def mark(self, widget: Any, name: str, *, on: bool) -> None:
        """Add a CSS class to a widget, or remove it."""
        with self._lock:
            if not self.closed and (name in widget._dom_classes) != on:
                (widget.add_class if on else widget.remove_class)(name)

    def later(self, work: Work, on_error: OnError) -> None:
        """Queue work behind what was queued before; `on_error` shows what it raises."""
        with self._lock:
            self._pending += 1
            self._queued += 1
        self._queue.put((work, on_error))

    def settled(self) -> Settings:
        """Wait until no more clicks arrive, and return the settings.

        A front end may send clicks to several threads of the kernel, so a choice that was made before a click on a
        button can arrive after it. It still counts.
        """
        while True:
            before = self._queued
            time.sleep(_QUIET)
            if before == self._queued and not self.pending:
                return self.app.settings

    def aside(self, work: Work, on_error: OnError) -> None:
        """Run work at once on a thread of its own; `on_error` shows what it raises."""
        threading.Thread(target=self._run, args=(work, on_error), name="og_magics-panel-work", daemon=True).start()

    def wake(self) -> None:
        """Make the painter look for changes now."""
        self._wake.set()

    def sleep(self, seconds: float) -> bool:
        """Wait until woken or until the seconds are over, and return False once the panel is closed."""
        self._wake.wait(seconds)
        self._wake.clear()
        return not self.closed

    def open(self, painter: Work) -> None:
        """Start the worker thread and the painter thread."""
        for work in (self._run_queue, painter):
            threading.Thread(target=work, name="og_magics-panel", daemon=True).start()

    def close(self) -> None:
        """End all threads. Queued work is still done, but the widgets no longer change."""
        with self._lock:
            self._closed.set()
        self._queue.put(None)
        self._wake.set()

    def _run_queue(self) -> None:
        while (job := self._queue.get()) is not None:
            self._run(*job)
            with self._lock:
                self._pending -= 1
            self.wake()

    def _run(self, work: Work, on_error: OnError) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - a thread's error is shown in the panel, or nowhere
            with contextlib.suppress(Exception):
                on_error(error)

    @contextlib.contextmanager
    def _painting(self) -> Iterator[None]:
        before, self._thread_state.painting = self.painting, True
        try:
            yield
        finally:
            self._thread_state.painting = before


def parts_of(error: BaseException) -> tuple[str, str, str]:
    """Return what happened, what it means for the money, and what to do."""
    if isinstance(error, OGError):
        return error.what, error.money, error.remedy
    return f"{type(error).__name__}: {error}", "", ""
