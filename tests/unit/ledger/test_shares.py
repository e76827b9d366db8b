"""A session's settlement is split over its receipts, to the last base unit."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from og_magics.core import amounts
from og_magics.ledger import Ledger

from ...conftest import examples

_ENDS = st.lists(
    st.tuples(st.sampled_from(["served", "failed", "running"]), st.integers(0, 10**20)), min_size=1, max_size=8
)


@settings(max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ends=_ENDS, amount=st.integers(0, 10**19), late=st.integers(0, 8))
def test_shares_always_add_up_to_the_amount(make: Any, ends: list[tuple[str, int]], amount: int, late: int) -> None:
    authorization = make.authorization()
    with tempfile.TemporaryDirectory() as folder, Ledger(Path(folder) / "shares.db") as ledger:
        ids = [make.attached(ledger, authorization) for _ in ends]
        for step, (receipt_id, (end, weight)) in enumerate(zip(ids, ends, strict=True)):
            if step == min(late, len(ends) - 1):  # the settlement comes at any time between them
                ledger.settle(make.settlement(authorization, amount))
            if end == "served":
                make.serve(ledger, receipt_id, weight)
            elif end == "failed":
                ledger.fail(receipt_id, "It broke.", None, weight=weight)
            if ledger.settlement(authorization.hash):
                assert sum(receipt.cost or 0 for receipt in ledger.receipts()) == amount
        settled = min(late, len(ends) - 1)  # what ended after that was settled without its cost
        weights = [0 if end == "running" or step >= settled else weight for step, (end, weight) in enumerate(ends)]
        assert [receipt.cost for receipt in ledger.receipts()] == amounts.split(amount, weights)


def test_a_call_under_which_its_session_was_settled_costs_nothing(ledger: Ledger, make: Any) -> None:
    authorization = make.authorization()
    make.served(ledger, authorization, weight=5)
    late = make.attached(ledger, authorization)
    ledger.settle(make.settlement(authorization, 1000))
    assert [receipt.cost for receipt in ledger.receipts()] == [1000, 0]
    assert [receipt.cost_basis for receipt in ledger.receipts()] == ["estimate", "estimate"]
    make.serve(ledger, late, weight=15)
    assert [receipt.cost for receipt in ledger.receipts()] == [1000, 0]
    assert [receipt.cost_basis for receipt in ledger.receipts()] == ["exact", "exact"]


def test_receipts_without_any_weight_share_alike(ledger: Ledger, make: Any) -> None:
    authorization = make.authorization()
    for _ in range(3):
        make.attached(ledger, authorization)
    ledger.settle(make.settlement(authorization, 100))
    assert [receipt.cost for receipt in ledger.receipts()] == [34, 33, 33]


def test_a_receipt_of_another_authorization_has_no_part_in_it(ledger: Ledger, make: Any) -> None:
    make.served(ledger, make.authorization(1))
    make.served(ledger, make.authorization(2))
    make.opened(ledger)
    ledger.settle(make.settlement(make.authorization(1), 100))
    assert [receipt.cost for receipt in ledger.receipts()] == [100, None, None]
