"""Costs of one session's calls, from what a gateway sends to the receipts, the frame and the export."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from og_magics import LLM
from og_magics.core.errors import OGError
from og_magics.core.types import Settlement
from og_magics.devnet import Devnet
from og_magics.ledger import export_receipts, receipts_frame

if TYPE_CHECKING:
    from .conftest import LLMOf

USAGE = {"prompt_tokens": 12, "completion_tokens": 4, "total_tokens": 16}
SESSION = "11111111-2222-3333-4444-555555555555"


def ask(llm: LLM, text: str, *, stream: bool = False) -> None:
    answer = llm.chat_sync("openai/gpt-5", [{"role": "user", "content": text}], stream=stream)
    if stream:
        assert list(answer)


@pytest.fixture
def session_of(llm_of: LLMOf, devnet: Devnet, serve: Any, reply: Any, offer: str) -> Any:
    """A maker of an LLM whose gateway does what each question says, as JSON: `usage`, `cost`, `fails`."""

    def answer(asked: Any) -> Any:
        if asked.method == "GET":
            return reply(404)
        if not {"payment-signature", "x-upto-session"} & set(asked.headers):
            return reply(402, headers={"PAYMENT-REQUIRED": offer})
        request = json.loads(asked.body)
        wish = json.loads(request["messages"][-1]["content"])
        headers = {"X-Upto-Session": SESSION}
        if "fails" in wish:
            return reply(400, json.dumps({"error": "no"}).encode(), headers=headers)
        body: dict[str, Any] = {"model": "gpt-5", "usage": USAGE if wish.get("usage", True) else None}
        if "cost" in wish:
            body["opengradient"] = {"cost_opg": wish["cost"], "cost_usd": "0.01", "opg_price_usd": "0.1"}
        if not request.get("stream"):
            message = {"role": "assistant", "content": "word " * 200}
            body["choices"] = [{"index": 0, "message": message, "finish_reason": "stop"}]
            return reply(200, json.dumps(body).encode(), headers=headers)
        text = {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "word"}, "finish_reason": None}]}
        end = {**body, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
        events = "".join(f"data: {json.dumps(event)}\n\n" for event in (text, end)) + "data: [DONE]\n\n"
        return reply(200, events.encode(), headers=headers | {"Content-Type": "text/event-stream"})

    return lambda **settings: llm_of(devnet, gateway_url=serve(answer).url, watch=False, **settings)


def settle(llm: LLM, amount: int) -> list[tuple[int | None, str | None]]:
    (signed,) = llm.journal.pending()
    llm.journal.settle(Settlement(signed.hash, "0x" + "7" * 64, amount, 5, "0x" + "8" * 64, 90_000))
    found = llm.journal.receipts()
    assert sum(receipt.cost or 0 for receipt in found) == amount
    return [(receipt.cost, receipt.cost_basis) for receipt in found]


def test_calls_that_are_not_charged_get_nothing(session_of: Any) -> None:
    llm = session_of()
    ask(llm, '{"usage": false}', stream=True)
    ask(llm, "{}")
    ask(llm, "{}", stream=True)
    with pytest.raises(OGError):
        ask(llm, '{"fails": true}')
    assert settle(llm, 128 * 10**13) == [(0, "prices"), (64 * 10**13, "prices"), (64 * 10**13, "prices"), (0, "prices")]


@pytest.mark.parametrize("stream", [False, True])
def test_what_the_gateway_says_is_used_and_checked_against_the_payment(session_of: Any, stream: bool) -> None:
    llm = session_of()
    ask(llm, '{"cost": "100"}', stream=stream)
    ask(llm, '{"cost": "900"}', stream=stream)
    assert settle(llm, 1000) == [(100, "told"), (900, "told")]


def test_a_gateway_that_takes_more_than_it_says_is_not_believed(session_of: Any) -> None:
    llm = session_of()
    ask(llm, '{"cost": "100"}')
    ask(llm, '{"cost": "900"}')
    assert {basis for _, basis in settle(llm, 2000)} == {"estimate"}
    assert [receipt.reported_cost for receipt in llm.journal.receipts()] == [100, 900]


def test_the_basis_is_in_the_frame_the_export_and_the_footer(session_of: Any, tmp_path: Any) -> None:
    from og_magics.display.answer_bundle import footer
    from og_magics.verification.footer_facts import facts_of, findings

    llm = session_of()
    ask(llm, '{"cost": "100"}')
    ask(llm, '{"cost": "900"}')
    settle(llm, 2 * 10**15)
    receipts = llm.journal.receipts()
    assert list(receipts_frame(receipts)["cost_basis"]) == ["estimate", "estimate"]
    export_receipts(receipts, tmp_path / "r.csv")
    assert "cost_basis" in (tmp_path / "r.csv").read_text().partition("\n")[0]
    line = footer(receipts[0], lambda _: "")
    assert "0.001 OPG, an estimate" in line
    assert not findings(line, facts_of(receipts[:1]))


def test_a_session_is_left_before_what_the_gateway_says_comes_to_its_cap(session_of: Any) -> None:
    llm = session_of()
    for _ in range(3):
        ask(llm, json.dumps({"cost": str(3 * 10**16)}))
    reasons = [authorization.reason for authorization in llm.journal.pending()]
    assert reasons == ["first", "the session before it came near its cap"]


def test_prices_of_ones_own_are_those_of_the_llm_that_names_them(session_of: Any, tmp_path: Path) -> None:
    llms = []
    for usd in ("1", "7"):
        path = tmp_path / f"{usd}.json"
        path.write_text(json.dumps({"openai/gpt-5": {"input": usd, "output": "0"}}))
        llms.append(session_of(prices=str(path)))
    for llm in (*llms, *llms):
        ask(llm, "{}")
    costs = [{receipt.cost_usd for receipt in llm.journal.receipts()} for llm in llms]
    assert [{Decimal(one) for one in several} for several in costs] == [{Decimal("0.000012")}, {Decimal("0.000084")}]
