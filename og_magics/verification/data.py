"""The data: is what a settlement mode promises to leave on chain there, and is it this very answer?

All is held against the receipt's proof fields (hashes, signature, time, enclave), not against its prompt and answer:
that the fields are those of the prompt and the answer, and that the enclave signed them, is what the check of its
signature (`enclave`) tells. So an edited answer fails there, and is not blamed on the data here. For the same reason a
receipt whose proof fields do not hold by themselves cannot be looked up: what is missing of it is None, not False.
"""

from __future__ import annotations

import base64
import binascii
from collections import defaultdict

from ..core.onchain import BLOBS_KEPT, SETTLES_WITHIN, BatchEvent, Blob, IndividualEvent, OnchainData
from ..core.receipt import Receipt
from ..core.types import x402SettlementMode
from .enclave import unix_seconds, verify_signature
from .hashing import hash_bytes, is_placeholder, keccak
from .individual_blob import BlobMismatch, check_blob
from .merkle import Leaf, Tree, climb, read_tree
from .verdict import Verdict

NODES_APART = 2 * 60
"""Seconds for which a node may not yet have a transaction that another one has."""

_PLACEHOLDER = (
    "Placeholder: this exchange is on chain without the name or the signature of an enclave, which proves nothing."
)
_SEE_ENCLAVE = "The receipt's signature does not hold by itself, so its data cannot be looked up: see `enclave`."


class SettledData:
    """Data settlements that were read from the chain, indexed once for any number of receipts.

    Attributes:
        trees: how many batches' trees held.
        leaves: hash of a leaf -> where it is settled. exchanges: (request, output, time) -> its leaf.
        unread: the trees that could not be read. lies: what is wrong with others, in words.
        by_transaction, by_hashes: the individual settlements.
    """

    def __init__(self, facts: OnchainData) -> None:
        self.facts = facts
        self.leaves: dict[bytes, tuple[BatchEvent, Tree]] = {}
        self.exchanges: dict[tuple[bytes, bytes, int], Leaf] = {}
        self.trees = 0
        self.unread: list[tuple[str, Blob]] = []
        self.lies: list[str] = []
        self.by_transaction: dict[str, list[IndividualEvent]] = defaultdict(list)
        self.by_hashes: dict[tuple[bytes, bytes], list[IndividualEvent]] = defaultdict(list)
        for batch in facts.batches:
            self._index_batch(batch)
        for event in facts.individuals:
            self.by_transaction[event.transaction].append(event)
            self.by_hashes[event.input_hash, event.output_hash].append(event)

    def _index_batch(self, event: BatchEvent) -> None:
        blob = self.facts.blobs.get(event.blob_id)
        if blob is None:
            return  # of a time in which nothing of ours was batched
        if blob.content is None:
            self.unread.append((event.blob_id, blob))
            return
        try:
            tree = read_tree(blob.content)
            if tree.root != event.root:
                raise ValueError("its root is not the one on chain")
            if len(tree.leaves) != event.size:
                raise ValueError(f"it has {len(tree.leaves)} leaves; the chain says {event.size}")
        except ValueError as error:
            self.lies.append(f"the tree {event.blob_id} is not what its event on chain says: {error}")
            return
        self.trees += 1
        for leaf in tree.leaves:
            self.leaves.setdefault(leaf.hash, (event, tree))
            self.exchanges.setdefault((leaf.request_hash, leaf.output_hash, leaf.timestamp), leaf)


def check_data(receipt: Receipt, settled: SettledData) -> Verdict:
    """Check what the receipt's settlement mode promises.

    private: True if the settlements of its time were read and the answer is in none; nothing else was promised.
    batch: its leaf stands in a tree whose every node, root and size hold against the event on chain.
    individual: the event equals the receipt, and the blob is the exchange that was signed.
    None when it is too early, when there is nothing to look up, or when something could not be read.
    """
    leaf = _leaf(receipt)
    if leaf is None:
        if receipt.tee_signature:
            return Verdict(None, _SEE_ENCLAVE)
        return Verdict(None, "The answer came with no signature, so there is nothing of it to settle.")
    match receipt.settlement:
        case x402SettlementMode.PRIVATE.value:
            return _private(leaf, settled)
        case x402SettlementMode.BATCH_HASHED.value:
            return _batch(receipt, leaf, settled)
        case x402SettlementMode.INDIVIDUAL_FULL.value:
            return _individual(receipt, leaf, settled)
    return Verdict(None, f"There is no settlement mode {receipt.settlement!r}.")


def _private(leaf: Leaf, settled: SettledData) -> Verdict:
    # By its signature: the same question may have been asked again in another mode, and have had the same answer.
    same = settled.by_hashes.get((leaf.request_hash, leaf.output_hash), ())
    if any(event.signature == leaf.signature for event in same):
        return Verdict(False, "The answer was asked for as private, and is on chain in full.")
    if leaf.hash in settled.leaves:
        return Verdict(False, "The answer was asked for as private, and its hash is on chain in a batch.")
    if settled.facts.problem or settled.unread:
        why = settled.facts.problem or _unread_tree(settled, leaf)
        return Verdict(None, f"Nothing but the payment should be on chain; that could not be looked at. {why}")
    return Verdict(
        True,
        f"Nothing but the payment is on chain: it is in none of the {settled.trees} batches and "
        f"{len(settled.facts.individuals)} events of its time.",
    )


def _batch(receipt: Receipt, leaf: Leaf, settled: SettledData) -> Verdict:
    if settled.facts.problem:
        return Verdict(None, settled.facts.problem)
    found = settled.leaves.get(leaf.hash)
    if found is not None:
        event, tree = found
        path = tree.path(leaf.hash)
        if climb(leaf.hash, path) != event.root:
            return Verdict(False, "The proof of its leaf does not lead to the root on chain.")
        return Verdict(
            True,
            f"Its hash is one of {event.size} under the root 0x{event.root.hex()} on chain, in block "
            f"{event.block_number}; its Merkle proof is {len(path)} long.",
        )
    if not _holds(receipt, leaf):
        return Verdict(None, _SEE_ENCLAVE)
    other = settled.exchanges.get((leaf.request_hash, leaf.output_hash, leaf.timestamp))
    if other is not None and (is_placeholder(other.tee_id) or is_placeholder(other.signature)):
        return Verdict(None, _PLACEHOLDER)
    if other is not None and other.tee_id != leaf.tee_id:
        return _anothers(other.tee_id)
    return _missing(settled, leaf, f"Its hash is in none of the {settled.trees} batches of its time")


def _individual(receipt: Receipt, leaf: Leaf, settled: SettledData) -> Verdict:
    if settled.facts.problem:
        return Verdict(None, settled.facts.problem)
    event = _event(receipt, leaf, settled)
    wrong = [] if event is None else _differences(receipt, leaf, event)
    if (event is None or wrong) and not _holds(receipt, leaf):
        return Verdict(None, _SEE_ENCLAVE)
    if event is None:
        return _missing(settled, leaf, "There is no event on chain with its hashes", named=receipt.data_settlement_hash)
    if {"input hash", "output hash"}.isdisjoint(wrong):
        if is_placeholder(event.tee_id) or is_placeholder(event.signature):
            return Verdict(None, _PLACEHOLDER)
        if "enclave" in wrong:
            return _anothers(event.tee_id)
    if wrong:
        return Verdict(False, f"The event on chain has another {', another '.join(wrong)} than the receipt.")
    blob = settled.facts.blobs.get(event.blob_id) or Blob(None, "it was not asked for")
    if blob.content is None:
        return Verdict(None, _absence(settled, leaf, f"blob {event.blob_id}", blob, "The event on chain holds; its"))
    try:
        held = check_blob(blob.content, event, receipt)
    except BlobMismatch as error:
        return Verdict(False, f"The blob {event.blob_id} is not the exchange of the event on chain: {error}.")
    return Verdict(True, f"The event in block {event.block_number} and its blob {held}.")


def _event(receipt: Receipt, leaf: Leaf, settled: SettledData) -> IndividualEvent | None:
    """Return the event that the receipt names; of several, or if it names none, the most similar one."""
    named = settled.by_transaction.get((receipt.data_settlement_hash or "").lower())
    candidates = named or settled.by_hashes.get((leaf.request_hash, leaf.output_hash), [])
    return max(
        candidates,
        key=lambda event: (
            event.signature == leaf.signature,
            event.input_hash == leaf.request_hash,
            event.output_hash == leaf.output_hash,
            event.timestamp == leaf.timestamp,
        ),
        default=None,
    )


def _differences(receipt: Receipt, leaf: Leaf, event: IndividualEvent) -> list[str]:
    """Return how an event differs from the receipt."""
    return [
        name
        for name, on_chain, ours in (
            ("enclave", event.tee_id, leaf.tee_id),
            ("input hash", event.input_hash, leaf.request_hash),
            ("output hash", event.output_hash, leaf.output_hash),
            ("time", event.timestamp, leaf.timestamp),
            ("signature", event.signature, leaf.signature),
            ("blob", event.blob_id, receipt.blob_id or event.blob_id),
            ("transaction", event.transaction, (receipt.data_settlement_hash or event.transaction).lower()),
        )
        if on_chain != ours
    ]


def _anothers(tee_id: bytes) -> Verdict:
    """Return the verdict on settled data. Whether the signer is the right enclave is checked elsewhere."""
    return Verdict(
        None,
        f"This exchange is on chain as signed by the enclave 0x{tee_id.hex()}, not by the receipt's: see `registry`.",
    )


def _missing(settled: SettledData, leaf: Leaf, what: str, named: str | None = None) -> Verdict:
    """Return the verdict on data that is not there: not yet, or not known, or not as it should be.

    Args:
        named: the transaction that is said to have it already; then only a node that lags behind excuses it.
    """
    wait = NODES_APART if named else SETTLES_WITHIN
    if settled.facts.read_at - leaf.timestamp < wait:
        return Verdict(None, f"Not there yet: that takes up to {wait // 60} minutes. {what}.")
    if settled.unread:
        return Verdict(None, _unread_tree(settled, leaf, f"{what} that could be read; the"))
    return Verdict(False, f"{what}." + (f" But {settled.lies[0]}." if settled.lies else ""))


def _unread_tree(settled: SettledData, leaf: Leaf, begins: str = "The") -> str:
    # One that could not be read says more than one that is absent: it may be read later.
    blob_id, blob = min(settled.unread, key=lambda one: one[1].absent)
    return _absence(settled, leaf, f"tree {blob_id}", blob, begins)


def _absence(settled: SettledData, leaf: Leaf, name: str, blob: Blob, begins: str) -> str:
    """Say why a blob of a receipt's time was not read: not there yet, expired, not there, or not readable now."""
    age = settled.facts.read_at - leaf.timestamp
    if not blob.absent:
        return f"{begins} {name} could not be read: {blob.problem}."
    if age < SETTLES_WITHIN:
        return f"Not there yet: that takes up to {SETTLES_WITHIN // 60} minutes. {begins} {name} is not stored so far."
    if age >= BLOBS_KEPT:
        weeks = BLOBS_KEPT // (7 * 24 * 60 * 60)
        return f"Expired: blobs are kept for about {weeks} weeks. {begins} {name} is not stored any more."
    return f"{begins} {name} is not stored, though its time is not over: {blob.problem}."


def _leaf(receipt: Receipt) -> Leaf | None:
    """Return the receipt's proof fields as a batch holds them; None if one is missing or malformed."""
    tee_id, request, output = map(hash_bytes, (receipt.tee_id, receipt.request_hash, receipt.output_hash))
    signature, when = _base64(receipt.tee_signature), unix_seconds(receipt.tee_timestamp)
    if tee_id is None or request is None or output is None or not signature or when is None:
        return None
    return Leaf(tee_id, request, output, signature, when)


def _holds(receipt: Receipt, leaf: Leaf) -> bool:
    """Return whether the proof fields agree with each other. Without a key nothing contradicts them."""
    if not receipt.public_key:
        return True
    try:
        key = bytes.fromhex(receipt.public_key)
    except ValueError:
        return False
    return keccak(key) == leaf.tee_id and verify_signature(
        key, leaf.request_hash, leaf.output_hash, leaf.timestamp, receipt.tee_signature or ""
    )


def _base64(text: object) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True) if isinstance(text, str) else None
    except (binascii.Error, ValueError):
        return None
