"""What a panel's sections share: the notebook, the threads that work for them, and the lock on their widgets.

Widgets' callbacks run on the kernel's main thread, or on a subshell's: they queue and return. Settings change on one
thread, in the order of the clicks; what takes long has a thread of its own; one thread brings the widgets up to date.
All are daemons, so that nothing here keeps a process alive.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from ..app import App
from ..errors import OGError
from ..settings import Settings

Work = Callable[[], None]
Told = Callable[[BaseException], None]
"""Shows what went wrong."""

_QUIET = 0.15
"""Seconds without a change after which what a person typed and chose has arrived."""


class Desk:
    """One panel's back office. All methods may be called from any thread, and none blocks."""

    def __init__(self, app: App) -> None:
        self.app = app
        self._lock = threading.RLock()
        self._closed = threading.Event()
        self._wake = threading.Event()
        self._here = threading.local()
        self._queue: queue.SimpleQueue[tuple[Work, Told] | None] = queue.SimpleQueue()
        self._pending = self._queued = 0

    @property
    def closed(self) -> bool:
        """Whether the panel is gone."""
        return self._closed.is_set()

    @property
    def pending(self) -> bool:
        """Whether settings are about to change: what the widgets show is newer than the notebook's state."""
        return self._pending > 0

    @property
    def painting(self) -> bool:
        """Whether this thread is setting widgets right now: then their callbacks are not a person's doing."""
        return getattr(self._here, "painting", False)

    def put(self, widget: Any, **traits: Any) -> None:
        """Set those of these traits that are different, without its being taken for a person's doing."""
        with self._lock, self._painting():
            for name, value in traits.items():
                if not self.closed and getattr(widget, name) != value:
                    setattr(widget, name, value)

    def mark(self, widget: Any, name: str, *, on: bool) -> None:
        """Give a widget a CSS class, or take it away."""
        with self._lock:
            if not self.closed and (name in widget._dom_classes) != on:
                (widget.add_class if on else widget.remove_class)(name)

    def later(self, work: Work, told: Told) -> None:
        """Do this after what was queued before it; `told` shows what it raises."""
        with self._lock:
            self._pending += 1
            self._queued += 1
        self._queue.put((work, told))

    def settled(self) -> Settings:
        """The settings, once it is quiet. Blocks for a moment.

        A front end may send clicks to several threads of the kernel: what was chosen before a click on a button can
        arrive after it, and counts.
        """
        while True:
            before = self._queued
            time.sleep(_QUIET)
            if before == self._queued and not self.pending:
                return self.app.settings

    def aside(self, work: Work, told: Told) -> None:
        """Do this at once, on a thread of its own."""
        threading.Thread(target=self._do, args=(work, told), name="og_magics-panel-work", daemon=True).start()

    def wake(self) -> None:
        """Something changed: the painter looks again."""
        self._wake.set()

    def sleep(self, seconds: float) -> bool:
        """Wait until woken, at most so long; whether the panel is still there. For the painter."""
        self._wake.wait(seconds)
        self._wake.clear()
        return not self.closed

    def open(self, painter: Work) -> None:
        """Begin to work."""
        for work in (self._work, painter):
            threading.Thread(target=work, name="og_magics-panel", daemon=True).start()

    def close(self) -> None:
        """End all threads; what is queued is done first, but shown no more."""
        with self._lock:
            self._closed.set()
        self._queue.put(None)
        self._wake.set()

    def _work(self) -> None:
        while (job := self._queue.get()) is not None:
            self._do(*job)
            with self._lock:
                self._pending -= 1
            self.wake()

    def _do(self, work: Work, told: Told) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - a thread's error is shown in the panel, or nowhere
            with contextlib.suppress(Exception):
                told(error)

    @contextlib.contextmanager
    def _painting(self) -> Iterator[None]:
        before, self._here.painting = self.painting, True
        try:
            yield
        finally:
            self._here.painting = before


def parts_of(error: BaseException) -> tuple[str, str, str]:
    """What happened, what it means for the money, and what to do."""
    if isinstance(error, OGError):
        return error.what, error.money, error.remedy
    return f"{type(error).__name__}: {error}", "", ""
