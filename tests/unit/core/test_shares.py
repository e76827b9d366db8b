"""A call's share of a payment: never more or less than was paid in all, and only called known where it is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from og_magics.core.shares import CallCharge, Share, reported_cost, shares

CAP = 10**17
FREE = CallCharge(0)


def parts(amount: int, *charges: CallCharge, cap: int = CAP) -> list[tuple[int, str]]:
    return [(one.amount, one.basis) for one in shares(amount, cap, charges)]


def test_a_call_that_was_not_charged_costs_nothing_however_long_its_answer() -> None:
    found = parts(128 * 10**13, FREE, CallCharge(64), CallCharge(64))
    assert found == [(0, "prices"), (64 * 10**13, "prices"), (64 * 10**13, "prices")]


def test_the_only_call_that_was_charged_has_all_of_it_for_certain() -> None:
    assert parts(1000, FREE, CallCharge(7, priced=False), FREE) == [(0, "exact"), (1000, "exact"), (0, "exact")]
    assert parts(1000, FREE) == [(1000, "exact")]


class TestReported:
    def test_what_the_gateway_says_is_used_where_it_is_what_was_paid(self) -> None:
        # The list prices would have split it evenly.
        found = parts(1000, CallCharge(5, reported=100), CallCharge(5, reported=900))
        assert found == [(100, "told"), (900, "told")]

    def test_a_call_over_the_rest_of_the_cap_was_not_charged(self) -> None:
        # Two calls of 4 OPG under a cap of 5, as a gateway of that cap settled them.
        dear = CallCharge(1, reported=4_000_480_000_000_000_000)
        found = parts(4_000_480_000_000_000_000, dear, dear, cap=5 * 10**18)
        assert found == [(4_000_480_000_000_000_000, "told"), (0, "told")]

    def test_a_smaller_call_after_one_that_did_not_fit_is_charged(self) -> None:
        sizes = [CallCharge(1, reported=size) for size in (60, 50, 30)]
        assert parts(90, *sizes, cap=100) == [(60, "told"), (0, "told"), (30, "told")]

    def test_calls_under_which_the_session_was_settled_were_not_charged(self) -> None:
        sizes = [CallCharge(1, reported=size) for size in (10, 20, 40)]
        assert parts(30, *sizes) == [(10, "told"), (20, "told"), (0, "told")]

    @pytest.mark.parametrize("paid", [999, 1001, 5000, 1])
    def test_a_gateway_that_took_something_else_is_not_believed(self, paid: int) -> None:
        found = parts(paid, CallCharge(5, reported=100), CallCharge(5, reported=900))
        assert sum(amount for amount, _ in found) == paid
        assert {basis for _, basis in found} == {"estimate"}

    def test_one_call_of_which_it_says_nothing_leaves_only_prices(self) -> None:
        found = parts(1000, CallCharge(1, reported=100), CallCharge(1))
        assert found == [(500, "prices"), (500, "prices")]


class TestEstimates:
    @pytest.mark.parametrize("other", [CallCharge(5, priced=False), CallCharge(0, ended=False)])
    def test_a_share_beside_a_call_that_may_have_cost_something_is_an_estimate(self, other: CallCharge) -> None:
        assert {basis for _, basis in parts(1000, CallCharge(5), other)} == {"estimate"}

    def test_near_the_cap_one_of_the_calls_may_not_have_been_charged(self) -> None:
        # Five calls of a third of the cap: a gateway charged three of them, and which is not told.
        found = parts(92_520_000_000_000_000, *[CallCharge(5)] * 5)
        assert {basis for _, basis in found} == {"estimate"}
        assert sum(amount for amount, _ in found) == 92_520_000_000_000_000

    def test_where_no_call_can_have_been_charged_and_something_was_paid(self) -> None:
        assert parts(100, FREE, FREE, FREE) == [(34, "estimate"), (33, "estimate"), (33, "estimate")]


CHARGES = st.builds(
    CallCharge,
    weight=st.integers(0, 10**20),
    priced=st.booleans(),
    reported=st.none() | st.integers(0, 2**200) | st.integers(0, 50),
    ended=st.booleans(),
)


@given(amount=st.integers(0, 2**200) | st.integers(0, 200), charges=st.lists(CHARGES, min_size=1, max_size=9))
def test_shares_add_up_to_the_payment_to_the_last_unit(amount: int, charges: list[CallCharge]) -> None:
    found = shares(amount, CAP, charges)
    assert sum(one.amount for one in found) == amount
    assert all(one.amount >= 0 for one in found)
    assert len(found) == len(charges)


@given(costs=st.lists(st.integers(1, 10**6), min_size=1, max_size=8), cap=st.integers(1, 3 * 10**6))
def test_an_honest_gateways_costs_are_found_again(costs: list[int], cap: int) -> None:
    charged, left = [], cap
    for cost in costs:
        charged.append(cost if cost <= left else 0)
        left -= charged[-1]
    found = shares(sum(charged), cap, [CallCharge(1, reported=cost) for cost in costs])
    assert found == [Share(cost, "told") for cost in charged] or not any(charged)


@pytest.mark.parametrize(
    "block",
    [None, 5, [], "1", {}, {"cost_opg": 5}, {"cost_opg": "-1"}, {"cost_opg": "0.5"}, {"cost_opg": "1e18"},
     {"cost_opg": " 1"}, {"cost_opg": "1_0"}, {"cost_opg": "\uff11"}, {"cost_opg": "9" * 5000}, {"cost_opg": str(2**256)}],
)  # fmt: skip
def test_what_is_no_amount_is_no_cost(block: Any) -> None:
    assert reported_cost(block) is None


def test_a_reported_cost_is_read_in_base_units() -> None:
    assert reported_cost({"cost_opg": "640000000000000", "cost_usd": "0.00004", "opg_price_usd": "0.06"}) == 64 * 10**13
