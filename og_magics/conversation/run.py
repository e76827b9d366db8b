"""Questions on their way on the background loop, watched and stopped from any other thread."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Coroutine, Generator, Sequence
from typing import Any

from ..core.progress import Confirmable, Progress
from ..core.runtime import runtime
from .answer import Answer

Work = Callable[[Progress], Coroutine[Any, Any, Answer]]
"""Makes an answer on the background loop, and tells how far it is."""

Confirmer = Callable[[Confirmable], bool | None]
"""Says whether a function may be called, or more may be spent than was agreed."""


class Run:
    """One answer that is being made. It has begun when this is made, and goes on whether it is watched or not.

    Attributes:
        model: that is asked, "provider/model".
        progress: how far it is.
        stopped: it was asked to stop; it may still be about to.

    Args:
        listening: somebody will follow it who answers when a function call is to be confirmed. Otherwise it is refused.
    """

    def __init__(self, model: str, work: Work, *, listening: bool = False) -> None:
        self.model = model
        self.progress = Progress(listening=listening)
        self.stopped = False
        self._job = runtime.start(work(self.progress))

    @property
    def done(self) -> bool:
        """True once it has ended, one way or the other."""
        return self._job.future.done()

    @property
    def error(self) -> BaseException | None:
        """The error that ended it before there was an answer: an OGError, or CancelledError where it was stopped."""
        return self._job.future.exception() if self.done else None

    def result(self) -> Answer:
        """The answer; blocks until there is one.

        Raises:
            OGError: what the call raised.
            CancelledError: it was stopped (`concurrent.futures.CancelledError`).
        """
        return self._job.future.result()

    async def answer(self) -> Answer:
        """`result` for coroutines, on any loop. Cancelling it stops this, and waits for its receipt."""
        try:
            return await asyncio.wrap_future(self._job.future)
        except asyncio.CancelledError:
            self._job.cancel()
            await self._job.wait_closed_async()
            raise

    def stop(self) -> None:
        """Ask it to stop. What has arrived stays, with its receipt; an answer that is complete is not undone."""
        self.stopped = True
        self._job.cancel()

    def wait_ended(self, timeout: float | None = None) -> bool:
        """Wait until it has ended, at most so many seconds; whether it has."""
        return bool(concurrent.futures.wait([self._job.future], timeout).done)

    def on_change(self, changed: Callable[[], None]) -> None:
        """Call this after each change and at the end, on whatever thread; it must not block, nor raise."""
        self.progress.changed = changed
        self.when_done(changed)

    def when_done(self, then: Callable[[], None]) -> None:
        """Call this at the end, or now if it has ended; on whatever thread; it must not block, nor raise."""
        self._job.future.add_done_callback(lambda _: then())


def follow(
    runs: Sequence[Run], heartbeat: float | Callable[[], float], person: Confirmer | None = None
) -> Generator[None, None, None]:
    """Come back at once, whenever one of them has changed, and every `heartbeat` seconds, until all have ended.

    A `heartbeat` that may be called says each time how long to wait at most.

    `person` is asked on this thread whether a function call may be made that is to be confirmed, or more be spent than
    was agreed: True, False, or None where there is nobody to ask. Only runs that were started as `listening` ask.

    An interrupt, or leaving the loop early, stops those that still run and waits for their receipts.
    """
    changed = threading.Event()
    for run in runs:
        run.on_change(changed.set)
    try:
        yield  # here, so that an interrupt of what is shown first stops them too
        while not all(run.done for run in runs):
            changed.wait(heartbeat() if callable(heartbeat) else heartbeat)
            changed.clear()
            yield
            if person is not None:
                for run in runs:
                    run.progress.answer_confirmations(person)
    finally:
        for run in runs:
            run.stop()
        for run in runs:
            run._job.wait_closed()
