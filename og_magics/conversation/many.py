"""Many prompts at once: a few are on their way at any moment, and each has its own answer, error and receipt."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..amounts import to_opg
from ..errors import LedgerError, OGError, PaymentRefused, WalletError
from ..ports import Journal
from ..progress import Progress
from ..receipt import Receipt
from ..runtime import runtime
from .answers import Answer
from .frames import frame_of
from .turns import Turn

if TYPE_CHECKING:
    import pandas as pd

Take = Callable[[Turn, Progress], Coroutine[Any, Any, Answer]]
"""Goes through a turn on the background loop."""

_ENDS = (PaymentRefused, WalletError, LedgerError)
"""What one prompt meets, and all after it would: nothing more is asked."""

_COLUMNS = (
    "prompt", "text", "prompt_tokens", "completion_tokens", "cost_opg", "cost_usd", "latency_s", "status", "receipt_id",
    "error",
)  # fmt: skip


class Interrupted(KeyboardInterrupt):
    """An interrupt that came while many prompts were being asked.

    Attributes:
        partial: the answers that had come.
    """

    def __init__(self, partial: Answers) -> None:
        super().__init__(
            f"{len(partial.done)} of {len(partial)} prompts were answered. They are in `_`, and in .partial."
        )
        self.partial = partial


@dataclass
class _Place:
    prompt: str
    answer: Answer | None = None
    error: Exception | None = None
    progress: Progress = field(default_factory=Progress)


class Answers(Sequence[Any]):
    """What came of many prompts, in their order: an Answer, or the error in its place, or None where it was not asked
    or was interrupted."""

    def __init__(self, prompts: Sequence[str], journal: Journal) -> None:
        self._places = [_Place(prompt) for prompt in prompts]
        self._journal = journal

    @property
    def done(self) -> list[Answer]:
        """The answers, in order, without what failed."""
        return [place.answer for place in self._places if place.answer is not None]

    @property
    def errors(self) -> dict[int, Exception]:
        """By position, why those that failed did."""
        return {at: place.error for at, place in enumerate(self._places) if place.error is not None}

    @property
    def prompts(self) -> list[str]:
        """As they were given."""
        return [place.prompt for place in self._places]

    @property
    def texts(self) -> list[str | None]:
        """The text of each answer; None where there is none."""
        return [None if place.answer is None else place.answer.text for place in self._places]

    @property
    def receipts(self) -> list[Receipt]:
        """The receipts of all, also of those that failed or were interrupted, as they stand now."""
        return [receipt for place in self._places for receipt in self._receipts(place)]

    @property
    def frame(self) -> pd.DataFrame:
        """One row a prompt, as things stand now.

        Columns: `prompt`, `text`; `prompt_tokens`, `completion_tokens` (nullable integers); `cost_opg` (once settled),
        `cost_usd` (Decimal or None); `latency_s` (seconds, NaN when unknown); `status`, `receipt_id` (of the last call;
        of the original where an answer was replayed; None where nothing was asked), `error`.
        """
        return frame_of([self._row(place) for place in self._places], _COLUMNS)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, at: Any) -> Any:
        if isinstance(at, slice):
            return [_outcome(place) for place in self._places[at]]
        return _outcome(self._places[at])

    def __iter__(self) -> Iterator[Any]:
        return map(_outcome, self._places)

    def __repr__(self) -> str:
        return f"<Answers: {self.told}>"

    @property
    def told(self) -> str:
        """How many came, in a few words."""
        failed = len(self.errors)
        return f"{len(self.done)} of {len(self)} answered" + (f", {failed} failed" if failed else "")

    def _receipts(self, place: _Place) -> list[Receipt]:
        return [self._journal.receipt(receipt_id) for receipt_id in place.progress.receipt_ids]

    def _row(self, place: _Place) -> dict[str, Any]:
        row: dict[str, Any] = dict.fromkeys(_COLUMNS) | {"prompt": place.prompt}
        receipts = self._receipts(place)
        original = None if receipts or place.answer is None else place.answer.receipt
        if original is not None:  # replayed: nothing was paid now
            row["status"], row["receipt_id"] = original.status, original.receipt_id
        if receipts:
            costs = [receipt.cost for receipt in receipts]
            prices = [receipt.usd for receipt in receipts]
            times = [receipt.latency_s for receipt in receipts]
            row["cost_opg"] = to_opg(sum(cost or 0 for cost in costs)) if None not in costs else None
            row["cost_usd"] = sum(price or 0 for price in prices) if None not in prices else None
            row["latency_s"] = sum(time or 0.0 for time in times) if None not in times else None
            row["status"], row["receipt_id"], row["error"] = (
                receipts[-1].status,
                receipts[-1].receipt_id,
                receipts[-1].error,
            )
        if place.answer is not None:
            usage = place.answer.usage or {}
            row["text"] = place.answer.text
            row["prompt_tokens"], row["completion_tokens"] = usage.get("prompt_tokens"), usage.get("completion_tokens")
        elif place.error is not None:
            row["error"] = str(place.error)
        return row


class Batch:
    """Prompts on their way on the background loop, so many at once. It has begun when this is made.

    Args:
        changed: called after each answer, on the background loop; it must not block, nor raise.
    """

    def __init__(
        self, answers: Answers, turns: Sequence[Turn], take: Take, concurrency: int, changed: Callable[[], None]
    ) -> None:
        self.answers = answers
        self.stopped_by: Exception | None = None
        """Why nothing more was asked: a budget that is used up, a wallet that is empty. None where all were."""
        self._left = iter(zip(answers._places, turns, strict=True))
        self._take = take
        self._changed = changed
        self._workers = min(concurrency, len(turns))
        self._woken = threading.Event()
        self.job = runtime.start(self._work())
        self.job.future.add_done_callback(lambda _: self._tell())

    def wait(self, seconds: float) -> bool:
        """Wait for a change, at most so long; whether all has ended."""
        self._woken.wait(seconds)
        self._woken.clear()
        return self.job.future.done()

    def stop(self) -> None:
        """End what is on its way, and wait for its receipts; what was answered stays."""
        self.job.cancel()
        self.job.last_words()

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._worker())

    async def _worker(self) -> None:
        for place, turn in self._left:
            if self.stopped_by is not None:
                return
            try:
                place.answer = await self._take(turn, place.progress)
            except Exception as error:  # noqa: BLE001 - one prompt's failure, whatever it is, is not the others'
                place.error = error
                if isinstance(error, _ENDS):
                    self.stopped_by = error
            self._tell()

    def _tell(self) -> None:
        self._changed()
        self._woken.set()


def failure_of(answers: Answers) -> OGError | None:
    """What to raise where no prompt was answered: the first that went wrong."""
    if answers.done or not answers.errors:
        return None
    first = next(iter(answers.errors.values()))
    return first if isinstance(first, OGError) else OGError(f"No prompt was answered. {type(first).__name__}: {first}")


def _outcome(place: _Place) -> Answer | Exception | None:
    return place.answer if place.error is None else place.error
