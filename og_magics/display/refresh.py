"""Answers that are shown already, and whose payment is found later: they are brought up to date in their place."""

from __future__ import annotations

import contextlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..core.fork import new_lock
from ..core.protocols import Journal
from ..core.receipt import Receipt
from .answer_bundle import Head

Refresh = Callable[[Sequence[Receipt], Head | None], None]
"""Shows a display again with those of its receipts that changed, as they are now; from any thread."""

_MOST = 200
"""Receipts that are remembered; the displays of older ones stay as they are."""


class HeadedJournal(Journal, Protocol):
    """A journal whose entries are chained."""

    def head(self) -> Head:
        """Its length, and the hash of its last entry."""


@dataclass(frozen=True, slots=True, eq=False)
class _Shown:
    journal: HeadedJournal
    refresh: Refresh


class DisplayTracker:
    """The last answers that are not settled yet. All methods may be called from any thread, and none raises."""

    def __init__(self) -> None:
        self._lock = new_lock()
        self._refreshing = new_lock()
        self._waiting: OrderedDict[str, _Shown] = OrderedDict()

    def add(self, journal: HeadedJournal, receipts: Sequence[Receipt], refresh: Refresh) -> None:
        """Remember a display of these receipts, but for those about whose payment nothing can change."""
        waiting = [receipt.receipt_id for receipt in receipts if _open(receipt)]
        with self._lock:
            self._waiting |= dict.fromkeys(waiting, _Shown(journal, refresh))
            while len(self._waiting) > _MOST:
                self._waiting.popitem(last=False)
        self._refresh(waiting)  # some may have been settled between their being read and now

    def refresh_soon(self) -> None:
        """Refresh on a thread of its own: for the background loop, which must not wait for the ledger."""
        if self._waiting:
            threading.Thread(target=self.refresh, name="og_magics-refresh", daemon=True).start()

    def refresh(self) -> None:
        """Show those again whose payment is known by now, and forget them."""
        with self._lock:
            waiting = list(self._waiting)
        self._refresh(waiting)

    def _refresh(self, receipt_ids: Sequence[str]) -> None:
        changed: dict[_Shown, list[Receipt]] = {}
        with self._refreshing:  # two at once could show the older receipt last
            for receipt_id in receipt_ids:
                # Whatever fails here is a line that stays as it was; the ledger has what counts.
                with contextlib.suppress(Exception):
                    shown = self._waiting[receipt_id]
                    receipt = shown.journal.receipt(receipt_id)
                    if not _open(receipt):
                        with self._lock:
                            self._waiting.pop(receipt_id, None)
                    if not _open(receipt) or receipt.status == "paid":
                        changed.setdefault(shown, []).append(receipt)
            # Each display is sent once, however many of its payments were found: it may be large.
            for shown, receipts in changed.items():
                with contextlib.suppress(Exception):
                    shown.refresh(receipts, shown.journal.head())


def _open(receipt: Receipt) -> bool:
    signed = receipt.authorization_hash is not None
    return signed and receipt.payment_hash is None and receipt.status != "expired"
