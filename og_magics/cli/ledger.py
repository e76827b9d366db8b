"""The `ledger` verb: a ledger as a whole."""

from __future__ import annotations

from pathlib import Path

from ..ledger import Ledger
from ..ledger.copying import copy_ledger
from .receipts import existing_ledger


def copy(source: Path, target: Path) -> int:
    """Copy a ledger to another place, and print what is there then. Return 0.

    Raises:
        LedgerError: it cannot be copied; nothing was.
    """
    with existing_ledger(source) as held, Ledger(target) as made:
        copied = copy_ledger(held, made)
        length, head = copied.head
        print(f"Copied {held.name} to {made.name}:")
        print(f"  {copied.rows['receipts']} receipts, {copied.rows['authorizations']} authorizations, "
              f"{copied.rows['threads']} conversations")  # fmt: skip
        print(f"  journal: {length} entries, audited in both; the last has the hash {head}")
    return 0
