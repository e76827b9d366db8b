"""The ledger as a DataFrame."""

from __future__ import annotations

import datetime
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from og_magics.core.receipt import COLUMNS
from og_magics.ledger import FrameCache, Ledger, reader, receipts_frame

from ...conftest import examples

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
    assert (row["status"], row["payment_hash"], row["session_id"] is None) == ("settled", f"0x{7:064x}", False)
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


class TestCache:
    def test_it_is_the_frame_of_all_receipts(self, ledger: Ledger, make: Any) -> None:
        cache = FrameCache(ledger)
        assert_frame_equal(cache.current(), receipts_frame([]))
        make.served(ledger, make.authorization())
        assert_frame_equal(cache.current(), receipts_frame(ledger.receipts()))
        assert_frame_equal(cache.current(), receipts_frame(ledger.receipts()))

    def test_only_what_changed_is_read(self, ledger: Ledger, make: Any) -> None:
        for number in range(5):
            make.served(ledger, make.authorization(number))
        before = ledger.changes()
        assert (len(before.receipts), before.complete) == (5, True)
        assert ledger.changes(before.head).receipts == []
        ledger.settle(make.settlement(make.authorization(3)))
        changes = ledger.changes(before.head)
        assert ([receipt.status for receipt in changes.receipts], changes.complete) == (["settled"], False)

    def test_the_frame_is_the_callers_own(self, ledger: Ledger, make: Any) -> None:
        make.served(ledger, make.authorization())
        cache = FrameCache(ledger)
        mine = cache.current()
        mine.loc[0, "status"] = "mine"
        mine["note"] = 1
        assert_frame_equal(cache.current(), receipts_frame(ledger.receipts()))

    def test_a_ledger_begun_anew_is_read_as_a_whole(self, ledger: Ledger, make: Any) -> None:
        cache = FrameCache(ledger)
        for _ in range(3):
            make.opened(ledger)
        cache.current()
        for path in ledger.path.parent.iterdir():
            path.unlink()
        for _ in range(5):
            make.opened(ledger)
        assert_frame_equal(cache.current(), receipts_frame(ledger.receipts()))

    def test_much_that_changed_is_read_as_a_whole(
        self, ledger: Ledger, make: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(reader, "_MANY", 2)
        cache = FrameCache(ledger)
        cache.current()
        for _ in range(3):
            make.opened(ledger)
        assert_frame_equal(cache.current(), receipts_frame(ledger.receipts()))

    @settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        steps=st.lists(
            st.tuples(
                st.sampled_from(
                    ["open", "attach", "detach", "serve", "fail", "settle", "unsettle", "expire", "verify", "look"]
                ),
                st.integers(0, 7),
                st.integers(1, 3),
            ),
            max_size=60,
        )
    )
    def test_it_is_always_what_a_full_rebuild_is(self, make: Any, steps: list[tuple[str, int, int]]) -> None:
        with (
            tempfile.TemporaryDirectory() as folder,
            Ledger(Path(folder) / "n.db") as ledger,
            Ledger(Path(folder) / "n.db") as other,  # as another kernel: its receipts may stand between ours
        ):
            cache = FrameCache(ledger)
            for number in (1, 2, 3):
                other.authorize(make.authorization(number))
            for step, which, number in steps:
                authorization = make.authorization(number)
                ids = [receipt.receipt_id for receipt in ledger.receipts()]
                receipt_id = ids[which % len(ids)] if ids else make.opened(ledger)
                if step == "open":
                    make.opened((ledger, other)[number % 2], 1_800_000_000.0 + which)
                elif step == "attach" and ledger.receipt(receipt_id).authorization_hash is None:
                    ledger.attach(receipt_id, authorization.hash, None)
                elif step == "detach":
                    ledger.detach(receipt_id, authorization.hash)
                elif step == "serve":
                    make.serve(other, receipt_id, which)
                elif step == "fail":
                    ledger.fail(receipt_id, "It broke.", None, weight=which)
                elif step == "settle":
                    other.settle(make.settlement(authorization, 1000 + which))
                elif step == "unsettle":
                    ledger.unsettle(authorization.hash, make.block())
                elif step == "expire":
                    ledger.expire(authorization.hash, make.block())
                elif step == "verify":
                    ledger.mark_verified(receipt_id)
                else:
                    assert_frame_equal(cache.current(), receipts_frame(ledger.receipts()))
            assert_frame_equal(cache.current(), receipts_frame(ledger.receipts()))
            assert ledger.audit().ok
