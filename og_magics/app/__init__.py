"""The wiring: the only place where a notebook is put together."""

from __future__ import annotations

from .notebook import App, named_networks
from .surface import current, models, receipts, settle, verify

__all__ = ["App", "current", "models", "named_networks", "receipts", "settle", "verify"]
