"""The chain room: what a wallet holds and has approved, which enclaves are registered, which payments were settled.

Everything here is synchronous and safe to call from any thread; the caller decides which. Nothing here signs a payment,
and only `ensure_approval` sends a transaction. web3 is imported when the first request is made, not with the room.

`payment_facts`, `data_events` and `enclaves_by_id` gather what the proofs of many receipts are judged by. They do not
raise when a node is down: they say so in what they return.
"""

from __future__ import annotations

from .audit import payment_facts
from .data import data_events
from .registry import active_enclaves, enclave_by_id, enclaves_by_id
from .rpc import connect
from .settlements import find_settlement, find_settlements, head
from .wallet import Balances, balances, ensure_approval

__all__ = [
    "Balances",
    "active_enclaves",
    "balances",
    "connect",
    "data_events",
    "enclave_by_id",
    "enclaves_by_id",
    "ensure_approval",
    "find_settlement",
    "find_settlements",
    "head",
    "payment_facts",
]
