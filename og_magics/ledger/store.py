"""The receipts' file. Its storage contract:

- An authorization is written once, synced to disk before `authorize` returns, and never rewritten. Later only the
  state of its money is marked (`money.py`), as the table in `core/payment_states.py` allows.
- A receipt is written when its question is asked. After that three things are filled in, each once: the authorization
  that pays (its session may follow; only `detach` takes it back), the end (served or failed; the first one stands), and
  the payment that was verified.
- A settlement is one row an authorization. Another one in its place (the chain was reorganized) replaces it, and only
  `unsettle` removes it.
- Nothing else is ever deleted but threads, which are the user's to change (`threads.py`). A process that dies leaves
  its receipts "unpaid" or "authorized", which is what they are.
- What follows from other rows is worked out when read: status, payment hash, payer, cap, and the cost, a share of what
  the settlement moved (`core/shares.py`). So shares always add up to it, whichever came last.
- Signatures and keys are not stored, nor are images. Of a payment session's id there is a hash, salted by ledger.
- Every write is one transaction: it is there as a whole, or not at all. The same transaction enters what it changed in
  the journal, where each entry holds the hash of the one before (`journal.py`). What a write finds already so, it
  neither writes nor enters.
- So `audit` finds a row or an entry that was changed, added, removed or moved by other hands, and names it. It cannot
  find what was done by someone who made the journal anew from there on, or who cut its end off together with the rows:
  for that, note its `head` elsewhere, and give it to `audit`.
"""

from __future__ import annotations

import math
import os
import secrets
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import TracebackType
from typing import Any, Self

from ..core.errors import LedgerError
from ..core.payment_states import Commitment
from ..core.protocols import EnclaveVerdict
from ..core.receipt import Authorization, Receipt
from ..core.types import ChatRequest, Outcome
from . import journal, recordings, rows
from .audit import LedgerAudit, audit
from .file import RECORD, LedgerFile
from .journal import Head
from .money import MoneyLedger, commitment
from .notebook_index import NotebookIdentity
from .recording_store import RecordingStore
from .threads import ThreadStore

_UNSENT = "No signature was sent, so nothing is paid."
_MANY = 1000
"""Changed receipts and authorizations above which all are read: an SQL statement has a bound on its values."""


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


class Ledger(MoneyLedger):
    """`ports.Journal` on an SQLite file, for any number of threads and processes.

    The file, and its folder, come into being at the first use; after `close()` the next use opens it again. Every
    method raises `LedgerError` when the file cannot be read or written, or when it has no such receipt or
    authorization.

    Attributes:
        notebook: that asks, and is noted with its receipts; None in a terminal and in a script.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(LedgerFile(path))
        self._last_id = 0
        self.notebook: NotebookIdentity | None = None

    @property
    def threads(self) -> ThreadStore:
        """The conversations in the file."""
        return ThreadStore(self._file, "" if self.notebook is None else self.notebook.scope)

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

    @property
    def read_only(self) -> bool:
        """True where its folder cannot be written: it is read as it is until a question begins another place."""
        return self._file.read_only

    def note(self) -> str:
        """Return, once, what the user should know of the file's place before the next question; else ""."""
        return self._file.note()

    def close(self) -> None:
        """Close the file. It is also closed when the ledger is no longer used, and when the interpreter ends."""
        self._file.close()

    # -- the port: writing ---------------------------------------------------------------------

    def open(self, question: ChatRequest, network: str, time: float) -> str:
        """Open a receipt in the state "unpaid".

        Return its id: 32 hex digits that sort by time, and by order in a process.
        """
        with self._file.writing(money=_UNSENT, begins=True) as connection:
            # Milliseconds, then 80 random bits. Within one process each id is above the last, even if the clock is not.
            self._last_id = max(int(time * 1000) << 80 | secrets.randbits(80), self._last_id + 1)
            receipt_id = f"{self._last_id:032x}"
            notebook_id = None if self.notebook is None else self.notebook.note(connection)
            row = {
                "receipt_id": receipt_id,
                "time": time,
                "cell": question.cell,
                "notebook": (self.notebook and self.notebook.name) or question.notebook,
                "network": network,
                "provider": question.provider,
                "model": question.model,
                "settlement": question.settlement.value,
                "path": question.path,
                "request": rows.as_sent(dict(question.body)),
                "turn": question.turn or None,
                "notebook_id": notebook_id,
            }
            journal.write(connection, "opened", {"receipts": row}, receipt=receipt_id)
            recordings.note(connection, receipt_id, question)
        return receipt_id

    def authorize(
        self, authorization: Authorization, check: Callable[[Callable[[float | None], Commitment]], None] | None = None
    ) -> None:
        """Write an authorization down, synced to disk before this returns. A second time changes nothing.

        Args:
            check: raises what forbids it, for what was committed on its chain since a time, or in all. It is called in
                the transaction that writes: kernels that ask at once stay within one budget.
        """
        hash, row = authorization.hash, rows.authorization_row(authorization)
        with self._file.writing(money=_UNSENT, synced=True) as connection:
            if journal.row(connection, "authorizations", hash) is None:
                if check is not None:
                    check(lambda since: commitment(connection, authorization.network, since))
                journal.write(connection, "authorized", {"authorizations": row}, authorization=hash)

    def attach(self, receipt_id: str, authorization_hash: str, session_id: str | None) -> None:
        """Note the authorization that pays a request. Again with the same one may bring the session that came later.

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
            changes = pays if session_id is None else pays | {"session_id": journal.salted(connection, session_id)}
            journal.write(
                connection, "attached", {"receipts": changes}, receipt=receipt_id, authorization=authorization_hash
            )

    def detach(self, receipt_id: str, authorization_hash: str) -> None:
        """Undo `attach`: the authorization did not pay this request. Nothing happens where it was not attached."""
        none = {"authorization_hash": None, "session_id": None}
        with self._file.writing() as connection:
            if self._row(connection, "receipts", receipt_id)["authorization_hash"] == authorization_hash:
                journal.write(
                    connection, "detached", {"receipts": none}, receipt=receipt_id, authorization=authorization_hash
                )

    def serve(
        self, receipt_id: str, outcome: Outcome, *, cost_usd: str | None, weight: int, enclave: EnclaveVerdict
    ) -> None:
        """Note a complete answer. `weight`, 0 or more, is its share when the settlement is split."""
        end = {
            "cost_usd": cost_usd,
            "enclave_ok": enclave.ok,
            "enclave_form": enclave.form,
            "enclave_reason": enclave.reason,
        }
        self._end(receipt_id, "served", weight, end | rows.outcome_row(outcome))

    def fail(self, receipt_id: str, error: str, outcome: Outcome | None, *, weight: int = 0) -> None:
        """Note a request that ended in an error.

        `outcome` is what had arrived. A receipt that was served stays served.
        """
        arrived = {} if outcome is None else rows.outcome_row(outcome)
        self._end(receipt_id, "failed", weight, {"error": error} | arrived)

    def mark_verified(self, receipt_id: str) -> None:
        """Mark a settled receipt as "verified": its proofs hold. Others stay as they are."""
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
        """Return a snapshot of a receipt."""
        with self._file.reading() as connection:
            row = self._receipt_row(connection, receipt_id)
            hash, share = row["authorization_hash"], None
            paid = None if hash is None else journal.row(connection, "authorizations", hash)
            if row["amount"] is not None and paid is not None:
                members = connection.execute(
                    """SELECT receipt_id, weight, reported_cost, cost_usd, ended FROM receipts
                    WHERE authorization_hash = ? ORDER BY receipt_id""",
                    (hash,),
                )
                share = rows.shares_of(int(row["amount"]), int(paid["cap"]), members.fetchall())[receipt_id]
            return rows.receipt_of(row, share, None if paid is None else rows.authorization_of(paid))

    def receipts(self) -> list[Receipt]:
        """Return all receipts, oldest first."""
        with self._file.reading() as connection:
            return rows.read_receipts(connection)

    def price_paid(self, network: str) -> Decimal | None:
        """Return USD of an OPG by the last settlement on a network: list prices of its calls, by what really moved.

        Args:
            network: name of the network, as in receipts.
        """
        with self._file.reading() as connection:
            return rows.price_paid(connection, network)

    def typical_tokens(self, model: str) -> int | None:
        """Return the mean of the tokens that the last answers of a model had; None where there is none."""
        with self._file.reading() as connection:
            found = connection.execute(
                """SELECT avg(completion_tokens) AS mean FROM (SELECT completion_tokens FROM receipts
                WHERE model = ? AND ended = 'served' AND completion_tokens IS NOT NULL
                ORDER BY receipt_id DESC LIMIT 20)""",
                (model,),
            ).fetchone()
        return None if found["mean"] is None else math.ceil(found["mean"])

    # -- beside the port -----------------------------------------------------------------------

    def version(self) -> int:
        """Return a number that changes whenever anything was written, by this process or another.

        Cheap enough to poll.
        """
        return self._file.version()

    def changes(self, since: Head | None = None) -> Changes:
        """Return the receipts that may have changed after this head of the journal; all, without one.

        An edit that is not in the journal is no change to it: `audit` finds such.
        """
        with self._file.reading() as connection:
            head = journal.head(connection)
            if since is not None and journal.contains_head(connection, since):
                receipts, authorizations = journal.subjects(connection, since[0])
                if len(receipts) + len(authorizations) <= _MANY:
                    return Changes(head, rows.read_receipts(connection, receipts, authorizations), complete=False)
            return Changes(head, rows.read_receipts(connection), complete=True)

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
        with self._file.reading_beside() as connection:
            return audit(connection, expected_head)

    # -- within --------------------------------------------------------------------------------

    def _end(self, receipt_id: str, end: str, weight: int, values: Mapping[str, Any]) -> None:
        if weight < 0:
            raise LedgerError(f"Receipt {receipt_id} cannot have the weight {weight}.", money=RECORD)
        with self._file.writing() as connection:
            row = self._row(connection, "receipts", receipt_id)
            if row["ended"] is None:
                if row["authorization_hash"] and journal.row(connection, "settlements", row["authorization_hash"]):
                    weight = 0  # its session was settled before it ended, without its cost
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
