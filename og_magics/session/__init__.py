"""One notebook's session: settings, wallet, ledger and client meet here."""

from __future__ import annotations

from .api import aask, aask_many, ask, ask_many, estimate, models, receipts, settle, verify
from .asking import current, prepare
from .many import BatchRequest
from .networks import configured_networks
from .person import confirm, confirm_estimate, confirm_tool_call
from .session import Session

__all__ = [
    "BatchRequest",
    "Session",
    "aask",
    "aask_many",
    "ask",
    "ask_many",
    "configured_networks",
    "confirm",
    "confirm_estimate",
    "confirm_tool_call",
    "current",
    "estimate",
    "models",
    "prepare",
    "receipts",
    "settle",
    "verify",
]
