"""Data settlement: nothing (private), a Merkle root (batch), or each answer by itself (individual)."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from ...core.networks import UPTO_PROXY
from .blobs import BlobStore
from .enclave import Proof

if TYPE_CHECKING:
    from web3.contract import Contract
    from web3.contract.contract import ContractFunction

log = logging.getLogger("og_magics.devnet")

LEAF_TYPES = ("bytes32", "bytes32", "bytes32", "bytes", "uint256")
_OLDEST_ITEM = 15 * 60.0  # seconds


@dataclass(frozen=True, slots=True)
class MerkleTree:
    """OpenZeppelin's StandardMerkleTree over the proofs of a batch.

    Attributes:
        nodes: the whole tree as an array, root first; the children of node i are 2i + 1 and 2i + 2.
        proofs: the batch in its own order.
        positions: the index of each proof's leaf in `nodes`.
    """

    nodes: tuple[bytes, ...]
    proofs: tuple[Proof, ...]
    positions: tuple[int, ...]

    @classmethod
    def of(cls, proofs: Sequence[Proof]) -> MerkleTree:
        """Build the tree of at least one proof."""
        leaves = [leaf_hash(proof) for proof in proofs]
        order = sorted(range(len(leaves)), key=leaves.__getitem__)
        size = 2 * len(leaves) - 1
        nodes: list[bytes] = [b""] * size
        positions = [0] * len(leaves)
        for rank, index in enumerate(order):
            nodes[size - 1 - rank] = leaves[index]
            positions[index] = size - 1 - rank
        for i in range(size - 1 - len(leaves), -1, -1):
            nodes[i] = hash_pair(nodes[2 * i + 1], nodes[2 * i + 2])
        return cls(tuple(nodes), tuple(proofs), tuple(positions))

    @property
    def root(self) -> bytes:
        return self.nodes[0]

    def path(self, index: int) -> list[bytes]:
        """Return the siblings from the leaf of proof `index` up to the root."""
        at, siblings = self.positions[index], []
        while at > 0:
            siblings.append(self.nodes[at + 1 if at % 2 else at - 1])
            at = (at - 1) // 2
        return siblings

    def dump(self) -> dict[str, Any]:
        """Return the tree as OpenZeppelin's library writes and reads it; uint256 values are decimal strings."""
        return {
            "format": "standard-v1",
            "leafEncoding": list(LEAF_TYPES),
            "tree": ["0x" + node.hex() for node in self.nodes],
            "values": [
                {"value": [v if isinstance(v, str) else str(v) for v in _shown(proof)], "treeIndex": position}
                for proof, position in zip(self.proofs, self.positions, strict=True)
            ],
        }


def leaf_hash(proof: Proof) -> bytes:
    """Hash a leaf twice, so that it can never be taken for an inner node."""
    values = (proof.tee_id, proof.request_hash, proof.output_hash, proof.signature, proof.timestamp)
    return keccak(keccak(encode(LEAF_TYPES, values)))


def hash_pair(a: bytes, b: bytes) -> bytes:
    return keccak(min(a, b) + max(a, b))


def _shown(proof: Proof) -> tuple[str | int, ...]:
    parts = (proof.tee_id, proof.request_hash, proof.output_hash, proof.signature)
    return (*("0x" + part.hex() for part in parts), proof.timestamp)


@dataclass(slots=True)
class Job:
    """One data settlement, as `GET /settle/{jobId}` reports it.

    Attributes:
        status: "queued", "processing", "succeeded" or "failed".
    """

    settlement_type: str
    job_id: str
    signer: str
    number: int
    status: str = "queued"
    tx_hash: str | None = None
    blob_id: str | None = None
    error: str | None = None

    def fields(self) -> dict[str, Any]:
        return {
            "jobId": self.job_id,
            "status": self.status,
            "settlementType": self.settlement_type,
            "txHash": self.tx_hash,
            "walrusBlobId": self.blob_id,
            "error": self.error,
        }

    def headers(self) -> dict[str, str]:
        """Return what an answer's headers say of a job: its state is the one in which it was handed over."""
        headers = {
            "X-Settlement-Job-ID": self.job_id,
            "X-Settlement-Queue": f"x402-settle-data-{self.settlement_type}-queue-v1",
            "X-Settlement-Status": "queued",
            "X-Settlement-Type": self.settlement_type,
            "X-Settlement-Queue-Nonce": str(self.number),
            "X-Settlement-Signer-Address": self.signer,
        }
        if self.tx_hash and self.blob_id:
            headers["X-Settlement-Tx-Hash"] = self.tx_hash
            headers["X-Settlement-Walrus-Blob-ID"] = self.blob_id
        return headers

    def event_fields(self) -> dict[str, Any]:
        """Return what the last event of a stream says of a job."""
        if not self.tx_hash:
            reason = 'Facilitator settle_data failed (500): {"error":"Failed to queue settlement"}'
            return {"data_settlement_success": False, "data_settlement_error": reason}
        return {
            "data_settlement_success": True,
            "settlement_type": self.settlement_type,
            "data_settlement_transaction_hash": self.tx_hash,
            "data_settlement_blob_id": self.blob_id,
            "settlement_job_id": self.job_id,
            "settlement_queue_nonce": str(self.number),
        }


@dataclass(slots=True)
class _Batch:
    proofs: list[Proof] = field(default_factory=list)
    opened_at: float = 0.0
    timer: asyncio.TimerHandle | None = None


class Sender(Protocol):
    """An account that writes to the chain."""

    @property
    def address(self) -> str: ...

    def contract(self, name: str) -> Contract:
        """Return one of the devnet's contracts, at its address."""
        ...

    def send(self, call: ContractFunction) -> str:
        """Send a call, wait until it is mined, and return the transaction's hash."""
        ...


class DataSettlement:
    """The devnet's settlement of data, on the same chain as its payments.

    A batch is written when it holds `batch_size` answers, or `batch_after` seconds after its last one.
    """

    def __init__(self, operator: Sender, blobs: BlobStore, batch_size: int, batch_after: float) -> None:
        self._operator = operator
        self._relay = operator.contract("SettlementRelay")
        self._blobs = blobs
        self._batch_size = batch_size
        self._batch_after = batch_after
        self._batch = _Batch()
        self._flushes: set[asyncio.Task[None]] = set()
        self.jobs: dict[str, Job] = {}
        self.signer_address = operator.address

    async def individual(self, proof: Proof, request: Any, answer: Any) -> Job:
        """Write one answer in full. `request` and `answer` are the very texts whose hashes were signed."""
        blob = {
            "input": request,
            "output": answer,
            "teeSignature": proof.fields()["tee_signature"],
            "teeId": "0x" + proof.tee_id.hex(),
            "timestamp": str(proof.timestamp),
            "ethAddress": UPTO_PROXY,
        }
        job = self._job("individual")
        job.blob_id = self._blobs.put(json.dumps(blob, ensure_ascii=False, separators=(",", ":")).encode())
        # As on the network, the address is the payment proxy's and not the payer's.
        call = self._relay.functions.settleIndividual(
            proof.tee_id,
            UPTO_PROXY,
            proof.request_hash,
            proof.output_hash,
            proof.timestamp,
            job.blob_id.encode(),
            proof.signature,
        )
        await self._send(job, call)
        return job

    def batch(self, proof: Proof) -> None:
        """Put one answer into the open batch."""
        batch = self._batch
        now = time.monotonic()
        batch.opened_at = batch.opened_at or now
        batch.proofs.append(proof)
        if batch.timer is not None:
            batch.timer.cancel()
        if len(batch.proofs) >= self._batch_size:
            self._start_flush()
        else:
            wait = min(self._batch_after, batch.opened_at + _OLDEST_ITEM - now)
            batch.timer = asyncio.get_running_loop().call_later(wait, self._start_flush)

    async def close(self) -> None:
        """Write what is buffered and wait for it."""
        self._start_flush()
        while self._flushes:
            await asyncio.gather(*self._flushes)

    def _start_flush(self) -> None:
        batch, self._batch = self._batch, _Batch()
        if batch.timer is not None:
            batch.timer.cancel()
        if batch.proofs:
            task = asyncio.get_running_loop().create_task(self._flush(batch.proofs))
            self._flushes.add(task)
            task.add_done_callback(self._flushes.discard)

    async def _flush(self, proofs: list[Proof]) -> None:
        tree = MerkleTree.of(proofs)
        job = self._job("batch")
        job.blob_id = self._blobs.put(json.dumps(tree.dump()).encode())
        call = self._relay.functions.settleBatch(tree.root, len(proofs), job.blob_id.encode())
        await self._send(job, call)

    def _job(self, settlement_type: str) -> Job:
        job_id = f"settlement-{settlement_type}-{uuid.uuid4()}"
        job = Job(settlement_type, job_id, self.signer_address, number=len(self.jobs))
        self.jobs[job.job_id] = job
        return job

    async def _send(self, job: Job, call: Any) -> None:
        job.status = "processing"
        try:
            job.tx_hash = await asyncio.to_thread(self._operator.send, call)
            job.status = "succeeded"
        except Exception as error:  # noqa: BLE001 - whatever the chain says, the answer itself is still good
            job.status, job.error = "failed", repr(error)
            log.error("data settlement %s failed: %r", job.job_id, error)  # noqa: TRY400 - the reason is enough
