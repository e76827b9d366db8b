"""Showing answers: a value goes in, a mime bundle comes out; `live` owns the one display of a streamed answer."""

from __future__ import annotations

from .bundle import answer_bundle, footer
from .live import Live, live_for
from .table import receipts_table

__all__ = ["Live", "answer_bundle", "footer", "live_for", "receipts_table"]
