"""The ledger as a DataFrame."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from ..amounts import to_opg
from ..receipt import COLUMNS, Receipt

if TYPE_CHECKING:
    import pandas as pd

    from .store import Ledger

_DTYPES = {
    "prompt_tokens": "Int64",
    "completion_tokens": "Int64",
    "latency_s": "float64",
    "ttft_s": "float64",
    "replayed": "bool",
}
"""All others, but `time`, are objects, so that None stays None and a Decimal stays exact."""

AMOUNTS = ("cost_opg", "cap_opg", "cost_usd")
"""Columns of exact decimals."""

_READ: dict[str, Callable[[Receipt], Any]] = {
    "time": lambda receipt: round(receipt.time * 1_000_000),
    "cost_usd": lambda receipt: receipt.usd,
    "cost_opg": lambda receipt: None if receipt.cost is None else to_opg(receipt.cost),
    "cap_opg": lambda receipt: None if receipt.cap is None else to_opg(receipt.cap),
}


def receipts_frame(receipts: Iterable[Receipt]) -> pd.DataFrame:
    """One row a receipt, in the order given; the columns are `receipt.COLUMNS`.

    `time` is a UTC datetime; `cost_opg`, `cap_opg` (OPG) and `cost_usd` hold `Decimal` or None; tokens are nullable
    integers; `latency_s` and `ttft_s` are seconds, NaN when unknown; `replayed` is bool. No receipts: no rows, and
    the same columns and dtypes.
    """
    rows = list(receipts)
    return typed_frame({name: list(map(_READ.get(name) or attrgetter(name), rows)) for name in COLUMNS})


def typed_frame(values: dict[str, list[Any]]) -> pd.DataFrame:
    """The frame of the values of each column, with the dtypes of `receipts_frame`; `time` in whole microseconds."""
    import pandas as pd

    columns = {}
    for name in COLUMNS:
        if name == "time":
            stamps = pd.to_datetime(pd.Series(values[name], dtype="int64"), unit="us", utc=True)
            columns[name] = stamps.astype("datetime64[us, UTC]")  # pandas 2 would say ns
        else:
            columns[name] = pd.Series(values[name], dtype=_DTYPES.get(name, "object"))
    return pd.DataFrame(columns, columns=list(COLUMNS))


class FrameCache:
    """`receipts_frame` of a ledger, again and again: only receipts that changed since the last time are read.

    It follows the ledger's journal: an edit by other hands, which is not in there, does not show in it.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()
        self._head: tuple[int, str] | None = None
        self._frame: pd.DataFrame | None = None

    def current(self) -> pd.DataFrame:
        """The DataFrame as the ledger stands; the caller's own, to change at will.

        Raises:
            LedgerError: the file cannot be read.
        """
        with self._lock:
            changes = self._ledger.changes(self._head)
            if self._frame is None or changes.complete:
                self._frame = receipts_frame(changes.receipts)
            elif changes.receipts:
                self._frame = _merged(self._frame, changes.receipts)
            self._head = changes.head
            return self._frame.copy()


def _merged(frame: pd.DataFrame, receipts: list[Receipt]) -> pd.DataFrame:
    """The frame with these receipts in place of their old rows, or as new ones, in the order of their ids."""
    import pandas as pd

    # What changes is young, as a rule: the rows before the first that changed stay as they are.
    first = int(frame["receipt_id"].searchsorted(receipts[0].receipt_id))
    later = frame.iloc[first:]
    kept = later[~later["receipt_id"].isin({receipt.receipt_id for receipt in receipts})]
    end = pd.concat([part for part in (kept, receipts_frame(receipts)) if len(part)])
    end = end.sort_values("receipt_id", kind="stable")
    return pd.concat([frame.iloc[:first], end], ignore_index=True) if first else end.reset_index(drop=True)
