"""The ledger as a DataFrame."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..amounts import to_opg
from ..receipt import COLUMNS, Receipt

if TYPE_CHECKING:
    import pandas as pd

_DTYPES = {
    "prompt_tokens": "Int64",
    "completion_tokens": "Int64",
    "latency_s": "float64",
    "ttft_s": "float64",
    "replayed": "bool",
}
"""All others, but `time`, are objects, so that None stays None and a Decimal stays exact."""


def receipts_frame(receipts: Iterable[Receipt]) -> pd.DataFrame:
    """One row a receipt, in the order given; the columns are `receipt.COLUMNS`.

    `time` is a UTC datetime; `cost_opg`, `cap_opg` (OPG) and `cost_usd` hold `Decimal` or None; tokens are nullable
    integers; `latency_s` and `ttft_s` are seconds, NaN when unknown; `replayed` is bool. No receipts: no rows, and
    the same columns and dtypes.
    """
    import pandas as pd

    rows = list(receipts)
    columns = {}
    for name in COLUMNS:
        values = [_cell(receipt, name) for receipt in rows]
        if name == "time":
            stamps = pd.to_datetime(pd.Series(values, dtype="int64"), unit="us", utc=True)
            columns[name] = stamps.astype("datetime64[us, UTC]")  # pandas 2 would say ns
        else:
            columns[name] = pd.Series(values, dtype=_DTYPES.get(name, "object"))
    return pd.DataFrame(columns, columns=list(COLUMNS))


def _cell(receipt: Receipt, column: str) -> Any:
    if column == "time":
        return round(receipt.time * 1_000_000)
    if column == "cost_usd":
        return receipt.usd
    if column in ("cost_opg", "cap_opg"):
        units = getattr(receipt, column.removesuffix("_opg"))
        return None if units is None else to_opg(units)
    return getattr(receipt, column)
