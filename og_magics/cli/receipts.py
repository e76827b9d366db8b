"""The `receipts` verb: receipts of a saved notebook or a ledger, as a table, JSON or CSV."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from ..core.errors import LedgerError
from ..core.receipt_filter import ReceiptFilter
from ..core.settings import Settings
from ..core.shared_ledger import shared_at
from ..display import receipts_table
from ..display.sanitize import printable
from ..ledger import Ledger, export_receipts, ledger_of
from ..notebook.file import receipts_in

_MOST, _WIDTH = 20, 80
"""Lines of a list, and characters of each, of what a file from elsewhere says."""


def show_receipts(
    notebook: Path | None,
    *,
    ledger: Path | None,
    as_json: bool,
    csv: Path | None,
    settle: float | None = None,
    choice: ReceiptFilter,
) -> int:
    """Print the receipts of a notebook or a ledger, or write them into a CSV file. Return 0.

    Args:
        settle: seconds to look for the payments of the ledger, which is the notebook's where none is named; the
            receipts are the ledger's then. What is still open is named on standard error, with the reason.
        choice: which of them.

    Raises:
        ChainError: no chain could be read.
        LedgerError: the file cannot be read, or holds a receipt that cannot be read.
    """
    if settle is not None and ledger is None:
        ledger = _ledger_of(notebook)
    if ledger is not None:
        with existing_ledger(ledger) as opened:
            if settle is not None:
                _settle(opened, settle)
            receipts = opened.receipts()
    else:
        receipts = receipts_in(notebook or Path())
    receipts = list(filter(choice.keeps, receipts))
    if csv is not None:
        print(f"{len(receipts)} receipts written to {export_receipts(receipts, csv)}")
    elif as_json:
        print(json.dumps([receipt.to_json() for receipt in receipts], indent=1))
    else:
        print(receipts_table(receipts))
    return 0


def adopt(notebook: Path | None, ledger: Path | None, *, yes: bool) -> int:
    """Print what of a ledger was not made here, and mark it as this user's after a yes. Return 0; 1 without one.

    Raises:
        LedgerError: the file cannot be read or written, or there is none.
    """
    with existing_ledger(ledger or _ledger_of(notebook)) as opened:
        foreign = opened.foreign()
        if not foreign.answers and not foreign.turns:
            print(f"All answers and conversations in {opened.name} were made here: nothing to adopt.")
            return 0
        print(f"Not made by you on this machine, in {opened.name}:")
        print(f"  answers: {len(foreign.answers)}, of {_day(foreign.first)} to {_day(foreign.last)}")
        _print_some([f"{_line(model)}: {count}" for model, count in sorted(foreign.models.items())])
        print(f"  turns of conversations: {len(foreign.turns)}")
        _print_some([_line(thread) for thread in foreign.threads])
        print("Once adopted, the answers stand in for paid calls, and the conversations are sent to models.")
        if not yes and not _agreed():
            print("Nothing was adopted. Look at them first (og-magics receipts --ledger FILE); --yes adopts unasked.")
            return 1
        opened.adopt(foreign)
    print("They are yours now.")
    return 0


def _agreed() -> bool:
    try:
        return input("Adopt them? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        print()
        return False


def _print_some(lines: Sequence[str]) -> None:
    for line in lines[:_MOST]:
        print(f"    {line}")
    if len(lines) > _MOST:
        print(f"    and {len(lines) - _MOST} others")


def _line(text: str) -> str:
    return printable(" ".join(text.split()))[:_WIDTH]


def _day(time: float) -> str:
    try:
        return datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d")
    except (OverflowError, OSError, ValueError):
        return "an unknown day"


def _ledger_of(notebook: Path | None) -> Path:
    return ledger_of(Settings.from_env(), notebook and notebook.expanduser().absolute())


def _settle(ledger: Ledger, seconds: float) -> None:
    from ..session.open_payments import open_payments_note, settle_ledger

    if note := open_payments_note(settle_ledger(ledger, Settings.from_env(), seconds)):
        print(note, file=sys.stderr)


def existing_ledger(path: Path) -> Ledger:
    """Open a ledger that exists; opening one that does not would create it.

    Raises:
        LedgerError: there is no such file.
    """
    if shared_at(path) is None and not path.is_file():
        raise LedgerError(
            f"There is no file of receipts at {path}.", remedy="Name the folder of the notebook, or the file itself."
        )
    return Ledger(path)
