"""Calls of several models in one session: from their tokens and prices to shares of the one payment."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from og_magics.client.costs import failed_cost, served_cost
from og_magics.core.errors import GatewayError, GatewayUnreachable, StreamError
from og_magics.core.models import offered, price_of
from og_magics.core.shares import CallCharge, shares
from og_magics.core.types import ChatRequest, Enclave, Outcome, x402SettlementMode

OPG = 10**18
MODELS = ["openai/gpt-5", "openai/gpt-5-mini", "anthropic/claude-opus-4-8", "google/gemini-2.5-flash"]


def request_of(model: str, *, stream: bool = True) -> ChatRequest:
    return ChatRequest("/v1/chat/completions", model, {"stream": stream}, x402SettlementMode.PRIVATE)


def outcome_of(prompt: int | None, completion: int | None, told: int | None = None) -> Outcome:
    return Outcome(
        text="", tool_calls=(), finish_reason="stop", prompt_tokens=prompt, completion_tokens=completion, latency=1.0,
        ttft=None, enclave=Enclave(""), tee_id=None, tee_signature=None, tee_timestamp=None, tee_request_hash=None,
        tee_output_hash=None, data_settlement_hash=None, blob_id=None, reported_cost=told,
    )  # fmt: skip


TOKENS = st.integers(0, 200_000)
FAILURES = [
    GatewayError("no", status=400),
    StreamError("cut", cut=True),
    StreamError("off"),
    GatewayUnreachable("gone"),
]


@st.composite
def charges(draw: st.DrawFn) -> CallCharge:
    """A call of any model, priced here or not, that ended in any way, and of which the gateway told the cost or not."""
    model = draw(st.sampled_from([*offered(), "acme/unknown"]))
    request = request_of(model, stream=draw(st.booleans()))
    told = draw(st.none() | st.integers(0, OPG))
    counted = draw(st.booleans())
    outcome = outcome_of(draw(TOKENS) if counted else None, draw(TOKENS) if counted else None, told)
    failure = draw(st.none() | st.sampled_from(FAILURES))
    cost = (
        served_cost(request, outcome)
        if failure is None
        else failed_cost(request, outcome, failure, was_sent=draw(st.booleans()))
    )
    return CallCharge(cost.weight, priced=cost.usd is not None, reported=told, ended=draw(st.booleans()))


@settings(max_examples=60, deadline=None)
@given(
    amount=st.integers(0, 10 * OPG), cap=st.integers(1, 10 * OPG), calls=st.lists(charges(), min_size=1, max_size=12)
)
@example(  # the gateway names the cost of the only call that is not free by price, and takes something else
    amount=2, cap=1, calls=[CallCharge(0, priced=False), CallCharge(0, priced=False, reported=1)]
)
def test_whatever_was_asked_the_shares_add_up_to_the_payment(amount: int, cap: int, calls: list[CallCharge]) -> None:
    found = shares(amount, cap, calls)
    assert sum(one.amount for one in found) == amount
    assert all(one.amount >= 0 for one in found)
    (basis,) = {one.basis for one in found}
    assert basis in ("told", "exact", "prices", "estimate")
    if basis == "told":
        assert all(one.amount in (0, call.reported) for one, call in zip(found, calls, strict=True))
    if basis == "exact":
        assert sum(one.amount > 0 for one in found) <= 1
    if basis == "prices":
        assert all(call.priced or not call.weight for call in calls)


@settings(max_examples=40, deadline=None)
@given(
    calls=st.lists(
        st.tuples(st.sampled_from(MODELS), st.integers(1, 99_999), st.integers(1, 99_999)), min_size=2, max_size=9
    )
)
def test_each_model_has_the_part_that_its_price_says(calls: list[tuple[str, int, int]]) -> None:
    prices: list[Any] = [price_of(model) for model, _, _ in calls]
    usd = [price.usd(prompt, completion) for price, (_, prompt, completion) in zip(prices, calls, strict=True)]
    amount = int(sum(usd) * 37 * OPG // 10)  # at any price of OPG: the gateway takes what its own list says
    found = shares(
        amount, amount * 9,
        [CallCharge(served_cost(request_of(model), outcome_of(*tokens)).weight) for model, *tokens in calls],
    )  # fmt: skip
    for one, price in zip(found, usd, strict=True):
        assert abs(Decimal(one.amount) - amount * price / sum(usd)) <= amount // 10**9 + 1
    assert {one.basis for one in found} == {"prices"}


def test_a_cheap_and_a_dear_model_in_one_session_do_not_share_alike() -> None:
    cheap, dear = "google/gemini-2.5-flash", "anthropic/claude-opus-4-8"
    weights = [served_cost(request_of(model), outcome_of(1_000, 1_000)).weight for model in (cheap, dear)]
    low, high = shares(OPG, 5 * OPG, [CallCharge(weight) for weight in weights])
    assert low.amount + high.amount == OPG
    assert abs(high.amount / low.amount - 30 / 2.8) < 1e-6


def test_an_answer_that_was_cut_on_its_way_may_have_been_charged_and_one_that_failed_there_was_not() -> None:
    cut, failed, refused, gone = (
        failed_cost(request_of(MODELS[0]), outcome_of(None, None), error, was_sent=True).weight
        for error in (StreamError("cut", cut=True), StreamError("off"), FAILURES[0], GatewayUnreachable("gone"))
    )
    assert (cut, failed, refused, gone) == (1, 0, 0, 0)
