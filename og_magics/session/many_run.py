"""Many prompts on their way, their result, and the progress bar that says how far it is."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, Protocol, TypeVar

from ..conversation import BatchResult, Interrupted, StoredAnswers, failure_of, pace_of
from ..display import HEARTBEAT, ProgressBar, progress_bar_for
from .person import shell

_APART = 0.25
"""Seconds between two looks at how far it is."""

Result = TypeVar("Result", BatchResult, StoredAnswers)


class Asking(Protocol):
    """Rows on their way, here or elsewhere; see `BatchRun`."""

    stopped_by: Exception | None

    @property
    def future(self) -> Future[None]: ...
    @property
    def waits(self) -> str: ...
    def wait(self, seconds: float) -> bool: ...
    def pause(self, seconds: float) -> None: ...
    def stop(self) -> None: ...
    async def stop_async(self) -> None: ...


class ManyRun(Generic[Result]):
    """A run, its result, and its progress bar.

    Args:
        closing: called when it has ended, one way or the other. drain: seconds that answers on their way have to end
            after an interrupt.
    """

    def __init__(
        self,
        result: Result,
        run: Asking,
        *,
        shown: bool,
        closing: Callable[[], None] = lambda: None,
        drain: float = 0.0,
    ) -> None:
        self._result: Result = result
        self._run, self._closing, self._drain = run, closing, drain
        self._shell = shell()
        self._began, self._next, self._before = time.monotonic(), 0.0, result.ended
        self._bar: ProgressBar | None = progress_bar_for(self._shell, len(result)) if shown else None

    def wait(self) -> Result:
        """Wait for the end, and return the result.

        Raises:
            Interrupted: by an interrupt; what had come is kept.
            OGError: no prompt at all was answered.
        """
        try:
            while not self._run.wait(HEARTBEAT):
                self._show()
        except KeyboardInterrupt:
            try:
                self._run.pause(self._drain)
            except KeyboardInterrupt:
                self._run.stop()
            self._left()
            raise Interrupted(self._result) from None
        return self._ended()

    async def wait_async(self) -> Result:
        """Do the same from a coroutine."""
        ended = asyncio.wrap_future(self._run.future)
        try:
            while not (await asyncio.wait([ended], timeout=HEARTBEAT))[0]:
                self._show()
        except (asyncio.CancelledError, KeyboardInterrupt):
            await self._run.stop_async()
            self._left()
            raise
        return self._ended()

    def _show(self, *, last: bool = False) -> None:
        now = time.monotonic()
        if self._bar is None or (now < self._next and not last):
            return
        self._next = now + _APART
        result, ended = self._result, self._result.ended
        words = result.summary
        if last and ended < len(result):
            why = self._run.stopped_by
            words += f", {len(result) - ended:,} not" + ("" if why is None else f": {why}")
        pace = pace_of(
            ended - self._before, len(result) - ended, now - self._began, result.cost, result.failures, last=last
        )
        waits = "" if last else self._run.waits
        self._bar.show(ended, " · ".join(filter(None, (words, pace, waits))), last=last)

    def _left(self) -> None:
        """Keep what an interrupted run has in `_`, in IPython."""
        self._close()
        if self._shell is not None:
            self._shell.displayhook.update_user_ns(self._result)

    def _close(self) -> None:
        self._result.stopped_by = self._run.stopped_by
        try:
            self._closing()
        finally:
            self._show(last=True)

    def _ended(self) -> Result:
        try:
            self._run.future.result()  # what is no prompt's failure
        finally:
            self._close()
        result: BatchResult | StoredAnswers = self._result
        failure = failure_of(result) if isinstance(result, BatchResult) else result.failure()
        if failure is not None:
            raise failure
        return self._result
