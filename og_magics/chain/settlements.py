"""Settlement transactions, found on chain by nonce: a gateway never names them.

First the cheap question, for all authorizations at once: is the nonce used? Only where it is, the OPG that moved from
payer to payee between signing and deadline is looked through for the transaction that carries the nonce.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ..core.errors import ChainError, ConfigError
from ..core.networks import UPTO_PROXY, Network
from ..core.receipt import Authorization
from ..core.types import Settlement
from . import abi, rpc
from .blocks import Timeline
from .identity import read_head
from .nonces import NonceCalls

RANGE = 2_000
"""Blocks in one `eth_getLogs`; halved, for a node, when that node refuses so many."""

MOST_RANGES = 1_000
"""Ranges of blocks that one search may read: a node that says a few minutes hold more blocks than that is wrong."""

CLOCKS_APART = 60
"""Seconds by which this machine's clock may run ahead of the chain's in the first search."""

CLOCKS_FAR_APART = (1_800, 3 * 3_600)
"""The same in the searches that are made when the first found nothing."""

_ranges: dict[str, int] = {}

Log = dict[str, Any]


def head(network: Network) -> int:
    """Return the number of the payment chain's newest block.

    Raises:
        ChainError: the chain cannot be read, or it is another network's.
    """
    return read_head(network)[0].head.number


def find_settlement(
    network: Network, authorization: Authorization, *, from_block: int | None = None
) -> Settlement | None:
    """Find the payment that used up one authorization; see `find_settlements`."""
    return find_settlements(network, [authorization], from_block=from_block).get(authorization.hash)


def find_settlements(
    network: Network,
    authorizations: Iterable[Authorization],
    *,
    from_block: int | None = None,
    most_ranges: int | None = None,
) -> dict[str, Settlement]:
    """Find the payments that used up authorizations, as far as they are on chain.

    An authorization that is missing from the result is not settled yet, or its nonce was invalidated by its payer, or
    the node that was asked does not have the block yet.

    Args:
        authorizations: all of this network.
        from_block: the first block to read; by default the block of `created`.
        most_ranges: of blocks that may be read in all; by default `MOST_RANGES` for each stretch of time.

    Shape: authorization hash -> settlement.

    Raises:
        ConfigError: an authorization of another network.
        ChainError: the chain cannot be read.
    """
    wanted = list(authorizations)
    for authorization in wanted:
        if authorization.network != network.caip2:
            raise ConfigError(
                f"Authorization {authorization.hash} was signed for {authorization.network}, not for {network.caip2}.",
                remedy="Look for it on the network that it was signed for.",
            )
    if not wanted:
        return {}
    nonces = NonceCalls(wanted)
    _, results = read_head(network, nonces.calls)
    used = nonces.used(rpc.payments(network), results)
    used_ones = [one for one in wanted if one.hash in used]
    return search(network, used_ones, from_block=from_block, most_ranges=most_ranges)


def search(
    network: Network,
    used: Sequence[Authorization],
    *,
    from_block: int | None = None,
    most_ranges: int | None = None,
) -> dict[str, Settlement]:
    """Find the transactions of authorizations whose nonces are used, as `find_settlements` does.

    Raises:
        ChainError: the chain cannot be read.
    """
    if not used:
        return {}
    node = rpc.payments(network)
    timeline = Timeline(node)
    found: dict[str, Settlement] = {}
    read = 0
    for group in _contemporaries(used):
        for first, last in _stretches(timeline, group, from_block):
            for logs in _transfers(node, group, first, last):
                read += 1
                if most_ranges is not None and read > most_ranges:
                    return found
                missing = [authorization for authorization in group if authorization.hash not in found]
                found |= _match(node, missing, logs)
                if all(authorization.hash in found for authorization in group):
                    break
            else:
                continue
            break
    return found


def _contemporaries(authorizations: Sequence[Authorization]) -> list[list[Authorization]]:
    """Group authorizations whose times (created to deadline) touch: each group is one stretch of the chain."""
    groups: list[list[Authorization]] = []
    end = 0
    for one in sorted(authorizations, key=lambda one: one.created):
        if groups and one.created - CLOCKS_APART <= end:
            groups[-1].append(one)
        else:
            groups.append([one])
            end = 0
        end = max(end, one.deadline)
    return groups


def _stretches(timeline: Timeline, group: Sequence[Authorization], from_block: int | None) -> Iterator[tuple[int, int]]:
    """Return the blocks to read for a group, likeliest first. The contracts allow no settlement after the deadline."""
    if from_block is not None:
        yield from_block, timeline.head
        return
    # A clock that ran ahead names times that the chain has not reached.
    created = min(timeline.head_time, *(one.created for one in group))
    first = timeline.around(created - CLOCKS_APART)[0]
    yield first, timeline.around(max(one.deadline for one in group))[1]
    for apart in CLOCKS_FAR_APART:
        earlier = timeline.around(created - apart)[0]
        if earlier < first:
            yield earlier, first - 1
            first = earlier


def _transfers(node: rpc.Node, group: Sequence[Authorization], first: int, last: int) -> Iterator[list[Log]]:
    """Return the transfers from any payer to any payee of a group, a range of blocks at a time."""
    topics = [
        [abi.topic("erc20", "Transfer")],
        sorted({_word(one.payer) for one in group}),
        sorted({_word(one.pay_to) for one in group}),
    ]
    tokens = sorted({one.token for one in group})
    asked = 0
    while first <= last:
        asked += 1
        if asked > MOST_RANGES:
            raise ChainError(
                f"The blockchain node at {node.host} says that {last - first + 1:,} more blocks may hold a settlement.",
                money=rpc.READ_ONLY,
                remedy=f"Name another node with {node.setting}.",
            )
        end = min(last, first + _ranges.get(node.url, RANGE) - 1)
        query = {"address": tokens, "topics": topics, "fromBlock": hex(first), "toBlock": hex(end)}
        try:
            logs = node.one("eth_getLogs", query)
        except rpc.NodeError as error:
            # Every provider has its own words for "too many blocks" and "too many results", so that any error counts.
            if first == end:
                _ranges.pop(node.url, None)  # it refuses logs altogether: that says nothing about ranges
            if error.rate_limited or first == end:
                raise
            _ranges[node.url] = (end - first + 1) // 2
            continue
        yield logs
        first = end + 1


def _match(node: rpc.Node, authorizations: Sequence[Authorization], logs: Sequence[Log]) -> dict[str, Settlement]:
    """Return the settlements among transfers: those in a transaction that carries an authorization's nonce."""
    with rpc.guard(node.url, setting=node.setting):
        candidates: dict[str, list[tuple[Authorization, int]]] = defaultdict(list)
        for log in logs:
            value = rpc.quantity(log["data"], below=2**256)
            for one in authorizations:
                if _moves(one, log) and (value == one.cap if one.scheme == "exact" else value <= one.cap):
                    candidates[log["transactionHash"]].append((one, value))
        transactions = node.ask([("eth_getTransactionByHash", [tx_hash]) for tx_hash in candidates])
        paid = {
            one.hash: (one, value, tx_hash)
            for (tx_hash, pairs), transaction in zip(candidates.items(), transactions, strict=True)
            for one, value in pairs
            if transaction is not None and carries(transaction, one)
        }
        receipts = node.ask([("eth_getTransactionReceipt", [tx_hash]) for _, _, tx_hash in paid.values()])
        return {
            one.hash: Settlement(
                authorization_hash=one.hash,
                payment_hash=tx_hash,
                amount=value,
                block_number=rpc.quantity(receipt["blockNumber"]),
                block_hash=receipt["blockHash"],
                gas_used=rpc.quantity(receipt["gasUsed"]),
            )
            for (one, value, tx_hash), receipt in zip(paid.values(), receipts, strict=True)
            if receipt is not None
        }


def carries(transaction: Log, authorization: Authorization) -> bool:
    """Return True if a transaction (as JSON-RPC gives it) uses this authorization.

    For `upto` it must call the upto proxy with the very permit. Other schemes have no single entry (the token itself,
    a proxy, a wallet that wraps either): there the 32 bytes of the random nonce in the calldata say so.
    """
    calldata = bytes.fromhex(transaction["input"].removeprefix("0x"))
    if authorization.scheme != "upto":
        return authorization.nonce.to_bytes(32) in calldata
    if (transaction["to"] or "").lower() != UPTO_PROXY.lower():
        return False
    for name in ("settle", "settleWithPermit"):
        arguments = abi.function("upto_proxy", name).decode_arguments(calldata)
        if arguments is not None:
            ((token, _cap), nonce, _deadline), _amount, owner, (payee, *_), _signature = arguments[-5:]
            return (nonce, owner, token, payee) == (
                authorization.nonce,
                authorization.payer.lower(),
                authorization.token.lower(),
                authorization.pay_to.lower(),
            )
    return False


def _moves(authorization: Authorization, log: Log) -> bool:
    _, source, target = log["topics"]
    return (log["address"].lower(), source, target) == (
        authorization.token.lower(),
        _word(authorization.payer),
        _word(authorization.pay_to),
    )


def _word(address: str) -> str:
    """Encode an address as a log's topic."""
    return "0x" + address[2:].lower().rjust(64, "0")
