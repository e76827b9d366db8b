"""A shared ledger on a PostgreSQL server, behind the same methods as a ledger's file.

What can go wrong is the server's: it is away, it is slow, it does not let this user in. An answer that ends meanwhile
is kept on this machine (`spool.py`), and taken in when the server is back.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ..core.errors import LedgerError
from ..core.shared_ledger import SharedLedger, is_server, shared_at, shared_ledger
from . import schema
from .database import Connection, remember
from .file import SHORT_WAIT, LedgerFile
from .ownership import Ownership
from .postgres import ServerBusy, ServerConnection, ServerGone
from .private_file import write_private
from .server_line import Line, Outcome
from .server_reading import CONNECT, server_errors
from .server_schema import prepare
from .server_steps import Step, documents_of, statements_of
from .transactions import RECORD, roll_back, transaction, written_by_us

_CONNECT_BRIEFLY = 2
"""Seconds to wait for a server at the end of an answer."""
_AWAY_SECONDS = 5.0
"""Time for which a server that could not be reached is taken to be away still: no other end waits for it as well."""
_MOST_SPARE = 2


def ledger_file(path: str | os.PathLike[str]) -> LedgerFile:
    """Return the file of a ledger by its path, or the server's ledger by its URL or the file that stands for it."""
    shared = shared_ledger(path) if is_server(path) else shared_at(Path(path))
    return LedgerFile(path) if shared is None else ServerFile(shared)


class ServerFile(LedgerFile):
    """Connections to one shared ledger: one that all threads of a process share, and others for long reads.

    Attributes:
        shared: which ledger it is; `path` is the file that stands for it here, beside which its spool lies.
    """

    def __init__(self, shared: SharedLedger) -> None:
        super().__init__(shared.path)
        self.asked = self.path = shared.path
        self.shared = shared
        self._server: ServerConnection | None = None
        self._spare: list[ServerConnection] = []
        self._line = Line()
        self._away_until = 0.0

    def close(self) -> None:
        """Close the connections. The next use makes new ones."""
        with self._lock:
            spare, self._spare = self._spare, []
            for one in spare:
                one.close()
            super().close()
            self._server = None

    def before_fork(self) -> None:
        """Wait until nobody reads or writes, and close what a child would share with its parent."""
        super().before_fork()
        if self._held_for_fork and not self._beside:
            spare, self._spare = self._spare, []
            for one in spare:
                one.close()

    def renew(self) -> object:
        """In a forked child: leave what is still open to the parent."""
        left = self._server, self._spare, super().renew()
        self._server, self._spare, self._line = None, [], Line()
        return left

    def version(self) -> int:
        """Return a number that changes whenever anything was written on the server, by anybody."""
        with self._lock, server_errors(self.shared, RECORD):
            try:
                snapshot = self._connected().snapshot()
            except ServerGone:  # it was idle, and the server was begun anew meanwhile
                snapshot = self._connected().snapshot()
        return int.from_bytes(snapshot.encode(), "big")

    @contextlib.contextmanager
    def writing(
        self, *, synced: bool = False, money: str = RECORD, begins: bool = False, brief: bool = False
    ) -> Iterator[Connection]:
        """Open a transaction that no other writer shares; rolled back by any error. See `LedgerFile.writing`."""
        with self._lock, server_errors(self.shared, money):
            connection = self._begin_to_write(synced=synced, brief=brief)
            with transaction(connection):
                yield connection
            self._take_in(connection)

    def write(self, step: Step) -> bool:
        """Write a step of a receipt, with what else waits, in one way to the server; return False where it was not:
        its row is not as it needs it, or the server is away. The long way, which is gone then, says why.
        """
        with server_errors(self.shared, RECORD):
            return self._line.write(step, self._write_group)

    def _write_group(self, steps: Sequence[Step]) -> list[Outcome]:
        brief = any(step.brief for step in steps)
        try:
            with self._lock:
                connection = self._connected(brief=brief)
                self._take_in(connection)
                connection.synced, connection.patience = False, SHORT_WAIT if brief else schema.WAIT
                new = documents_of(steps).keys() - connection.documents.keys()
                if connection.at_once(statements_of(steps, new)):
                    for document in new:
                        remember(connection.documents, document, None)
                    return [True] * len(steps)
                if len(steps) == 1:
                    return [False]
        except (ServerGone, LedgerError):
            return [False] * len(steps)
        except ServerBusy as error:
            if not brief or all(step.brief for step in steps):
                return [error] * len(steps)
            others = iter(self._write_group([step for step in steps if not step.brief]))
            return [error if step.brief else next(others) for step in steps]
        except (sqlite3.Error, OSError, OverflowError) as error:
            if len(steps) == 1:
                return [error]
        return [self._write_group([step])[0] for step in steps]

    def _begin_to_write(self, *, synced: bool, brief: bool) -> ServerConnection:
        for attempt in (1, 2):
            connection = self._connected(brief=brief)
            self._take_in(connection)
            connection.synced, connection.patience = synced, SHORT_WAIT if brief else schema.WAIT
            try:
                connection.execute("BEGIN IMMEDIATE")
                break
            except ServerGone:  # it was idle, and the server was begun anew meanwhile: nothing was done yet
                if attempt == 2:
                    raise
        return connection

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """Open a transaction that sees the ledger as it is now."""
        with self._lock, server_errors(self.shared, RECORD), written_by_us(self.path):
            connection = self._connected()
            self._take_in(connection)
            connection = _begun(connection, self._connected)
            with transaction(connection):
                yield connection

    @contextlib.contextmanager
    def reading_beside(self, *, own: bool = False) -> Iterator[Connection]:
        """Open a read transaction on a connection of its own: nobody waits for it."""
        with server_errors(self.shared, RECORD), written_by_us(self.path):
            with self._lock:
                self._take_in(self._connected())
                self._beside += 1
                connection = self._spare.pop() if self._spare else None
            try:
                connection = _begun(connection or self._one_more(), self._one_more)
                with transaction(connection):
                    yield connection
            finally:
                with self._idle:
                    self._beside -= 1
                    self._put_back(connection)
                    self._idle.notify_all()

    def _one_more(self) -> ServerConnection:
        connection = ServerConnection(self.shared, connect_timeout=CONNECT)
        weakref.finalize(self, connection.close)
        return connection

    def _put_back(self, connection: ServerConnection | None) -> None:
        if connection is None:
            return
        if connection.closed or connection.in_transaction or len(self._spare) >= _MOST_SPARE:
            connection.close()
            return
        self._spare.append(connection)

    @property
    def read_only(self) -> bool:
        """False: whoever is let in by the server may write."""
        return False

    def note(self) -> str:
        """Return, once, what the user should know before more is written; else ""."""
        with self._lock:
            note, self._notes = " ".join(self._notes), []
            return note

    def _connected(self, *, brief: bool = False) -> ServerConnection:
        """Return the connection that is open, or make it."""
        if self._server is not None and not self._server.closed:
            roll_back(self._server)  # an interrupt may have come between a BEGIN and its guard
            if not self._server.closed:
                return self._server
        if self._forked_in_use:
            raise LedgerError(
                f"The receipts in {self.shared.shown} were read or written while this process was forked, and cannot "
                "be used in it.",
                money="Nothing was written and nothing was paid.",
                remedy='Call multiprocessing.set_start_method("spawn"), or fork when nothing is being asked.',
            )
        self.connection = self._server = None
        if brief and time.monotonic() < self._away_until:
            raise ServerGone("it did not answer a moment ago")
        try:
            connection = self._new(_CONNECT_BRIEFLY if brief else CONNECT)
        except ServerGone:
            self._away_until = time.monotonic() + _AWAY_SECONDS
            raise
        self.ownership = Ownership(said=self.ownership.said)
        self._closer = weakref.finalize(self, connection.close)
        self.connection = self._server = connection
        self._paused = False
        return connection

    def _new(self, timeout: int) -> ServerConnection:
        connection = ServerConnection(self.shared, connect_timeout=timeout)
        try:
            connection.patience = schema.WAIT
            prepare(connection, self.shared)
            connection.prepared = True
            self.spool.begin(schema.ledger_id(connection))
        except BaseException:
            connection.close()
            raise
        self._note_place()
        return connection

    def _note_place(self) -> None:
        """Write the file that stands for the ledger, by which others of this user's processes find it."""
        content = json.dumps({"url": self.shared.shown}).encode()
        with contextlib.suppress(OSError):
            if not self.path.is_file() or self.path.read_bytes() != content:
                self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                write_private(self.path, content)


def _begun(connection: ServerConnection, anew: Callable[[], ServerConnection]) -> ServerConnection:
    """Begin a transaction, on a new connection where the server has ended this one meanwhile."""
    try:
        connection.execute("BEGIN")
    except ServerGone:
        connection = anew()
        connection.execute("BEGIN")
    return connection
