"""Data settlements of receipts: the relay's events, and the blobs that they point to."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from ..core.errors import ChainError
from ..core.networks import Network
from ..core.onchain import SETTLES_WITHIN, BatchEvent, Blob, IndividualEvent, OnchainData
from ..core.receipt import Receipt
from ..core.types import x402SettlementMode
from . import abi, rpc
from .blobs import fetch
from .blocks import Timeline
from .payments import TRANSACTION

CLOCKS_APART = 120
"""Seconds by which an enclave's clock may run ahead of the chain's."""

PRECISION = 512
"""Blocks that may be read at either end of a stretch of time without need: to find its end exactly costs more."""

MOST_WINDOWS = 100
"""Stretches of time that are looked up one by one; of more, those with the least between them are joined."""

MOST_RANGES = 2_000
"""Ranges of blocks that are read for the receipts of one audit: their times are what a file says."""

MOST_BLOBS = 4_000
"""Blobs that are fetched for one audit; those beyond count as not read."""

RANGE = 10_000
"""Blocks in one `eth_getLogs`; halved, for a node, when that node refuses so many."""

_INDIVIDUAL = x402SettlementMode.INDIVIDUAL_FULL.value

_ranges: dict[str, int] = {}

Log = Mapping[str, Any]
Stretch = tuple[int, int]


def data_events(network: Network, receipts: Iterable[Receipt]) -> OnchainData:
    """Return the data settlements in the blocks that can hold those of these receipts.

    Never raises: `problem` says what failed.

    An individual settlement is read by the transaction that its receipt names. All others are looked for by time: from
    the enclave's signature to `SETTLES_WITHIN` later.
    """
    read_at = time.time()
    if not network.settlement_relay:
        return OnchainData(
            read_at,
            f"The contract with the data settlements of {network.name} is not known; OG_SETTLEMENT_RELAY names it.",
        )
    wanted = [receipt for receipt in receipts if receipt.tee_signature]
    named = {receipt.receipt_id: hash for receipt in wanted if (hash := _transaction(receipt))}
    searched = [receipt for receipt in wanted if receipt.receipt_id not in named]
    try:
        logs = _of_transactions(network, sorted(set(named.values())))
        # A private answer is looked for in the batches too: that it is in none holds only if they were read.
        windows = {
            batch: _windows(r for r in searched if (r.settlement != _INDIVIDUAL) is batch) for batch in (True, False)
        }
        stretches = _stretches(network, windows[True], windows[False])
        logs += _of_blocks(network, _merged([*stretches[0], *stretches[1]]))
        batches, individuals = _decoded(network, logs)
    except ChainError as error:
        return OnchainData(read_at, error.what)
    hashes = {str(receipt.request_hash).removeprefix("0x").lower() for receipt in wanted}
    transactions = set(named.values())
    blob_ids = [event.blob_id for event in batches if _within(event.block_number, stretches[0])]
    # Others settle in the same blocks: fetch only blobs that may be ours.
    blob_ids += [
        event.blob_id for event in individuals if event.transaction in transactions or event.input_hash.hex() in hashes
    ]
    wanted_blobs = list(dict.fromkeys(blob_ids))
    left_out = Blob(None, f"one audit fetches {MOST_BLOBS:,} blobs and no more")
    return OnchainData(
        read_at=read_at,
        batches=tuple(batches),
        individuals=tuple(individuals),
        blobs=fetch(network.blob_url, wanted_blobs[:MOST_BLOBS], mirrors=network.blob_mirrors)
        | dict.fromkeys(wanted_blobs[MOST_BLOBS:], left_out),
    )


def _transaction(receipt: Receipt) -> str | None:
    """Read the transaction that a receipt names for its data, where there is nothing else to read."""
    named = receipt.data_settlement_hash
    if receipt.settlement == _INDIVIDUAL and named and TRANSACTION.fullmatch(named):
        return named.lower()
    return None


def _windows(receipts: Iterable[Receipt]) -> list[Stretch]:
    """Return the times in which these receipts can have been settled; close ones are merged."""
    moments = {
        receipt.tee_timestamp if isinstance(receipt.tee_timestamp, int) else int(receipt.time) for receipt in receipts
    }
    windows = _merged(((moment - CLOCKS_APART, moment + SETTLES_WITHIN) for moment in moments), gap=SETTLES_WITHIN)
    if len(windows) <= MOST_WINDOWS:
        return windows
    gaps = sorted(after[0] - before[1] for before, after in pairwise(windows))
    return _merged(windows, gap=gaps[-MOST_WINDOWS])


def _merged(stretches: Iterable[Stretch], gap: int = 1) -> list[Stretch]:
    """Merge stretches, given in order, that are at most `gap` apart."""
    merged: list[Stretch] = []
    for first, last in sorted(stretches):
        if merged and first <= merged[-1][1] + gap:
            merged[-1] = merged[-1][0], max(merged[-1][1], last)
        else:
            merged.append((first, last))
    return merged


def _within(number: int, stretches: Iterable[Stretch]) -> bool:
    return any(first <= number <= last for first, last in stretches)


def _stretches(network: Network, *windows: Sequence[Stretch]) -> list[list[Stretch]]:
    """Return the blocks of each list of times."""
    moments = [moment for times in windows for window in times for moment in window]
    if not moments:
        return [[] for _ in windows]
    timeline = Timeline(rpc.registry(network))
    found = dict(zip(moments, timeline.arounds(moments, PRECISION), strict=True))
    return [_merged((found[start][0], found[end][1]) for start, end in times) for times in windows]


def _of_transactions(network: Network, transactions: Sequence[str]) -> list[Log]:
    node = rpc.registry(network)
    receipts = node.ask([("eth_getTransactionReceipt", [one]) for one in transactions], wide=True)
    with rpc.guard(node.url, setting=node.setting):
        return [log for receipt in receipts if receipt is not None for log in receipt["logs"]]


def _of_blocks(network: Network, stretches: Iterable[Stretch]) -> list[Log]:
    """Read the relay's logs in stretches of blocks, many ranges in a request."""
    node = rpc.registry(network)
    most, proven = _ranges.get(node.url, RANGE), node.url in _ranges
    logs: list[Log] = []
    left = list(stretches)
    while left:
        pieces = [(at, min(at + most - 1, last)) for first, last in left for at in range(first, last + 1, most)]
        # One range first: a node that refuses it would refuse them all.
        if len(pieces) > MOST_RANGES and (proven or most == RANGE):  # what a node refuses altogether says so itself
            raise ChainError(
                f"These receipts are of times that hold {len(pieces):,} ranges of blocks: more than one audit reads.",
                money=rpc.READ_ONLY,
                remedy="Verify fewer of them at once; a receipt whose time is far off was edited.",
            )
        asked, left = (pieces, []) if proven else (pieces[:1], pieces[1:])
        refused = []
        for piece, answer in zip(asked, _ask_logs(node, network.settlement_relay, asked), strict=True):
            if isinstance(answer, ChainError):
                refused.append((piece, answer))
            else:
                logs += answer
        for (
            first,
            last,
        ), error in refused:  # every provider has its own words for "too many blocks" and "too many logs"
            if first == last:
                raise error
            most = min(most, (last - first + 1) // 2)
        left = [piece for piece, _ in refused] + left
        if len(refused) < len(asked):
            proven, _ranges[node.url] = True, most
    return logs


def _ask_logs(node: rpc.Node, relay: str, ranges: Sequence[Stretch]) -> list[Any]:
    """Read the relay's logs in each range of blocks; the node's error in the place of a range that it refuses."""
    topics = [[abi.topic("settlement_relay", name) for name in ("BatchSettlement", "IndividualSettlement")]]
    same = {"address": relay, "topics": topics}
    return node.ask_each(
        [("eth_getLogs", [{**same, "fromBlock": hex(first), "toBlock": hex(last)}]) for first, last in ranges],
        wide=True,
    )


def _decoded(network: Network, logs: Iterable[Log]) -> tuple[list[BatchEvent], list[IndividualEvent]]:
    """Return the relay's events among logs, each once; other contracts' events are left out."""
    node = rpc.registry(network)
    batch, individual = (abi.event("settlement_relay", name) for name in ("BatchSettlement", "IndividualSettlement"))
    batches: dict[BatchEvent, None] = {}
    individuals: dict[IndividualEvent, None] = {}
    with rpc.guard(node.url, setting=node.setting):
        for log in logs:
            if log["address"].lower() != network.settlement_relay.lower():
                continue
            place = log["transactionHash"].lower(), rpc.quantity(log["blockNumber"])
            if (values := batch.decode(log)) is not None:
                event = BatchEvent(*place, values["merkleRoot"], values["batchSize"], _text(values["walrusBlobId"]))
                batches[event] = None
            elif (values := individual.decode(log)) is not None:
                one = IndividualEvent(
                    *place,
                    tee_id=values["teeId"],
                    address=values["ethAddress"],
                    input_hash=values["inputHash"],
                    output_hash=values["outputHash"],
                    timestamp=values["timestamp"],
                    blob_id=_text(values["walrusBlobId"]),
                    signature=values["signature"],
                )
                individuals[one] = None
    return list(batches), list(individuals)


def _text(blob_id: bytes) -> str:
    return blob_id.decode("utf-8", "replace")
