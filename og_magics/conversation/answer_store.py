"""The place that answers to many prompts are written into as they come: its columns, and what each kind does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import ConfigError
from .schema_columns import FieldColumn

if TYPE_CHECKING:
    import pandas as pd

UNPAID = "Nothing was sent and nothing was paid."
_BEFORE = {"row": "integer", "prompt": "text", "text": "text"}
_AFTER = {
    "prompt_tokens": "integer", "completion_tokens": "integer", "cost": "units", "cost_opg": "amount",
    "cost_usd": "amount", "latency_s": "number", "status": "text", "receipt_id": "text", "turn": "text",
    "replayed": "flag", "ending": "text", "error": "text", "fingerprint": "text",
}  # fmt: skip
NAMES = (*_BEFORE, *_AFTER)
"""Columns that every place has."""

Ended = tuple[Mapping[str, Any], bool]
"""The values of a row by column, and True where it failed."""


class Occupied(ConfigError):
    """Raised where another run writes into a place."""

    @classmethod
    def at(cls, name: str) -> Occupied:
        """Return the error that names the place."""
        remedy = "Wait until it has ended, stop it, or name another place."
        return cls(f"Another run writes into {name}.", money=UNPAID, remedy=remedy)


class AnswerStore(ABC):
    """A place that one run writes. After `open`, its methods may be called from any thread, one at a time.

    Attributes:
        name: of the place, as messages say it. path: of a folder; None for another place.
        kinds: of the columns, by name: "text", "json", "integer", "number", "flag", "units", "amount".

    Raises (all methods):
        LedgerError: it cannot be written or read.
    """

    name: str
    path: Path | None = None

    def __init__(self, columns: Sequence[FieldColumn]) -> None:
        self.kinds = _BEFORE | {column.name: column.kind for column in columns} | _AFTER
        self._done: dict[int, bytes] = {}

    @abstractmethod
    def open(self) -> AnswerStore:
        """Make the place, lock it, and read which rows have answers.

        Raises:
            ConfigError: it cannot be made, another run writes to it, or its columns are others.
        """

    @property
    def answered(self) -> Collection[int]:
        """The rows that have answers."""
        return self._done.keys()

    def fingerprint(self, row: int) -> bytes | None:
        """Return the fingerprint of the request that a row's answer is to; None where it has none."""
        return self._done.get(row)

    @abstractmethod
    def begin(self) -> None:
        """Forget the failures of earlier runs: those rows are asked again."""

    @abstractmethod
    def write(self, rows: Iterable[Ended]) -> None:
        """Write rows, all or none. When this returns, a kill does not lose them."""

    @abstractmethod
    def finish(self) -> None:
        """Write what is left, and close."""

    @abstractmethod
    def close(self) -> None:
        """Give the place free. What was written stays."""

    @abstractmethod
    def frame(self) -> pd.DataFrame:
        """Return all rows that were written, in their order; the index is the row."""


def stored(value: Any, kind: str) -> Any:
    """Return a value as a column of a kind holds it."""
    if value is None:
        return None
    if kind == "units":
        return Decimal(value)
    if kind == "amount":
        return round(Decimal(value), 18)
    if kind in ("text", "json"):
        return str(value).encode("utf-8", "replace").decode()  # half a surrogate pair is no text
    return value
