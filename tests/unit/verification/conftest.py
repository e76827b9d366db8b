"""Receipts of an enclave of our own, and what would stand on chain about them."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from og_magics.core.onchain import BatchEvent, Blob, IndividualEvent, OnchainData
from og_magics.core.receipt import Receipt
from og_magics.devnet.gateway.data import MerkleTree
from og_magics.devnet.gateway.enclave import Enclave, Proof, canonical_request, output_hash, request_hash
from og_magics.verification import SettledData

PATH = "/v1/chat/completions"
HOUR = 3_600


def proof_of(receipt: Receipt) -> Proof:
    """What the enclave signed, read back from a receipt."""
    hashes = [
        bytes.fromhex(str(one).removeprefix("0x"))
        for one in (receipt.request_hash, receipt.output_hash, receipt.tee_id)
    ]
    return Proof(
        hashes[0], hashes[1], receipt.tee_timestamp or 0, base64.b64decode(receipt.tee_signature or ""), hashes[2]
    )


@dataclass
class Chain:
    """What is settled, as the chain room would hand it over an hour after the last answer."""

    enclave: Enclave = field(default_factory=Enclave)
    batches: list[BatchEvent] = field(default_factory=list)
    individuals: list[IndividualEvent] = field(default_factory=list)
    blobs: dict[str, Blob] = field(default_factory=dict)
    problem: str = ""
    read_at: float | None = None

    def answer(self, content: str, settlement: str = "batch", enclave: Enclave | None = None) -> Receipt:
        """A receipt of "echo: content"."""
        signer = enclave or self.enclave
        body = {"model": "gpt-5", "messages": [{"role": "user", "content": content}], "temperature": 0.0}
        text = f"echo: {content}"
        proof = signer.sign(request_hash(canonical_request(body)), output_hash(text))
        if self.read_at is None:
            self.read_at = proof.timestamp + HOUR
        fields = proof.fields()
        return Receipt(
            receipt_id=content,
            time=float(proof.timestamp),
            cell="1",
            notebook="test.ipynb",
            network="devnet",
            provider="openai",
            model="openai/gpt-5",
            settlement=settlement,
            status="settled",
            path=PATH,
            request=body,
            text=text,
            finish_reason="stop",
            tee_id=fields["tee_id"],
            tee_signature=fields["tee_signature"],
            tee_timestamp=fields["tee_timestamp"],
            request_hash=fields["tee_request_hash"],
            output_hash=fields["tee_output_hash"],
            public_key=signer.public_key_der.hex(),
        )

    def batch(self, receipts: list[Receipt], **changes: Any) -> BatchEvent:
        """Settle receipts together."""
        tree = MerkleTree.of([proof_of(receipt) for receipt in receipts])
        number = len(self.batches)
        event = BatchEvent(f"0x{number:064x}", number, tree.root, len(receipts), f"tree-{number}")
        self.batches.append(replace(event, **changes))
        self.blobs[event.blob_id] = Blob(json.dumps(tree.dump()).encode())
        return event

    def individual(self, receipt: Receipt, **changes: Any) -> Receipt:
        """Settle one receipt in full; the receipt as it is then."""
        proof, number = proof_of(receipt), len(self.individuals)
        event = IndividualEvent(
            transaction=f"0x{number + 1000:064x}",
            block_number=number,
            tee_id=proof.tee_id,
            address="0x" + "40" * 20,
            input_hash=proof.request_hash,
            output_hash=proof.output_hash,
            timestamp=proof.timestamp,
            blob_id=f"blob-{number}",
            signature=proof.signature,
        )
        self.individuals.append(replace(event, **changes))
        self.write(
            event.blob_id,
            input=canonical_request(receipt.request),
            output=receipt.text,
            teeId=receipt.tee_id,
            teeSignature=receipt.tee_signature,
            timestamp=receipt.tee_timestamp,
        )
        return replace(receipt, data_settlement_hash=event.transaction, blob_id=event.blob_id)

    def write(self, blob_id: str, **values: Any) -> None:
        """Put JSON into a blob, over what was there."""
        held = json.loads(self.blobs[blob_id].content or b"{}") if blob_id in self.blobs else {}
        self.blobs[blob_id] = Blob(json.dumps(held | values).encode())

    def tree(self, blob_id: str = "tree-0") -> Any:
        """The dump in a blob, parsed."""
        return json.loads(self.blobs[blob_id].content or b"")

    @property
    def facts(self) -> OnchainData:
        return OnchainData(
            self.read_at or 0, self.problem, tuple(self.batches), tuple(self.individuals), dict(self.blobs)
        )

    @property
    def settled(self) -> SettledData:
        return SettledData(self.facts)


@pytest.fixture(scope="session")
def enclaves() -> tuple[Enclave, Enclave]:
    """Two of them: RSA keys take a while to make."""
    return Enclave(), Enclave()


@pytest.fixture
def chain(enclaves: tuple[Enclave, Enclave]) -> Chain:
    return Chain(enclaves[0])
