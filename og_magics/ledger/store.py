"""The receipts' file. Its storage contract:

- An authorization is written once, synced to disk before `authorize` returns, and never rewritten. Later only its
  expiry is marked.
- A receipt is written when its question is asked. After that three things are filled in, each once: the authorization
  that pays (its session may follow; only `detach` takes it back), the end (served or failed; the first one stands), and
  the payment that was verified.
- A settlement is one row an authorization. Another one in its place (the chain was reorganized) replaces it, and only
  `unsettle` removes it.
- Nothing else is ever deleted but threads, which are the user's to change (`threads.py`). A process that dies leaves
  its receipts "unpaid" or "authorized", which is what they are.
- What follows from other rows is worked out when read: status, payment hash, payer, cap, and the cost, a share by
  weight of what the settlement moved. So shares always add up to it, whichever came last.
- Signatures and keys are not stored, nor are images.
- Every write is one transaction: it is there as a whole, or not at all. The same transaction enters what it changed in
  the journal, where each entry holds the hash of the one before (`journal.py`). What a write finds already so, it
  neither writes nor enters.
- So `audit` finds a row or an entry that was changed, added, removed or moved by other hands, and names it. It cannot
  find what was done by someone who made the journal anew from there on, or who cut its end off together with the rows:
  for that, note its `head` elsewhere, and give it to `audit`.
"""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
import weakref
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ..errors import LedgerError
from ..ports import EnclaveVerdict
from ..receipt import Receipt
from ..types import Authorization, Outcome, Question, Settlement
from . import journal, recordings, rows
from .audit import LedgerAudit, audit
from .file import RECORD, LedgerFile
from .journal import Head
from .recordings import RecordingStore
from .threads import ThreadStore

_UNSENT = "No signature was sent, so nothing is paid."
_MANY = 1000
"""Changed receipts and authorizations above which all are read: an SQL statement has a bound on its values."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What a reader of the ledger has to take in.

    Attributes:
        head: of the journal; to be given next time.
        receipts: those that changed, and perhaps others, oldest first.
        complete: these are all there are: the ledger is another one than before, or much has changed.
    """

    head: Head
    receipts: list[Receipt]
    complete: bool


class Ledger:
    """`ports.Journal` on an SQLite file, for any number of threads and processes.

    The file, and its folder, come into being at the first use; after `close()` the next use opens it again. Every
    method raises `LedgerError` when the file cannot be read or written, or when it has no such receipt or
    authorization.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file = LedgerFile(path)
        self._last_id = 0

    @property
    def path(self) -> Path:
        """Of the file, absolute."""
        return self._file.path

    @property
    def threads(self) -> ThreadStore:
        """The conversations in the file."""
        return ThreadStore(self._file)

    @property
    def recordings(self) -> RecordingStore:
        """The answers in the file, to be shown again."""
        return RecordingStore(self._file, self.receipt)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. It is also closed when the ledger is no longer used, and when the interpreter ends."""
        self._file.close()

    # -- the port: writing ---------------------------------------------------------------------

    def open(self, question: Question, network: str, time: float) -> str:
        """A new receipt in the state "unpaid"; its id: 32 hex digits that sort by time, and by order in a process."""
        with self._file.writing(money=_UNSENT) as connection:
            # Milliseconds, then 80 random bits. Within one process each id is above the last, even if the clock is not.
            self._last_id = max(int(time * 1000) << 80 | secrets.randbits(80), self._last_id + 1)
            receipt_id = f"{self._last_id:032x}"
            row = {
                "receipt_id": receipt_id,
                "time": time,
                "cell": question.cell,
                "notebook": question.notebook,
                "network": network,
                "provider": question.provider,
                "model": question.model,
                "settlement": question.settlement.value,
                "path": question.path,
                "request": rows.canonical(dict(question.body)),
                "turn": question.turn or None,
            }
            journal.write(connection, "opened", {"receipts": row}, receipt=receipt_id)
            recordings.note(connection, receipt_id, question)
        return receipt_id

    def authorize(self, authorization: Authorization) -> None:
        """Write an authorization down, synced to disk before this returns. A second time changes nothing."""
        hash, row = authorization.hash, rows.authorization_row(authorization)
        with self._file.writing(money=_UNSENT, synced=True) as connection:
            if journal.row(connection, "authorizations", hash) is None:
                journal.write(connection, "authorized", {"authorizations": row}, authorization=hash)

    def attach(self, receipt_id: str, authorization_hash: str, session_id: str | None) -> None:
        """This question is paid by that authorization. Again with the same one may bring the session that came later.

        Raises:
            LedgerError: it is paid by another authorization already; that one stays.
        """
        with self._file.writing() as connection:
            row = self._row(connection, "receipts", receipt_id)
            if row["authorization_hash"] not in (None, authorization_hash):
                raise LedgerError(
                    f"Receipt {receipt_id} is paid by authorization {row['authorization_hash']} already.",
                    money=f"Authorization {authorization_hash} does not pay for it.",
                )
            self._row(connection, "authorizations", authorization_hash)
            pays = {"authorization_hash": authorization_hash}
            changes = pays if session_id is None else pays | {"session_id": session_id}
            journal.write(
                connection, "attached", {"receipts": changes}, receipt=receipt_id, authorization=authorization_hash
            )

    def detach(self, receipt_id: str, authorization_hash: str) -> None:
        """That authorization turned out not to pay this question. Nothing happens where it was not attached."""
        none = {"authorization_hash": None, "session_id": None}
        with self._file.writing() as connection:
            if self._row(connection, "receipts", receipt_id)["authorization_hash"] == authorization_hash:
                journal.write(
                    connection, "detached", {"receipts": none}, receipt=receipt_id, authorization=authorization_hash
                )

    def serve(
        self, receipt_id: str, outcome: Outcome, *, cost_usd: str | None, weight: int, enclave: EnclaveVerdict
    ) -> None:
        """The answer is complete. `weight`, 0 or more, is its share when the settlement is split."""
        end = {
            "cost_usd": cost_usd,
            "enclave_ok": enclave.ok,
            "enclave_form": enclave.form,
            "enclave_reason": enclave.reason,
        }
        self._end(receipt_id, "served", weight, end | rows.outcome_row(outcome))

    def fail(self, receipt_id: str, error: str, outcome: Outcome | None, *, weight: int = 0) -> None:
        """The question ended in an error; `outcome` is what had arrived. A receipt that was served stays served."""
        arrived = {} if outcome is None else rows.outcome_row(outcome)
        self._end(receipt_id, "failed", weight, {"error": error} | arrived)

    def settle(self, settlement: Settlement) -> None:
        """The payment of an authorization was found on chain. The same again changes nothing; another replaces it."""
        hash, row = settlement.authorization_hash, rows.settlement_row(settlement)
        with self._file.writing() as connection:
            self._row(connection, "authorizations", hash)
            journal.write(connection, "settled", {"settlements": row}, authorization=hash)

    def unsettle(self, authorization_hash: str) -> None:
        """The transaction that settled it is on the chain no more: the authorization is pending again.

        Nothing happens where it was not settled. The receipts that it pays lose their payment hash and their cost.
        """
        changes = {"settlements": None, "authorizations": {"expired": 0}}
        with self._file.writing() as connection:
            self._row(connection, "authorizations", authorization_hash)
            if journal.row(connection, "settlements", authorization_hash) is not None:
                journal.write(connection, "unsettled", changes, authorization=authorization_hash)

    def expire(self, authorization_hash: str) -> None:
        """The deadline of an authorization passed and nothing was paid. A settlement, even a later one, outdoes it."""
        with self._file.writing() as connection:
            self._row(connection, "authorizations", authorization_hash)
            journal.write(connection, "expired", {"authorizations": {"expired": 1}}, authorization=authorization_hash)

    def mark_verified(self, receipt_id: str) -> None:
        """The proofs of a settled receipt hold: it becomes "verified". Others stay as they are."""
        with self._file.writing() as connection:
            row = self._receipt_row(connection, receipt_id)
            if rows.status_of(row) == "settled":
                journal.write(
                    connection,
                    "verified",
                    {"receipts": {"verified_hash": row["payment_hash"]}},
                    receipt=receipt_id,
                    authorization=row["authorization_hash"],
                )

    # -- the port: reading ---------------------------------------------------------------------

    def receipt(self, receipt_id: str) -> Receipt:
        """A snapshot."""
        with self._file.reading() as connection:
            row = self._receipt_row(connection, receipt_id)
            hash, share = row["authorization_hash"], None
            paid = None if hash is None else journal.row(connection, "authorizations", hash)
            if row["amount"] is not None:
                members = connection.execute(
                    "SELECT receipt_id, weight FROM receipts WHERE authorization_hash = ? ORDER BY receipt_id", (hash,)
                )
                share = rows.shares_of(int(row["amount"]), members.fetchall())[receipt_id]
            return rows.receipt_of(row, share, None if paid is None else rows.authorization_of(paid))

    def receipts(self) -> list[Receipt]:
        """All, oldest first."""
        with self._file.reading() as connection:
            return _receipts(connection)

    def pending(self) -> list[Authorization]:
        """Authorizations that are neither settled nor expired, oldest first."""
        with self._file.reading() as connection:
            found = connection.execute(
                """SELECT * FROM authorizations WHERE NOT expired
                AND hash NOT IN (SELECT authorization_hash FROM settlements) ORDER BY created, rowid"""
            )
            return [rows.authorization_of(row) for row in found]

    def committed(self, network: str, since: float | None = None) -> int:
        """What the authorizations on a chain have cost or may still cost, in base units.

        For each: what was moved, if it is settled; nothing, if it expired; else its cap.

        Args:
            network: CAIP-2 name of the chain, "eip155:84532".
            since: unix seconds; only those created then or later count.
        """
        with self._file.reading() as connection:
            found = connection.execute(
                """SELECT coalesce(s.amount, CASE WHEN a.expired THEN '0' ELSE a.cap END) AS amount
                FROM authorizations a LEFT JOIN settlements s ON s.authorization_hash = a.hash
                WHERE a.network = ? AND a.created >= ?""",
                (network, float("-inf") if since is None else since),
            )
            return sum(int(row["amount"]) for row in found)

    def settled_since(self, block_number: int, network: str) -> list[Settlement]:
        """The settlements on a chain (its CAIP-2 name) in this block or a later one, in the order of their blocks."""
        with self._file.reading() as connection:
            found = connection.execute(
                """SELECT s.* FROM settlements s JOIN authorizations a ON a.hash = s.authorization_hash
                WHERE a.network = ? AND s.block_number >= ? ORDER BY s.block_number, s.rowid""",
                (network, block_number),
            )
            return [rows.settlement_of(row) for row in found]

    # -- beside the port -----------------------------------------------------------------------

    def authorization(self, hash: str) -> Authorization:
        """The authorization with this EIP-712 digest."""
        with self._file.reading() as connection:
            return rows.authorization_of(self._row(connection, "authorizations", hash))

    def settlement(self, hash: str) -> Settlement | None:
        """What settled the authorization with this digest, or None until that is known."""
        with self._file.reading() as connection:
            row = journal.row(connection, "settlements", hash)
            return None if row is None else rows.settlement_of(row)

    def version(self) -> int:
        """A number that changes whenever anything was written, by this process or another. Cheap enough to poll."""
        return self._file.version()

    def changes(self, since: Head | None = None) -> Changes:
        """The receipts that may have changed after this head of the journal; all, without one.

        An edit that is not in the journal is no change to it: `audit` finds such.
        """
        with self._file.reading() as connection:
            head = journal.head(connection)
            if since is not None and journal.leads_from(connection, since):
                receipts, authorizations = journal.subjects(connection, since[0])
                if len(receipts) + len(authorizations) <= _MANY:
                    return Changes(head, _receipts(connection, receipts, authorizations), complete=False)
            return Changes(head, _receipts(connection), complete=True)

    def head(self) -> Head:
        """The journal's length and the hash of its last entry. Note it elsewhere, and `audit` tells what came off."""
        with self._file.reading() as connection:
            return journal.head(connection)

    def audit(self, expected_head: Head | None = None) -> LedgerAudit:
        """Check that every row is as the journal says, and that the journal was not edited.

        Others can write in the meantime. It takes a second or so for each 10,000 receipts.

        Args:
            expected_head: what `head` told earlier; the journal must have been so.
        """
        with self._file.reading_beside() as connection:
            return audit(connection, expected_head)

    # -- within --------------------------------------------------------------------------------

    def _end(self, receipt_id: str, end: str, weight: int, values: Mapping[str, Any]) -> None:
        if weight < 0:
            raise LedgerError(f"Receipt {receipt_id} cannot have the weight {weight}.", money=RECORD)
        with self._file.writing() as connection:
            row = self._row(connection, "receipts", receipt_id)
            if row["ended"] is None:
                journal.write(
                    connection,
                    end,
                    {"receipts": {"ended": end, "weight": str(weight), **values}},
                    receipt=receipt_id,
                    authorization=row["authorization_hash"],
                )

    def _receipt_row(self, connection: sqlite3.Connection, receipt_id: str) -> sqlite3.Row:
        found = connection.execute(f"{rows.RECEIPTS} WHERE r.receipt_id = ?", (receipt_id,))
        return self._known(found.fetchone(), "receipts", receipt_id)

    def _row(self, connection: sqlite3.Connection, table: str, key: str) -> sqlite3.Row:
        return self._known(journal.row(connection, table, key), table, key)

    def _known(self, row: sqlite3.Row | None, table: str, key: str) -> sqlite3.Row:
        if row is None:
            raise LedgerError(f"{self.path} has no {table[:-1]} {key!r}.", remedy="Was it written to another file?")
        return row


_opened: weakref.WeakValueDictionary[Path, Ledger] = weakref.WeakValueDictionary()
_opening = threading.Lock()


def open_ledger(path: str | os.PathLike[str]) -> Ledger:
    """The ledger of a path: the same one for all who ask in this process, as long as one of them holds it."""
    with _opening:
        asked = Ledger(path)
        return _opened.setdefault(asked.path, asked)


def _receipts(
    connection: sqlite3.Connection, receipts: set[str] | None = None, authorizations: set[str] | None = None
) -> list[Receipt]:
    """All receipts; or these, and those that these authorizations pay."""
    if receipts is None or authorizations is None:
        found = connection.execute(f"{rows.RECEIPTS} ORDER BY r.receipt_id").fetchall()
        return rows.receipts_of(found, connection.execute("SELECT * FROM authorizations"))
    those, payers = ", ".join("?" * len(receipts)), ", ".join("?" * len(authorizations))
    found = connection.execute(
        f"{rows.RECEIPTS} WHERE r.receipt_id IN ({those}) OR r.authorization_hash IN ({payers}) ORDER BY r.receipt_id",
        (*receipts, *authorizations),
    ).fetchall()
    paid = connection.execute(
        f"SELECT * FROM authorizations WHERE hash IN ({payers})",  # noqa: S608 - question marks
        (*authorizations,),
    )
    return rows.receipts_of(found, paid)
