"""The receipts' file: what was asked, signed, served and paid, on disk before it counts."""

from __future__ import annotations

from .audit import LedgerAudit
from .export import export_receipts, import_receipts, read_frame, receipts_csv, replace_file
from .frame import FrameCache, chosen_frame, receipts_frame
from .notebook_index import ledger_of
from .opening import notebook_ledger, open_ledger
from .place import readable_at
from .store import Ledger
from .threads import KeptTurn, ThreadStore, ThreadSummary, place_of

__all__ = [
    "FrameCache",
    "KeptTurn",
    "Ledger",
    "LedgerAudit",
    "ThreadStore",
    "ThreadSummary",
    "chosen_frame",
    "export_receipts",
    "import_receipts",
    "ledger_of",
    "notebook_ledger",
    "open_ledger",
    "place_of",
    "read_frame",
    "readable_at",
    "receipts_csv",
    "receipts_frame",
    "replace_file",
]
