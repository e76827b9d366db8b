"""The one background event loop on which all network work runs.

A caller may stand in a script, in a cell, on any event loop or on none, and call `asyncio.run` as often as it likes:
connections, payment sessions and locks live on this loop and outlast all of them.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import threading
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from concurrent.futures import Future
from typing import Any, TypeVar, overload

T = TypeVar("T")

_END = object()


class Runtime:
    """A daemon thread with an event loop, started when first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop, running."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=self._loop.run_forever, name="og_magics", daemon=True)
                self._thread.start()
            return self._loop

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Start work on the loop, from any thread."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def wait(self, work: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Run work and block for its result; an interrupt cancels it.

        Raises:
            TimeoutError: not done in time; it is cancelled.
            RuntimeError: called on the background loop itself, which would wait for itself.
        """
        if threading.current_thread() is self._thread:
            work.close()
            raise RuntimeError("A blocking call was made on the background loop.")
        future = self.submit(work)
        try:
            return future.result(timeout)
        except BaseException:
            future.cancel()
            raise

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run work from a coroutine on any loop; cancelling the caller cancels the work."""
        if threading.current_thread() is self._thread:
            return await work
        return await asyncio.wrap_future(self.submit(work))

    async def stream(self, source: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
        """Iterate on any loop over what is made on the background loop; closing this closes the source."""
        if threading.current_thread() is self._thread:
            async with contextlib.aclosing(source):
                async for item in source:
                    yield item
            return
        consumer = asyncio.get_running_loop()
        arrived = asyncio.Event()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the consumer's loop is closed: nobody waits any more
                consumer.call_soon_threadsafe(arrived.set)

        pump = _Pump(source, wake)
        future = pump.start(self)
        try:
            while True:
                await arrived.wait()
                arrived.clear()
                for item in pump.take():
                    if item is _END:
                        future.result()  # raises what the source raised
                        return
                    yield item
        finally:
            if not future.done():
                future.cancel()
                await consumer.run_in_executor(None, pump.last_words)

    @overload
    def iterate(self, source: AsyncGenerator[T, None]) -> Iterator[T]: ...
    @overload
    def iterate(self, source: AsyncGenerator[T, None], heartbeat: float) -> Iterator[T | None]: ...
    def iterate(self, source: AsyncGenerator[T, None], heartbeat: float | None = None) -> Iterator[T | None]:
        """Iterate in a plain thread; an interrupt or an early end closes the source.

        With a heartbeat (seconds), None comes whenever nothing else did for so long.
        """
        arrived = threading.Event()
        pump = _Pump(source, arrived.set)
        future = pump.start(self)
        try:
            while True:
                if not arrived.wait(heartbeat):
                    yield None
                    continue
                arrived.clear()
                for item in pump.take():
                    if item is _END:
                        future.result()
                        return
                    yield item
        finally:
            if not future.done():
                future.cancel()
                pump.last_words()

    def close(self) -> None:
        """Stop the loop and wait for its thread."""
        with self._lock:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join(timeout=5)
            if not thread.is_alive():
                loop.close()


_LAST_WORDS = 5.0
"""Seconds that a source which is closed early has to write its receipt."""


class _Pump:
    """Moves items from the loop to a consumer; one wake-up serves all that came since the last."""

    def __init__(self, source: AsyncGenerator[Any, None], wake: Callable[[], None]) -> None:
        self._source = source
        self._wake = wake
        self._items: deque[Any] = deque()
        self._started = False
        self._closed = threading.Event()

    def start(self, runtime: Runtime) -> Future[None]:
        """Begin; the future is done when the source has ended, one way or the other."""
        future = runtime.submit(self._run())
        future.add_done_callback(lambda _: self._put(_END))
        return future

    def take(self) -> Iterator[Any]:
        """What has arrived, _END last."""
        while self._items:
            yield self._items.popleft()

    def last_words(self) -> None:
        """Wait until the source has closed, so that what it writes at its end is written."""
        if self._started:
            self._closed.wait(_LAST_WORDS)

    async def _run(self) -> None:
        self._started = True
        try:
            async for item in self._source:
                self._put(item)
        finally:
            try:
                await self._source.aclose()
            finally:
                self._closed.set()

    def _put(self, item: Any) -> None:
        self._items.append(item)
        self._wake()


runtime = Runtime()
"""The process's own."""

atexit.register(runtime.close)
