"""The `receipts` verb: receipts of a saved notebook or a ledger, as a table, JSON or CSV."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from ..core.errors import LedgerError
from ..core.settings import Settings
from ..display import receipts_table
from ..ledger import Ledger, export_receipts, ledger_of
from ..notebook.file import receipts_in


def show_receipts(
    notebook: Path | None, *, ledger: Path | None, as_json: bool, csv: Path | None, settle: float | None = None
) -> int:
    """Print the receipts of a notebook or a ledger, or write them into a CSV file. Return 0.

    Args:
        settle: seconds to look for the payments of the ledger, which is the notebook's where none is named; the
            receipts are the ledger's then. What is still open is named on standard error, with the reason.

    Raises:
        ChainError: no chain could be read.
        LedgerError: the file cannot be read, or holds a receipt that cannot be read.
    """
    if settle is not None and ledger is None:
        ledger = ledger_of(Settings.from_env(), notebook and notebook.expanduser().absolute())
    if ledger is not None:
        with existing_ledger(ledger) as opened:
            if settle is not None:
                _settle(opened, settle)
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


def _settle(ledger: Ledger, seconds: float) -> None:
    from ..session.open_payments import open_payments_note, settle_ledger

    if note := open_payments_note(settle_ledger(ledger, Settings.from_env(), seconds)):
        print(note, file=sys.stderr)


def existing_ledger(path: Path) -> Ledger:
    """Open a ledger that exists; opening one that does not would create it.

    Raises:
        LedgerError: there is no such file.
    """
    if not path.is_file():
        raise LedgerError(
            f"There is no file of receipts at {path}.", remedy="Name the folder of the notebook, or the file itself."
        )
    return Ledger(path)
