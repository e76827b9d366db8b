"""Calls that may wait for a disk or a server, made beside the background loop: all else on it goes on meanwhile."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from .fork import after_fork, new_lock

T = TypeVar("T")

_IDLE_SECONDS = 5.0
"""Time without work after which the thread ends; the next call starts another."""


class OrderedThread:
    """One thread that makes calls one after the other, in the order in which they were given; or a few, that begin them
    in this order.

    A call that was given is made, also when nobody waits for it any more. Each caller waits for its own, so no more
    stand in line than there are callers.

    Args:
        at_once: calls that are made at the same time, at most.
    """

    def __init__(self, name: str = "og_magics-disk", at_once: int = 1) -> None:
        self._name, self._at_once = name, at_once
        self._line: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._changed = threading.Condition()
        self._running = self._idle = 0
        _threads.add(self)

    async def run(self, call: Callable[[], T]) -> T:
        """Return what a call returns, or raise what it raises. The loop that waits does other work meanwhile."""
        return await asyncio.wrap_future(self.give(call))

    def give(self, call: Callable[[], T]) -> Future[T]:
        """Put a call at the end of the line."""
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()  # from here on nothing but the call ends it
        with self._changed:
            self._line.append((future, call))
            self._changed.notify()
            if self._idle >= len(self._line) or self._running >= self._at_once:
                return future
            self._running += 1
        try:
            threading.Thread(target=self._work, args=(_IDLE_SECONDS,), name=self._name, daemon=True).start()
        except RuntimeError:  # the interpreter is shutting down, and starts no more threads
            self._work(0.0)
        return future

    def renew(self) -> object:
        """In a forked child: begin anew; the line, and who waits in it, are the parent's."""
        line, self._line, self._changed, self._running, self._idle = self._line, deque(), threading.Condition(), 0, 0
        return line

    def _work(self, idle: float) -> None:
        while True:
            with self._changed:
                if not self._line:
                    self._idle += 1
                    self._changed.wait(idle)
                    self._idle -= 1
                if not self._line:
                    self._running -= 1
                    return
                future, call = self._line.popleft()
            try:
                future.set_result(call())
            except BaseException as error:  # noqa: BLE001 - it is raised where the call is waited for
                future.set_exception(error)
            del future, call


_threads: weakref.WeakSet[OrderedThread] = weakref.WeakSet()
_of_owners: weakref.WeakKeyDictionary[Any, OrderedThread] = weakref.WeakKeyDictionary()
_making = new_lock()


def thread_of(owner: object) -> OrderedThread:
    """Return the thread for the calls of one ledger: the same one for all who use it in this process.

    A ledger that is quicker with several calls at the same time says how many (`calls_at_once`).
    """
    with _making:
        if owner not in _of_owners:
            _of_owners[owner] = OrderedThread(at_once=getattr(owner, "calls_at_once", 1))
        return _of_owners[owner]


def _renew() -> object:
    return [thread.renew() for thread in list(_threads)]


after_fork(_renew)
