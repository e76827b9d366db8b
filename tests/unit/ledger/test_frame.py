"""The ledger as a DataFrame."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import pandas as pd

from og_magics.ledger import Ledger, receipts_frame
from og_magics.receipt import COLUMNS

_TYPED = {
    "time": "datetime64[us, UTC]",
    "prompt_tokens": "Int64",
    "completion_tokens": "Int64",
    "latency_s": "float64",
    "ttft_s": "float64",
    "replayed": "bool",
}


def _dtypes(frame: pd.DataFrame) -> dict[str, str]:
    return {str(name): str(dtype) for name, dtype in frame.dtypes.items()}


def test_columns_and_dtypes_are_the_same_with_and_without_rows(ledger: Ledger, make: Any) -> None:
    empty = receipts_frame([])
    make.served(ledger, make.authorization())
    make.opened(ledger)
    full = receipts_frame(ledger.receipts())
    assert tuple(empty.columns) == tuple(full.columns) == COLUMNS
    assert _dtypes(empty) == _dtypes(full) == {name: _TYPED.get(name, "object") for name in COLUMNS}
    assert (len(empty), len(full)) == (0, 2)


def test_a_row_has_exact_amounts_and_real_times(ledger: Ledger, make: Any) -> None:
    authorization = make.authorization(cap=10**17)
    ledger.attach(ledger.open(make.question(), "devnet", 1_800_000_000.123456), _written(ledger, authorization), "s")
    make.serve(ledger, ledger.receipts()[0].receipt_id)
    ledger.settle(make.settlement(authorization, 123_456_789_012_345_678))
    row = receipts_frame(ledger.receipts()).iloc[0]
    assert row["time"] == datetime.datetime(2027, 1, 15, 8, 0, 0, 123456, tzinfo=datetime.UTC)
    assert row["cost_opg"] == Decimal("0.123456789012345678")
    assert row["cap_opg"] == Decimal("0.1")
    assert row["cost_usd"] == Decimal("0.0001")
    assert (row["prompt_tokens"], row["completion_tokens"], row["latency_s"], row["ttft_s"]) == (11, 2, 1.5, 0.25)
    assert (row["status"], row["payment_hash"], row["session_id"]) == ("settled", f"0x{7:064x}", "s")
    assert row["request_hash"] == "aa"


def test_what_is_not_known_is_none_na_or_nan(ledger: Ledger, make: Any) -> None:
    make.opened(ledger)
    make.served(ledger, make.authorization())
    row = receipts_frame(ledger.receipts()).iloc[0]
    for name in ("cost_opg", "cap_opg", "cost_usd", "payment_hash", "tee_id", "error"):
        assert row[name] is None
    assert row["prompt_tokens"] is pd.NA
    assert pd.isna(row["latency_s"])
    assert not row["replayed"]


def _written(ledger: Ledger, authorization: Any) -> str:
    ledger.authorize(authorization)
    return str(authorization.hash)
