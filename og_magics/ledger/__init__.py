"""The receipts' file: what was asked, signed, served and paid, on disk before it counts."""

from __future__ import annotations

from .audit import LedgerAudit
from .export import export_receipts, import_receipts, read_frame
from .frame import FrameCache, receipts_frame
from .notebook import ShownAnswer, answers_in, receipts_in
from .store import Ledger, open_ledger

__all__ = [
    "FrameCache",
    "Ledger",
    "LedgerAudit",
    "ShownAnswer",
    "answers_in",
    "export_receipts",
    "import_receipts",
    "open_ledger",
    "read_frame",
    "receipts_frame",
    "receipts_in",
]
