"""The chain behind an RPC URL: is it the one that it is to be? Permit2 stands at the same address on every chain."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..core.errors import ChainError
from ..core.networks import Network
from ..core.payment_states import Block
from . import rpc

_KNOWN_FOR = 300.0
"""Seconds for which a URL that led to the right chain is believed to do so where nothing is concluded from absence."""

_confirmed: dict[tuple[str, int], float] = {}
_proven: set[tuple[str, str]] = set()
_GENESIS = ("eth_getBlockByNumber", ["0x0", False])


@dataclass(frozen=True, slots=True)
class ChainHead:
    """A payment chain as one node has it.

    Attributes:
        head: its newest block.
        proven: its block 0 is the one that the network is known by; a local network has none to know it by.
    """

    head: Block
    proven: bool


def read_head(network: Network, calls: Sequence[rpc.Call] = ()) -> tuple[ChainHead, list[Any]]:
    """Read the newest block, and make other calls in the same request. Return it with the results of those calls.

    Raises:
        ChainError: the chain cannot be read, or it is another network's.
    """
    node = rpc.payments(network)
    known = network.genesis_hash.lower()
    unknown = bool(known) and (node.url, known) not in _proven
    own: list[rpc.Call] = [("eth_chainId", []), ("eth_getBlockByNumber", ["latest", False])]
    own += [_GENESIS] if unknown else []
    chain_id, latest, *rest = node.ask_each([*own, *calls], wide=len(calls) > rpc.BATCH_LIMIT)
    genesis, results = (rest[0], rest[1:]) if unknown else (None, rest)
    for answer in (chain_id, latest, *results):
        if isinstance(answer, ChainError):
            raise answer
    _require(network, node, chain_id)
    if unknown and isinstance(genesis, dict) and isinstance(genesis.get("hash"), str):
        if genesis["hash"].lower() != known:
            raise _another(node, network, "its first block is another one")
        _proven.add((node.url, known))
    proven = not known or (node.url, known) in _proven
    return ChainHead(block_of(node, latest), proven), results


def require_chain(network: Network) -> None:
    """Check, now and then, that an RPC is one of the network's payment chain.

    Raises:
        ChainError: it is another chain's, or cannot be read.
    """
    node = rpc.payments(network)
    seen = _confirmed.get((node.url, network.chain_id))
    if seen is None or time.monotonic() - seen > _KNOWN_FOR:
        read_head(network)


def block_of(node: rpc.Node, answer: Any) -> Block:
    """Read a block as JSON-RPC gives it. Raises ChainError where it is none."""
    with rpc.guard(node.url, setting=node.setting):
        if not isinstance(answer["hash"], str):
            raise TypeError("the hash of a block is no text")
        return Block(rpc.quantity(answer["number"]), answer["hash"].lower(), rpc.quantity(answer["timestamp"]))


def _require(network: Network, node: rpc.Node, chain_id: Any) -> None:
    found = node.number(chain_id)
    if found != network.chain_id:
        raise _another(node, network, f"it is chain {found}")
    _confirmed[node.url, network.chain_id] = time.monotonic()


def _another(node: rpc.Node, network: Network, why: str) -> ChainError:
    return ChainError(
        f"The blockchain node at {node.host} is not one of {network.name} (chain {network.chain_id}): {why}.",
        money=rpc.READ_ONLY,
        remedy=f"Name a node of {network.name} with {node.setting}. What was paid is found once it is the right one.",
    )
