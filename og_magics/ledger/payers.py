"""The wallets that a ledger knows, read without opening it for writing."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from ..core.errors import LedgerError
from ..core.shared_ledger import shared_at
from .reading import read_only


def payers_in(path: Path) -> set[str]:
    """Return the addresses that have authorized payments in a ledger; none where none can be read."""
    if shared_at(path) is not None:
        with contextlib.suppress(LedgerError), read_only(path) as connection:
            return {str(row[0]) for row in connection.execute("SELECT DISTINCT payer FROM authorizations")}
        return set()
    with contextlib.suppress(sqlite3.Error, OSError):
        if path.is_file():
            where = f"{path.absolute().as_uri()}?mode=ro"
            with contextlib.closing(sqlite3.connect(where, uri=True, timeout=0.5)) as connection:
                return {str(row[0]) for row in connection.execute("SELECT DISTINCT payer FROM authorizations")}
    return set()
