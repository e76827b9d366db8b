"""The enclaves that the on-chain registry vouches for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from ..core.errors import ChainError
from ..core.networks import Network
from ..core.onchain import Unavailable
from ..core.types import Enclave
from . import abi, rpc

LLM_PROXY = 0
"""The registry's type of the enclaves that serve models."""

_ID = re.compile(r"(?:0x)?[0-9a-fA-F]{64}")
_NOBODY = "0x" + 40 * "0"


def active_enclaves(network: Network) -> list[Enclave]:
    """Return the enclaves that serve models now: enabled, of approved code, with a fresh heartbeat.

    Entries without an endpoint or a certificate are left out: there would be nothing to connect to, or to trust.

    Raises:
        ChainError: the registry cannot be read.
    """
    function = abi.function("tee_registry", "getActiveTEEs")
    (entries,) = rpc.registry(network).read(network.registry_address, function, LLM_PROXY)
    enclaves = [_enclave(entry) for entry in entries]
    return [enclave for enclave in enclaves if enclave.endpoint and enclave.tls_certificate]


def enclave_by_id(network: Network, tee_id: str) -> Enclave | None:
    """Return an enclave that is or was registered, active or not; None when the registry does not know it.

    Args:
        tee_id: 32 bytes as hex, with or without 0x.

    Raises:
        ChainError: the registry cannot be read, or answers with the key of another enclave.
    """
    node = rpc.registry(network)
    (call,) = _calls(network, [tee_id])
    found = None if call is None else _found(node, network, tee_id, node.ask_each([call])[0])
    if isinstance(found, ChainError):
        raise found
    return found


def enclaves_by_id(network: Network, tee_ids: Iterable[str]) -> dict[str, Enclave | Unavailable | None]:
    """Look up many enclaves in as few requests as the node allows. Never raises: a failure is `Unavailable`.

    Shape: tee_id as given -> enclave, None for one that the registry does not know.
    """
    wanted = list(dict.fromkeys(tee_ids))
    node = rpc.registry(network)
    asked = {tee_id: call for tee_id, call in zip(wanted, _calls(network, wanted), strict=True) if call is not None}
    try:
        answers = dict(zip(asked, node.ask_each(list(asked.values()), wide=True), strict=True))
    except ChainError as error:
        answers = dict.fromkeys(asked, error)
    found: dict[str, Enclave | Unavailable | None] = {}
    for tee_id in wanted:
        one = _found(node, network, tee_id, answers[tee_id]) if tee_id in answers else None
        found[tee_id] = Unavailable(one.what) if isinstance(one, ChainError) else one
    return found


def _calls(network: Network, tee_ids: Iterable[str]) -> list[rpc.Call | None]:
    """Return the call that asks for each id; None for a malformed id."""
    function = abi.function("tee_registry", "getTEE")
    return [
        rpc.view(network.registry_address, function, bytes.fromhex(tee_id[-64:])) if _ID.fullmatch(tee_id) else None
        for tee_id in tee_ids
    ]


def _found(node: rpc.Node, network: Network, tee_id: str, answer: Any) -> Enclave | ChainError | None:
    """Decode the enclave in the registry's answer; `Unavailable` when it cannot be read."""
    if isinstance(answer, rpc.NodeError) and answer.reverted:
        return None  # one way for a registry to say that it does not know the id
    if isinstance(answer, ChainError):
        return answer
    try:
        (entry,) = node.decode(network.registry_address, abi.function("tee_registry", "getTEE"), answer)
    except ChainError as error:
        return error
    enclave = _enclave(entry)
    if not enclave.public_key:
        return None
    if enclave.tee_id[2:] != tee_id[-64:].lower():
        return ChainError(
            f"The registry behind {node.host} answered for enclave {tee_id} with the key of {enclave.tee_id}.",
            money=rpc.READ_ONLY,
            remedy=f"Do not trust this RPC; name another one with {node.setting}.",
        )
    return enclave


def _enclave(entry: tuple[Any, ...]) -> Enclave:
    from eth_utils.address import to_checksum_address
    from eth_utils.crypto import keccak

    _owner, payee, endpoint, public_key, certificate, pcr_hash, *_ = entry
    return Enclave(
        endpoint=endpoint,
        tee_id="0x" + keccak(public_key).hex() if public_key else "",
        public_key=public_key,
        tls_certificate=certificate or None,
        payment_address="" if payee == _NOBODY else to_checksum_address(payee),
        registered=True,
        pcr_hash="0x" + pcr_hash.hex() if any(pcr_hash) else "",
    )
