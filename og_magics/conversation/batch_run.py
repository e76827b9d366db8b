"""Many turns on the background loop: each row is asked, kept or failed, or put back to be asked later."""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from typing import Any

from ..core.errors import SEE_RECEIPTS, AnswerError, LedgerError, OGError, PaymentRefused, StreamError, WalletError
from ..core.progress import Progress
from ..core.runtime import runtime
from .answer import Answer
from .throttle import Begun, Throttle, is_gone, is_lost, is_too_many
from .turn import Turn

Take = Callable[[Turn, Progress], Coroutine[Any, Any, Answer]]
"""Runs a turn on the background loop."""

_FATAL = (PaymentRefused, WalletError, LedgerError)
"""Errors that every later prompt would meet too, so no further prompt is sent."""
_MOST_REFUSALS, _MOST_LOSSES = 30, 2
"""So many times a row is asked again that the gateway refused as one too many, or whose connection broke before any
answer. One whose answer had begun has been paid: it is not asked again unasked."""


class Row(ABC):
    """One of many prompts.

    Attributes:
        progress: of the call that is on its way, or was the last.
        refusals: how often the gateway said that there were too many. losses: how often its connection broke.
    """

    def __init__(self) -> None:
        self.progress = Progress()
        self.refusals = self.losses = 0

    @abstractmethod
    def turn(self) -> Turn:
        """Return the turn that asks it."""

    @abstractmethod
    async def keep(self, answer: Answer) -> None:
        """Keep its answer. A LedgerError ends the run."""

    @abstractmethod
    async def fail(self, error: Exception) -> None:
        """Note the error that it failed with. A LedgerError ends the run."""

    def put_back(self) -> None:
        """Make it ready to be asked again."""
        self.progress = Progress()


class BatchRun:
    """Rows that are asked on the background loop; it starts when the object is made.

    Args:
        rows: read one by one, as they are asked, on the background loop.
        throttle: says when the next one is asked.
        changed: called after each answer, on the background loop; it must not block, nor raise.
        max_failures: after so many rows that failed, no other is asked; None for no limit.
    """

    def __init__(
        self,
        rows: Iterator[Row],
        take: Take,
        throttle: Throttle,
        changed: Callable[[], None],
        *,
        max_failures: int | None = None,
    ) -> None:
        self.stopped_by: Exception | None = None
        """The error after which no prompt was sent, such as an empty wallet; None if all were sent."""
        self.throttle = throttle
        self.failures: Counter[str] = Counter()
        """Rows that failed, by the kind of their errors."""
        self._rows, self._again = rows, deque[Row]()
        self._take, self._changed, self._max_failures = take, changed, max_failures
        self._pausing = False
        self._ended = threading.Event()
        self.job = runtime.start(self._work())
        self.job.future.add_done_callback(self._end)

    @property
    def future(self) -> Future[None]:
        """Done once all turns have ended."""
        return self.job.future

    @property
    def waits(self) -> str:
        """Say why no call begins now; "" where that is not so."""
        return self.throttle.waits

    def wait(self, seconds: float) -> bool:
        """Wait for the end, at most so many seconds, and return True once all turns have ended."""
        return self._ended.wait(seconds)

    def pause(self, seconds: float) -> None:
        """Ask nothing more, and give what is on its way so many seconds to end; then stop it. For another thread.

        Raises:
            KeyboardInterrupt: again; it is stopped then.
        """
        self._pausing = True
        runtime.loop.call_soon_threadsafe(self.throttle.wake)
        until = time.monotonic() + seconds
        try:
            while not self.job.future.done() and time.monotonic() < until:
                self.wait(min(0.1, seconds))
        finally:
            self.stop()

    def stop(self) -> None:
        """Stop the turns on their way and wait for their receipts; answers so far are kept."""
        self.job.cancel()
        self.job.wait_closed()

    async def stop_async(self) -> None:
        """Do the same from a coroutine."""
        self.job.cancel()
        await self.job.wait_closed_async()

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as group:
            while (row := await self._next()) is not None:
                group.create_task(self._ask(row, self.throttle.begin()))

    async def _next(self) -> Row | None:
        """Return the next row when it may be asked; None where there is none."""
        while True:
            ends = self._pausing or self.stopped_by is not None
            if not ends and not self.throttle.is_ready:
                await self.throttle.ready()
                if self.throttle.out_of_patience and self.stopped_by is None:
                    self.stopped_by = self._gave_up()
                continue
            row = None if ends else self._again.popleft() if self._again else next(self._rows, None)
            if row is not None or not self.throttle.running:
                return row
            await self.throttle.changed()  # one that is on its way may be put back

    async def _ask(self, row: Row, begun: Begun) -> None:
        row.progress.refused = functools.partial(self.throttle.refused, begun=begun)
        try:
            answer = await self._take(row.turn(), row.progress)
        except Exception as error:  # noqa: BLE001 - whatever fails one prompt must not fail the others
            back = self._goes_back(row, error)
            if back:
                self._last = error
                row.put_back()
                self._again.append(row)
            else:
                await self._failed(row, error)
            self.throttle.end(begun, None if isinstance(error, AnswerError) else error)
        else:
            called = bool(row.progress.receipt_ids)
            try:
                await row.keep(answer)
            except LedgerError as error:
                self.stopped_by = self.stopped_by or error
            self.throttle.end(begun, called=called)
        self._changed()

    async def _failed(self, row: Row, error: Exception) -> None:
        self.failures[type(error).__name__] += 1
        if isinstance(error, _FATAL):
            self.stopped_by = self.stopped_by or error
        try:
            await row.fail(error)
        except LedgerError as unwritten:
            self.stopped_by = self.stopped_by or unwritten
        failed = self.failures.total()
        if self._max_failures is not None and failed >= self._max_failures and self.stopped_by is None:
            self.stopped_by = OGError(
                f"{failed} prompts failed, and max_failures is {self._max_failures}. The last: {error}",
                money=SEE_RECEIPTS,
                remedy="Correct what they name; `.resume()` asks those that have no answer.",
            )

    @staticmethod
    def _goes_back(row: Row, error: Exception) -> bool:
        """Return True where the row is asked again, later."""
        if is_gone(error):
            return True
        if is_too_many(error) and getattr(error, "retryable", None) is not False:
            row.refusals += 1
            return row.refusals <= _MOST_REFUSALS
        if is_lost(error) and not isinstance(error, StreamError):
            row.losses += 1
            return row.losses <= _MOST_LOSSES
        return False

    def _gave_up(self) -> Exception:
        return self._last or OGError(
            "The gateway gave no answer for too long.", money=SEE_RECEIPTS, remedy="Try again later, with `.resume()`."
        )

    _last: Exception | None = None
    """The failure that put the last row back."""

    def _end(self, _: object) -> None:
        self._changed()
        self._ended.set()
