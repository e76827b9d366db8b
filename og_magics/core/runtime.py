"""The one background event loop on which all network work runs.

A caller may stand in a script, in a cell, on any event loop or on none, and call `asyncio.run` as often as it likes:
connections, payment sessions and locks live on this loop and outlast all of them.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import threading
import weakref
from collections import deque
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from concurrent.futures import Future
from typing import Any, Generic, TypeVar, overload

from .fork import after_fork

T = TypeVar("T")

_END = object()

_LAST_WORDS = 5.0
"""Seconds that work which is cut short has to close its connection and write its receipt."""


def _run(loop: asyncio.AbstractEventLoop) -> None:
    """Run the loop until it is stopped, and not only until a task raises SystemExit or KeyboardInterrupt.

    asyncio gives these to whoever waits for the task and then lets them end the loop, with all else that is on its way.
    """
    while True:
        try:
            loop.run_forever()
        except (SystemExit, KeyboardInterrupt):
            continue
        return


class Runtime:
    """A daemon thread with an event loop, started when first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._last: list[Callable[[], Coroutine[Any, Any, None]]] = []

    def before_end(self, last: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run `last` on the loop before it ends, once all other work has."""
        self._last.append(last)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop, running."""
        with self._lock:
            if self._loop is None:
                self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=_run, args=(self._loop,), name="og_magics", daemon=True)
                self._thread.start()
                self.register_exit_first()
            return self._loop

    def register_exit_first(self) -> None:
        """At the interpreter's exit, be closed before all that is open now: work cut short still writes its receipt."""
        # Finalizers, which close ledgers, run all at one place in the order: where the first of them was made.
        weakref.finalize(self, int).atexit = False
        atexit.unregister(self.close)
        atexit.register(self.close)

    def submit(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Start work on the loop, from any thread."""
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def start(self, work: Coroutine[Any, Any, T]) -> Job[T]:
        """Start work on the loop, from any thread, to be watched and cut short from there."""
        return Job(self.loop, work)

    def wait(self, work: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Run work and block for its result; an interrupt cancels it.

        Raises:
            TimeoutError: not done in time; it is cancelled.
            RuntimeError: called on the background loop itself, which would wait for itself.
        """
        try:
            self.assert_off_loop()
        except RuntimeError:
            work.close()
            raise
        job = Job(self.loop, work)
        try:
            return job.future.result(timeout)
        except BaseException:
            job.cancel()
            job.wait_closed()
            raise

    def assert_off_loop(self) -> None:
        """Raise a RuntimeError on the background loop itself: what blocks there would wait for itself."""
        if threading.current_thread() is self._thread:
            raise RuntimeError("A blocking call was made on the background loop.")

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run work from a coroutine on any loop; cancelling the caller cancels the work."""
        if threading.current_thread() is self._thread:
            return await work
        job = Job(self.loop, work)
        try:
            return await asyncio.wrap_future(job.future)
        except asyncio.CancelledError:
            job.cancel()
            await job.wait_closed_async()
            raise

    async def stream(self, source: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
        """Iterate on any loop over what is made on the background loop; closing this closes the source."""
        async with contextlib.aclosing(self.batches(source)) as batches:
            async for batch in batches:
                for item in batch:
                    yield item

    async def batches(
        self, source: AsyncGenerator[T, None], pause: Callable[[], float] = lambda: 0.0
    ) -> AsyncGenerator[list[T], None]:
        """Iterate likewise, each time over all that has come since the last: the busier this is, the more at once.

        Args:
            pause: returns seconds to let more gather after each time.
        """
        if threading.current_thread() is self._thread:
            async with contextlib.aclosing(source):
                async for item in source:
                    yield [item]
            return
        consumer = asyncio.get_running_loop()
        arrived, woken = asyncio.Event(), False

        def wake() -> None:
            nonlocal woken
            if woken:
                return  # it has not looked since: it will find this, too
            woken = True
            with contextlib.suppress(RuntimeError):  # the consumer's loop is closed: nobody waits any more
                consumer.call_soon_threadsafe(arrived.set)

        pump = _Pump(source, wake)
        job = pump.start(self.loop)
        try:
            while True:
                await arrived.wait()
                arrived.clear()
                woken = False
                items = list(pump.take())
                ended = bool(items) and items[-1] is _END
                if items := items[:-1] if ended else items:
                    yield items
                if ended:
                    job.future.result()  # raises what the source raised
                    return
                if (seconds := pause()) > 0:
                    woken = True  # so nobody wakes it: it looks by itself
                    await asyncio.sleep(seconds)
                    woken = False
                    if pump:
                        arrived.set()
        finally:
            job.cancel()
            await job.wait_closed_async()

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
        job = pump.start(self.loop)
        try:
            while True:
                if not arrived.wait(heartbeat):
                    yield None
                    continue
                arrived.clear()
                for item in pump.take():
                    if item is _END:
                        job.future.result()
                        return
                    yield item
        finally:
            job.cancel()
            job.wait_closed()

    def renew(self) -> object:
        """Forget the loop, whose thread is not in this process, and return it; another is made when needed."""
        loop, self._lock, self._loop, self._thread = self._loop, threading.Lock(), None, None
        return loop

    def close(self) -> None:
        """Cancel what runs, let it say its last words, stop the loop and wait for its thread."""
        with self._lock:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is not None and thread is not None:
            Job(loop, _cancel_others()).wait_closed()
            for last in self._last:
                Job(loop, last()).wait_closed()
            loop.call_soon_threadsafe(loop.stop)
            thread.join(timeout=_LAST_WORDS)
            if not thread.is_alive():
                loop.close()


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


class Job(Generic[T]):
    """A task on the loop, seen from another thread.

    Unlike the future of `run_coroutine_threadsafe`, its future is done when the task has really ended, also when it was
    cancelled: until then it may be writing a receipt.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> None:
        self.future: Future[T] = Future()
        self.future.set_running_or_notify_cancel()  # from here on only the task ends it
        self._ended: Future[None] = Future()
        self._ended.set_running_or_notify_cancel()
        self._loop = loop
        self._task: asyncio.Task[T] | None = None
        try:
            loop.call_soon_threadsafe(self._begin, work)
        except RuntimeError:  # the interpreter is shutting down
            work.close()
            raise

    def cancel(self) -> None:
        """Ask the task to stop; nothing happens when it has."""
        if not self.future.done():
            with contextlib.suppress(RuntimeError):  # a closed loop runs nothing any more
                self._loop.call_soon_threadsafe(self._cancel)

    def wait_closed(self) -> None:
        """Wait until the task has ended, for a while."""
        concurrent.futures.wait([self._ended], _LAST_WORDS)

    async def wait_closed_async(self) -> None:
        """The same, on another loop."""
        if not self._ended.done():
            await asyncio.wait([asyncio.wrap_future(self._ended)], timeout=_LAST_WORDS)

    def _begin(self, work: Coroutine[Any, Any, T]) -> None:
        self._task = self._loop.create_task(work)
        self._task.add_done_callback(self._end)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _end(self, task: asyncio.Task[T]) -> None:
        if task.cancelled():
            self.future.set_exception(concurrent.futures.CancelledError())
        elif (error := task.exception()) is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(task.result())
        self._ended.set_result(None)


class _Pump:
    """Moves items from the loop to a consumer; one wake-up serves all that came since the last."""

    def __init__(self, source: AsyncGenerator[Any, None], wake: Callable[[], None]) -> None:
        self._source = source
        self._wake = wake
        self._items: deque[Any] = deque()

    def start(self, loop: asyncio.AbstractEventLoop) -> Job[None]:
        """Begin; the job ends when the source has been closed, one way or the other."""
        job = Job(loop, self._run())
        job.future.add_done_callback(lambda _: self._put(_END))
        return job

    def __len__(self) -> int:
        return len(self._items)

    def take(self) -> Iterator[Any]:
        """Yield what has arrived, _END last."""
        while self._items:
            yield self._items.popleft()

    async def _run(self) -> None:
        async with contextlib.aclosing(self._source):
            async for item in self._source:
                self._put(item)

    def _put(self, item: Any) -> None:
        self._items.append(item)
        self._wake()


runtime = Runtime()
"""The process's own; it starts when first used and is closed at the interpreter's exit."""

after_fork(runtime.renew)
