"""The receipts' file: what was asked, signed, served and paid, on disk before it counts."""

from __future__ import annotations

from .frame import receipts_frame
from .notebook import receipts_in
from .store import Ledger, open_ledger

__all__ = ["Ledger", "open_ledger", "receipts_frame", "receipts_in"]
