"""Transactions on an SQLite file: ended well or not at all, their failures in a person's words."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

from ..core.errors import LedgerError
from .database import Connection
from .file_system import NO_LOCKS, REMEDY, in_write_ahead_mode, named
from .schema import WAIT

RECORD = "Payments are not changed by this; only their record is."
_EDITED = "It was edited by hand; its audit names what was changed."


@contextlib.contextmanager
def file_errors(path: Path, money: str) -> Iterator[None]:
    """Turn the errors of a file, or of SQLite, into one that says what happened and what to do.

    Args:
        money: what a failure means for the user's money.

    Raises:
        LedgerError: for an sqlite3.Error or an OSError.
    """
    try:
        yield
    except (sqlite3.Error, OSError, OverflowError) as error:
        code, name = getattr(error, "sqlite_errorname", ""), named(path)
        if code.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
            what = f"{name} is damaged, or is not a receipts' file."
            remedy = "Move it away and a new one is begun, or set OG_LEDGER to another path."
        elif code.startswith("SQLITE_FULL"):
            what = f"The disk is full: {name} cannot grow."
            remedy = "Make room, or set OG_LEDGER to a path on another disk."
        elif code.startswith("SQLITE_BUSY"):
            what = f"Another process has been writing to {name} for {WAIT:.0f} seconds."
            remedy = "End it, or set OG_LEDGER to another path."
        elif code.startswith(NO_LOCKS) or (code == "SQLITE_CANTOPEN" and in_write_ahead_mode(path)):
            what = f"The file system of {name} has no locks or no shared memory, which its mode needs: {error}."
            remedy = REMEDY
        elif str(error).startswith("Could not decode to UTF-8"):
            what, remedy = f"{name} holds a text that og_magics did not write.", _EDITED
        else:
            why = getattr(error, "strerror", None) or error  # the text of an OSError repeats the path
            what = f"The receipts' file {name} cannot be read or written: {why}."
            remedy = "Check that its folder can be written, or set OG_LEDGER to a path that can."
        raise LedgerError(what, money=money, remedy=remedy) from error


@contextlib.contextmanager
def written_by_us(path: Path) -> Iterator[None]:
    """Turn the errors of values that og_magics does not write into one that says so.

    Raises:
        LedgerError: for a ValueError or a TypeError.
    """
    try:
        yield
    except (ValueError, TypeError) as error:
        raise LedgerError(
            f"{named(path)} holds what og_magics did not write: {error}.",
            money=RECORD,
            remedy=_EDITED,
        ) from error


@contextlib.contextmanager
def busy_timeout(connection: Connection, seconds: float) -> Iterator[None]:
    """Have SQLite wait no longer than this for another process."""
    connection.execute(f"PRAGMA busy_timeout = {round(seconds * 1000)}")
    try:
        yield
    finally:
        connection.execute(f"PRAGMA busy_timeout = {round(WAIT * 1000)}")


@contextlib.contextmanager
def transaction(connection: Connection) -> Iterator[None]:
    """End the transaction that has begun: well, or not at all."""
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        roll_back(connection)
        raise


def roll_back(connection: Connection) -> None:
    """Undo the transaction that is open, if one is."""
    if connection.in_transaction:
        with contextlib.suppress(sqlite3.Error):  # the error that led here says more
            connection.execute("ROLLBACK")


class Undone(BaseException):
    """Raised in place of the error of one write of a group. No handler of errors in between may take it for its own."""


class Group:
    """The writes of one transaction.

    Attributes:
        then: called once they are written.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.then: list[Callable[[], object]] = []

    @contextlib.contextmanager
    def part(self, *, synced: bool = False) -> Iterator[Connection]:
        """Make one of the writes.

        Raises:
            Undone: it failed, or has to be on the disk before others.
        """
        if synced:
            raise Undone
        try:
            yield self._connection
        except BaseException as error:
            raise Undone from error
