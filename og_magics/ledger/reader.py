"""The receipts of a ledger as they stand: one, all, those that changed, and the audit of what they are made of."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ..core.receipt import Receipt
from ..core.receipt_filter import ReceiptFilter
from ..core.shares import Share
from . import journal, rows
from .alike import whole, whole_one
from .attestations import documents_of
from .audit import LedgerAudit, audit
from .columns import ColumnChanges, Values, read_columns
from .database import Connection, Row, changes_seen
from .journal import Head
from .money import MoneyLedger

_MANY = 1000
"""Changed receipts and authorizations above which all are read: an SQL statement has a bound on its values."""
_SESSIONS = 64
"""Sessions of which the shares are kept."""
_ALL = None, None


@dataclass(frozen=True, slots=True)
class Changes:
    """The changes since a reader last looked.

    Attributes:
        head: of the journal; to be given next time.
        receipts: those that changed, and perhaps others, oldest first.
        complete: these are all there are: the ledger is another one than before, or much has changed.
    """

    head: Head
    receipts: list[Receipt]
    complete: bool


class ReceiptReader(MoneyLedger):
    """Reads receipts, and waits for nobody to do so."""

    _shared: tuple[object, dict[str, dict[str, Share]]] = None, {}
    """The shares of settlements that were split, by authorization, and the state of the ledger that they are of: all
    receipts of a session are needed for one."""

    def receipt(self, receipt_id: str) -> Receipt:
        """Return a snapshot of a receipt."""
        waits = self._file.spool.find(receipt_id)
        if waits is not None:
            with contextlib.closing(self._file.view_of(waits)) as view:
                return self._receipt(view, receipt_id)
        with self._file.reading() as connection:
            return self._receipt(connection, receipt_id)

    def _receipt(self, connection: Connection, receipt_id: str) -> Receipt:
        row = self._receipt_row(connection, receipt_id)
        hash, share = row["authorization_hash"], None
        paid = None if hash is None else journal.row(connection, "authorizations", hash)
        if row["amount"] is not None and paid is not None:
            share = self._shares_of(connection, int(row["amount"]), paid)[receipt_id]
        return rows.receipt_of(row, share, None if paid is None else rows.authorization_of(paid))

    def _shares_of(self, connection: Connection, amount: int, paid: Row) -> dict[str, Share]:
        hash, state = paid["hash"], (journal.head(connection), changes_seen(connection))
        if self._shared[0] != state or len(self._shared[1]) >= _SESSIONS:
            self._shared = state, {}
        known = self._shared[1]
        if hash not in known:
            members = connection.execute(
                """SELECT receipt_id, weight, reported_cost, cost_usd, ended FROM receipts
                WHERE authorization_hash = ? ORDER BY receipt_id""",
                (hash,),
            )
            known[hash] = rows.shares_of(amount, int(paid["cap"]), members.fetchall())
        return known[hash]

    def receipts(self) -> list[Receipt]:
        """Return all receipts, oldest first."""
        with self._file.reading_beside() as connection:
            return _receipts(connection)

    def attestations(self, hashes: Iterable[str]) -> dict[str, bytes]:
        """Return the documents that receipts name by these hashes, as far as they are there."""
        with self._file.reading() as connection:
            return documents_of(connection, hashes)

    # -- beside the port -----------------------------------------------------------------------

    def price_paid(self, network: str) -> Decimal | None:
        """Return USD of an OPG by the last settlement on a network: list prices of its calls, by what really moved.

        Args:
            network: name of the network, as in receipts.
        """
        with self._file.reading() as connection:
            return rows.price_paid(connection, network)

    def typical_tokens(self, model: str) -> int | None:
        """Return the mean of the tokens that the last answers of a model had; None where there is none."""
        mean = self._typical("completion_tokens", model)
        return None if mean is None else math.ceil(mean)

    def typical_seconds(self, model: str) -> float | None:
        """Return the mean of the time that the last answers of a model took; None where there is none."""
        mean = self._typical("latency_s", model)
        return None if mean is None else float(mean)

    def _typical(self, column: str, model: str) -> Any:
        """Return the mean of a column over the last answers of a model; None where there is none."""
        with self._file.reading() as connection:
            found = connection.execute(
                f"""SELECT avg({column}) AS mean FROM (
                    SELECT r.{column} FROM receipts r LEFT JOIN alike f ON f.id = r.alike
                    WHERE coalesce(f.model, r.model) = ? AND r.ended = 'served' AND r.{column} IS NOT NULL
                    ORDER BY r.receipt_id DESC LIMIT 20
                ) latest""",  # noqa: S608 - our own names
                (model,),
            ).fetchone()
        return found["mean"]

    def version(self) -> int:
        """Return a number that changes whenever anything was written, by this process or another.

        Cheap enough to poll.
        """
        return self._file.version()

    def changes(self, since: Head | None = None) -> Changes:
        """Return the receipts that may have changed after this head of the journal; all, without one.

        An edit that is not in the journal is no change to it: `audit` finds such.
        """
        with self._file.reading_beside() as connection:
            subjects = _changed(connection, since)
            return Changes(journal.head(connection), _receipts(connection, *subjects), subjects == _ALL)

    def column_changes(self, since: Head | None = None) -> ColumnChanges:
        """Return the columns of the same receipts as `changes`; it makes no object of a row."""
        with self._file.reading_beside() as connection:
            subjects = _changed(connection, since)
            return ColumnChanges(journal.head(connection), read_columns(connection, *subjects), subjects == _ALL)

    def columns_of(self, choice: ReceiptFilter) -> Values:
        """Return the columns of the receipts that a choice may have, and of all that are paid with them."""
        with self._file.reading_beside() as connection:
            return read_columns(connection, choice=choice)

    def head(self) -> Head:
        """Return the journal's length and the hash of its last entry.

        Note it elsewhere, and `audit` finds what was cut off.
        """
        with self._file.reading() as connection:
            return journal.head(connection)

    def audit(self, expected_head: Head | None = None) -> LedgerAudit:
        """Check that every row is as the journal says, and that the journal was not edited.

        Others can write in the meantime. It takes a second or so for each 10,000 receipts.

        Args:
            expected_head: a value of `head` from earlier; the journal must have been so.
        """
        with self._file.reading_beside(own=True) as connection:
            return audit(connection, expected_head)

    # -- within --------------------------------------------------------------------------------

    def _receipt_row(self, connection: Connection, receipt_id: str) -> Row:
        found = connection.execute(f"{rows.RECEIPTS} WHERE r.receipt_id = ?", (receipt_id,))
        return self._known(whole_one(connection, found.fetchone()), "receipts", receipt_id)


def _receipts(
    connection: Connection, receipts: set[str] | None = None, authorizations: set[str] | None = None
) -> list[Receipt]:
    """Return all receipts of a ledger, oldest first; or these, and those that these authorizations pay."""
    which, chosen, paying, payers = "1 = 1", list[str](), "1 = 1", list[str]()
    if receipts is not None and authorizations is not None:
        which, chosen = rows.among({"r.receipt_id": receipts, "r.authorization_hash": authorizations})
        paying, payers = rows.among({"hash": authorizations})
    found = connection.execute(f"{rows.RECEIPTS} WHERE {which} ORDER BY r.receipt_id", chosen)
    paid = connection.execute(f"SELECT * FROM authorizations WHERE {paying}", payers)  # noqa: S608 - question marks
    return rows.receipts_of(list(whole(connection, found)), paid)


def _changed(connection: Connection, since: Head | None) -> tuple[set[str] | None, set[str] | None]:
    """Return the receipts and the authorizations that changed after this head; `_ALL` where they are not known."""
    if since is None or not journal.contains_head(connection, since):
        return _ALL
    receipts, authorizations = journal.subjects(connection, since[0])
    return _ALL if len(receipts) + len(authorizations) > _MANY else (receipts, authorizations)
