"""One notebook's session: settings, wallet, ledger and client meet here."""

from __future__ import annotations

from .api import aask, aask_many, ask, ask_many, confirm_tool_call, current, models, receipts, settle, verify
from .session import Session, configured_networks

__all__ = [
    "Session",
    "aask",
    "aask_many",
    "ask",
    "ask_many",
    "configured_networks",
    "confirm_tool_call",
    "current",
    "models",
    "receipts",
    "settle",
    "verify",
]
