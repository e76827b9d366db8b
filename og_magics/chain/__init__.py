"""Reading the chains: balances and approvals, registered enclaves, settled payments and data.

Everything here is synchronous and safe to call from any thread; the caller decides which. Nothing here signs a payment,
and only `ensure_approval` sends a transaction. web3 is imported when the first request is made, not with this package.

`payment_facts`, `data_events` and `enclaves_by_id` collect the evidence for many receipts. They do not raise when a
node is down: their results say so.
"""

from __future__ import annotations

from .comparison import Comparison, compare
from .data import data_events
from .evidence import Finding, look
from .identity import require_chain
from .payments import payment_facts
from .registry import Listed, active_enclaves, enclave_by_id, enclaves_by_id, listed_enclaves
from .rpc import connect
from .settlements import find_settlement, find_settlements, head
from .wallet import Balances, balances, ensure_approval

__all__ = [
    "Balances",
    "Comparison",
    "Finding",
    "Listed",
    "active_enclaves",
    "balances",
    "compare",
    "connect",
    "data_events",
    "enclave_by_id",
    "enclaves_by_id",
    "ensure_approval",
    "find_settlement",
    "find_settlements",
    "head",
    "listed_enclaves",
    "look",
    "payment_facts",
    "require_chain",
]
