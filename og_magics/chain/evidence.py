"""Evidence of what became of authorizations: events for the table in `core/payment_states.py`, with their reasons.

What is there proves itself: a used nonce, a transaction. What is not there proves nothing by itself: a node may be
behind, pruned, filtered, or of another chain. So "unused" counts only on the proven chain, read at a block of which the
node has the state, deep enough not to be undone, and by that block's own clock; never by this machine's.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from ..core.errors import ChainError
from ..core.networks import Network
from ..core.payment_states import MARGIN, Block, MoneyEvent, is_past
from ..core.receipt import Authorization
from ..core.types import Settlement
from . import rpc
from .identity import ChainHead, block_of, read_head
from .nonces import NonceCalls
from .settlements import search


@dataclass(frozen=True, slots=True)
class Finding:
    """The chain's word on one authorization.

    Attributes:
        hash: of the authorization.
        event: for the table; None where there is too little evidence for any.
        block: in which it was read.
        why: the evidence, or what is missing, as a sentence.
        settlement: the transaction, of FOUND and CONFIRMED.
    """

    hash: str
    event: MoneyEvent | None
    block: Block
    why: str
    settlement: Settlement | None = None


@dataclass(frozen=True, slots=True)
class _Unused:
    """The answer at the deep block: which are unused there; or why that cannot be said."""

    block: Block | None
    hashes: frozenset[str] = frozenset()
    used: frozenset[str] = frozenset()
    why: str = ""


def look(
    network: Network,
    authorizations: Iterable[Authorization],
    settled: Iterable[tuple[Authorization, Settlement]] = (),
    *,
    doubted: Iterable[Authorization] = (),
    used_at: Mapping[str, int] = MappingProxyType({}),
    confirmations: int = 0,
) -> list[Finding]:
    """Look at authorizations, and again at those that are settled and not final.

    Args:
        authorizations: of this network's chain, pending or used.
        settled: those with a transaction that may be undone.
        doubted: those that count as expired; they are named in the result only if they are used after all.
        used_at: the block, by hash, in which one was seen as used whose transaction was not found.
        confirmations: blocks after which a settlement is final.

    Raises:
        ChainError: the chain cannot be read, or it is another network's.
    """
    again, doubts = list(settled), list(doubted)
    still = {one.hash for one in doubts}
    wanted = [*authorizations, *doubts, *(authorization for authorization, _ in again)]
    if not wanted:
        return []
    node = rpc.payments(network)
    nonces = NonceCalls(wanted)
    receipts: list[rpc.Call] = [("eth_getTransactionReceipt", [old.payment_hash]) for _, old in again]
    chain, results = read_head(network, [*nonces.calls, *receipts])
    used = nonces.used(node, results[: len(nonces.calls)])
    standing = _standing(node, again, results[len(nonces.calls) :])
    unused = [one for one in wanted if one.hash not in used | still]
    if network.local and any(chain.head.time <= one.deadline + MARGIN < time.time() for one in unused):
        chain = _with_a_new_block(network, chain)
    placed = {authorization.hash: old.block_number for authorization, old in again}
    seen_at = {**used_at, **placed}
    late = [one for one in unused if is_past(one.deadline, chain.head) or one.hash in seen_at]
    deep = _read_deep(node, chain, late, max(confirmations, network.unused_depth)) if late else _Unused(None)
    used |= deep.used
    open_ = [one for one in wanted if one.hash not in standing]
    found = _search(network, [one for one in open_ if one.hash in used])
    # The logs are a second witness for what the bitmap has as unused.
    unpaid = [one for one in open_ if one.hash not in used and _unused(one, chain, deep, seen_at.get(one.hash)).event]
    found |= _search(network, unpaid, quiet=True)
    findings = []
    for one in wanted:
        settlement = standing.get(one.hash) or found.get(one.hash)
        if settlement is not None:
            findings.append(_found(one, settlement, chain, confirmations))
        elif one.hash in used:
            why = f"Its nonce is used: it is paid. The blockchain node at {node.host} shows no transaction with it yet."
            # A settlement that is known says more than a used nonce.
            event = None if one.hash in placed else MoneyEvent.USED
            findings.append(Finding(one.hash, event, chain.head, why))
        elif one.hash not in still:
            findings.append(_unused(one, chain, deep, seen_at.get(one.hash)))
    return findings


def _found(one: Authorization, settlement: Settlement, chain: ChainHead, confirmations: int) -> Finding:
    confirmed = chain.proven and chain.head.number - settlement.block_number >= confirmations
    event = MoneyEvent.CONFIRMED if confirmed else MoneyEvent.FOUND
    why = f"Transaction {settlement.payment_hash} in block {settlement.block_number} carries its nonce."
    return Finding(one.hash, event, chain.head, why, settlement)


def _unused(one: Authorization, chain: ChainHead, deep: _Unused, seen_at: int | None) -> Finding:
    """Return the finding on one whose nonce is unused in the newest block."""
    if seen_at is None and not is_past(one.deadline, chain.head):
        why = f"It may be settled until {_clock(one.deadline)}; the chain is at {_clock(chain.head.time)}."
        return Finding(one.hash, None, chain.head, why)
    if deep.block is None or one.hash not in deep.hashes:
        return Finding(one.hash, None, chain.head, deep.why or "The node did not say whether its nonce is used.")
    if seen_at is not None:
        if deep.block.number < seen_at:
            return Finding(one.hash, None, deep.block, f"Block {seen_at} is not deep enough yet to be judged.")
        why = f"Block {deep.block.number} has its nonce as unused: the chain was reorganized."
        return Finding(one.hash, MoneyEvent.UNDONE, deep.block, why)
    if not is_past(one.deadline, deep.block):
        return Finding(one.hash, None, deep.block, "No block after its deadline is deep enough yet.")
    why = f"Block {deep.block.number} of {_clock(deep.block.time)} has its nonce as unused, after its deadline."
    return Finding(one.hash, MoneyEvent.UNUSED, deep.block, why)


def _read_deep(node: rpc.Node, chain: ChainHead, late: Sequence[Authorization], depth: int) -> _Unused:
    """Read nonces at a block that is deep enough, from a node that has its state."""
    if not chain.proven:
        return _Unused(
            None, why=f"The blockchain node at {node.host} does not show the first block, which the chain is known by."
        )
    number = chain.head.number - depth
    if number < 0:
        return _Unused(None, why=f"The chain has no block yet with {depth} others on it.")
    named: rpc.Call = ("eth_getBlockByNumber", [hex(number), False])
    nonces = NonceCalls(late, hex(number))
    # The block is read before and after: between, nodes behind one URL may have taken turns.
    before, *results, after, chain_id = node.ask_each(
        [named, *nonces.calls, named, ("eth_chainId", [])], wide=len(late) > rpc.BATCH_LIMIT
    )
    refused = next((one for one in (before, *results, after, chain_id) if isinstance(one, ChainError)), None)
    if refused is not None or before is None or after is None:
        more = f": {refused.what}" if refused is not None else "."
        return _Unused(None, why=f"The blockchain node at {node.host} does not have the state of block {number}{more}")
    block = block_of(node, before)
    if block != block_of(node, after) or block.number != number or node.number(chain_id) != _chain_id(late):
        return _Unused(None, why=f"The blockchain node at {node.host} gave two answers about block {number}.")
    try:
        used = nonces.used(node, results)
    except ChainError as error:
        return _Unused(None, why=error.what)
    return _Unused(block, frozenset(one.hash for one in late if one.hash not in used), frozenset(used))


def _chain_id(authorizations: Sequence[Authorization]) -> int:
    return int(authorizations[0].network.partition(":")[2])


def _standing(
    node: rpc.Node, again: Sequence[tuple[Authorization, Settlement]], receipts: Sequence[Any]
) -> dict[str, Settlement]:
    """Return the settlements that stand where they stood."""
    with rpc.guard(node.url, setting=node.setting):
        return {
            one.hash: old
            for (one, old), receipt in zip(again, receipts, strict=True)
            if receipt is not None
            and str(receipt["blockHash"]).lower() == old.block_hash.lower()
            and rpc.quantity(receipt["blockNumber"]) == old.block_number
        }


def _search(network: Network, authorizations: Sequence[Authorization], *, quiet: bool = False) -> dict[str, Settlement]:
    """Search the logs. A node that does not give them leaves what was paid paid: only its transaction is not found.

    Args:
        quiet: it is a second witness only.
    """
    try:
        return search(network, authorizations)
    except ChainError as error:
        if quiet or (isinstance(error, rpc.NodeError) and not error.rate_limited):
            return {}
        raise


def _with_a_new_block(network: Network, chain: ChainHead) -> ChainHead:
    """Ask a local chain, which makes blocks only for transactions, for one of now."""
    try:
        rpc.payments(network).one("evm_mine", retry=False)
        return read_head(network)[0]
    except ChainError:
        return chain


def _clock(moment: int) -> str:
    try:
        return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (ValueError, OverflowError, OSError):
        return str(moment)
