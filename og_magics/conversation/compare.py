"""One prompt to several models at once: the answer, the time and the cost of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..core.endings import ending_of
from ..core.errors import ASK_AGAIN, SEE_RECEIPTS, ConfigError, NotRecorded, OGError, ProofError
from ..core.progress import INTERRUPTED
from ..core.protocols import Journal
from ..core.receipt import Column, Receipt, labels
from ..core.receipt_columns import RECEIPT_COLUMNS, compared_columns
from .answer import Answer
from .dataframes import frame_of
from .run import Run

if TYPE_CHECKING:
    import pandas as pd

Renderer = Callable[[Sequence[Column]], dict[str, Any]]
"""Makes a MIME bundle of columns."""

_BEST = 5
"""The highest rating."""
_FIRST = (
    "model", "text", "latency_s", "ttft_s", "prompt_tokens", "completion_tokens", "cost_opg", "cost_usd", "status",
    "finish_reason", "ending", "receipt_id", "payment_hash", "rating", "error",
)  # fmt: skip
"""Columns of the frame, in this order; further ones that are compared follow."""


@dataclass(frozen=True, slots=True)
class Compared:
    """The part of one model.

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
        """The answer; None until it is there, or if the call failed."""
        return self.run.result() if self.run.done and self.run.error is None else None

    @property
    def error(self) -> BaseException | None:
        """The error in place of an answer: an OGError, or `concurrent.futures.CancelledError` if interrupted."""
        return self.run.error

    @property
    def receipt(self) -> Receipt | None:
        """The current receipt; None if the call never got that far."""
        if (result := self.result) is not None:
            return result.receipt
        opened = self.run.progress.receipt_id
        return None if opened is None else self._journal.receipt(opened)

    @property
    def text(self) -> str:
        """The text of the answer, or as much of it as had arrived."""
        receipt = self.receipt
        return (receipt.text if receipt else "") or self.run.progress.text

    @property
    def column(self) -> Column:
        """The column that shows this part."""
        receipt = self.receipt
        has_output = receipt is not None and bool(receipt.text or receipt.tool_calls)
        return Column(
            self.model,
            receipt if has_output or self.result else None,
            self._error_text(receipt, has_output=has_output),
            self._has_images,
        )

    @property
    def _has_images(self) -> bool:
        return bool(self.result and self.result.images)

    def _error_text(self, receipt: Receipt | None, *, has_output: bool) -> str:
        error = self.error
        if error is None and not self.run.done and self.run.stopped:
            error = CancelledError()  # it is about to end
        if error is None:
            return "" if self.run.done else "Not answered yet."
        if has_output and receipt is not None and receipt.tee_signature:
            return ""  # the interrupt came after the answer was complete and signed
        if isinstance(error, CancelledError):
            return INTERRUPTED if has_output else "Interrupted before the first word."
        if isinstance(error, OGError):
            return error.what if has_output else str(error)
        return f"{type(error).__name__}: {error}"


class Comparison(Sequence[Compared]):
    """One prompt that several models answer; it starts when the object is made.

    Its parts are found by position, or by model: `comparison[0].text`, `comparison["openai/gpt-5"].receipt`.
    """

    def __init__(self, runs: Sequence[Run], journal: Journal, renderer: Renderer) -> None:
        names = labels([run.model for run in runs])
        self._parts = [Compared(name, run, journal) for name, run in zip(names, runs, strict=True)]
        self._renderer = renderer
        self._ratings: dict[str, int] = {}

    def rate(self, which: int | str, rating: int | None) -> None:
        """Keep a rating of one answer, which `.frame` shows in its column `rating`; None takes it back.

        Raises:
            IndexError, KeyError: there is no such part.
            ConfigError: the rating is no whole number from 1 to 5.
        """
        label = self[which].label
        if rating is None:
            self._ratings.pop(label, None)
        elif isinstance(rating, int) and not isinstance(rating, bool) and 1 <= rating <= _BEST:
            self._ratings[label] = rating
        else:
            raise ConfigError(f"A rating must be a whole number from 1 to {_BEST}, got {rating!r}.")

    @property
    def ratings(self) -> dict[str, int]:
        """The ratings by label, of the answers that have one."""
        return dict(self._ratings)

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
        """The answers by label, without models that failed."""
        return {part.label: result for part in self._parts if (result := part.result) is not None}

    @property
    def errors(self) -> dict[str, BaseException]:
        """The errors of the models that failed, by label."""
        return {part.label: error for part in self._parts if (error := part.error) is not None}

    @property
    def receipts(self) -> list[Receipt]:
        """The current receipts; a failed call has one too if it was sent."""
        return [receipt for part in self._parts if (receipt := part.receipt) is not None]

    @property
    def columns(self) -> list[Column]:
        """The columns to show, one a model."""
        return [part.column for part in self._parts]

    @property
    def frame(self) -> pd.DataFrame:
        """A DataFrame with one row a model, in its current state.

        Columns: `model`, `text`; `latency_s`, `ttft_s` (seconds, NaN when unknown); `prompt_tokens`,
        `completion_tokens` (nullable integers); `cost_opg` (once settled), `cost_usd` (Decimal or None); `status`,
        `finish_reason`, `ending` ("cut at max_tokens", "content filter", "refused", "empty"; None for an answer that
        is complete), `receipt_id`, `payment_hash` (None until settled), `rating` (1 to 5, nullable; see `rate` and
        `%%ogcompare --rate`), `error`.
        """
        rows = [_row(part) | {"rating": self._ratings.get(part.label)} for part in self._parts]
        frame = frame_of(rows, compared_columns(*_FIRST))
        return frame.assign(rating=frame["rating"].astype("Int64"))

    def failure(self) -> BaseException | None:
        """Return the error to raise if no model answered or one could not be replayed, None otherwise."""
        errors = self.errors
        unproven = [error for error in errors.values() if isinstance(error, (NotRecorded, ProofError))]
        if unproven:
            return unproven[0]  # a replay shows everything that was recorded, or nothing
        if len(errors) < len(self._parts):
            return None
        first = next(iter(errors.values()))
        if len({(type(error), str(error)) for error in errors.values()}) == 1:
            return first
        problems = " ".join(f"{column.model}: {column.error}" for column in self.columns)
        return OGError(f"None of the {len(self)} models answered. {problems}", money=SEE_RECEIPTS, remedy=ASK_AGAIN)

    def __len__(self) -> int:
        return len(self._parts)

    def __iter__(self) -> Iterator[Compared]:
        return iter(self._parts)

    def __getitem__(self, which: Any) -> Any:
        """Return a part by position or model ("openai/gpt-5" or "gpt-5"); a slice returns a list of parts.

        Raises:
            IndexError, KeyError: there is no such part.
        """
        if not isinstance(which, str):
            return self._parts[which]
        for part in self._parts:
            if which in (part.label, part.label.partition("/")[2]):
                return part
        raise KeyError(f"{which!r} was not asked; {', '.join(self.models)} were")

    def __repr__(self) -> str:
        states = ", ".join(f"{part.label} {_state(part)}" for part in self._parts)
        return f"<Comparison of {len(self)} models: {states}>"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return self._renderer(self.columns)


def _row(part: Compared) -> dict[str, Any]:
    receipt = part.receipt
    row: dict[str, Any] = {"model": part.model, "text": part.text, "error": None}
    if part.error is not None:
        row["error"] = (receipt.error if receipt else None) or str(part.error)
    if receipt is None:
        return dict.fromkeys(compared_columns(*_FIRST)) | row
    row["ending"] = ending_of(receipt, images=part._has_images) or None
    return {column.name: column.read(receipt) for column in RECEIPT_COLUMNS.values()} | row


def _state(part: Compared) -> str:
    if part.error is not None:
        return f"failed ({type(part.error).__name__})"
    return "answered" if part.run.done else "answering"
