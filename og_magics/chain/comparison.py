"""A network's facts, held against its two chains: ids, first block, contracts, the token's name and unit, the registry.

Two requests in all. What a node cannot tell is not taken for a difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ..core.enclave import LLM_PROXY
from ..core.errors import ChainError
from ..core.networks import EXACT_PROXY, PERMIT2, UPTO_PROXY, Network
from . import abi, rpc

CONTRACTS = {"Permit2": PERMIT2, "x402's upto proxy": UPTO_PROXY, "x402's exact proxy": EXACT_PROXY}
"""Contracts that payments go through, the same on every chain."""

_LONGEST = 40
"""Characters of what a stranger's contract calls itself."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The facts that hold, those that do not with what the chain says instead, and those that could not be compared."""

    hold: tuple[str, ...]
    differ: tuple[str, ...]
    unread: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Fact:
    """A fact, the call that asks for it, and what is said of the answer: "" where it holds.

    `differs` raises ValueError for an answer that is none; `absent` is said where the contract refuses or lacks it.
    """

    name: str
    call: rpc.Call
    differs: Callable[[Any], str]
    absent: str = ""


def compare(network: Network) -> Comparison:
    """Hold the facts of a network against its chains. Never raises: without an answer, facts stay unread."""
    hold: list[str] = []
    differ: list[str] = []
    unread: list[str] = []
    for node, facts in (
        (rpc.payments(network), [*_payment_chain(network)]),
        (rpc.registry(network), [*_registry_chain(network)]),
    ):
        try:
            answers = node.ask_each([fact.call for fact in facts], wide=True)
        except ChainError as error:
            unread.append(f"{facts[0].name} and {len(facts) - 1} more: {error.what}")
            continue
        for fact, answer in zip(facts, answers, strict=True):
            try:
                said = _said(fact, answer)
            except ChainError as error:
                unread.append(f"{fact.name}: {error.what}")
                continue
            differ += [f"{fact.name}: {said}"] if said else []
            hold += [] if said else [fact.name]
    return Comparison(tuple(hold), tuple(differ), tuple(unread))


def _said(fact: _Fact, answer: Any) -> str:
    """Return how an answer differs from a fact, "" where it does not. Raises ChainError where there is no answer."""
    if isinstance(answer, ChainError):
        if fact.absent and isinstance(answer, rpc.NodeError) and answer.reverted:
            return fact.absent
        raise answer
    try:
        return fact.differs(answer)
    except (ValueError, TypeError, AttributeError):
        if fact.absent:
            return fact.absent
        raise ChainError(
            "The node gave no answer that can be read.", money=rpc.READ_ONLY, remedy="Set OG_RPC_URL to another node."
        ) from None


def _payment_chain(network: Network) -> Iterator[_Fact]:
    yield _chain_id("the payment chain's id", network.chain_id)
    if network.genesis_hash:
        yield _Fact(
            "the payment chain's first block",
            ("eth_getBlockByNumber", ["0x0", False]),
            lambda block: _other(block["hash"].lower(), network.genesis_hash.lower()),
        )
    for name, address in {**CONTRACTS, "the token": network.opg_token}.items():
        yield _code(name, address)
    for field, known in (("symbol", network.token_symbol), ("decimals", network.token_decimals)):
        yield _view(f"the token's {field}", network.opg_token, abi.function("erc20", field), known)


def _registry_chain(network: Network) -> Iterator[_Fact]:
    yield _chain_id("the registry chain's id", network.registry_chain_id)
    yield _code("the registry", network.registry_address)
    listed = abi.function("tee_registry", "getActiveTEEs")
    yield _Fact(
        "the registry's list of enclaves",
        rpc.view(network.registry_address, listed, LLM_PROXY),
        lambda answer: _decoded(listed, answer),
        absent=f"what stands at {network.registry_address} does not answer {listed.name}",
    )
    if network.settlement_relay:
        yield _code("the relay of settlements", network.settlement_relay)


def _chain_id(name: str, known: int) -> _Fact:
    return _Fact(name, ("eth_chainId", []), lambda answer: _other(rpc.quantity(answer, below=2**256), known))


def _code(name: str, address: str) -> _Fact:
    return _Fact(
        name,
        ("eth_getCode", [address, "latest"]),
        lambda answer: "" if _bytes(answer) else f"there is no contract at {address}",
    )


def _view(name: str, address: str, function: abi.Function, known: object) -> _Fact:
    return _Fact(
        name,
        rpc.view(address, function),
        lambda answer: _other(function.decode_result(_bytes(answer))[0], known),
        absent=f"what stands at {address} does not answer {function.name}",
    )


def _decoded(function: abi.Function, answer: Any) -> str:
    """Return "" for an answer of a function. Raises ValueError for any other."""
    function.decode_result(_bytes(answer))
    return ""


def _other(found: object, known: object) -> str:
    return "" if found == known else f"{str(found)[:_LONGEST]!r} on chain, {str(known)[:_LONGEST]!r} is known"


def _bytes(answer: Any) -> bytes:
    return bytes.fromhex(answer.removeprefix("0x"))
