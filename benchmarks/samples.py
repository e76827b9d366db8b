"""Receipts to measure with: real calls of a devnet, settled, and any number of copies of them in another ledger."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from og_magics import LLM, Settings, chain, x402SettlementMode
from og_magics.core.networks import devnet
from og_magics.core.receipt import Authorization, Receipt
from og_magics.core.types import ChatRequest, Enclave, Outcome, Settlement
from og_magics.ledger import Ledger
from og_magics.verification import EnclaveCheck, check_enclave, evidence_of

from .network import MODEL

PRIVATE, BATCH, INDIVIDUAL = x402SettlementMode

_MODES = (BATCH, PRIVATE, BATCH, INDIVIDUAL, BATCH)
_CALLS = 20
_WORDS = 100
_PATIENCE = 60.0  # seconds until all is settled


@dataclass(frozen=True, slots=True)
class Sample:
    """A call that was made, in the parts that a ledger is given."""

    receipt: Receipt
    question: ChatRequest
    authorization: Authorization
    outcome: Outcome
    check: EnclaveCheck
    settlement: Settlement

    def enter(self, ledger: Ledger, authorization_hash: str, when: float) -> str:
        """Write it down as a paid call is: asked, attached to its authorization, served. Its id."""
        receipt_id = ledger.open(self.question, self.receipt.network, when)
        ledger.attach(receipt_id, authorization_hash, self.receipt.session_id)
        weight, price = self.receipt.completion_tokens or 1, self.receipt.cost_usd
        ledger.serve(receipt_id, self.outcome, cost_usd=price, weight=weight, enclave=self.check)
        return receipt_id

    def authorize(self, ledger: Ledger, number: int) -> str:
        """Write an authorization of another hash, like this one's; return its hash."""
        hash = f"0x{number:064x}"
        ledger.authorize(replace(self.authorization, hash=hash))
        return hash

    def settle(self, ledger: Ledger, authorization_hash: str) -> None:
        """Write that such an authorization was paid, as a gateway does once its session is at rest."""
        ledger.settle(replace(self.settlement, authorization_hash=authorization_hash, payment_hash=authorization_hash))


def paid(info: Mapping[str, Any], folder: str) -> list[Sample]:
    """Some calls of a devnet that settles soon, in all modes, their payments and their data on its chain.

    Raises:
        RuntimeError: they were not settled in time.
    """
    with Ledger(Path(folder) / "samples.db") as ledger:
        llm = LLM(settings=Settings(network="devnet", devnet=json.dumps(info)), journal=ledger)
        with asyncio.Runner() as runner:
            runner.run(_chats(llm))
            left = llm.settle(_PATIENCE)
            runner.run(llm.close())
        receipts = ledger.receipts()
        batched = sum(receipt.settlement == BATCH.value for receipt in receipts)
        end = time.monotonic() + _PATIENCE
        while sum(event.size for event in chain.data_events(devnet(info), receipts).batches) < batched:
            if time.monotonic() > end:
                raise RuntimeError("the devnet did not settle its data")
            time.sleep(0.1)
        if left:
            raise RuntimeError(f"{left} payments were not settled")
        return [_sample(receipt, ledger) for receipt in receipts]


def copied(samples: Sequence[Sample], ledger: Ledger, count: int) -> None:
    """So many receipts over the authorizations, settlements and signatures of these calls: each of them verifies."""
    for sample in samples:
        ledger.authorize(sample.authorization)
    for number in range(count):
        sample = samples[number % len(samples)]
        sample.enter(ledger, sample.authorization.hash, sample.receipt.time)
    for sample in samples:
        ledger.settle(sample.settlement)


async def _chats(llm: LLM) -> None:
    messages = [{"role": "user", "content": f"[[words:{_WORDS}]]"}]
    await asyncio.gather(
        *(
            llm.chat(f"openai/{MODEL}", messages, max_tokens=_WORDS, x402_settlement_mode=_MODES[number % len(_MODES)])
            for number in range(_CALLS)
        )
    )


def _sample(receipt: Receipt, ledger: Ledger) -> Sample:
    authorization, settlement = receipt.authorization, ledger.settlement(receipt.authorization_hash or "")
    if authorization is None or settlement is None:
        raise RuntimeError("a call was not paid")
    return Sample(
        receipt=receipt,
        question=ChatRequest(
            path=receipt.path,
            model=receipt.model,
            body=receipt.request,
            settlement=x402SettlementMode(receipt.settlement),
            cell="3",
            notebook="tour.ipynb",
        ),
        authorization=authorization,
        outcome=Outcome(
            text=receipt.text,
            tool_calls=receipt.tool_calls,
            finish_reason=receipt.finish_reason,
            prompt_tokens=receipt.prompt_tokens,
            completion_tokens=receipt.completion_tokens,
            latency=receipt.latency_s,
            ttft=receipt.ttft_s,
            attestation=ledger.attestations([receipt.attestation_hash or ""]).get(receipt.attestation_hash or "", b""),
            enclave=Enclave("", public_key=bytes.fromhex(receipt.public_key)),
            tee_id=receipt.tee_id,
            tee_signature=receipt.tee_signature,
            tee_timestamp=receipt.tee_timestamp,
            tee_request_hash=receipt.request_hash,
            tee_output_hash=receipt.output_hash,
            data_settlement_hash=receipt.data_settlement_hash,
            blob_id=receipt.blob_id,
        ),
        check=check_enclave(evidence_of(receipt)),
        settlement=settlement,
    )
