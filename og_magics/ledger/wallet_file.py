"""The wallet's file: what all notebooks of a wallet have signed, for the budgets that they share.

One SQLite file in the user's state directory, 0600. An authorization is reserved in it before the notebook's ledger has
it, and confirmed once the ledger has it; only then its signature is sent. So a kill between the two leaves a
reservation that was never sent: it counts until its deadline is past, and not longer. What is confirmed counts with its
cap until a ledger says what was paid.

The file is a sum over ledgers, and no record of its own: what a notebook's ledger says outdoes it for the payments that
were signed there, and is entered again where it is missing. A ledger that the file does not know, which may be
anybody's, adds to what counts and takes nothing from it. A value that makes no sense counts as if nothing were known.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ..core.accounts import WalletAccount
from ..core.environment import state_folder
from ..core.errors import LedgerError
from ..core.payment_states import MARGIN, Commitment
from ..core.receipt import Authorization
from . import schema
from .file_system import named
from .journal import Head
from .money_check import Checkpoint
from .private_file import make_private, require_own
from .wallet_errors import UNSENT, WalletFileError, wallet_error, wallet_errors

NAME = "wallets.db"
_APPLICATION_ID = 0x6F677762
_SHORT_WAIT = 0.2
"""Seconds to wait for another process where what is noted can also be noted later."""

_TABLES = (
    """CREATE TABLE IF NOT EXISTS payments (
        hash TEXT PRIMARY KEY, payer TEXT NOT NULL, chain TEXT NOT NULL, cap TEXT NOT NULL, created INTEGER NOT NULL,
        deadline INTEGER NOT NULL, ledger TEXT NOT NULL, signed INTEGER NOT NULL DEFAULT 0, paid TEXT
    )""",
    "CREATE INDEX IF NOT EXISTS payments_by_time ON payments (payer, chain, created)",
    """CREATE TABLE IF NOT EXISTS checkpoints (
        path TEXT PRIMARY KEY, length INTEGER NOT NULL, head TEXT NOT NULL, key TEXT NOT NULL, digest TEXT NOT NULL
    )""",
    f"PRAGMA application_id = {_APPLICATION_ID}",
    "CREATE TABLE IF NOT EXISTS before_marks AS SELECT length, head FROM checkpoints",
)
_ENTER = """INSERT INTO payments (hash, payer, chain, cap, created, deadline, ledger, signed, paid)
    VALUES (:hash, :payer, :chain, :cap, :created, :deadline, :ledger, :signed, :paid)
    ON CONFLICT (hash) DO UPDATE SET payer = :payer, chain = :chain, cap = :cap, created = :created,
    deadline = :deadline, ledger = :ledger, signed = :signed, paid = :paid"""


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment of a wallet, for its budgets. Amounts in base units.

    Attributes:
        created, deadline: unix seconds.
        paid: 0 where it expired; None while it may still be taken.
    """

    cap: int
    created: int
    deadline: int
    paid: int | None

    @property
    def counted(self) -> int:
        """Base units that count against a budget."""
        return self.cap if self.paid is None else self.paid


@dataclass(frozen=True, slots=True)
class LedgerPayments:
    """The payments of a wallet that a notebook's ledger has.

    Attributes:
        payments: by hash. ledger: its path.
        known: it goes on from where the wallet's file knows it (`MoneyCheck.known`).
    """

    payments: Mapping[str, Payment]
    ledger: Path
    known: bool


Own = Callable[[float | None], LedgerPayments]
"""Returns the payments of a notebook's own ledger, of those created since a time."""


def amount_of(text: object) -> int:
    """Return an amount as a file has it: never below zero, whatever stands there."""
    try:
        return max(0, int(str(text)))
    except ValueError:
        return 0


def commitment_of(payments: Mapping[str, Payment]) -> Commitment:
    """Return the sum of payments."""
    still_open = sum(one.cap for one in payments.values() if one.paid is None)
    return Commitment(still_open + sum(one.paid or 0 for one in payments.values()), still_open)


class WalletFile:
    """The file of all wallets of a user, for any number of threads and processes. It is open only while it is used.

    Args:
        path: its place; the user's state directory without one.
        clock: unix seconds.
    """

    def __init__(self, path: Path | None = None, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock

    @property
    def path(self) -> Path:
        """Of the file, absolute."""
        return self._path or state_folder() / NAME

    # -- writing -------------------------------------------------------------------------------

    def reserve(
        self,
        authorization: Authorization,
        account: WalletAccount,
        ledger: Path,
        check: Callable[[Callable[[float | None], Commitment]], None],
        own: Own,
    ) -> None:
        """Reserve room for an authorization; on disk when this returns.

        Args:
            check: raises what forbids it; then nothing is written.

        Raises:
            WalletFileError: the file cannot be written.
        """
        with self._writing() as connection:

            def committed(since: float | None) -> Commitment:
                return commitment_of(self._entered(connection, account, since, own(since)))

            check(committed)
            new = Payment(authorization.cap, authorization.created, authorization.deadline, None)
            connection.execute(_ENTER, {**_row(authorization.hash, new, account, ledger), "signed": 0})

    def confirm(self, authorization: Authorization, account: WalletAccount, ledger: Path, at: Checkpoint) -> None:
        """Note that a ledger has what was reserved, and how far it was checked; on disk when this returns.

        Raises:
            WalletFileError: the file cannot be written.
        """
        signed = Payment(authorization.cap, authorization.created, authorization.deadline, None)
        with self._writing() as connection:
            connection.execute(_ENTER, _row(authorization.hash, signed, account, ledger))
            connection.execute(
                "INSERT OR REPLACE INTO checkpoints (path, length, head, key, digest) VALUES (?, ?, ?, ?, ?)",
                (str(ledger), *at.head, at.key.hex(), at.digest.hex()),
            )

    def release(self, hash: str) -> None:
        """Take a reservation back, as far as that can be done: what is left of it ends with its deadline."""
        with contextlib.suppress(LedgerError), self._writing(_SHORT_WAIT) as connection:
            connection.execute("DELETE FROM payments WHERE hash = ? AND NOT signed", (hash,))

    def note(self, hash: str, paid: int | None) -> None:
        """Note what was paid of an authorization, as far as that can be done now; its ledger says it again later."""
        with contextlib.suppress(LedgerError):
            with self._reading(_SHORT_WAIT) as connection:
                query = "SELECT paid FROM payments WHERE hash = ?"
                row = None if connection is None else connection.execute(query, (hash,)).fetchone()
            value = None if paid is None else str(paid)
            if row is not None and row["paid"] != value:
                with self._writing(_SHORT_WAIT) as connection:
                    connection.execute("UPDATE payments SET paid = ?, signed = 1 WHERE hash = ?", (value, hash))

    def enter(self, account: WalletAccount, own: LedgerPayments) -> None:
        """Note all that a ledger says of a wallet's payments, as far as that can be done now."""
        with contextlib.suppress(LedgerError), self._writing(_SHORT_WAIT) as connection:
            self._entered(connection, account, None, own)

    # -- reading -------------------------------------------------------------------------------

    def commitment(self, account: WalletAccount, since: float | None, own: LedgerPayments) -> Commitment:
        """Return what a wallet has committed, with its own ledger's word on what that has.

        Raises:
            WalletFileError: the file cannot be read.
        """
        with self._reading() as connection:
            held = {} if connection is None else self._held(connection, account)
        return commitment_of(_since(since, _merged(held, own)))

    def ledgers(self, account: WalletAccount) -> list[Path]:
        """Return the ledgers that have open payments of a wallet, the latest first; none where the file is not there.

        Raises:
            WalletFileError: the file cannot be read.
        """
        with self._reading() as connection:
            if connection is None:
                return []
            found = connection.execute(
                """SELECT ledger, max(created) AS last FROM payments WHERE payer = ? AND chain = ? AND signed
                AND paid IS NULL GROUP BY ledger ORDER BY last DESC""",
                (account.payer, account.chain),
            )
            return [Path(str(row["ledger"])) for row in found]

    def checkpoint(self, ledger: Path) -> Checkpoint | None:
        """Return how far a ledger was checked before; None where that is not known."""
        with contextlib.suppress(LedgerError, ValueError, TypeError), self._reading(_SHORT_WAIT) as connection:
            if connection is None or not _has(connection, "checkpoints"):
                return None
            query = "SELECT length, head, key, digest FROM checkpoints WHERE path = ?"
            row = connection.execute(query, (str(ledger),)).fetchone()
            if row is not None:
                head = int(row["length"]), str(row["head"])
                return Checkpoint(head, bytes.fromhex(row["key"]), bytes.fromhex(row["digest"]))
        return None

    def heads_before_marks(self) -> list[Head]:
        """Return the places in journals that were known when the marks of answers came: those ledgers are this user's.

        Later ones say nothing of answers without a mark: a stranger's ledger in which one paid is known too.
        """
        with contextlib.suppress(LedgerError), self._reading(_SHORT_WAIT) as connection:
            for table in ("before_marks", "checkpoints"):
                if connection is not None and _has(connection, table):
                    found = connection.execute(f"SELECT length, head FROM {table}")  # noqa: S608 - our own names
                    return [(int(row["length"]), str(row["head"])) for row in found]
        return []

    def summary(self) -> str:
        """Return a few words on what the file holds.

        Raises:
            WalletFileError: the file cannot be read.
        """
        with self._reading() as connection:
            if connection is None:
                return "no payments yet"
            wallets, payments = connection.execute("SELECT count(DISTINCT payer), count(*) FROM payments").fetchone()
            return f"{_count(payments, 'payment')}, {_count(wallets, 'wallet')}"

    # -- within --------------------------------------------------------------------------------

    def _entered(
        self, connection: sqlite3.Connection, account: WalletAccount, since: float | None, own: LedgerPayments
    ) -> dict[str, Payment]:
        """Enter what a ledger says anew; return the payments created since a time."""
        held = self._held(connection, account)
        after = _merged(held, own)
        for hash, payment in after.items():
            before, ledger = held.get(hash, (None, ""))
            if before != payment:
                connection.execute(_ENTER, _row(hash, payment, account, Path(ledger or own.ledger)))
        return _since(since, after)

    def _held(self, connection: sqlite3.Connection, account: WalletAccount) -> dict[str, tuple[Payment, str]]:
        """Return the payments of a wallet, and the ledger in which each was signed, by hash."""
        found = connection.execute(
            "SELECT * FROM payments WHERE payer = ? AND chain = ?", (account.payer, account.chain)
        )
        return {str(row["hash"]): (self._payment(row), str(row["ledger"])) for row in found}

    def _payment(self, row: sqlite3.Row) -> Payment:
        cap, paid = amount_of(row["cap"]), row["paid"]
        deadline, created = amount_of(row["deadline"]), amount_of(row["created"])
        if paid is not None:
            known = str(paid).isdecimal() and int(paid) <= cap
            return Payment(cap, created, deadline, int(paid) if known else None)
        never_sent = not row["signed"] and deadline + MARGIN < self._clock()
        return Payment(cap, created, deadline, 0 if never_sent else None)

    @contextlib.contextmanager
    def _writing(self, wait: float = schema.WAIT) -> Iterator[sqlite3.Connection]:
        path = self.path
        with wallet_errors(path, "written"):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _look_at(path, make_private)
            with contextlib.closing(_connect(path, wait)) as connection:
                connection.execute("BEGIN IMMEDIATE")
                if _application(connection, path) == 0 or not (
                    _has(connection, "checkpoints") and _has(connection, "before_marks")
                ):
                    for step in _TABLES:
                        connection.execute(step)
                yield connection
                connection.execute("COMMIT")  # an error before it closes the connection, which rolls back

    @contextlib.contextmanager
    def _reading(self, wait: float = schema.WAIT) -> Iterator[sqlite3.Connection | None]:
        path = self.path
        with wallet_errors(path, "read"):
            _look_at(path, require_own)
            if not path.exists() or path.stat().st_size == 0:
                yield None
                return
            with contextlib.closing(_connect(path, wait)) as connection:
                connection.execute("BEGIN")
                yield connection if _application(connection, path) else None


def _merged(held: Mapping[str, tuple[Payment, str]], own: LedgerPayments) -> dict[str, Payment]:
    """Return the payments of a wallet, with a ledger's word on those that were signed there.

    On those of other ledgers, and where it is not known, its word counts only if it says that more was paid.
    """
    payments = {hash: payment for hash, (payment, _) in held.items()}
    for hash, payment in own.payments.items():
        before, ledger = held.get(hash, (None, ""))
        if before is None or (own.known and ledger == str(own.ledger)):
            payments[hash] = payment
        elif payment.counted > before.counted:
            payments[hash] = replace(payment, created=before.created)
    return payments


def _since(time: float | None, payments: Mapping[str, Payment]) -> dict[str, Payment]:
    return {hash: one for hash, one in payments.items() if time is None or one.created >= time}


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _row(hash: str, payment: Payment, account: WalletAccount, ledger: Path) -> dict[str, object]:
    return {
        "hash": hash,
        "payer": account.payer,
        "chain": account.chain,
        "cap": str(payment.cap),
        "created": payment.created,
        "deadline": payment.deadline,
        "ledger": str(ledger),
        "signed": 1,
        "paid": None if payment.paid is None else str(payment.paid),
    }


def _connect(path: Path, wait: float) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=wait, isolation_level=None)
    connection.row_factory = sqlite3.Row
    return connection


def _application(connection: sqlite3.Connection, path: Path) -> int:
    """Return 0 for a file without tables yet."""
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables and application != _APPLICATION_ID:
        raise WalletFileError(
            f"{named(path)} is a database of another program, and the wallet's budgets are kept there.",
            money=UNSENT,
            remedy="Move it away, or set OG_STATE_DIR to a folder of your own where Jupyter is started.",
        )
    return int(application) if tables else 0


def _has(connection: sqlite3.Connection, table: str) -> bool:
    """Return False for a file of an earlier version, too."""
    query = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"
    return connection.execute(query, (table,)).fetchone() is not None


def _look_at(path: Path, look: Callable[[Path], None]) -> None:
    try:
        look(path)
    except LedgerError as error:  # a link, or somebody else's
        raise wallet_error(path, "used", error) from error
