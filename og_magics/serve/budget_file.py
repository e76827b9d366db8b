"""The file of what users spend: each request is reserved in it before it is asked, and counted when its cost is known.

One SQLite file beside the file of users, 0600. The check against the budgets and the reservation are one transaction,
synced to disk, so that however many ask at once, by however many processes, none goes over. A reservation counts with
the most that the request can cost; after the answer with what the gateway says it cost; and in the end with its share
of the payment. A process that dies leaves its reservations, which count until the ledger says what became of them.
"""

from __future__ import annotations

import contextlib
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ..core.amounts import format_opg
from ..core.errors import LedgerError, PaymentRefused
from ..ledger.file_system import journal_mode
from ..ledger.private_file import make_private
from .asking_process import this_process
from .users import User

_APPLICATION_ID = 0x6F677375
_WAIT = 10.0
"""Seconds to wait for another process that is writing."""
_NOTHING = "Nothing was signed and nothing was paid."

# Amounts are decimal TEXT: an SQLite INTEGER ends at 63 bits, about 9 OPG.
_TABLES = (
    """CREATE TABLE charges (
        id TEXT PRIMARY KEY, user TEXT NOT NULL, model TEXT NOT NULL, day TEXT NOT NULL, created REAL NOT NULL,
        reserved TEXT NOT NULL, counted TEXT NOT NULL, final INTEGER NOT NULL DEFAULT 0, receipt TEXT
    )""",
    "CREATE INDEX open_charges ON charges (final, created)",
    """CREATE TABLE spent (
        user TEXT NOT NULL, day TEXT NOT NULL, model TEXT NOT NULL, amount TEXT NOT NULL, calls INTEGER NOT NULL,
        PRIMARY KEY (user, day, model)
    )""",
    f"PRAGMA application_id = {_APPLICATION_ID}",
)


class BudgetExceeded(PaymentRefused):
    """A user's budget does not allow a request. Nothing was asked, signed or paid."""


@dataclass(frozen=True, slots=True)
class Charge:
    """A request of a user that counts, and of which the cost is not final.

    Attributes:
        id: of the reservation; the receipt has it where a notebook's has its cell.
        reserved: base units that it can cost at most. counted: those that count now.
        receipt: its id, None where it is not noted yet.
        process: the process that asks (`asking_process.py`); "" where it is not known.
    """

    id: str
    user: str
    created: float
    reserved: int
    counted: int
    receipt: str | None
    process: str = ""


@dataclass(frozen=True, slots=True)
class Spent:
    """The spending of a user on a model in a day (UTC, "2026-04-01"); base units."""

    user: str
    day: str
    model: str
    amount: int
    calls: int


class BudgetFile:
    """The file, for any number of threads and processes. Its methods block.

    Args:
        clock: unix seconds.

    Raises:
        LedgerError: from each method, where the file cannot be read or written.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._path, self._clock = path, clock
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None

    def reserve(self, user: User, model: str, amount: int, remedy: str = "") -> str:
        """Reserve room in a user's budgets; on disk when this returns. Return the reservation's id.

        Args:
            amount: base units that the request can cost at most. remedy: what else the user can do.

        Raises:
            BudgetExceeded: there is no room for it; nothing is written.
        """
        now = self._clock()
        day, id = day_of(now), secrets.token_hex(8)
        with self._writing(synced=True) as connection:
            by_day = self._by_day(connection, user.name)
            _refuse(f"The budget of {user.name} for a day", user.day, by_day.get(day, 0), amount, remedy, of_day=True)
            _refuse(f"The budget of {user.name}", user.total, sum(by_day.values()), amount, remedy, of_day=False)
            connection.execute(
                "INSERT INTO charges (id, user, model, day, created, reserved, counted, process) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (id, user.name, model, day, now, str(amount), str(amount), this_process()),
            )
            _add(connection, (user.name, day, model), amount, 1)
        return id

    def note_receipt(self, id: str, receipt: str) -> None:
        """Note which receipt a reservation has."""
        with self._writing() as connection:
            connection.execute("UPDATE charges SET receipt = ? WHERE id = ? AND receipt IS NULL", (receipt, id))

    def count(self, id: str, amount: int, *, final: bool, asked: bool = True) -> None:
        """Count a request with this amount from now on. One that is final stays as it is.

        Args:
            final: nothing can change it any more. asked: False where it never was: it is no call then.
        """
        with self._writing() as connection:
            row = connection.execute("SELECT * FROM charges WHERE id = ? AND final = 0", (id,)).fetchone()
            if row is None:
                return
            where = str(row["user"]), str(row["day"]), str(row["model"])
            _add(connection, where, amount - int(row["counted"]), 0 if asked else -1)
            connection.execute("UPDATE charges SET counted = ?, final = ? WHERE id = ?", (str(amount), final, id))

    def open_charges(self, user: str | None = None, id: str | None = None) -> list[Charge]:
        """Return the requests whose cost is not final, oldest first: of one user, or of all; or the one of this id."""
        where, values = ("final = 0", ()) if id is None else ("final = 0 AND id = ?", (id,))
        with self._reading() as connection:
            query = f"SELECT * FROM charges WHERE {where} ORDER BY created"  # noqa: S608 - our own words
            found = connection.execute(query, values).fetchall()
        return [
            Charge(
                row["id"], row["user"], row["created"], int(row["reserved"]), int(row["counted"]), row["receipt"],
                row["process"] or "",
            )
            for row in found
            if user is None or row["user"] == user
        ]  # fmt: skip

    def spent(self) -> list[Spent]:
        """Return what was spent, with what is reserved: by user, day and model, in this order."""
        with self._reading() as connection:
            found = connection.execute("SELECT * FROM spent ORDER BY user, day, model").fetchall()
        return [Spent(row["user"], row["day"], row["model"], int(row["amount"]), row["calls"]) for row in found]

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _by_day(self, connection: sqlite3.Connection, user: str) -> dict[str, int]:
        by_day: dict[str, int] = {}
        for row in connection.execute("SELECT day, amount FROM spent WHERE user = ?", (user,)):
            by_day[row["day"]] = by_day.get(row["day"], 0) + int(row["amount"])
        return by_day

    @contextlib.contextmanager
    def _writing(self, *, synced: bool = False) -> Iterator[sqlite3.Connection]:
        """Open a transaction. What is not synced outlives the process, and is worked out anew if the machine fails."""
        with self._lock, self._errors("written"):
            connection = self._opened()
            connection.execute(f"PRAGMA synchronous = {'FULL' if synced else 'NORMAL'}")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    connection.execute("ROLLBACK")
                raise

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._errors("read"):
            yield self._opened()

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            make_private(self._path)
            connection = sqlite3.connect(self._path, timeout=_WAIT, isolation_level=None, check_same_thread=False)
            try:
                _prepare(connection, self._path)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    @contextlib.contextmanager
    def _errors(self, done: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError, ValueError) as error:
            if isinstance(error, LedgerError | PaymentRefused):
                raise
            raise LedgerError(
                f"The file of what users spend, {self._path.name}, cannot be {done}: {error}.",
                money="A request that is not reserved in it is not asked: nothing was signed and nothing was paid.",
                remedy="Make room on its disk, and its folder one that the server can write; then ask again.",
            ) from error


def day_of(seconds: float) -> str:
    """Return the day (UTC) of a time, "2026-04-01"."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    connection.row_factory = sqlite3.Row
    connection.execute(f"PRAGMA busy_timeout = {int(_WAIT * 1000)}")
    connection.execute(f"PRAGMA journal_mode = {journal_mode(path)}")
    connection.execute("BEGIN IMMEDIATE")
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables and application != _APPLICATION_ID:
        connection.execute("ROLLBACK")
        raise LedgerError(
            f"{path.name} is a database of another program.",
            money="Nothing was written to it and nothing was paid.",
            remedy="Move it away, or give the file of users another name: its spending is kept beside it.",
        )
    if not tables:
        for step in _TABLES:
            connection.execute(step)
    if all(column["name"] != "process" for column in connection.execute("PRAGMA table_info(charges)")):
        connection.execute("ALTER TABLE charges ADD COLUMN process TEXT")
    connection.execute("COMMIT")


def _add(connection: sqlite3.Connection, where: tuple[str, str, str], amount: int, calls: int) -> None:
    place = "user = ? AND day = ? AND model = ?"
    row = connection.execute(f"SELECT amount FROM spent WHERE {place}", where).fetchone()  # noqa: S608 - our own words
    if row is None:
        connection.execute("INSERT INTO spent VALUES (?, ?, ?, ?, ?)", (*where, str(amount), calls))
        return
    sums = str(int(row["amount"]) + amount), calls
    connection.execute(f"UPDATE spent SET amount = ?, calls = calls + ? WHERE {place}", (*sums, *where))  # noqa: S608 - as above


def _refuse(name: str, limit: int | None, counted: int, amount: int, remedy: str, *, of_day: bool) -> None:
    if limit is None or counted + amount <= limit:
        return
    wait = "It begins anew at midnight UTC. " if of_day else ""
    raise BudgetExceeded(
        f"{name} does not allow it: {format_opg(counted)} of {format_opg(limit)} OPG are spent or reserved, and this "
        f"request could cost up to {format_opg(amount)} OPG.",
        money=_NOTHING,
        remedy=f"Ask for less (a smaller max_tokens, a shorter prompt), or ask whoever runs the server for more. "
        f"{wait}{remedy}".strip(),
    )
