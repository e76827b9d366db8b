"""Payments found and verified: many at once, after a restart, and with the chain's RPC away for a while."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from og_magics import LLM, x402SettlementMode
from og_magics.core.errors import ChainError
from og_magics.devnet import Devnet
from og_magics.ledger import Ledger
from og_magics.verification.verifier import COLUMNS, Proof, complete_costs, prove

if TYPE_CHECKING:
    from .conftest import LLMOf

MODES = list(x402SettlementMode)


async def ask(llm: LLM, count: int) -> None:
    messages = [{"role": "user", "content": "What is x402?"}]
    await asyncio.gather(
        *(llm.chat("openai/gpt-5", messages, max_tokens=n + 1, x402_settlement_mode=MODES[n % 3]) for n in range(count))
    )


def proofs(llm: LLM, ledger: Ledger) -> list[Proof]:
    """As soon as the batches are on chain, too."""
    end = time.monotonic() + 20
    while True:
        receipts = ledger.receipts()
        network = llm.network
        documents = ledger.attestations({one.attestation_hash for one in receipts if one.attestation_hash})
        found = prove(
            receipts, {network.name: network}, audit=ledger.audit(), costs=complete_costs(receipts), documents=documents
        )
        if all(proof.verdicts["data"].ok is not None for proof in found) or time.monotonic() > end:
            return found
        time.sleep(0.3)


@pytest.mark.ci
def test_twenty_calls_at_once_in_all_modes_are_proven_after_a_restart(llm_of: LLMOf, anywhere: Devnet) -> None:
    llm = llm_of(anywhere)
    asyncio.run(ask(llm, 20))
    assert llm.settle(30) == 0
    llm.journal.close()  # type: ignore[attr-defined]  # the next process opens the file anew
    with Ledger(llm.settings.ledger) as reopened:
        found = proofs(llm, reopened)
        assert [{name: proof.verdicts[name].ok for name in COLUMNS} for proof in found] == [
            dict.fromkeys(COLUMNS, True)
        ] * 20
        assert len(reopened.receipts()) == 20
        assert len({receipt.payment_hash for receipt in reopened.receipts()}) == 1


@pytest.mark.ci
def test_with_the_rpc_away_for_a_while_the_payment_is_found_when_it_is_back(
    llm_of: LLMOf, devnet: Devnet, serve: Any, reply: Any
) -> None:
    away = False

    def forward(asked: Any) -> Any:
        if away:
            return reply(503, b"gone for lunch")
        answer = httpx.post(devnet.rpc_url, content=asked.body, headers={"Content-Type": "application/json"})
        return reply(answer.status_code, answer.content, headers={"Content-Type": "application/json"})

    llm = llm_of(devnet, rpc_url=serve(forward).url)
    asyncio.run(ask(llm, 3))
    away = True
    with pytest.raises(ChainError):
        llm.settle(1)
    assert {receipt.status for receipt in llm.journal.receipts()} == {"served"}
    ledger = llm.journal
    assert isinstance(ledger, Ledger)
    unread = prove(ledger.receipts(), {llm.network.name: llm.network}, audit=ledger.audit())
    assert {proof.verdicts["payment"].ok for proof in unread} == {None}
    away = False
    assert llm.settle(30) == 0
    assert all(not proof.failed and proof.verdicts["payment"].ok for proof in proofs(llm, ledger))
