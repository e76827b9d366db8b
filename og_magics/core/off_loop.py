"""Calls that may wait for a disk or a server, made beside the background loop: all else on it goes on meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, TypeVar

from .fork import after_fork, new_lock

T = TypeVar("T")

_IDLE_SECONDS = 5.0
"""Time without work after which the thread ends; the next call starts another."""
_MOST = 64
"""Calls that are made together."""

Together = Callable[[], AbstractContextManager[None] | None]
"""Opens what all calls within it are one of: they are made once it has been left without an error, or none of them. It
returns None where each is to be made by itself."""


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    """A call in line, and who waits for it."""

    call: Callable[[], Any]
    future: Future[Any] | asyncio.Future[Any]
    together: bool


_Made = tuple[asyncio.Future[Any], Any, BaseException | None]


class OrderedThread:
    """One thread that makes calls one after the other, in the order in which they were given; or a few, that begin them
    in this order.

    A call that was given is made, also when nobody waits for it any more. Each caller waits for its own, so no more
    stand in line than there are callers.

    Args:
        together: calls that may be, and follow each other in line, are made within one of these. Where one of them
            fails, each is made again, by itself.
        at_once: calls that are made at the same time, at most; where that is more than one, each is made by itself.
    """

    def __init__(self, name: str = "og_magics-disk", together: Together = lambda: None, at_once: int = 1) -> None:
        self._name, self._together, self._at_once = name, together, at_once
        self._line: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._running = self._idle = 0
        _threads.add(self)

    async def run(self, call: Callable[[], T], *, together: bool = False) -> T:
        """Return what a call returns, or raise what it raises. The loop that waits does other work meanwhile.

        Args:
            together: it may be made with others, and a second time where one of them failed.
        """
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._put(_Waiting(call, future, together))
        return await future

    def give(self, call: Callable[[], T]) -> Future[T]:
        """Put a call at the end of the line."""
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()  # from here on nothing but the call ends it
        self._put(_Waiting(call, future, together=False))
        return future

    def _put(self, waiting: _Waiting) -> None:
        with self._changed:
            self._line.append(waiting)
            self._changed.notify()
            if self._idle >= len(self._line) or self._running >= self._at_once:
                return
            self._running += 1
        try:
            threading.Thread(target=self._work, args=(_IDLE_SECONDS,), name=self._name, daemon=True).start()
        except RuntimeError:  # the interpreter is shutting down, and starts no more threads
            self._work(0.0)

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
                line = [self._line.popleft()]
                several = self._at_once == 1 and line[0].together
                while several and self._line and self._line[0].together and len(line) < _MOST:
                    line.append(self._line.popleft())
            if len(line) == 1 or not self._made_together(line):
                for waiting in line:
                    _make(waiting)
                    del waiting
            del line

    def _made_together(self, line: list[_Waiting]) -> bool:
        """Make calls as one, and return True; return False where none of them was made."""
        try:
            together = self._together()
            if together is None:
                return False
            with together:
                results = [waiting.call() for waiting in line]
        except BaseException:  # noqa: BLE001 - the call that raises it is made again, and it is raised there
            return False
        _tell((waiting, result, None) for waiting, result in zip(line, results, strict=True))
        return True


def _make(waiting: _Waiting) -> None:
    try:
        result = waiting.call()
    except BaseException as error:  # noqa: BLE001 - it is raised where the call is waited for
        _tell([(waiting, None, error)])
    else:
        _tell([(waiting, result, None)])


def _tell(made: Iterable[tuple[_Waiting, Any, BaseException | None]]) -> None:
    """Hand the results to who waits for them: each loop is woken once."""
    loops: dict[asyncio.AbstractEventLoop, list[_Made]] = {}
    for waiting, result, error in made:
        future = waiting.future
        if isinstance(future, asyncio.Future):
            loops.setdefault(future.get_loop(), []).append((future, result, error))
        elif error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
    for loop, results in loops.items():
        with contextlib.suppress(RuntimeError):  # it is closed: nobody waits any more
            loop.call_soon_threadsafe(_hand_over, results)


def _hand_over(results: Iterable[_Made]) -> None:
    for future, result, error in results:
        if future.done():  # who waited was cancelled
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)


_threads: weakref.WeakSet[OrderedThread] = weakref.WeakSet()
_of_owners: weakref.WeakKeyDictionary[Any, OrderedThread] = weakref.WeakKeyDictionary()
_making = new_lock()


def thread_of(owner: object) -> OrderedThread:
    """Return the thread for the calls of one ledger: the same one for all who use it in this process.

    Calls that may be made together are made within its `together()`, where it has that. A ledger that is quicker with
    several calls at the same time says how many (`calls_at_once`).
    """
    owned = weakref.ref(owner)

    def together() -> AbstractContextManager[None] | None:
        open_one: Together = getattr(owned(), "together", lambda: None)
        return open_one()

    with _making:
        if owner not in _of_owners:
            _of_owners[owner] = OrderedThread(together=together, at_once=getattr(owner, "calls_at_once", 1))
        return _of_owners[owner]


def _renew() -> object:
    return [thread.renew() for thread in list(_threads)]


after_fork(_renew)
