"""The answers to many prompts, in memory; each has its own answer or error, and its receipts."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ..core.errors import ASK_AGAIN, SEE_RECEIPTS, ConfigError, OGError
from ..core.progress import Progress
from ..core.protocols import Journal
from ..core.receipt import Receipt
from .answer import Answer
from .answer_row import COLUMNS, answer_row
from .batch_run import Row
from .batch_words import summary_of
from .dataframes import frame_of
from .schema_columns import columns_of, in_json
from .structured_output import OutputSchema
from .turn import Turn

if TYPE_CHECKING:
    import pandas as pd

    from .stored_answers import StoredAnswers


class Interrupted(KeyboardInterrupt):
    """Raised by an interrupt while many prompts are on their way.

    Attributes:
        partial: the results so far.
    """

    def __init__(self, partial: BatchResult | StoredAnswers) -> None:
        super().__init__(
            f"{partial.answered} of {len(partial)} prompts were answered. They are in `_`, and in .partial; its "
            ".resume() asks the others."
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


class _Slot(Row):
    """One prompt, and what became of it.

    Attributes:
        earlier: ids of the receipts of calls that were put back.
        values: of the schema's columns.
    """

    def __init__(self, prompt: str) -> None:
        super().__init__()
        self.prompt = prompt
        self.answer: Answer | None = None
        self.error: Exception | None = None
        self.earlier: list[str] = []
        self.values: dict[str, Any] = {}
        self.asks: Callable[[], Turn] | None = None
        self.ended: Callable[[_Slot], None] = _Slot._unheard

    def _unheard(self) -> None:
        """Tell nobody."""

    def turn(self) -> Turn:
        if self.asks is None:
            raise RuntimeError("This prompt has no turn.")
        return self.asks()

    async def keep(self, answer: Answer) -> None:
        self.answer = answer
        self.ended(self)

    async def fail(self, error: Exception) -> None:
        self.error = error
        self.ended(self)

    def put_back(self) -> None:
        self.earlier += self.progress.receipt_ids
        super().put_back()

    @property
    def receipt_ids(self) -> list[str]:
        """Ids of all its receipts, oldest first."""
        return [*self.earlier, *self.progress.receipt_ids]


class BatchResult(Sequence[Any]):
    """The results of many prompts, in the order of the prompts.

    Each is an Answer, or the error that it failed with, or None if it was not sent or was interrupted.

    Attributes:
        stopped_by: the error after which nothing more was asked; None where all were.
    """

    def __init__(self, prompts: Sequence[str], journal: Journal, schema: OutputSchema | None = None) -> None:
        self._schema, self._columns = schema, columns_of(schema, COLUMNS)
        self._slots = [_Slot(prompt) for prompt in prompts]
        for slot in self._slots:
            slot.ended = self._note_end
        self._journal = journal
        self._cost = Decimal(0)
        self._answered, self._failures = 0, Counter[str]()
        self._uncounted: list[_Slot] = []
        self._again: Callable[[], BatchResult] | None = None
        self.stopped_by: Exception | None = None

    def asked_with(self, turn: Callable[[int], Turn], again: Callable[[], BatchResult]) -> Iterator[Row]:
        """Return the rows that have no answer yet, as they are asked.

        Args:
            turn: makes the turn of a row. again: called by `resume`.
        """
        self._again, self.stopped_by, self._failures = again, None, Counter()
        open_ones = [(at, slot) for at, slot in enumerate(self._slots) if slot.answer is None]
        for at, slot in open_ones:
            slot.put_back()
            slot.error, slot.refusals, slot.losses = None, 0, 0
            slot.asks = functools.partial(turn, at)
        return iter([slot for _, slot in open_ones])

    def resume(self) -> BatchResult:
        """Ask the prompts that have no answer yet, with the same options; the answers that are there stay.

        Raises:
            OGError, Interrupted: as `ask_many`.
        """
        if self._again is None:
            raise ConfigError("This result is a copy, and cannot be resumed.", remedy="Call og.ask_many again.")
        return self._again()

    def _note_end(self, slot: _Slot) -> None:
        if slot.answer is None:
            self._failures[type(slot.error).__name__] += 1
        else:
            self._answered += 1
            if self._schema is not None:
                whole = in_json(self._schema, slot.answer.parsed)
                slot.values = {column.name: column.value(whole) for column in self._columns}
            self._uncounted.append(slot)

    @property
    def answered(self) -> int:
        """The number of prompts that were answered."""
        return self._answered

    @property
    def ended(self) -> int:
        """The number of prompts that were answered or failed."""
        return self._answered + self._failures.total()

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

        Columns: `prompt`, `text`; one for each field of a schema; `prompt_tokens`, `completion_tokens` (nullable
        integers); `cost_opg` (once settled), `cost_usd` (Decimal or None); `latency_s` (seconds, NaN when unknown);
        `status`, `receipt_id` (of the last call; None where nothing was asked), `replayed` (True: a recorded answer;
        nothing was paid now, and cost, time, status and receipt are the original's), `ending` ("cut at max_tokens",
        "content filter", "refused", "empty"; None for an answer that is complete), `error`.
        """
        return frame_of(
            [self._row(slot) for slot in self._slots],
            (*COLUMNS[:2], *(column.name for column in self._columns), *COLUMNS[2:]),
        )

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled or copied: results, and the receipts as they stand now."""
        slots = []
        for slot in self._slots:
            kept = _Slot(slot.prompt)
            kept.answer, kept.error, kept.progress = slot.answer, slot.error, Progress(receipt_ids=slot.receipt_ids)
            kept.values = slot.values
            slots.append(kept)
        return vars(self) | {
            "_slots": slots,
            "_schema": None,
            "_journal": _Kept(self.receipts),
            "_again": None,
            "_uncounted": [],
        }

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
        return summary_of(self._answered, len(self), self._failures)

    @property
    def failures(self) -> dict[str, int]:
        """The number of prompts that failed, by the kind of their errors."""
        return dict(self._failures)

    @property
    def cost(self) -> Decimal:
        """The price of the answers so far that were asked now, USD by the list."""
        while self._uncounted:  # each is read once
            answer = self._uncounted.pop().answer
            prices = [] if answer is None else [one._usd for one in answer.rounds]
            self._cost += sum((price for price in prices if price is not None), Decimal(0))
        return self._cost

    def _receipts(self, slot: _Slot) -> list[Receipt]:
        return [self._journal.receipt(receipt_id) for receipt_id in slot.receipt_ids]

    def _row(self, slot: _Slot) -> dict[str, Any]:
        ids = slot.progress.receipt_ids or slot.earlier[-1:]
        return answer_row(slot.prompt, slot.answer, slot.error, [self._journal.receipt(one) for one in ids]) | {
            column.name: slot.values.get(column.name) for column in self._columns
        }


def failure_of(answers: BatchResult) -> OGError | None:
    """Return the first error if no prompt was answered, None otherwise."""
    if answers.answered:
        return None
    first = next(iter(answers.errors.values()), answers.stopped_by)
    if first is None:
        return None
    return (
        first
        if isinstance(first, OGError)
        else OGError(f"No prompt was answered. {type(first).__name__}: {first}", money=SEE_RECEIPTS, remedy=ASK_AGAIN)
    )


def _outcome(slot: _Slot) -> Answer | Exception | None:
    return slot.answer if slot.error is None else slot.error
