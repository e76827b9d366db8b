"""Questions on their way on the background loop, watched and stopped from any other thread."""

from __future__ import annotations

import concurrent.futures
import contextlib
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any

from ..errors import StreamError
from ..llm import LLM
from ..progress import Progress
from ..runtime import runtime
from ..types import Question, TextGenerationOutput
from .answers import Answer

Work = Callable[[Progress], Coroutine[Any, Any, Answer]]
"""Makes an answer on the background loop, and tells how far it is."""


class Run:
    """One answer that is being made. It has begun when this is made, and goes on whether it is watched or not.

    Attributes:
        model: that is asked, "provider/model".
        progress: how far it is.
    """

    def __init__(self, model: str, work: Work) -> None:
        self.model = model
        self.progress = Progress()
        self._job = runtime.start(work(self.progress))

    @property
    def done(self) -> bool:
        """Whether it has ended, one way or the other."""
        return self._job.future.done()

    @property
    def error(self) -> BaseException | None:
        """What ended it before there was an answer: an OGError, or CancelledError where it was stopped."""
        return self._job.future.exception() if self.done else None

    def result(self) -> Answer:
        """The answer; blocks until there is one.

        Raises:
            OGError: what the call raised.
            CancelledError: it was stopped (`concurrent.futures.CancelledError`).
        """
        return self._job.future.result()

    def stop(self) -> None:
        """Ask it to stop. What has arrived stays, with its receipt; an answer that is complete is not undone."""
        self._job.cancel()

    def ended(self, timeout: float | None = None) -> bool:
        """Wait until it has ended, at most so many seconds; whether it has."""
        return bool(concurrent.futures.wait([self._job.future], timeout).done)

    def tell(self, changed: Callable[[], None]) -> None:
        """Call this after each change and at the end, on whatever thread; it must not block, nor raise."""
        self.progress.changed = changed
        self.when_done(changed)

    def when_done(self, then: Callable[[], None]) -> None:
        """Call this at the end, or now if it has ended; on whatever thread; it must not block, nor raise."""
        self._job.future.add_done_callback(lambda _: then())


def follow(runs: Sequence[Run], heartbeat: float) -> Iterator[None]:
    """Come back whenever one of them has changed, and every `heartbeat` seconds, until all have ended.

    An interrupt, or leaving the loop early, stops those that still run and waits for their receipts.
    """
    changed = threading.Event()
    for run in runs:
        run.tell(changed.set)
    try:
        while not all(run.done for run in runs):
            changed.wait(heartbeat)
            changed.clear()
            yield
    finally:
        for run in runs:
            run.stop()
        for run in runs:
            run._job.last_words()


async def answered(llm: LLM, question: Question, progress: Progress) -> TextGenerationOutput:
    """The answer to a question, streamed if it asks for that; what arrives is told as it comes.

    Raises:
        OGError: see the tree.
    """
    if not question.stream:
        return await llm.answer(question, progress)
    output: TextGenerationOutput | None = None
    async with contextlib.aclosing(llm.stream(question, progress)) as chunks:
        async for chunk in chunks:
            progress.add(chunk.choices[0].delta.content or "")
            output = chunk.output or output
    if output is None:
        raise StreamError("The answer ended without a result.")
    return output
