"""Showing answers: a value goes in, a mime bundle comes out; `live` owns the one display of a streamed answer."""

from __future__ import annotations

from .bundle import answer_bundle, footer
from .frames import proofs_bundle, receipts_bundle, shown_as
from .live import Live, live_for
from .pace import HEARTBEAT
from .shown import shown_problem
from .table import receipts_table, text_table

__all__ = [
    "HEARTBEAT",
    "Live",
    "answer_bundle",
    "footer",
    "live_for",
    "proofs_bundle",
    "receipts_bundle",
    "receipts_table",
    "shown_as",
    "shown_problem",
    "text_table",
]
