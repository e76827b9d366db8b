"""The chain room: what a wallet holds and has approved, which enclaves are registered, which payments were settled.

Everything here is synchronous and safe to call from any thread; the caller decides which. Nothing here signs a payment,
and only `ensure_approval` sends a transaction. web3 is imported when the first request is made, not with the room.
"""

from __future__ import annotations

from .registry import active_enclaves, enclave_by_id
from .rpc import connect
from .settlements import find_settlement, find_settlements
from .wallet import Balances, balances, ensure_approval

__all__ = [
    "Balances",
    "active_enclaves",
    "balances",
    "connect",
    "enclave_by_id",
    "ensure_approval",
    "find_settlement",
    "find_settlements",
]
