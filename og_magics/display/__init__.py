"""Showing answers: a value goes in, a mime bundle comes out; `live` owns the one display of a streamed answer."""

from __future__ import annotations

from .again import again
from .bar import Bar, bar_for
from .bundle import SCRUBBED, answer_bundle, footer
from .columns import LiveColumns, columns_bundle, live_columns_for
from .folded import show_folded
from .formats import code_blocks, first_code
from .frames import proofs_bundle, receipts_bundle, shown_as
from .live import Live, live_for
from .pace import HEARTBEAT
from .records import records_bundle, transcript
from .safe import printable
from .shown import columns_problems, shown_problem
from .shown_turn import turn_problems
from .table import receipts_table, text_table
from .turn import turn_bundle

__all__ = [
    "HEARTBEAT",
    "SCRUBBED",
    "Bar",
    "Live",
    "LiveColumns",
    "again",
    "answer_bundle",
    "bar_for",
    "code_blocks",
    "columns_bundle",
    "columns_problems",
    "first_code",
    "footer",
    "live_columns_for",
    "live_for",
    "printable",
    "proofs_bundle",
    "receipts_bundle",
    "receipts_table",
    "records_bundle",
    "show_folded",
    "shown_as",
    "shown_problem",
    "text_table",
    "transcript",
    "turn_bundle",
    "turn_problems",
]
