"""The SQLite file: opened when first needed, one transaction at a time, its failures in a person's words."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Callable, Iterator

from ..core import cell_notes
from ..core.errors import LedgerError
from . import forks, schema
from .database import Connection, FileConnection
from .file_system import identity_of, named, stamp_of
from .ownership import Ownership
from .place import begin_away, place_of
from .private_file import located, make_private, require_own
from .reading import snapshot
from .spool import Entry, Spool, enter
from .transactions import RECORD, Group, busy_timeout, file_errors, roll_back, transaction, written_by_us

_PATIENCE = 5.0
"""Seconds that a fork waits for those who read and write."""

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
        spool: what it could not take in yet. ownership: what is known of who wrote it.
        connection: None while it is closed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.asked = self.path = located(path)
        self.connection: Connection | None = None
        self._view: tuple[object, Connection] | None = None
        self._lost: tuple[int, int] | None = None
        self.spool, self.ownership = Spool(), Ownership()
        self._busy_until = 0.0
        self._notes: list[str] = []
        self._lock, self._beside = threading.RLock(), 0
        self._idle = threading.Condition(self._lock)
        self._held_for_fork = self._forked_in_use = self._paused = False
        self._closer: Callable[[], object] = lambda: None
        self._identity: tuple[int, int] | None = None
        self._synced: bool | None = None
        self._base = self._others = 0
        self._group: Group | None = None
        forks.files.add(self)

    def before_fork(self) -> None:
        """Wait until nobody reads or writes, close the file, and keep all others away until `after_fork_in_parent`.

        SQLite takes what a child inherits of a connection for the child's own. So the child would hold no lock, and its
        parent remove the log that the child writes into; or the child would wait for itself.
        """
        self._held_for_fork = self._lock.acquire(timeout=_PATIENCE)
        if self._held_for_fork:
            self._idle.wait_for(lambda: not self._beside, _PATIENCE)
            if self.connection is not None and not self.connection.in_transaction and not self._beside:
                self._count_written()
                self._closer()
                self._paused = True

    def after_fork_in_parent(self) -> None:
        """Let the others go on."""
        if self._held_for_fork:
            self._held_for_fork = False
            self._lock.release()

    def renew(self) -> object:
        """In a forked child: leave what is still open to the parent, and use nothing that it left open."""
        connection, self.connection = self.connection, None
        self._held_for_fork = False
        self._forked_in_use = self._forked_in_use or connection is not None or self._beside > 0
        view, self._view, self._beside = self._view, None, 0
        self._group = None
        self._lock = threading.RLock()
        self._idle = threading.Condition(self._lock)
        self.spool, self.ownership = Spool(self.spool.ledger_id), Ownership()
        self._base += 1
        if connection is not None and isinstance(self._closer, weakref.finalize):
            self._closer.detach()
        return connection, view

    def close(self) -> None:
        """Close the file. It is also closed when it is no longer used, and when the interpreter ends."""
        with self._lock:
            self._paused = False
            view, self._view = self._view, None
            if view is not None:
                view[1].close()
                self._base += 1
            if self.connection is not None:
                self._count_written()
                self._closer()

    def _count_written(self) -> None:
        """Forget the connection. The next one counts from the start; its versions must not repeat those given."""
        connection, self.connection = self.connection, None
        if connection is not None:
            self._base += self._others + connection.total_changes + 1
            self._others = 0

    def version(self) -> int:
        """Return a number that changes whenever anything was written, by this process or another."""
        with self._lock, file_errors(self.path, RECORD):
            connection = self._open()
            if self._view is not None and self._view[1] is connection:
                return self._base
            # SQLite counts the commits of others in one place and our own rows in another; both only grow.
            self._others = connection.execute("PRAGMA data_version").fetchone()[0]
            return self._base + self._others + connection.total_changes

    @contextlib.contextmanager
    def writing(
        self, *, synced: bool = False, money: str = RECORD, begins: bool = False, brief: bool = False
    ) -> Iterator[Connection]:
        """Open a transaction that no other writer shares; rolled back by any error.

        Args:
            synced: it is on the disk when this returns, and survives a power cut.
            money: what a failure means for the user's money.
            begins: nothing in the file is needed for it. All else is refused where the file was deleted or moved since
                it was opened: what it goes on with is not in the new one.
            brief: another process that is writing is not waited for long; there is another place for it.
        """
        with self._lock, file_errors(self.path, money):
            if self._group is not None:
                with self._group.part(synced=synced) as part:
                    yield part
                return
            connection = self._connect_to_write(money, begins=begins)
            self._take_in(connection)
            if synced is not self._synced:
                connection.execute(f"PRAGMA synchronous = {'FULL' if synced else 'NORMAL'}")
                self._synced = synced
            with self._waiting(connection, brief):
                connection.execute("BEGIN IMMEDIATE")
            written = False
            try:
                with transaction(connection):
                    connection.begin_knowing()
                    yield connection
                written = True
            finally:
                connection.end_knowing(written=written)
            self._busy_until = 0.0
            self._take_in(connection)

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Open one transaction for all that this thread writes within it: all of it is written, or nothing.

        What is kept of it in memory is set by `after`. An error of any of these writes ends them all.
        """
        with self._lock:
            with self.writing(brief=True) as connection:
                self._group = group = Group(connection)
                try:
                    yield
                finally:
                    self._group = None
            for then in group.then:
                then()

    def after(self, then: Callable[[], object]) -> None:
        """Call this when what this thread has written is there: now, or once its group was written."""
        with self._lock:
            if self._group is None:
                then()
            else:
                self._group.then.append(then)

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction that sees the file as it is now. For few rows: others of this process wait for it."""
        with self._lock, file_errors(self.path, RECORD), written_by_us(self.path):
            if self._group is not None:
                with self._group.part() as part:
                    yield part
                return
            connection = self._open()
            self._take_in(connection)
            connection.execute("BEGIN")
            with transaction(connection):
                yield connection

    @contextlib.contextmanager
    def reading_beside(self, *, own: bool = False) -> Iterator[Connection]:
        """Open a read transaction on a connection of its own: nobody waits for it, in this process or another.

        Args:
            own: also where the file is read into memory, whose one connection serves for all else.
        """
        with file_errors(self.path, RECORD), written_by_us(self.path):
            with self._lock:
                opened, view = self._open(), self._view
                viewed = view is not None and view[1] is opened
                self._take_in(opened)
                self._beside += not viewed
            if viewed and not own:
                with self.reading() as connection:
                    yield connection
                return
            try:
                connect = self._copy if viewed else self._connect_beside
                with contextlib.closing(connect()) as connection:
                    connection.row_factory = sqlite3.Row
                    connection.execute("BEGIN")
                    with transaction(connection):
                        yield connection
            finally:
                with self._idle:
                    self._beside -= not viewed
                    self._idle.notify_all()

    def _connect_beside(self) -> Connection:
        return sqlite3.connect(self.path, timeout=schema.WAIT, isolation_level=None)

    @property
    def read_only(self) -> bool:
        """True where nothing can be written beside it, and nothing was asked from here yet."""
        with self._lock:
            self._settle_place()
            return self.path != self.asked and not self.path.exists()

    def note(self) -> str:
        """Return, once, what the user should know of the file's place before more is written; else ""."""
        with self._lock, file_errors(self.path, RECORD):
            self._settle_place()
            self._look_for_loss()
            note, self._notes = " ".join(self._notes), []
            return note

    def add_note(self, note: str) -> None:
        """Keep a sentence for `note`."""
        with self._lock:
            if note not in self._notes:
                self._notes.append(note)

    def set_aside(self, entry: Entry, why: str) -> None:
        """Keep an entry that could not be written, to be taken in with the next write, or when the file is opened."""
        place = self.spool.keep(self.path, entry)
        self.add_note(
            cell_notes.RECEIPT_IN_MEMORY.of(why=why)
            if place is None
            else cell_notes.RECEIPT_SET_ASIDE.of(why=why, path=named(place))
        )

    def view_of(self, entry: Entry) -> Connection:
        """Return a ledger in memory that holds this entry alone."""
        connection = sqlite3.connect(":memory:", isolation_level=None)
        connection.row_factory = sqlite3.Row
        schema.prepare(connection, self.asked)
        enter(connection, entry)
        return connection

    @contextlib.contextmanager
    def _waiting(self, connection: Connection, brief: bool) -> Iterator[None]:
        """Wait for another process as long as that is worth while."""
        if not brief:
            yield
            return
        seconds = SHORT_WAIT if time.monotonic() >= self._busy_until else 0.0
        try:
            with busy_timeout(connection, seconds):
                yield
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                self._busy_until = time.monotonic() + _BUSY_SECONDS
            raise

    def _take_in(self, connection: Connection) -> None:
        """Take in what waits in the spool, where that can be done at once."""
        if self.spool and connection is self.connection and not connection.in_transaction:
            self.spool.take_in(connection, self.path)

    def _settle_place(self) -> None:
        """Choose the file to use: the one asked for, or that in the state directory."""
        if self.connection is None and self.path == self.asked:
            self.path = place_of(self.asked)
            if self.path != self.asked:
                folder = named(self.asked.parent)
                self._notes.append(cell_notes.LEDGER_AWAY.of(folder=folder, path=named(self.path)))

    def _open(self) -> Connection:
        """Return a connection to read by. Where there is no file, or none that can be written, it is one in memory."""
        self._settle_place()
        self._look_for_loss()
        if self.connection is not None or identity_of(self.path) is not None:
            return self._connect()
        if self.path == self.asked:
            require_own(self.path)
        stamp = stamp_of(self.asked)
        if self._view is None or self._view[0] != stamp:
            view = self._copy()
            self.close()
            self._base += 1
            self._view = stamp, view
        return self._view[1]

    def _copy(self) -> Connection:
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

    def _connect_to_write(self, money: str, *, begins: bool) -> FileConnection:
        self._settle_place()
        self._look_for_loss()
        if self._lost is not None and identity_of(self.path) == self._lost:
            self._lost = None  # it was put back
        if self._lost is not None:
            path = named(self.path)
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

    def _look_for_loss(self) -> None:
        """Notice where the file that is in use, also if it is closed for a fork, is not at its path any more."""
        if (self.connection is None and not self._paused) or identity_of(self.path) == self._identity:
            return
        self._lost = self._identity
        self.close()
        self._notes.append(cell_notes.LEDGER_LOST.of(path=named(self.path)))

    def _connect(self) -> FileConnection:
        if isinstance(self.connection, FileConnection):
            if self._group is None:
                roll_back(self.connection)  # an interrupt may have come between a BEGIN and its guard
            return self.connection
        if self._forked_in_use:
            raise LedgerError(
                f"{named(self.path)} was read or written while this process was forked, and cannot be used in it.",
                money="Nothing was written and nothing was paid.",
                remedy='Call multiprocessing.set_start_method("spawn"), or fork when nothing is being asked.',
            )
        make_private(self.path)
        connection = sqlite3.connect(
            self.path, timeout=schema.WAIT, isolation_level=None, check_same_thread=False, factory=FileConnection
        )
        connection.paying = {}
        try:
            connection.row_factory = sqlite3.Row
            schema.prepare(connection, self.path)
            self.spool.begin(schema.ledger_id(connection))
            self._identity, self._paused = identity_of(self.path), False
        except BaseException:
            connection.close()
            raise
        self._synced, self.ownership = None, Ownership(said=self.ownership.said)
        self.connection, self._closer = connection, weakref.finalize(self, connection.close)
        return connection
