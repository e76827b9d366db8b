"""The SQLite file: opened when first needed, one transaction at a time, its failures in a person's words."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

from ..core.errors import LedgerError
from ..core.runtime import after_fork
from . import schema
from .place import begin_away, place_of
from .private_file import located, make_private, require_own
from .reading import snapshot
from .spool import Entry, Spool, enter

_files: weakref.WeakSet[LedgerFile] = weakref.WeakSet()

RECORD = "Payments are not changed by this; only their record is."

SHORT_WAIT = 2.0
"""Seconds that the end of an answer waits for another process that is writing: then it goes to the spool."""
_BUSY_SECONDS = 5.0
"""Time for which a file that another process held is taken to be held still: no other end waits for it as well."""


class LedgerFile:
    """One connection, shared by all threads of a process; after `close()` the next use opens it again.

    In a folder that cannot be written, it is read without writing anything, and the first write takes a copy in the
    user's state directory, which is used from there on. To read makes no file.

    Attributes:
        asked: its path as it was asked for, absolute.
        path: of the file that is used.
        spool: what it could not take in yet.
        connection: None while it is closed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.asked = self.path = located(path)
        self.connection: sqlite3.Connection | None = None
        self._view: tuple[object, sqlite3.Connection] | None = None
        self._lost: tuple[int, int] | None = None
        self.spool = Spool()
        self._busy_until = 0.0
        self._notes: list[str] = []
        self._lock = threading.RLock()
        self._closer: Callable[[], object] = lambda: None
        self._identity: tuple[int, int] | None = None
        self._base = 0
        self._others = 0
        _files.add(self)

    def renew(self) -> object:
        """In a forked child: leave the connection to the parent, since SQLite allows no other process to use it."""
        connection, self.connection, self._lock = self.connection, None, threading.RLock()
        self._view, self.spool = None, Spool()
        if connection is not None:
            self._base += self._others + connection.total_changes + 1
            self._others = 0
            if isinstance(self._closer, weakref.finalize):
                self._closer.detach()
        return connection

    def close(self) -> None:
        """Close the file. It is also closed when it is no longer used, and when the interpreter ends."""
        with self._lock:
            connection, self.connection = self.connection, None
            view, self._view = self._view, None
            if view is not None:
                view[1].close()
                self._base += 1
            if connection is not None:
                # The next connection counts from the start; its versions must not repeat those that were given.
                self._base += self._others + connection.total_changes + 1
                self._others = 0
                self._closer()

    def version(self) -> int:
        """Return a number that changes whenever anything was written, by this process or another."""
        with self._lock, self._errors(RECORD):
            connection = self._open()
            if self._view is not None and self._view[1] is connection:
                return self._base
            # SQLite counts the commits of others in one place and our own rows in another; both only grow.
            self._others = connection.execute("PRAGMA data_version").fetchone()[0]
            return self._base + self._others + connection.total_changes

    @contextlib.contextmanager
    def writing(
        self, *, synced: bool = False, money: str = RECORD, begins: bool = False, brief: bool = False
    ) -> Iterator[sqlite3.Connection]:
        """Open a transaction that no other writer shares; rolled back by any error.

        Args:
            synced: it is on the disk when this returns, and survives a power cut.
            money: what a failure means for the user's money.
            begins: nothing in the file is needed for it. All else is refused where the file was deleted or moved since
                it was opened: what it goes on with is not in the new one.
            brief: another process that is writing is not waited for long; there is another place for it.
        """
        with self._lock, self._errors(money):
            connection = self._connect_to_write(money, begins=begins)
            self._take_in(connection)
            connection.execute(f"PRAGMA synchronous = {'FULL' if synced else 'NORMAL'}")
            with self._waiting(connection, brief):
                connection.execute("BEGIN IMMEDIATE")
            with _transaction(connection):
                yield connection
            self._busy_until = 0.0
            self._take_in(connection)

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Open a transaction that sees the file as it is now."""
        with self._lock, self._errors(RECORD):
            try:
                connection = self._open()
                self._take_in(connection)
                connection.execute("BEGIN")
                with _transaction(connection):
                    yield connection
            except (ValueError, TypeError) as error:
                raise LedgerError(
                    f"{self.path} holds what og_magics did not write: {error}.",
                    money=RECORD,
                    remedy="It was edited by hand; its audit names what was changed.",
                ) from error

    @contextlib.contextmanager
    def reading_beside(self) -> Iterator[sqlite3.Connection]:
        """Open a read transaction on its own connection, so that long work keeps nobody from writing."""
        with self._errors(RECORD):
            with self._lock:
                opened, view = self._open(), self._view
                viewed = view is not None and view[1] is opened
            beside = self._copy() if viewed else sqlite3.connect(self.path, timeout=schema.WAIT, isolation_level=None)
            with contextlib.closing(beside) as connection:
                connection.row_factory = sqlite3.Row
                connection.execute("BEGIN")
                with _transaction(connection):
                    yield connection

    @property
    def read_only(self) -> bool:
        """True where nothing can be written beside it, and nothing was asked from here yet."""
        with self._lock:
            self._settle_place()
            return self.path != self.asked and not self.path.exists()

    def note(self) -> str:
        """Return, once, what the user should know of the file's place before more is written; else ""."""
        with self._lock, self._errors(RECORD):
            self._settle_place()
            if self.connection is not None and _identity(self.path) != self._identity:
                self._notice_loss()
            note, self._notes = " ".join(self._notes), []
            return note

    def set_aside(self, entry: Entry, why: str) -> None:
        """Keep an entry that could not be written, to be taken in with the next write, or when the file is opened."""
        place = self.spool.keep(self.path, entry)
        where = "in this kernel's memory alone" if place is None else f"in {schema.named(place)}"
        self.leave_note(
            f"{why} The answer is complete, and its receipt is kept {where}: it is taken in when the file can be "
            "written again."
        )

    def leave_note(self, text: str) -> None:
        """Leave a sentence for the user, which `note` returns."""
        self._notes.append(text)

    def view_of(self, entry: Entry) -> sqlite3.Connection:
        """Return a ledger in memory that holds this entry alone."""
        connection = sqlite3.connect(":memory:", isolation_level=None)
        connection.row_factory = sqlite3.Row
        schema.prepare(connection, self.asked)
        enter(connection, entry)
        return connection

    @contextlib.contextmanager
    def _waiting(self, connection: sqlite3.Connection, brief: bool) -> Iterator[None]:
        """Wait for another process as long as that is worth while."""
        if not brief:
            yield
            return
        seconds = SHORT_WAIT if time.monotonic() >= self._busy_until else 0.0
        try:
            with _busy_timeout(connection, seconds):
                yield
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                self._busy_until = time.monotonic() + _BUSY_SECONDS
            raise

    def _take_in(self, connection: sqlite3.Connection) -> None:
        """Take in what waits in the spool, where that can be done at once."""
        if not self.spool or connection is not self.connection or connection.in_transaction:
            return
        with contextlib.suppress(sqlite3.Error, OSError), _busy_timeout(connection, 0.0):
            for entry, files in self.spool.waiting(self.path):
                connection.execute("BEGIN IMMEDIATE")
                try:
                    with _transaction(connection):
                        enter(connection, entry)
                except (ValueError, LookupError, TypeError, OverflowError, sqlite3.IntegrityError):
                    continue  # it is no entry: its file is left where it is
                self.spool.forget(entry)
                for file in files:
                    with contextlib.suppress(OSError):
                        file.unlink()
            self.spool.looked = True

    def _settle_place(self) -> None:
        """Choose the file to use: the one asked for, or that in the state directory."""
        if self.connection is None and self.path == self.asked:
            self.path = place_of(self.asked)
            if self.path != self.asked:
                self._notes.append(
                    f"{schema.named(self.asked.parent)} cannot be written: new receipts are kept in "
                    f"{schema.named(self.path)}."
                )

    def _open(self) -> sqlite3.Connection:
        """Return a connection to read by. Where there is no file, or none that can be written, it is one in memory."""
        self._settle_place()
        if self.connection is not None and _identity(self.path) != self._identity:
            self._notice_loss()
        if self.connection is not None or _identity(self.path) is not None:
            return self._connect()
        if self.path == self.asked:
            require_own(self.path)
        stamp = _stamp(self.asked)
        if self._view is None or self._view[0] != stamp:
            view = self._copy()
            self.close()
            self._base += 1
            self._view = stamp, view
        return self._view[1]

    def _copy(self) -> sqlite3.Connection:
        """Return what the file that cannot be written holds, or nothing, in memory."""
        if self.asked.is_file():
            connection = snapshot(self.asked)
        else:
            connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
        try:
            connection.row_factory = sqlite3.Row
            schema.prepare(connection, self.asked)
        except BaseException:
            connection.close()
            raise
        return connection

    def _connect_to_write(self, money: str, *, begins: bool) -> sqlite3.Connection:
        self._settle_place()
        if self.connection is not None and _identity(self.path) != self._identity:
            self._notice_loss()
        if self._lost is not None and _identity(self.path) == self._lost:
            self._lost = None  # it was put back
        if self._lost is not None:
            path = schema.named(self.path)
            if not begins:
                raise LedgerError(
                    f"{path} was deleted or moved while it was in use; what came since is not in it.",
                    money=money,
                    remedy="Put it back; or ask again, which begins a new one.",
                )
            if not self.path.parent.parent.is_dir():
                raise LedgerError(
                    f"The folder of {path} was deleted or moved while it was in use.",
                    money=money,
                    remedy="Restart the kernel where the notebook is now, or put the folder back.",
                )
            self._lost = None
        if self._view is not None:
            self.close()
        if self.path != self.asked:
            begin_away(self.asked, self.path)
        return self._connect()

    def _notice_loss(self) -> None:
        self._lost = self._identity
        self.close()
        self._notes.append(
            f"{schema.named(self.path)} was deleted or moved while it was in use: a new one is begun. Receipts from "
            "before are in the old file, if there is one, and in the outputs of the notebook."
        )

    def _connect(self) -> sqlite3.Connection:
        if self.connection is not None:
            _roll_back(self.connection)  # an interrupt may have come between a BEGIN and its guard
            return self.connection
        make_private(self.path)
        connection = sqlite3.connect(self.path, timeout=schema.WAIT, isolation_level=None, check_same_thread=False)
        try:
            connection.row_factory = sqlite3.Row
            schema.prepare(connection, self.path)
            self._identity = _identity(self.path)
        except BaseException:
            connection.close()
            raise
        self.spool.looked = False
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
def _busy_timeout(connection: sqlite3.Connection, seconds: float) -> Iterator[None]:
    """Have SQLite wait no longer than this for another process."""
    connection.execute(f"PRAGMA busy_timeout = {round(seconds * 1000)}")
    try:
        yield
    finally:
        connection.execute(f"PRAGMA busy_timeout = {round(schema.WAIT * 1000)}")


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """End the transaction that has begun: well, or not at all."""
    try:
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


def _stamp(path: Path) -> object:
    """Return a value that changes when a ledger is written by others."""
    found = []
    for one in (path, path.with_name(path.name + "-wal")):
        try:
            state = one.stat()
        except FileNotFoundError:
            continue
        found.append((state.st_ino, state.st_size, state.st_mtime_ns))
    return tuple(found)


def _renew() -> object:
    """In a forked child: have it open its files itself."""
    return [file.renew() for file in list(_files)]


after_fork(_renew)
