"""How a batch goes: its rate, what is left, and what it cost so far."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, cast

from og_magics.conversation import Answer, BatchResult
from og_magics.core.receipt import Receipt

if TYPE_CHECKING:
    from og_magics.core.protocols import Journal


def answered(usd: str | None, *, replayed: bool = False) -> Answer:
    receipt = Receipt(
        "01", 1.0, "", "", "devnet", "openai", "openai/gpt-5", "batch", "served", cost_usd=usd, replayed=replayed
    )
    answer = Answer(chat_output={"role": "assistant", "content": "hi"})
    answer._lookup = lambda: receipt
    answer.rounds = [answer]
    return answer


def batch(*answers: Any, of: int = 10) -> BatchResult:
    result = BatchResult([f"{place}" for place in range(of)], cast("Journal", None))
    for slot, answer in zip(result._slots, answers, strict=False):
        slot.answer = answer
    return result


def test_nothing_is_said_before_the_first_answer() -> None:
    assert batch().pace(3.0) == ""


def test_rate_time_left_and_cost_grow_with_the_answers() -> None:
    some = batch(answered("0.001"), answered("0.002"))
    assert some.pace(4.0) == "0.5/s · 16 s left · ~$0.003000 so far"
    some._slots[2].answer = answered("0.004")
    assert some.pace(300.0) == "0.0/s · 11 min 40 s left · ~$0.007000 so far"
    assert some.pace(12.34, last=True) == "12.3 s · ~$0.007000"


def test_recorded_answers_cost_nothing_now_and_unknown_prices_are_left_out() -> None:
    assert re.fullmatch(r"[\d.]+/s · \d+ s left", batch(answered("0.001", replayed=True), answered(None)).pace(1.0))
