"""The wiring: the only place where a notebook is put together."""

from __future__ import annotations

from .asking import aask, aask_many, ask, ask_many
from .notebook import App, named_networks
from .person import confirmed
from .shelf import shown_problems
from .surface import current, models, receipts, settle, verify

__all__ = [
    "App",
    "aask",
    "aask_many",
    "ask",
    "ask_many",
    "confirmed",
    "current",
    "models",
    "named_networks",
    "receipts",
    "settle",
    "shown_problems",
    "verify",
]
