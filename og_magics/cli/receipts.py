"""The receipts of a saved notebook or of a ledger, as a table or for other programs."""

from __future__ import annotations

import json
from pathlib import Path

from ..display import receipts_table
from ..errors import LedgerError
from ..ledger import Ledger, export_receipts, receipts_in


def show_receipts(notebook: Path | None, *, ledger: Path | None, as_json: bool, csv: Path | None) -> int:
    """Print the receipts of a notebook's outputs, or of a ledger; or write them into a CSV file. Returns 0.

    Raises:
        LedgerError: the file cannot be read, or holds a receipt that cannot be read.
    """
    if ledger is not None:
        with existing_ledger(ledger) as opened:
            receipts = opened.receipts()
    else:
        receipts = receipts_in(notebook or Path())
    if csv is not None:
        print(f"{len(receipts)} receipts written to {export_receipts(receipts, csv)}")
    elif as_json:
        print(json.dumps([receipt.to_json() for receipt in receipts], indent=1))
    else:
        print(receipts_table(receipts))
    return 0


def existing_ledger(path: Path) -> Ledger:
    """A ledger that is there already; to open one that is not would make it.

    Raises:
        LedgerError: there is no such file.
    """
    if not path.is_file():
        raise LedgerError(f"There is no ledger {path}.")
    return Ledger(path)
