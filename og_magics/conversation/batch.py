"""Many prompts at once, a few at a time; each has its own answer or error, and its receipts."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ..core.amounts import to_opg
from ..core.endings import ending_of
from ..core.errors import ASK_AGAIN, SEE_RECEIPTS, LedgerError, OGError, PaymentRefused, WalletError
from ..core.progress import Progress
from ..core.protocols import Journal
from ..core.receipt import Receipt
from ..core.runtime import runtime
from .answer import Answer
from .dataframes import frame_of
from .turn import Turn

if TYPE_CHECKING:
    import pandas as pd

Take = Callable[[Turn, Progress], Coroutine[Any, Any, Answer]]
"""Runs a turn on the background loop."""

_FATAL = (PaymentRefused, WalletError, LedgerError)
"""Errors that every later prompt would meet too, so no further prompt is sent."""

_COLUMNS = (
    "prompt", "text", "prompt_tokens", "completion_tokens", "cost_opg", "cost_usd", "latency_s", "status", "receipt_id",
    "replayed", "ending", "error",
)  # fmt: skip


class Interrupted(KeyboardInterrupt):
    """Raised by an interrupt while many prompts are on their way.

    Attributes:
        partial: the results so far.
    """

    def __init__(self, partial: BatchResult) -> None:
        super().__init__(
            f"{len(partial.done)} of {len(partial)} prompts were answered. They are in `_`, and in .partial."
        )
        self.partial = partial

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.partial,)


class _Kept:
    """The receipts of a batch that was pickled or copied, as they were then."""

    def __init__(self, receipts: Sequence[Receipt]) -> None:
        self._receipts = {receipt.receipt_id: receipt for receipt in receipts}

    def receipt(self, receipt_id: str) -> Receipt:
        """Return a receipt."""
        return self._receipts[receipt_id]


@dataclass
class _Slot:
    prompt: str
    answer: Answer | None = None
    error: Exception | None = None
    progress: Progress = field(default_factory=Progress)
    counted: bool = False


class BatchResult(Sequence[Any]):
    """The results of many prompts, in the order of the prompts.

    Each is an Answer, or the error that it failed with, or None if it was not sent or was interrupted.
    """

    def __init__(self, prompts: Sequence[str], journal: Journal) -> None:
        self._slots = [_Slot(prompt) for prompt in prompts]
        self._journal = journal
        self._cost = Decimal(0)

    @property
    def done(self) -> list[Answer]:
        """The answers in order, without failures."""
        return [slot.answer for slot in self._slots if slot.answer is not None]

    @property
    def errors(self) -> dict[int, Exception]:
        """The errors of the prompts that failed, by position."""
        return {position: slot.error for position, slot in enumerate(self._slots) if slot.error is not None}

    @property
    def prompts(self) -> list[str]:
        """The prompts as they were given."""
        return [slot.prompt for slot in self._slots]

    @property
    def texts(self) -> list[str | None]:
        """The text of each answer; None for a prompt without one."""
        return [None if slot.answer is None else slot.answer.text for slot in self._slots]

    @property
    def receipts(self) -> list[Receipt]:
        """The current receipts of all calls, failed and interrupted ones included."""
        return [receipt for slot in self._slots for receipt in self._receipts(slot)]

    @property
    def frame(self) -> pd.DataFrame:
        """A DataFrame with one row a prompt, in its current state.

        Columns: `prompt`, `text`; `prompt_tokens`, `completion_tokens` (nullable integers); `cost_opg` (once settled),
        `cost_usd` (Decimal or None); `latency_s` (seconds, NaN when unknown); `status`, `receipt_id` (of the last call;
        None where nothing was asked), `replayed` (True: a recorded answer; nothing was paid now, and cost, time, status
        and receipt are the original's), `ending` ("cut at max_tokens", "content filter", "refused", "empty"; None for
        an answer that is complete), `error`.
        """
        return frame_of([self._row(slot) for slot in self._slots], _COLUMNS)

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled or copied: results, and the receipts as they stand now."""
        slots = [
            _Slot(slot.prompt, slot.answer, slot.error, Progress(receipt_ids=list(slot.progress.receipt_ids)))
            for slot in self._slots
        ]
        return {"_slots": slots, "_journal": _Kept(self.receipts), "_cost": self._cost}

    def __len__(self) -> int:
        return len(self._slots)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [_outcome(slot) for slot in self._slots[index]]
        return _outcome(self._slots[index])

    def __iter__(self) -> Iterator[Any]:
        return map(_outcome, self._slots)

    def __repr__(self) -> str:
        return f"<BatchResult: {self.summary}>"

    @property
    def summary(self) -> str:
        """The counts of answers and failures in a few words."""
        failed = len(self.errors)
        return f"{len(self.done)} of {len(self)} answered" + (f", {failed} failed" if failed else "")

    def pace(self, seconds: float, *, last: bool = False) -> str:
        """Return how fast it goes: answers a second, the time that is left, and the cost so far of what was asked now.

        Args:
            seconds: since it began. last: it has ended; then all the time that it took.
        """
        ended = len(self.done) + len(self.errors)
        parts = []
        if last:
            parts.append(f"{seconds:.1f} s")
        elif ended and seconds > 0:
            parts.append(f"{ended / seconds:.1f}/s")
            parts.append(f"{_duration((len(self) - ended) * seconds / ended)} left")
        cost = self._cost_so_far()
        if cost:
            parts.append(f"~${cost:.6f}" if last else f"~${cost:.6f} so far")
        return " · ".join(parts)

    def _cost_so_far(self) -> Decimal:
        """Sum the prices of the answers, each of which is read once."""
        for slot in self._slots:
            if slot.answer is not None and not slot.counted:
                slot.counted = True
                prices = [one.usd for one in slot.answer.receipts if not one.replayed]
                self._cost += sum((price for price in prices if price is not None), Decimal(0))
        return self._cost

    def _receipts(self, slot: _Slot) -> list[Receipt]:
        return [self._journal.receipt(receipt_id) for receipt_id in slot.progress.receipt_ids]

    def _row(self, slot: _Slot) -> dict[str, Any]:
        row: dict[str, Any] = dict.fromkeys(_COLUMNS) | {"prompt": slot.prompt, "replayed": False}
        receipts = self._receipts(slot)
        if not receipts and slot.answer is not None and slot.answer.receipt is not None:
            receipts, row["replayed"] = [slot.answer.receipt], True  # nothing was paid now; what it cost then is kept
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
        if slot.answer is not None:
            if receipts:
                row["ending"] = ending_of(receipts[-1], images=bool(slot.answer.images)) or None
            usage = slot.answer.usage or {}
            row["text"] = slot.answer.text
            row["prompt_tokens"], row["completion_tokens"] = usage.get("prompt_tokens"), usage.get("completion_tokens")
        elif slot.error is not None:
            row["error"] = str(slot.error)
        return row


class BatchRun:
    """A batch that runs on the background loop; it starts when the object is made.

    Args:
        concurrency: turns at once, at most.
        changed: called after each answer, on the background loop; it must not block, nor raise.
    """

    def __init__(
        self, answers: BatchResult, turns: Sequence[Turn], take: Take, concurrency: int, changed: Callable[[], None]
    ) -> None:
        self.answers = answers
        self.stopped_by: Exception | None = None
        """The error after which no prompt was sent, such as an empty wallet; None if all were sent."""
        self._waiting = iter(zip(answers._slots, turns, strict=True))
        self._take = take
        self._changed = changed
        self._workers = min(concurrency, len(turns))
        self._woken = threading.Event()
        self.job = runtime.start(self._work())
        self.job.future.add_done_callback(lambda _: self._notify())

    def wait(self, seconds: float) -> bool:
        """Wait for a change, at most so many seconds, and return True once all turns have ended."""
        self._woken.wait(seconds)
        self._woken.clear()
        return self.job.future.done()

    def stop(self) -> None:
        """Stop the turns on their way and wait for their receipts; answers so far are kept."""
        self.job.cancel()
        self.job.wait_closed()

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(self._workers):
                group.create_task(self._worker())

    async def _worker(self) -> None:
        for slot, turn in self._waiting:
            if self.stopped_by is not None:
                return
            try:
                slot.answer = await self._take(turn, slot.progress)
            except Exception as error:  # noqa: BLE001 - whatever fails one prompt must not fail the others
                slot.error = error
                if isinstance(error, _FATAL):
                    self.stopped_by = error
            self._notify()

    def _notify(self) -> None:
        self._changed()
        self._woken.set()


def failure_of(answers: BatchResult) -> OGError | None:
    """Return the first error if no prompt was answered, None otherwise."""
    if answers.done or not answers.errors:
        return None
    first = next(iter(answers.errors.values()))
    return (
        first
        if isinstance(first, OGError)
        else OGError(f"No prompt was answered. {type(first).__name__}: {first}", money=SEE_RECEIPTS, remedy=ASK_AGAIN)
    )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _outcome(slot: _Slot) -> Answer | Exception | None:
    return slot.answer if slot.error is None else slot.error
