"""The enclaves that the on-chain registry lists, and their standing there.

What every registry has is `getActiveTEEs` and `getTEE`. Of the rest, one that is deployed may lack a part: a revert, or
an empty answer, is then no "no", but not known.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from ..core.enclave import LLM_PROXY, Enclave, Ending, Standing
from ..core.errors import ChainError
from ..core.networks import Network
from ..core.onchain import Unavailable
from . import abi, rpc
from .registry_history import endings

LAGS = 15 * 60
"""Seconds by which a node's newest block may be old: each gateway sends a heartbeat that often, and that makes one."""

CLOCKS_APART = 120
"""Seconds by which a time in the registry may be after the newest block that the same node shows."""

_ID = re.compile(r"(?:0x)?[0-9a-fA-F]{64}")
_NOBODY = "0x" + 40 * "0"


@dataclass(frozen=True, slots=True)
class Listed:
    """The active enclaves of the registry: those to connect to, and the others, each with what is wrong with it."""

    usable: tuple[Enclave, ...]
    refused: tuple[tuple[Enclave, str], ...]


def listed_enclaves(network: Network) -> Listed:
    """Return the enclaves that serve models now: enabled, of approved code, with a fresh heartbeat.

    Raises:
        ChainError: the registry cannot be read.
    """
    enclaves = enclaves_of_type(network, LLM_PROXY)
    return Listed(
        tuple(one for one in enclaves if not refusal(one)),
        tuple((one, why) for one in enclaves if (why := refusal(one))),
    )


def enclaves_of_type(network: Network, tee_type: int) -> list[Enclave]:
    """Return the active enclaves of a type, those that must not be connected to among them.

    Raises:
        ChainError: the registry cannot be read.
    """
    function = abi.function("tee_registry", "getActiveTEEs")
    (entries,) = rpc.registry(network).read(network.registry_address, function, tee_type)
    return [_enclave(entry) for entry in entries]


def active_enclaves(network: Network) -> list[Enclave]:
    """Return the enclaves that serve models now, and that may be connected to. Raises as `listed_enclaves` does."""
    return list(listed_enclaves(network).usable)


def refusal(enclave: Enclave) -> str:
    """Return why a registered enclave must not be connected to, "" where it may be."""
    try:
        parts = urlsplit(enclave.endpoint)
        secure = parts.scheme == "https" and bool(parts.hostname) and not parts.username
    except ValueError:
        secure = False
    standing = enclave.standing or Standing()
    if not secure:
        return "its endpoint is not https"
    if not enclave.tls_certificate:
        return "it has no certificate"
    if not enclave.public_key:
        return "it has no key"
    if standing.tee_type != LLM_PROXY:
        return f"it is of type {standing.tee_type}, which serves no models"
    return "" if standing.enabled else "it is disabled"


def enclave_by_id(network: Network, tee_id: str) -> Enclave | None:
    """Return an enclave that is or was registered, active or not; None when the registry does not know it.

    Args:
        tee_id: 32 bytes as hex, with or without 0x.

    Raises:
        ChainError: the registry cannot be read, contradicts itself, or answers with the key of another enclave.
    """
    found = _look_up(network, [tee_id])[tee_id]
    if isinstance(found, ChainError):
        raise found
    return found


def enclaves_by_id(network: Network, tee_ids: Iterable[str]) -> dict[str, Enclave | Unavailable | None]:
    """Look up many enclaves in as few requests as the node allows. Never raises: a failure is `Unavailable`.

    Shape: tee_id as given -> enclave, None for one that the registry does not know.
    """
    wanted = list(dict.fromkeys(tee_ids))
    try:
        found = _look_up(network, wanted)
    except ChainError as error:
        return {tee_id: Unavailable(error.what) if _ID.fullmatch(tee_id) else None for tee_id in wanted}
    return {tee_id: Unavailable(one.what) if isinstance(one, ChainError) else one for tee_id, one in found.items()}


def _look_up(network: Network, tee_ids: Sequence[str]) -> dict[str, Enclave | ChainError | None]:
    """Look up enclaves in one request, and those that are not active in a few more."""
    node, address = rpc.registry(network), network.registry_address
    get, is_active, max_age = (
        abi.function("tee_registry", name) for name in ("getTEE", "isTEEActive", "heartbeatMaxAge")
    )
    asked = {tee_id: bytes.fromhex(tee_id[-64:]) for tee_id in tee_ids if _ID.fullmatch(tee_id)}
    found: dict[str, Enclave | ChainError | None] = dict.fromkeys(tee_ids)
    if not asked:
        return found
    calls = [rpc.view(address, one, id) for id in asked.values() for one in (get, is_active)]
    newest: rpc.Call = ("eth_getBlockByNumber", ["latest", False])
    *answers, age, block = node.ask_each([*calls, rpc.view(address, max_age), newest], wide=True)
    now = None if network.local else _time_of(node, block)
    read = Standing(heartbeat_max_age=_optional(max_age, age), read_at=now)
    for tee_id, entry, active in zip(asked, answers[::2], answers[1::2], strict=True):
        found[tee_id] = _found(node, network, tee_id, entry, replace(read, active=_optional(is_active, active)))
        if found[tee_id] is None and now is not None and now < time.time() - LAGS:
            found[tee_id] = _lagging(node, now)
    known = {tee_id: one for tee_id, one in found.items() if isinstance(one, Enclave)}
    return found | _examined(node, network, known)


def _found(node: rpc.Node, network: Network, tee_id: str, answer: Any, read: Standing) -> Enclave | ChainError | None:
    """Decode the enclave in the registry's answer; the error when it cannot be read."""
    if isinstance(answer, rpc.NodeError) and answer.reverted:
        return None  # one way for a registry to say that it does not know the id
    if isinstance(answer, ChainError):
        return answer
    try:
        (entry,) = node.decode(network.registry_address, abi.function("tee_registry", "getTEE"), answer)
    except ChainError as error:
        return error
    enclave = _enclave(entry, read)
    if not enclave.public_key:
        return None
    if enclave.tee_id[2:] != tee_id[-64:].lower():
        return _lie(node, f"answered for enclave {tee_id} with the key of {enclave.tee_id}")
    return enclave


def _examined(node: rpc.Node, network: Network, known: dict[str, Enclave]) -> dict[str, Enclave | ChainError | None]:
    """Add to those that are not active whether their code is approved, and since when they are not in order.

    An active one is enabled, and of approved code: the registry counts no other.
    """
    function = abi.function("tee_registry", "isPCRApproved")
    codes = {tee_id: _code(one) for tee_id, one in known.items() if one.pcr_hash and not _standing(one).active}
    calls = {
        code: rpc.view(network.registry_address, function, code[0], bytes.fromhex(code[1][2:]))
        for code in codes.values()
    }
    answers = node.ask_each(list(calls.values()), wide=True)
    approved = {code: _optional(function, answer) for code, answer in zip(calls, answers, strict=True)}
    found: dict[str, Enclave | ChainError | None] = {}
    wrong: dict[str, Enclave] = {}
    for tee_id, one in known.items():
        approval = approved[codes[tee_id]] if tee_id in codes else (_standing(one).active or None)
        standing = replace(_standing(one), approved=approval)
        found[tee_id] = replace(one, standing=standing)
        if lie := _contradiction(standing):
            found[tee_id] = _lie(node, f"contradicts itself about enclave {tee_id}: {lie}")
        elif _not_in_order(standing):
            wrong[tee_id] = replace(one, standing=standing)
    since = endings(node, network, {one: _not_in_order(_standing(one)) for one in wrong.values()})
    ended = {id: replace(one, standing=replace(_standing(one), endings=since[one])) for id, one in wrong.items()}
    return {**found, **ended}


def _not_in_order(standing: Standing) -> tuple[Ending, ...]:
    """Return in what an enclave is not in order now. What the registry does not tell counts as in order."""
    checks = (
        (Ending.RETYPED, standing.tee_type != LLM_PROXY),
        (Ending.DISABLED, not standing.enabled),
        (Ending.REVOKED, standing.approved is False),
    )
    return tuple(ending for ending, wrong in checks if wrong)


def _contradiction(standing: Standing) -> str:
    """Return what cannot be so of all that a node says at once, "" where it can."""
    if standing.active and not standing.enabled:
        return "it is active, and disabled"
    latest = None if standing.read_at is None else standing.read_at + CLOCKS_APART
    if latest is not None and max(standing.registered_at, standing.heartbeat_at) > latest:
        return "it was registered, or had a heartbeat, after the newest block"
    return ""


def _code(enclave: Enclave) -> tuple[int, str]:
    return _standing(enclave).tee_type, enclave.pcr_hash


def _standing(enclave: Enclave) -> Standing:
    return enclave.standing or Standing()


def _optional(function: abi.Function, answer: Any) -> Any:
    """Return the value in the answer of a function that a registry may lack; None where it does not tell."""
    try:
        (value,) = function.decode_result(bytes.fromhex(answer.removeprefix("0x")))
    except (ValueError, AttributeError):  # an error, or what is no answer of it
        return None
    return value


def _time_of(node: rpc.Node, block: Any) -> int:
    """Return the time of a block that was asked for. Raises ChainError when it is none."""
    if isinstance(block, ChainError):
        raise block
    with rpc.guard(node.url, setting=node.setting):
        return rpc.quantity(block["timestamp"])


def _lagging(node: rpc.Node, newest: int) -> ChainError:
    behind = int(time.time() - newest) // 60
    return ChainError(
        f"The node at {node.host} may not know newer enclaves: its newest block is {behind:,} minutes old.",
        money=rpc.READ_ONLY,
        remedy=f"Try again later, or name another node with {node.setting}; check this machine's clock too.",
    )


def _lie(node: rpc.Node, what: str) -> ChainError:
    return ChainError(
        f"The public list of gateways, read from the node at {node.host}, {what}.",
        money=rpc.READ_ONLY,
        remedy=f"Do not trust this node; name another one with {node.setting}.",
    )


def _enclave(entry: tuple[Any, ...], read: Standing | None = None) -> Enclave:
    from eth_utils.address import to_checksum_address
    from eth_utils.crypto import keccak

    _owner, payee, endpoint, public_key, certificate, pcr_hash, tee_type, enabled, registered_at, heartbeat_at = entry
    standing = replace(
        read or Standing(), tee_type=tee_type, enabled=enabled, registered_at=registered_at, heartbeat_at=heartbeat_at
    )
    return Enclave(
        endpoint=endpoint,
        tee_id="0x" + keccak(public_key).hex() if public_key else "",
        public_key=public_key,
        tls_certificate=certificate or None,
        payment_address="" if payee == _NOBODY else to_checksum_address(payee),
        registered=True,
        pcr_hash="0x" + pcr_hash.hex() if any(pcr_hash) else "",
        standing=standing,
    )
