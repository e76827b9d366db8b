"""The word of a server that asks and pays for others (`og-magics serve`): who paid, and the key of the enclave.

It comes in the `opengradient` member of an answer, which no signature covers. Each part is cut to its form before it is
kept: a server may send anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_NETWORK = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")
_RECEIPT = re.compile(r"[0-9a-f]{32}")
_KEY = re.compile(r"(?:[0-9a-f]{2}){32,2048}")


def paid_by_of(block: Any) -> str | None:
    """Return who paid, as a server says it: "0x... on base, receipt 0198..."; None where it does not say."""
    payer, network, receipt = (_part(block, name) for name in ("payer", "network", "receipt_id"))
    if not _ADDRESS.fullmatch(payer):
        return None
    where = f" on {network}" if _NETWORK.fullmatch(network) else ""
    return f"{payer}{where}" + (f", receipt {receipt}" if _RECEIPT.fullmatch(receipt) else "")


def offered_key(block: Any) -> bytes:
    """Return the enclave's signing key (DER), as a server hands it on; b"" where it does not."""
    key = _part(block, "tee_public_key")
    return bytes.fromhex(key) if _KEY.fullmatch(key) else b""


def _part(block: Any, name: str) -> str:
    value = block.get(name) if isinstance(block, Mapping) else None
    return value if isinstance(value, str) else ""
