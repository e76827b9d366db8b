"""Hashes as every proof writes and reads them."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

from ..core.facts import fact

NO_ENCLAVE = bytes.fromhex(fact("settlements", "placeholder")["tee_id"][2:])
"""Stands where a gateway's payment layer knows no enclave: it is the name of none."""

_HASH = re.compile(r"(?:0x)?([0-9a-fA-F]{64})")


def keccak(data: bytes) -> bytes:
    """Return the keccak256, 32 bytes."""
    return _hasher()(data)


@functools.cache
def _hasher() -> Callable[[bytes], bytes]:
    from eth_hash.auto import keccak

    return keccak


@functools.lru_cache(maxsize=64)  # thousands of answers, a few keys
def key_hash(public_key_der: bytes) -> bytes:
    """Return the keccak256 of a key's DER bytes: the id of its enclave."""
    return keccak(public_key_der)


def hash_bytes(text: object) -> bytes | None:
    """Return the 32 bytes of a hash written as 64 hex digits, with or without 0x; None for anything else."""
    found = _HASH.fullmatch(text) if isinstance(text, str) else None
    return bytes.fromhex(found[1]) if found else None


def is_placeholder(value: object) -> bool:
    """Return True for what gateways write where they know no enclave or no signature: it proves nothing.

    Args:
        value: a name or a signature, as text or as bytes.
    """
    return value in ("0x", b"", NO_ENCLAVE) or hash_bytes(value) == NO_ENCLAVE
