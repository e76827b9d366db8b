"""Since when an enclave is not in order, from the registry's events. A node that does not give them leaves it open."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..core.enclave import LLM_PROXY, Enclave, Ending
from ..core.errors import ChainError
from ..core.networks import Network
from . import abi, rpc
from .blocks import Timeline

MOST_RANGES = 400
"""Ranges of blocks that are read at once, where a node refuses all of them in one."""

_ON_OFF = {Ending.DISABLED: ("TEEDisabled", "TEEEnabled"), Ending.REVOKED: ("PCRRevoked", "PCRApproved")}
"""The events by which something ends, and by which it begins again."""

_EARLIER_REVOKED = "0x021cbdaf8e2ddc626ca016468398743e833c1d67b00106b10077757586679a20"
"""First topic of PCRRevoked(bytes32), as earlier registries have it: without the type."""

Log = Mapping[str, Any]


def endings(
    node: rpc.Node, network: Network, wrong: Mapping[Enclave, Iterable[Ending]]
) -> dict[Enclave, dict[Ending, int | None]]:
    """Return since when enclaves are not in order: unix seconds, 0 for never, None where that is not known.

    Never raises: a node that does not give the events leaves all open.

    Args:
        wrong: what is not in order with each.
    """
    if not wrong:
        return {}
    try:
        logs = _events(node, network, wrong)
        times = _times(node, logs)
    except ChainError:
        return {one: dict.fromkeys(what) for one, what in wrong.items()}
    return {one: {ending: _since(one, ending, logs, times) for ending in what} for one, what in wrong.items()}


def _since(enclave: Enclave, ending: Ending, logs: Iterable[Log], times: Mapping[int, int]) -> int | None:
    if ending is Ending.RETYPED:
        return _retyped(enclave, logs, times)
    off, on = (_topics(name) for name in _ON_OFF[ending])
    subject = enclave.pcr_hash if ending is Ending.REVOKED else enclave.tee_id
    since = None
    for log in logs:
        first, about, *rest = log["topics"]
        # A measurement is revoked for one type of enclave; the earlier event does not name it.
        others = (
            ending is Ending.REVOKED and rest and enclave.standing and int(rest[0], 16) != enclave.standing.tee_type
        )
        if about != subject or others:
            continue
        if first in on:
            since = None
        elif first in off and since is None:
            since = times[log["blockNumber"]]
    return since


def _retyped(enclave: Enclave, logs: Iterable[Log], times: Mapping[int, int]) -> int | None:
    """Return since when an enclave is of another type: a registry may let it be registered again, as another."""
    event = abi.event("tee_registry", "TEERegistered")
    since, was_one = None, False
    for log in logs:
        if log["topics"][:2] != [event.topic, enclave.tee_id]:
            continue
        values = event.decode(log) or {}
        if values["teeType"] == LLM_PROXY:
            since, was_one = None, True
        elif since is None:
            since = times[log["blockNumber"]]
    return since if was_one or since is None else 0


def _topics(name: str) -> tuple[str, ...]:
    topic = abi.topic("tee_registry", name)
    return (topic, _EARLIER_REVOKED) if name == "PCRRevoked" else (topic,)


def _events(node: rpc.Node, network: Network, wrong: Mapping[Enclave, Iterable[Ending]]) -> list[Log]:
    """Return the registry's events about these enclaves and their measurements, in order."""
    names = ("TEERegistered", *(name for pair in _ON_OFF.values() for name in pair))
    kinds = [topic for name in names for topic in _topics(name)]
    subjects = sorted({one.tee_id for one in wrong} | {one.pcr_hash for one in wrong if one.pcr_hash})
    timeline = Timeline(node)
    oldest = min(one.standing.registered_at if one.standing else 0 for one in wrong)
    filter = {"address": network.registry_address, "topics": [kinds, subjects]}
    logs = _logs(node, filter, timeline.around(oldest - 1)[0], timeline.head)
    with rpc.guard(node.url, setting=node.setting):
        read = [
            {
                **log,
                "topics": [topic.lower() for topic in log["topics"]],
                "blockNumber": rpc.quantity(log["blockNumber"]),
                "logIndex": rpc.quantity(log["logIndex"]),
            }
            for log in logs
            if log["address"].lower() == network.registry_address.lower() and len(log["topics"]) > 1
        ]
    return sorted(read, key=lambda log: (log["blockNumber"], log["logIndex"]))


def _logs(node: rpc.Node, filter: Mapping[str, Any], first: int, last: int) -> list[Log]:
    """Read logs of a stretch of blocks: at once, or in halves of what the node refuses.

    Raises:
        ChainError: it refuses one block, or takes so few at once that too many requests would be needed.
    """
    logs: list[Log] = []
    left = [(first, last)]
    asked = 0
    while left:
        asked += len(left)
        if asked > MOST_RANGES:
            raise ChainError(
                f"The blockchain node at {node.host} gives the events of too few blocks at once.",
                money=rpc.READ_ONLY,
                remedy=f"Name another node with {node.setting}.",
            )
        calls: list[rpc.Call] = [
            ("eth_getLogs", [{**filter, "fromBlock": hex(low), "toBlock": hex(high)}]) for low, high in left
        ]
        refused: list[tuple[int, int]] = []
        for (low, high), answer in zip(left, node.ask_each(calls, wide=True), strict=True):
            if not isinstance(answer, ChainError):
                logs += answer
            elif low == high:
                raise answer
            else:
                middle = (low + high) // 2
                refused += [(low, middle), (middle + 1, high)]
        left = refused
    return logs


def _times(node: rpc.Node, logs: Iterable[Log]) -> dict[int, int]:
    """Return the times of the blocks with these logs."""
    numbers = sorted({log["blockNumber"] for log in logs})
    blocks = node.ask([("eth_getBlockByNumber", [hex(number), False]) for number in numbers], wide=True)
    with rpc.guard(node.url, setting=node.setting):
        return {number: rpc.quantity(block["timestamp"]) for number, block in zip(numbers, blocks, strict=True)}
