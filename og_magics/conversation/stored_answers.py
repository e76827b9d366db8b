"""The answers to many prompts in a folder or a table: rows go there as they come, and none stays in memory."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from array import array
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.amounts import to_opg
from ..core.errors import AnswerError, OGError
from ..core.off_loop import OrderedThread
from ..core.protocols import Journal
from ..core.types import ChatRequest
from .answer import Answer
from .answer_row import answer_row
from .answer_store import AnswerStore, Ended
from .batch_run import Row, Take
from .batch_words import summary_of
from .schema_columns import FieldColumn, in_json
from .turn import Turn

if TYPE_CHECKING:
    import pandas as pd

    from ..core.progress import Progress

Costs = Callable[[Collection[str]], Mapping[str, int]]
"""Returns what turns cost, in base units, as far as it is settled: by the id of their first receipts."""


class StoredAnswers:
    """The answers to many prompts, in a folder of Parquet files or in a table of a database.

    Attributes:
        answered: rows that have an answer, those of earlier runs included. found: of these, what was there before.
        failures: rows that failed now, by the kind of their errors.
        cost: the price of what was asked now, USD by the list.
        stopped_by: the error after which nothing more was asked; None where all were.
        first_error: of the rows that failed now.
    """

    def __init__(self, store: AnswerStore, rows: int, costs: Costs, again: Callable[[], StoredAnswers]) -> None:
        self._store, self._rows, self._costs, self._again = store, rows, costs, again
        self.found = sum(1 for row in store.answered if row < rows)
        self.answered = self.found
        self.failures: Counter[str] = Counter()
        self.cost = Decimal(0)
        self.stopped_by: Exception | None = None
        self.first_error: Exception | None = None

    @property
    def path(self) -> Path | None:
        """The folder; None where the answers are in a table."""
        return self._store.path

    @property
    def ended(self) -> int:
        """The number of rows that have an answer or failed."""
        return self.answered + self.failures.total()

    @property
    def summary(self) -> str:
        """The counts of answers and failures in a few words."""
        return summary_of(self.answered, self._rows, self.failures)

    @property
    def frame(self) -> pd.DataFrame:
        """A DataFrame, read now: one row for each prompt that was answered or failed, by its position.

        Columns: `prompt`, `text`; one for each field of the schema; `prompt_tokens`, `completion_tokens`; `cost` (base
        units) and `cost_opg`, once settled, `cost_usd`; `latency_s`, `status`, `receipt_id` (of the last call), `turn`
        (of the first), `replayed`, `ending`, `error`.
        """
        frame = self._store.frame()
        frame = frame[frame.index < self._rows]
        open_ones = frame["cost"].isna() & frame["turn"].notna()
        if open_ones.any():
            costs = self._costs(set(frame.loc[open_ones, "turn"]))
            known = frame["turn"].map(costs).where(open_ones)
            frame["cost"] = frame["cost"].astype(object).where(known.isna(), known)
        for name, value in (("cost", int), ("cost_usd", _trimmed)):
            frame[name] = _mapped(frame[name], value)
        frame["cost_opg"] = _mapped(frame["cost"], to_opg)
        return frame

    def resume(self) -> StoredAnswers:
        """Ask the rows that have no answer yet, with the same options, and return the result.

        Raises:
            OGError, Interrupted: as `ask_many`.
        """
        return self._again()

    def __len__(self) -> int:
        return self._rows

    def __repr__(self) -> str:
        return f"<StoredAnswers: {self.summary}, in {self._store.name}>"

    def failure(self) -> OGError | None:
        """Return the error to raise where no row at all has an answer."""
        error = self.first_error or self.stopped_by
        return error if not self.answered and isinstance(error, OGError) else None


class StoredRows:
    """The rows of a run that have no answer yet. Each is made when it is asked.

    Args:
        turn: makes the turn of a row.
        prompt: the prompt of a row.
    """

    def __init__(
        self,
        result: StoredAnswers,
        store: AnswerStore,
        todo: array[int],
        turn: Callable[[int], Turn],
        prompt: Callable[[int], str],
        journal: Journal,
        columns: Sequence[FieldColumn],
    ) -> None:
        self._result, self._store, self._todo = result, store, todo
        self._turn, self._prompt, self._journal, self._columns = turn, prompt, journal, columns
        self._disk, self._grouped = OrderedThread("og_magics-answers", self._together), False
        self._unwritten: list[Ended] = []
        self._asking: dict[bytes, asyncio.Event] = {}

    def __iter__(self) -> Iterator[Row]:
        for at in self._todo:
            yield _StoredRow(self, at)

    def taking(self, take: Take) -> Take:
        """Return what asks each request once: of two that are the same, the second waits for the first's recording."""

        async def once(turn: Turn, progress: Progress) -> Answer:
            if turn.request.replay == "off":
                return await take(turn, progress)
            key = fingerprint_of(turn.request)
            while (other := self._asking.get(key)) is not None:
                await other.wait()
            self._asking[key] = asyncio.Event()
            try:
                return await take(turn, progress)
            finally:
                self._asking.pop(key).set()

        return once

    def finish(self) -> None:
        """Write what is left, and close the place.

        Raises:
            LedgerError: it cannot be written.
        """
        try:
            self._disk.give(self._write).result()
        finally:
            self._store.finish()

    async def end(self, row: _StoredRow, answer: Answer | None, error: Exception | None) -> None:
        """Write a row that has ended. Those that end while others are written are written together."""
        price = await self._disk.run(functools.partial(self._end, row, answer, error), together=True)
        self._result.cost += price  # not in one line: other rows end while this one waits
        if answer is not None:
            self._result.answered += 1
        elif error is not None:
            self._result.failures[type(error).__name__] += 1
            self._result.first_error = self._result.first_error or error

    @contextlib.contextmanager
    def _together(self) -> Iterator[None]:
        before, self._grouped = list(self._unwritten), True
        try:
            yield
            self._write()
        except BaseException:
            self._unwritten = before
            raise
        finally:
            self._grouped = False

    def _end(self, row: _StoredRow, answer: Answer | None, error: Exception | None) -> Decimal:
        """Write a row, or leave that to the end of its group; return its price."""
        price = self._put(row, answer, error)
        if not self._grouped:
            self._write()
        return price

    def _put(self, row: _StoredRow, answer: Answer | None, error: Exception | None) -> Decimal:
        """Put a row to those that are to be written; return its price."""
        shown = answer if answer is not None else error.answer if isinstance(error, AnswerError) else None
        misfit = answer is None and shown is not None
        receipts = [self._journal.receipt(one) for one in row.progress.receipt_ids]
        values = answer_row(self._prompt(row.at), shown, error, receipts)
        if error is not None:
            values["error"] = f"{type(error).__name__}: {error}"
        turn = row.turn()
        first = receipts[0] if receipts else None if shown is None else shown.receipt
        values |= {
            "row": row.at,
            "turn": None if first is None else first.turn or first.receipt_id,
            "fingerprint": turn.request.fingerprint,
        }
        if turn.schema is not None and answer is not None:
            whole = in_json(turn.schema, answer.parsed)
            values |= {column.name: column.value(whole) for column in self._columns}
        # An answer that does not fit its schema is paid, and the same question would have the same answer.
        self._unwritten.append((values, error is not None and not misfit))
        return sum((one.usd for one in receipts if one.usd is not None), Decimal(0))

    def _write(self) -> None:
        """Write all that is to be written; what cannot be stays in line."""
        if self._unwritten:
            self._store.write(self._unwritten)
            self._unwritten = []


class _StoredRow(Row):
    def __init__(self, rows: StoredRows, at: int) -> None:
        super().__init__()
        self._rows, self.at = rows, at
        self._made: Turn | None = None

    def turn(self) -> Turn:
        if self._made is None:
            self._made = self._rows._turn(self.at)
        return self._made

    async def keep(self, answer: Answer) -> None:
        await self._rows.end(self, answer, None)

    async def fail(self, error: Exception) -> None:
        await self._rows.end(self, None, error)


def _mapped(column: pd.Series[Any], value: Callable[[Any], Any]) -> pd.Series[Any]:
    """Return a column of objects, None where there is none."""
    import pandas as pd

    values = [None if pd.isna(one) else value(one) for one in column]
    return pd.Series(values, index=column.index, dtype=object)


def _trimmed(value: Decimal) -> Decimal:
    """Remove the zeros at the end that a fixed scale brings."""
    text = f"{value:f}"
    return Decimal(text.rstrip("0").rstrip(".") if "." in text else text)


def fingerprint_of(request: ChatRequest) -> bytes:
    """Return the fingerprint of a request: what is asked, of which model, with which parameters."""
    return bytes.fromhex(request.fingerprint)
