"""The ledger as a DataFrame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..core.fork import new_lock
from ..core.receipt import Receipt
from ..core.receipt_columns import RECEIPT_COLUMNS
from ..core.receipt_filter import ReceiptFilter
from .chosen import kept
from .frame_buffer import FrameBuffer
from .transactions import written_by_us

if TYPE_CHECKING:
    import pandas as pd

    from .journal import Head
    from .store import Ledger


def receipts_frame(receipts: Iterable[Receipt]) -> pd.DataFrame:
    """Return one row a receipt, in the order given, with the columns of `receipt_columns`.

    `time` is a UTC datetime; `cost_opg`, `cap_opg` (OPG) and `cost_usd` hold `Decimal` or None; tokens are nullable
    integers; `latency_s` and `ttft_s` are seconds, NaN when unknown; `replayed` is bool. No receipts: no rows, and
    the same columns and dtypes. Fields of a newer minor version are further columns behind these, by their names.
    """
    rows = list(receipts)
    values = {name: column.read_all(rows) for name, column in RECEIPT_COLUMNS.items()}
    unknown = {name for receipt in rows for name in receipt.extra} - set(RECEIPT_COLUMNS)
    return typed_frame(values | {name: [receipt.extra.get(name) for receipt in rows] for name in sorted(unknown)})


def typed_frame(values: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    """Return the frame of these columns, with the dtypes of `receipts_frame`; `time` in whole microseconds.

    A column that is missing (an older version had none) is None in each row; one that is not known is kept, as objects.
    """
    import pandas as pd

    columns = {}
    none = [None] * len(values["receipt_id"])
    for name, column in RECEIPT_COLUMNS.items():
        held = values.get(name, none)
        if column.kind == "time":
            stamps = pd.to_datetime(pd.Series(held, dtype="int64"), unit="us", utc=True)
            columns[name] = stamps.astype("datetime64[us, UTC]")  # pandas 2 would say ns
        else:
            # None in a column of bools would be False without a word.
            dtype = "object" if column.kind == "flag" and None in held else column.dtype
            columns[name] = pd.Series(held, dtype=dtype)
    columns |= {name: pd.Series(held, dtype="object") for name, held in values.items() if name not in columns}
    return pd.DataFrame(columns)


def chosen_frame(ledger: Ledger, choice: ReceiptFilter) -> pd.DataFrame:
    """Return `receipts_frame` of the receipts that are chosen; the others are not read.

    Raises:
        LedgerError: the file cannot be read.
    """
    with written_by_us(ledger.path):
        return kept(typed_frame(ledger.columns_of(choice)), choice)


class FrameCache:
    """`receipts_frame` of a ledger, again and again: only receipts that changed since the last time are read.

    It follows the ledger's journal: an edit by other hands, which is not in there, does not show in it. Who writes to
    the ledger meanwhile, in this process or another, does not wait for it.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lock = new_lock()
        self._head: Head | None = None
        self._buffer: FrameBuffer | None = None

    def current(self) -> pd.DataFrame:
        """Return the DataFrame as the ledger stands; the caller's own, to change at will.

        Raises:
            LedgerError: the file cannot be read.
        """
        with self._lock, written_by_us(self._ledger.path):
            # Taken out until it is whole again: a child that is forked meanwhile begins with none.
            buffer, self._buffer = self._buffer, None
            changes = self._ledger.column_changes(None if buffer is None else self._head)
            if changes.complete or buffer is None:
                buffer = FrameBuffer(changes.values)
            elif len(changes.values["receipt_id"]) and not buffer.update(changes.values):
                # A newer version writes to the file, and its fields are not in all rows.
                changes = self._ledger.column_changes(None)
                buffer = FrameBuffer(changes.values)
            self._buffer, self._head = buffer, changes.head
            return buffer.frame()
