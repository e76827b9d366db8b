"""An incremental reader of the receipts in a notebook's ledger."""

from __future__ import annotations

from collections.abc import Collection

from ..core.receipt import Receipt
from ..ledger import Ledger

_NONE: frozenset[str] = frozenset()


class LedgerReader:
    """Keeps the receipts as last read, and reads only those that changed. Not thread-safe."""

    def __init__(self) -> None:
        self._ledger: Ledger | None = None
        self._version = -1
        self._head: tuple[int, str] | None = None
        self._receipts: dict[str, Receipt] = {}

    @property
    def receipts(self) -> list[Receipt]:
        """All receipts as last read, oldest first."""
        return [self._receipts[name] for name in sorted(self._receipts)]

    def read(self, ledger: Ledger) -> Collection[str] | None:
        """Read the ledger and return the ids of receipts that are new or changed; None if it was not written to.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        version = ledger.version()
        if ledger is self._ledger and version == self._version:
            return None
        if ledger is not self._ledger:
            self._ledger, self._head, self._receipts = ledger, None, {}
        changes = ledger.changes(self._head)
        if changes.complete:
            self._receipts = {}
        self._receipts.update((receipt.receipt_id, receipt) for receipt in changes.receipts)
        self._version, self._head = version, changes.head
        return {receipt.receipt_id for receipt in changes.receipts} or _NONE
