"""Tampering with saved notebooks, of every kind, and counts of what is found: `python -m tests.compat.tampering`."""

from .counts import KINDS, Line, lines_of, notebooks, table

__all__ = ["KINDS", "Line", "lines_of", "notebooks", "table"]
