"""How a batch goes: its rate, what is left, and what it cost so far."""

from __future__ import annotations

import asyncio
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from og_magics.conversation import Answer, BatchResult, pace_of
from og_magics.core.receipt import Receipt

if TYPE_CHECKING:
    from og_magics.core.protocols import Journal


def answered(usd: str | None, *, replayed: bool = False) -> Answer:
    receipt = Receipt(
        "01", 1.0, "", "", "devnet", "openai", "openai/gpt-5", "batch", "served", cost_usd=usd, replayed=replayed
    )
    answer = Answer(chat_output={"role": "assistant", "content": "hi"})
    answer._lookup = lambda: receipt
    answer._usd = None if replayed or usd is None else Decimal(usd)
    answer.rounds = [answer]
    return answer


def batch(*answers: Any, of: int = 10) -> BatchResult:
    result = BatchResult([f"{place}" for place in range(of)], cast("Journal", None))
    for slot, answer in zip(result._slots, answers, strict=False):
        asyncio.run(slot.keep(answer))
    return result


def pace(some: BatchResult, seconds: float, *, last: bool = False) -> str:
    left = len(some) - some.ended
    return pace_of(some.ended, left, seconds, some.cost, some.failures, last=last)


def test_nothing_is_said_before_the_first_answer() -> None:
    assert pace(batch(), 3.0) == ""


def test_rate_time_left_and_cost_grow_with_the_answers() -> None:
    some = batch(answered("0.001"), answered("0.002"))
    assert pace(some, 4.0) == "0.5/s · 16 s left · ~$0.003000 so far"
    asyncio.run(some._slots[2].keep(answered("0.004")))
    assert pace(some, 300.0) == "0.0/s · 11 min 40 s left · ~$0.007000 so far"
    assert pace(some, 12.34, last=True) == "12.3 s · ~$0.007000"


def test_recorded_answers_cost_nothing_now_and_unknown_prices_are_left_out() -> None:
    assert re.fullmatch(r"[\d.]+/s · \d+ s left", pace(batch(answered("0.001", replayed=True), answered(None)), 1.0))


def test_failures_are_told_by_their_kind() -> None:
    told = pace_of(4, 6, 2.0, Decimal(0), {"StreamError": 1, "GatewayError": 2})
    assert told == "2.0/s · 3 s left · failed: 2 GatewayError, 1 StreamError"
    assert pace_of(1, 20_000, 1.0, Decimal(0), {}) == "1.0/s · 5 h 33 min left"
