"""Each kind of call on each version of the gateway: what is answered, paid and proven.

The chain, the ledger and the receipts must agree at the end: each served call is proven, and what the receipts cost is
what was transferred.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from web3 import HTTPProvider, Web3

from og_magics import LLM, x402SettlementMode
from og_magics.core.endings import CUT, ending_of
from og_magics.core.errors import OGError
from og_magics.core.receipt import Receipt
from og_magics.devnet import Devnet, contracts
from og_magics.ledger import Ledger

from .conftest import LLMOf
from .test_proven import proofs

pytestmark = pytest.mark.ci

WEATHER = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}
SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "city",
        "schema": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
    },
}
PARTS = [{"type": "text", "text": "What is "}, {"type": "text", "text": "x402?"}]


@dataclass(frozen=True)
class Kind:
    """A kind of call.

    Attributes:
        content: of the question.
        options: of `LLM.chat`.
        fails: the error that it ends in; None where it is answered.
        holds: what is true of the receipt of an answered one.
    """

    content: Any
    options: dict[str, Any] = field(default_factory=dict)
    fails: str | None = None
    holds: Callable[[Receipt], bool] = lambda receipt: bool(receipt.text)


KINDS = {
    "plain": Kind("What is x402?"),
    "list content": Kind(PARTS),
    "a cut": Kind(
        "[[words:50]]", {"max_tokens": 5}, holds=lambda one: one.completion_tokens == 5 and ending_of(one) == CUT
    ),
    "a function": Kind("[[call:weather]]", {"tools": [WEATHER]}, holds=lambda one: len(one.tool_calls) == 1),
    "parallel functions": Kind(
        '[[call:weather({"city": "A"})]][[call:weather({"city": "B"})]]',
        {"tools": [WEATHER]},
        holds=lambda one: (
            [call["function"]["arguments"] for call in one.tool_calls] == ['{"city": "A"}', '{"city": "B"}']
        ),
    ),
    "a schema": Kind("a city", {"response_format": SCHEMA}, holds=lambda one: one.text.startswith("{")),
    "uncounted": Kind("hi [[fail:nousage]]"),
    "unknown model": Kind("hi", {"model": "openai/gpt-99"}, fails="ModelNotSupported"),
    "error 500": Kind("[[fail:500]]", fails="GatewayError StreamError"),
    "error 503": Kind("[[fail:503]]", fails="GatewayError"),
    "a page": Kind("[[fail:html]]", fails="GatewayProtocolError"),
    "broken off": Kind("[[fail:cut]] [[words:30]]", fails="StreamError GatewayUnreachable GatewayProtocolError"),
}


@pytest.fixture(scope="module", params=["april", "newest"])
def gateway(request: pytest.FixtureRequest) -> Any:
    with Devnet(gateway=request.param, settle_after=2, batch_after=0.3, token_delay=0.001) as running:
        yield running


def asked(llm: LLM, kind: Kind, mode: x402SettlementMode, *, stream: bool) -> str:
    """Ask, and return the name of the error; "" for an answer."""
    options = {"model": "openai/gpt-5", "max_tokens": 40, **kind.options}
    messages = [{"role": "user", "content": kind.content}]
    try:
        answer = llm.chat_sync(messages=messages, x402_settlement_mode=mode, stream=stream, **options)
        if stream:
            list(answer)
    except OGError as error:
        return type(error).__name__
    return ""


def transferred(devnet: Devnet, payer: str) -> int:
    """Return what a payer's transfers of OPG come to, as the chain has them."""
    web3 = Web3(HTTPProvider(devnet.rpc_url))
    token = web3.eth.contract(address=devnet.opg_token, abi=contracts.load("OPG").abi)
    logs = token.events.Transfer().get_logs(from_block=0)
    return sum(amount for sender, _, amount in (tuple(log["args"].values()) for log in logs) if sender == payer)


def settled(llm: LLM, devnet: Devnet, before: int) -> list[Receipt]:
    """Settle what was charged; return the receipts, once chain, ledger and receipts agree.

    A session of which nothing was charged is never settled: it stays open until it expires.
    """
    assert isinstance(llm.journal, Ledger)
    charged = {one.authorization_hash for one in llm.journal.receipts() if one.completion_tokens and not one.error}
    end = time.monotonic() + 60
    while charged & {one.hash for one in llm.journal.pending()} and time.monotonic() < end:
        llm.settle(1)
    assert not charged & {one.hash for one in llm.journal.pending()}
    found = proofs(llm, llm.journal)
    for proof in found:
        assert not proof.failed, proof
        assert proof.verdicts["enclave"].ok is (None if proof.receipt.error else True), proof
    receipts = llm.journal.receipts()
    assert sum(receipt.cost or 0 for receipt in receipts) == transferred(devnet, str(llm.wallet.address)) - before
    return receipts


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_each_kind_in_each_mode(llm_of: LLMOf, gateway: Devnet, report: Callable[[str], None], stream: bool) -> None:
    llm = llm_of(gateway)
    before = transferred(gateway, gateway.accounts[0]["address"])
    seen: dict[str, list[str]] = {}
    for name, kind in KINDS.items():
        for mode in x402SettlementMode:
            known = {one.receipt_id for one in llm.journal.receipts()}
            error = asked(llm, kind, mode, stream=stream)
            (receipt,) = (one for one in llm.journal.receipts() if one.receipt_id not in known)
            if kind.fails is None:
                assert error == "", (name, mode, error)
                assert kind.holds(receipt), (name, mode, receipt)
                assert receipt.settlement == mode.value
            else:
                assert error in kind.fails.split(), (name, mode, error)
                assert receipt.error
            seen.setdefault(name, []).append(error or "answered")
    receipts = settled(llm, gateway, before)
    ends = "; ".join(f"{name}: {'/'.join(dict.fromkeys(ends))}" for name, ends in seen.items())
    report(f"{gateway.profile.cap} OPG a session, {'stream' if stream else 'whole'}, {len(receipts)} calls: {ends}")


def test_completions_many_at_once_and_one_that_is_left(llm_of: LLMOf, gateway: Devnet) -> None:
    llm = llm_of(gateway)
    before = transferred(gateway, gateway.accounts[0]["address"])

    async def all_of_them() -> None:
        twenty = (llm.chat("openai/gpt-5", [{"role": "user", "content": f"{n}?"}], max_tokens=5) for n in range(20))
        answers = await asyncio.gather(*twenty, llm.completion("openai/gpt-5", "Once upon", max_tokens=8))
        assert all(answer.chat_output or answer.completion_output for answer in answers)
        chunks = await llm.chat("openai/gpt-5", [{"role": "user", "content": "[[words:200]]"}], 200, stream=True)
        await anext(chunks)
        await chunks.aclose()

    asyncio.run(all_of_them())
    assert [bool(receipt.error) for receipt in settled(llm, gateway, before)] == [False] * 21 + [True]
