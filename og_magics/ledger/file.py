"""The SQLite file: opened when first needed, one transaction at a time, its failures in a person's words."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

from ..errors import LedgerError
from . import schema

RECORD = "Payments are not changed by this; only their record is."


class LedgerFile:
    """One connection, shared by all threads of a process; after `close()` the next use opens it again.

    Attributes:
        path: of the file, absolute.
        connection: None while it is closed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path).expanduser().resolve()
        self.connection: sqlite3.Connection | None = None
        self._lock = threading.RLock()
        self._closer: Callable[[], object] = lambda: None
        self._identity: tuple[int, int] | None = None
        self._base = 0
        self._others = 0

    def close(self) -> None:
        """Close the file. It is also closed when it is no longer used, and when the interpreter ends."""
        with self._lock:
            connection, self.connection = self.connection, None
            if connection is not None:
                # The next connection counts from the start; its versions must not repeat those that were given.
                self._base += self._others + connection.total_changes + 1
                self._others = 0
                self._closer()

    def version(self) -> int:
        """A number that changes whenever anything was written, by this process or another."""
        with self._lock, self._errors(RECORD):
            connection = self._connect()
            # SQLite counts the commits of others in one place and our own rows in another; both only grow.
            self._others = connection.execute("PRAGMA data_version").fetchone()[0]
            return self._base + self._others + connection.total_changes

    @contextlib.contextmanager
    def writing(self, *, synced: bool = False, money: str = RECORD) -> Iterator[sqlite3.Connection]:
        """A transaction that no other writer shares; rolled back by any error.

        Args:
            synced: it is on the disk when this returns, and survives a power cut.
            money: what a failure means for the user's money.
        """
        with self._lock, self._errors(money):
            connection = self._connect()
            connection.execute(f"PRAGMA synchronous = {'FULL' if synced else 'NORMAL'}")
            with _transaction(connection, "BEGIN IMMEDIATE"):
                yield connection

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A transaction that sees the file as it is now."""
        with self._lock, self._errors(RECORD):
            try:
                with _transaction(self._connect(), "BEGIN") as connection:
                    yield connection
            except (ValueError, TypeError) as error:
                raise LedgerError(
                    f"{self.path} holds what og_magics did not write: {error}.",
                    money=RECORD,
                    remedy="It was edited by hand; its audit names what was changed.",
                ) from error

    @contextlib.contextmanager
    def reading_beside(self) -> Iterator[sqlite3.Connection]:
        """As `reading`, on a connection of its own: long work here keeps nobody from writing."""
        with self._errors(RECORD):
            with self._lock:
                self._connect()
            with (
                contextlib.closing(sqlite3.connect(self.path, timeout=schema.WAIT, isolation_level=None)) as connection,
                _transaction(connection, "BEGIN"),
            ):
                connection.row_factory = sqlite3.Row
                yield connection

    def _connect(self) -> sqlite3.Connection:
        if self.connection is not None:
            if _identity(self.path) == self._identity:
                _roll_back(self.connection)  # an interrupt may have come between a BEGIN and its guard
                return self.connection
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
        self.connection = connection
        self._closer = weakref.finalize(self, connection.close)
        return connection

    @contextlib.contextmanager
    def _errors(self, money: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError, OverflowError) as error:
            name, path = getattr(error, "sqlite_errorname", ""), schema.named(self.path)
            if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
                what = f"{path} is damaged, or is not a receipts' file."
                remedy = "Move it away and a new one is begun, or set OG_LEDGER to another path."
            elif name.startswith("SQLITE_FULL"):
                what = f"The disk is full: {path} cannot grow."
                remedy = "Make room, or set OG_LEDGER to a path on another disk."
            elif name.startswith("SQLITE_BUSY"):
                what = f"Another process has been writing to {path} for {schema.WAIT:.0f} seconds."
                remedy = "End it, or set OG_LEDGER to another path."
            else:
                why = getattr(error, "strerror", None) or error  # the text of an OSError repeats the path
                what = f"The receipts' file {path} cannot be read or written: {why}."
                remedy = "Check that its folder can be written, or set OG_LEDGER to a path that can."
            raise LedgerError(what, money=money, remedy=remedy) from error


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection, begin: str) -> Iterator[sqlite3.Connection]:
    try:
        connection.execute(begin)
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        _roll_back(connection)
        raise


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
