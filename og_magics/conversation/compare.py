"""One prompt, asked of several models at once: what each made of it, how long it took and what it cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..amounts import to_opg
from ..errors import NotRecorded, OGError, ProofError
from ..ports import Journal
from ..progress import INTERRUPTED
from ..receipt import Column, Receipt, labels
from .answers import Answer
from .frames import frame_of
from .runs import Run

if TYPE_CHECKING:
    import pandas as pd

Shown = Callable[[Sequence[Column]], dict[str, Any]]
"""Makes the mime bundle of columns."""

_COLUMNS = (
    "model", "text", "latency_s", "ttft_s", "prompt_tokens", "completion_tokens", "cost_opg", "cost_usd", "status",
    "finish_reason", "receipt_id", "payment_hash", "error",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Compared:
    """One model's part.

    Attributes:
        label: its name among the others: the model, and a number where the same model was asked more than once.
        run: the call.
    """

    label: str
    run: Run
    _journal: Journal

    @property
    def model(self) -> str:
        """ "provider/model"."""
        return self.run.model

    @property
    def result(self) -> Answer | None:
        """The answer; None while there is none, and where it failed."""
        return self.run.result() if self.run.done and self.run.error is None else None

    @property
    def error(self) -> BaseException | None:
        """Why there is no answer: an OGError, or `concurrent.futures.CancelledError` where it was interrupted."""
        return self.run.error

    @property
    def receipt(self) -> Receipt | None:
        """As it stands now; None where the call never came so far."""
        if (result := self.result) is not None:
            return result.receipt
        opened = self.run.progress.receipt_id
        return None if opened is None else self._journal.receipt(opened)

    @property
    def text(self) -> str:
        """What it answered, or what had arrived of that."""
        receipt = self.receipt
        return (receipt.text if receipt else "") or self.run.progress.text

    @property
    def column(self) -> Column:
        """What there is to show of it."""
        receipt = self.receipt
        came = receipt is not None and bool(receipt.text or receipt.tool_calls)
        return Column(self.model, receipt if came or self.result else None, self._told(receipt, came=came))

    def _told(self, receipt: Receipt | None, *, came: bool) -> str:
        error = self.error
        if error is None:
            return "" if self.run.done else "Not answered yet."
        if came and receipt is not None and receipt.tee_signature:
            return ""  # it was stopped when all was there
        if isinstance(error, CancelledError):
            return INTERRUPTED if came else "Interrupted before the first word."
        if isinstance(error, OGError):
            return error.what if came else str(error)
        return f"{type(error).__name__}: {error}"


class Comparison(Sequence[Compared]):
    """A prompt that several models were given. It has begun when this is made.

    Its parts are found by position, or by model: `comparison[0].text`, `comparison["openai/gpt-5"].receipt`.
    """

    def __init__(self, runs: Sequence[Run], journal: Journal, shown: Shown) -> None:
        names = labels([run.model for run in runs])
        self._parts = [Compared(name, run, journal) for name, run in zip(names, runs, strict=True)]
        self._shown = shown

    @property
    def runs(self) -> list[Run]:
        """The calls, in the order in which the models were named."""
        return [part.run for part in self._parts]

    @property
    def models(self) -> list[str]:
        """The label of each column."""
        return [part.label for part in self._parts]

    @property
    def results(self) -> dict[str, Answer]:
        """By label, the answers; models that failed are not in it."""
        return {part.label: result for part in self._parts if (result := part.result) is not None}

    @property
    def errors(self) -> dict[str, BaseException]:
        """By label, why those that failed did."""
        return {part.label: error for part in self._parts if (error := part.error) is not None}

    @property
    def receipts(self) -> list[Receipt]:
        """As they stand now; a failed call has one too, as soon as it was asked."""
        return [receipt for part in self._parts if (receipt := part.receipt) is not None]

    @property
    def columns(self) -> list[Column]:
        """What there is to show, a column a model."""
        return [part.column for part in self._parts]

    @property
    def frame(self) -> pd.DataFrame:
        """One row a model, as things stand now.

        Columns: `model`, `text`; `latency_s`, `ttft_s` (seconds, NaN when unknown); `prompt_tokens`,
        `completion_tokens` (nullable integers); `cost_opg` (once settled), `cost_usd` (Decimal or None); `status`,
        `finish_reason`, `receipt_id`, `payment_hash` (None until settled), `error`.
        """
        return frame_of([_row(part) for part in self._parts], _COLUMNS)

    def failure(self) -> BaseException | None:
        """What to raise where no model answered, or one could not be replayed; None otherwise."""
        errors = self.errors
        unproven = [error for error in errors.values() if isinstance(error, (NotRecorded, ProofError))]
        if unproven:
            return unproven[0]  # a replay is all of what was there, or it is none
        if len(errors) < len(self._parts):
            return None
        first = next(iter(errors.values()))
        if len({(type(error), str(error)) for error in errors.values()}) == 1:
            return first
        told = " ".join(f"{column.model}: {column.error}" for column in self.columns)
        return OGError(f"None of the {len(self)} models answered. {told}")

    def __len__(self) -> int:
        return len(self._parts)

    def __iter__(self) -> Iterator[Compared]:
        return iter(self._parts)

    def __getitem__(self, which: Any) -> Any:
        """A part by its position or its model ("openai/gpt-5" or "gpt-5"); a slice is a list of them.

        Raises:
            IndexError, KeyError: there is none.
        """
        if not isinstance(which, str):
            return self._parts[which]
        for part in self._parts:
            if which in (part.label, part.label.partition("/")[2]):
                return part
        raise KeyError(f"{which!r} was not asked; {', '.join(self.models)} were")

    def __repr__(self) -> str:
        told = ", ".join(f"{part.label} {_state(part)}" for part in self._parts)
        return f"<Comparison of {len(self)} models: {told}>"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return self._shown(self.columns)


def _row(part: Compared) -> dict[str, Any]:
    receipt = part.receipt
    row: dict[str, Any] = {"model": part.model, "text": part.text, "error": None}
    if part.error is not None:
        row["error"] = (receipt.error if receipt else None) or str(part.error)
    if receipt is None:
        return dict.fromkeys(_COLUMNS) | row
    read = {name: getattr(receipt, name) for name in _COLUMNS if hasattr(receipt, name) and name not in row}
    cost = None if receipt.cost is None else to_opg(receipt.cost)
    return read | row | {"cost_opg": cost, "cost_usd": receipt.usd}


def _state(part: Compared) -> str:
    if part.error is not None:
        return f"failed ({type(part.error).__name__})"
    return "answered" if part.run.done else "answering"
