"""The receipts' file. Its storage contract:

- An authorization is written once, synced to disk before `authorize` returns, and never rewritten. Later only its
  expiry is marked.
- A receipt is written when its question is asked. After that three things are filled in, each once: the authorization
  that pays (its session may follow; only `detach` takes it back), the end (served or failed; the first one stands), and
  the payment that was verified.
- A settlement is one row an authorization. Another one in its place (the chain was reorganized) replaces it.
- Nothing is ever deleted. A process that dies leaves its receipts "unpaid" or "authorized", which is what they are.
- What follows from other rows is worked out when read: status, payment hash, payer, cap, and the cost, a share by
  weight of what the settlement moved. So shares always add up to it, whichever came last.
- Signatures and keys are not stored, nor are images.
- Every write is one transaction: it is there as a whole, or not at all.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ..errors import LedgerError
from ..ports import EnclaveVerdict
from ..receipt import Receipt
from ..types import Authorization, Outcome, Question, Settlement
from . import schema

_UNSENT = "No signature was sent, so nothing is paid."
_RECORD = "Payments are not changed by this; only their record is."


class Ledger:
    """`ports.Journal` on an SQLite file, for any number of threads and processes.

    The file, and its folder, come into being at the first use; after `close()` the next use opens it again. Every
    method raises `LedgerError` when the file cannot be read or written, or when it has no such receipt or
    authorization.

    Attributes:
        path: of the file, absolute.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).expanduser().resolve()
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._closer: Callable[[], object] = lambda: None
        self._identity: tuple[int, int] | None = None
        self._base = 0
        self._others = 0
        self._last_id = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file. It is also closed when the ledger is no longer used, and when the interpreter ends."""
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                # The next connection counts from the start; its versions must not repeat those that were given.
                self._base += self._others + connection.total_changes + 1
                self._others = 0
                self._closer()

    # -- the port: writing ---------------------------------------------------------------------

    def open(self, question: Question, network: str, time: float) -> str:
        """A new receipt in the state "unpaid"; its id: 32 hex digits that sort by time, and by order in a process."""
        with self._transaction(money=_UNSENT) as connection:
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
                "request": schema.canonical(dict(question.body)),
            }
            _insert(connection, "INSERT", "receipts", row)
        return receipt_id

    def authorize(self, authorization: Authorization) -> None:
        """Write an authorization down, synced to disk before this returns. A second time changes nothing."""
        with self._transaction(money=_UNSENT, synced=True) as connection:
            _insert(connection, "INSERT OR IGNORE", "authorizations", schema.authorization_row(authorization))

    def attach(self, receipt_id: str, authorization_hash: str, session_id: str | None) -> None:
        """This question is paid by that authorization. Again with the same one may bring the session that came later.

        Raises:
            LedgerError: it is paid by another authorization already; that one stays.
        """
        with self._transaction() as connection:
            row = self._receipt(connection, receipt_id)
            if row["authorization_hash"] not in (None, authorization_hash):
                raise LedgerError(
                    f"Receipt {receipt_id} is paid by authorization {row['authorization_hash']} already.",
                    money=f"Authorization {authorization_hash} does not pay for it.",
                )
            self._authorization(connection, authorization_hash)
            connection.execute(
                "UPDATE receipts SET authorization_hash = ?, session_id = coalesce(?, session_id) WHERE receipt_id = ?",
                (authorization_hash, session_id, receipt_id),
            )

    def detach(self, receipt_id: str, authorization_hash: str) -> None:
        """That authorization turned out not to pay this question. Nothing happens where it was not attached."""
        with self._transaction() as connection:
            self._receipt(connection, receipt_id)
            connection.execute(
                """UPDATE receipts SET authorization_hash = NULL, session_id = NULL
                WHERE receipt_id = ? AND authorization_hash = ?""",
                (receipt_id, authorization_hash),
            )

    def serve(
        self, receipt_id: str, outcome: Outcome, *, cost_usd: str | None, weight: int, enclave: EnclaveVerdict
    ) -> None:
        """The answer is complete. `weight`, 0 or more, is its share when the settlement is split."""
        end = {
            "ended": "served",
            "weight": weight,
            "cost_usd": cost_usd,
            "enclave_ok": enclave.ok,
            "enclave_form": enclave.form,
            "enclave_reason": enclave.reason,
        }
        self._end(receipt_id, end | schema.outcome_row(outcome))

    def fail(self, receipt_id: str, error: str, outcome: Outcome | None, *, weight: int = 0) -> None:
        """The question ended in an error; `outcome` is what had arrived. A receipt that was served stays served."""
        arrived = {} if outcome is None else schema.outcome_row(outcome)
        self._end(receipt_id, {"ended": "failed", "error": error, "weight": weight} | arrived)

    def settle(self, settlement: Settlement) -> None:
        """The payment of an authorization was found on chain. The same again changes nothing; another replaces it."""
        with self._transaction() as connection:
            self._authorization(connection, settlement.authorization_hash)
            if _settlement(connection, settlement.authorization_hash) != settlement:
                _insert(connection, "INSERT OR REPLACE", "settlements", schema.settlement_row(settlement))

    def expire(self, authorization_hash: str) -> None:
        """The deadline of an authorization passed and nothing was paid. A settlement, even a later one, outdoes it."""
        with self._transaction() as connection:
            self._authorization(connection, authorization_hash)
            connection.execute(
                "UPDATE authorizations SET expired = 1 WHERE hash = ? AND NOT expired", (authorization_hash,)
            )

    def mark_verified(self, receipt_id: str) -> None:
        """The proofs of a settled receipt hold: it becomes "verified". Others stay as they are."""
        with self._transaction() as connection:
            row = self._receipt(connection, receipt_id)
            if schema.status_of(row) == "settled":
                connection.execute(
                    "UPDATE receipts SET verified_hash = ? WHERE receipt_id = ?", (row["payment_hash"], receipt_id)
                )

    # -- the port: reading ---------------------------------------------------------------------

    def receipt(self, receipt_id: str) -> Receipt:
        """A snapshot."""
        with self._transaction(write=False) as connection:
            row = self._receipt(connection, receipt_id)
            shares: dict[str, int] = {}
            if row["amount"] is not None:
                members = connection.execute(
                    "SELECT receipt_id, weight FROM receipts WHERE authorization_hash = ? ORDER BY receipt_id",
                    (row["authorization_hash"],),
                )
                shares = schema.shares_of(int(row["amount"]), members.fetchall())
        return schema.receipt_of(row, shares)

    def receipts(self) -> list[Receipt]:
        """All, oldest first."""
        with self._transaction(write=False) as connection:
            rows = connection.execute(f"{schema.RECEIPTS} ORDER BY r.receipt_id").fetchall()
        shares = schema.all_shares(rows)
        return [schema.receipt_of(row, shares) for row in rows]

    def pending(self) -> list[Authorization]:
        """Authorizations that are neither settled nor expired, oldest first."""
        with self._transaction(write=False) as connection:
            rows = connection.execute(
                """SELECT * FROM authorizations WHERE NOT expired
                AND hash NOT IN (SELECT authorization_hash FROM settlements) ORDER BY created, rowid"""
            ).fetchall()
        return [schema.authorization_of(row) for row in rows]

    # -- beside the port -----------------------------------------------------------------------

    def authorization(self, hash: str) -> Authorization:
        """The authorization with this EIP-712 digest."""
        with self._transaction(write=False) as connection:
            return self._authorization(connection, hash)

    def settlement(self, hash: str) -> Settlement | None:
        """What settled the authorization with this digest, or None until that is known."""
        with self._transaction(write=False) as connection:
            return _settlement(connection, hash)

    def version(self) -> int:
        """A number that changes whenever anything was written, by this process or another. Cheap enough to poll."""
        with self._lock, self._errors(_RECORD):
            connection = self._connect()
            # SQLite counts the commits of others in one place and our own rows in another; both only grow.
            self._others = connection.execute("PRAGMA data_version").fetchone()[0]
            return self._base + self._others + connection.total_changes

    # -- within --------------------------------------------------------------------------------

    def _end(self, receipt_id: str, end: Mapping[str, Any]) -> None:
        if end["weight"] < 0:
            raise LedgerError(f"Receipt {receipt_id} cannot have the weight {end['weight']}.", money=_RECORD)
        changes = ", ".join(f"{name} = :{name}" for name in end)
        with self._transaction() as connection:
            self._receipt(connection, receipt_id)
            connection.execute(
                f"UPDATE receipts SET {changes} WHERE receipt_id = :id AND ended IS NULL",  # noqa: S608 - our own names
                _bound({**end, "weight": str(end["weight"]), "id": receipt_id}),
            )

    def _receipt(self, connection: sqlite3.Connection, receipt_id: str) -> sqlite3.Row:
        found = connection.execute(f"{schema.RECEIPTS} WHERE r.receipt_id = ?", (receipt_id,)).fetchone()
        return self._known(found, "receipt", receipt_id)

    def _authorization(self, connection: sqlite3.Connection, hash: str) -> Authorization:
        found = connection.execute("SELECT * FROM authorizations WHERE hash = ?", (hash,)).fetchone()
        return schema.authorization_of(self._known(found, "authorization", hash))

    def _known(self, row: sqlite3.Row | None, kind: str, key: str) -> sqlite3.Row:
        if row is None:
            raise LedgerError(f"{self.path} has no {kind} {key!r}.", remedy="Was it written to another file?")
        return row

    @contextlib.contextmanager
    def _transaction(
        self, *, write: bool = True, synced: bool = False, money: str = _RECORD
    ) -> Iterator[sqlite3.Connection]:
        with self._lock, self._errors(money):
            connection = self._connect()
            if write:
                connection.execute(f"PRAGMA synchronous = {'FULL' if synced else 'NORMAL'}")
            try:
                connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                _roll_back(connection)
                raise

    def _connect(self) -> sqlite3.Connection:
        if self._connection is not None:
            if _identity(self.path) == self._identity:
                _roll_back(self._connection)  # an interrupt may have come between a BEGIN and its guard
                return self._connection
            # Someone removed or replaced the file: what is written into a removed one is lost without a word.
            self.close()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self.path, timeout=schema.WAIT, isolation_level=None, check_same_thread=False)
        try:
            connection.row_factory = sqlite3.Row
            schema.prepare(connection, self.path)
            self._identity = _identity(self.path)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        self._closer = weakref.finalize(self, connection.close)
        return connection

    @contextlib.contextmanager
    def _errors(self, money: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError, OverflowError) as error:
            name = getattr(error, "sqlite_errorname", "")
            if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
                what = f"{self.path} is damaged, or is not a receipts' file."
                remedy = "Move it away and a new one is begun, or set OG_LEDGER to another path."
            elif name.startswith("SQLITE_FULL"):
                what = f"The disk is full: {self.path} cannot grow."
                remedy = "Make room, or set OG_LEDGER to a path on another disk."
            elif name.startswith("SQLITE_BUSY"):
                what = f"Another process has been writing to {self.path} for {schema.WAIT:.0f} seconds."
                remedy = "End it, or set OG_LEDGER to another path."
            else:
                what = f"The receipts' file {self.path} cannot be read or written: {error}."
                remedy = "Check that its folder can be written, or set OG_LEDGER to a path that can."
            raise LedgerError(what, money=money, remedy=remedy) from error


_opened: weakref.WeakValueDictionary[Path, Ledger] = weakref.WeakValueDictionary()
_opening = threading.Lock()


def open_ledger(path: str | os.PathLike[str]) -> Ledger:
    """The ledger of a path: the same one for all who ask in this process, as long as one of them holds it."""
    with _opening:
        asked = Ledger(path)
        return _opened.setdefault(asked.path, asked)


def _settlement(connection: sqlite3.Connection, authorization_hash: str) -> Settlement | None:
    found = connection.execute("SELECT * FROM settlements WHERE authorization_hash = ?", (authorization_hash,))
    row = found.fetchone()
    return None if row is None else schema.settlement_of(row)


def _insert(connection: sqlite3.Connection, verb: str, table: str, row: Mapping[str, Any]) -> None:
    columns, places = ", ".join(row), ", ".join(f":{name}" for name in row)
    connection.execute(f"{verb} INTO {table} ({columns}) VALUES ({places})", _bound(row))


def _bound(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: schema.storable(value) for name, value in row.items()}


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        with contextlib.suppress(sqlite3.Error):  # the error that led here says more
            connection.execute("ROLLBACK")


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
