"""The receipts of a notebook's ledger, as they were when last looked at."""

from __future__ import annotations

from collections.abc import Collection

from ..ledger import Ledger
from ..receipt import Receipt

_NONE: frozenset[str] = frozenset()


class Book:
    """Reads only what changed. For one thread."""

    def __init__(self) -> None:
        self._ledger: Ledger | None = None
        self._version = -1
        self._head: tuple[int, str] | None = None
        self._receipts: dict[str, Receipt] = {}

    @property
    def receipts(self) -> list[Receipt]:
        """All, oldest first."""
        return [self._receipts[name] for name in sorted(self._receipts)]

    def read(self, ledger: Ledger) -> Collection[str] | None:
        """The ids of receipts that are new or changed since the last time; None where nothing happened at all.

        Raises:
            LedgerError: it cannot be read.
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
