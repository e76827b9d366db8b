"""Showing answers: a value goes in, a mime bundle comes out; `live` owns the one display of a streamed answer."""

from __future__ import annotations

from .answer_bundle import answer_bundle
from .answer_repr import answer_repr
from .columns import LiveColumns, columns_bundle, live_columns_for
from .details import show_folded, show_or_print
from .footer import footer
from .formats import code_blocks, first_code
from .live import Live, live_for
from .progress_bar import ProgressBar, progress_bar_for
from .receipt_tables import proofs_bundle, receipts_bundle, shown_as
from .sanitize import printable
from .table import receipts_table, text_table
from .tables import records_bundle, transcript
from .throttle import HEARTBEAT
from .turn_bundle import turn_bundle

__all__ = [
    "HEARTBEAT",
    "Live",
    "LiveColumns",
    "ProgressBar",
    "answer_bundle",
    "answer_repr",
    "code_blocks",
    "columns_bundle",
    "first_code",
    "footer",
    "live_columns_for",
    "live_for",
    "printable",
    "progress_bar_for",
    "proofs_bundle",
    "receipts_bundle",
    "receipts_table",
    "records_bundle",
    "show_folded",
    "show_or_print",
    "shown_as",
    "text_table",
    "transcript",
    "turn_bundle",
]
