"""The receipts' file: what was asked, signed, served and paid, on disk before it counts."""

from __future__ import annotations

from .audit import LedgerAudit
from .export import export_receipts, import_receipts, read_frame, receipts_csv, replace_file
from .frame import FrameCache, receipts_frame
from .notebook import ShownAnswer, answers_in, answers_of, joined, read_notebook, receipts_in, write_notebook
from .store import Ledger, open_ledger
from .threads import KeptTurn, ThreadStore, ThreadSummary, place_of

__all__ = [
    "FrameCache",
    "KeptTurn",
    "Ledger",
    "LedgerAudit",
    "ShownAnswer",
    "ThreadStore",
    "ThreadSummary",
    "answers_in",
    "answers_of",
    "export_receipts",
    "import_receipts",
    "joined",
    "open_ledger",
    "place_of",
    "read_frame",
    "read_notebook",
    "receipts_csv",
    "receipts_frame",
    "receipts_in",
    "replace_file",
    "write_notebook",
]
