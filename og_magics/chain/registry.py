"""The enclaves that the on-chain registry vouches for."""

from __future__ import annotations

from typing import Any

from ..errors import ChainError
from ..networks import Network
from ..types import Enclave
from . import abi, rpc

LLM_PROXY = 0
"""The registry's type of the enclaves that serve models."""

_NOBODY = "0x" + 40 * "0"


def active_enclaves(network: Network) -> list[Enclave]:
    """The enclaves that serve models now: enabled, of approved code, with a fresh heartbeat.

    Entries without an endpoint or a certificate are left out: there would be nothing to connect to, or to trust.

    Raises:
        ChainError: the registry cannot be read.
    """
    function = abi.function("tee_registry", "getActiveTEEs")
    (entries,) = rpc.registry(network).read(network.registry_address, function, LLM_PROXY)
    enclaves = [_enclave(entry) for entry in entries]
    return [enclave for enclave in enclaves if enclave.endpoint and enclave.tls_certificate]


def enclave_by_id(network: Network, tee_id: str) -> Enclave | None:
    """An enclave that is or was registered, whether it is active or not; None when the registry does not know it.

    Args:
        tee_id: 32 bytes as hex, with or without 0x.

    Raises:
        ChainError: the registry cannot be read, or answers with the key of another enclave.
    """
    try:
        wanted = bytes.fromhex(tee_id.removeprefix("0x"))
    except ValueError:
        return None
    if len(wanted) != 32:
        return None
    node = rpc.registry(network)
    try:
        (entry,) = node.read(network.registry_address, abi.function("tee_registry", "getTEE"), wanted)
    except rpc.NodeError as error:
        if error.reverted:  # how a registry may say that it does not know the id
            return None
        raise
    enclave = _enclave(entry)
    if not enclave.public_key:
        return None
    if enclave.tee_id != "0x" + wanted.hex():
        raise ChainError(
            f"The registry behind {node.host} answered for enclave 0x{wanted.hex()} with the key of {enclave.tee_id}.",
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
