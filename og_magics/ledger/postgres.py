"""A connection to PostgreSQL that behaves as SQLite's does, so that all of the ledger's code runs on both.

- Placeholders are SQLite's; the few statements that PostgreSQL does not read are in a table here.
- `BEGIN IMMEDIATE` waits for the one lock of the ledger (an advisory lock of its schema), as SQLite's waits for the
  file: so each writer reads what the one before it wrote, and budgets and the chain of hashes hold. `BEGIN` reads one
  state of the database.
- Each way to the server and back costs time for which all other writers wait. So what is only written goes with the
  next statement that is asked for something, or with COMMIT, which raises its errors; and the end of the journal comes
  with the lock.
- Numbers that a program gives are taken in the type of their column. A table's `rowid` is seen only where it is named.
- PostgreSQL's texts hold no NUL, and an answer may: it is written with an escape, and read as it was.
- Errors are those of `sqlite3`, and their texts hold no password.
"""

from __future__ import annotations

import hashlib
import json
import re
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..core.errors import LedgerError
from ..core.shared_ledger import SharedLedger
from .journal import LAST
from .rows import storable
from .server_rows import LastRow, ServerRow, Shape, given_to_server, numeric_loader, restored, shape_of
from .server_statements import translated
from .server_steps import Known

if TYPE_CHECKING:
    import psycopg


_TIMEOUT = re.compile(r"PRAGMA busy_timeout = (\d+)")
_GIVEN_LIST = "json_each(?)"
_LOCK = """SELECT set_config('lock_timeout', $1, true), set_config('synchronous_commit', 'off', true),
    set_config('plan_cache_mode', 'force_generic_plan', true), set_config('jit', 'off', true),
    set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
    set_config('enable_seqscan', 'off', true), pg_advisory_xact_lock($2)"""
"""Waits for the ledger's lock, for steps that need not be synced. They look for single rows: a plan that was made while
the tables were small has to be as good when they are large.
"""


class ServerError(sqlite3.OperationalError):
    """A failure that the server, or the way to it, is the reason of."""


class ServerGone(ServerError):
    """The connection is no more, or none could be made."""


class ServerBusy(ServerError):
    """Another writer held the ledger too long."""


class ServerCursor:
    """The rows of a statement, all of them fetched."""

    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection
        self._rows: list[tuple[Any, ...]] = []
        self._row: type[ServerRow] = ServerRow
        self._at, self.rowcount = 0, -1
        self.row_factory: Any = ServerRow

    def execute(self, sql: str, parameters: Any = (), /) -> ServerCursor:
        """Run a statement."""
        self._rows, self._row, self.rowcount = self._connection.run(sql, parameters)
        self._at = 0
        return self

    def fetchmany(self, size: int | None = 1) -> list[Any]:
        """Return the next rows."""
        end = len(self._rows) if size is None else min(self._at + size, len(self._rows))
        part, self._at = self._rows[self._at : end], end
        return list(part) if self.row_factory is None else list(map(self._row, part))

    def fetchall(self) -> list[Any]:
        """Return the rows that are left."""
        return self.fetchmany(None)

    def fetchone(self) -> Any:
        """Return the next row, or None."""
        return next(iter(self.fetchmany(1)), None)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.fetchall())


class ServerConnection:
    """One connection to a shared ledger.

    Attributes:
        synced: what is committed is on the server's disk. patience: seconds to wait for another writer.
        total_changes: statements that wrote.
        prepared: its tables are there. documents: hashes of attestations that were written by it: after a crash, a
            server may not have what another connection wrote last.
    """

    def __init__(self, shared: SharedLedger, *, connect_timeout: int) -> None:
        self._shared = shared
        self.row_factory: Any = ServerRow
        self.text_factory: Any = str
        self.synced, self.patience = False, 0.0
        self.total_changes = 0
        self.prepared, self.documents = False, dict[str, None]()
        self._waiting: list[str] = []
        self._last: list[tuple[Any, ...]] | None = None
        self._writes = False
        self._own_transactions = 0
        self._lock_key = int.from_bytes(
            hashlib.sha256(f"og_magics\n{shared.schema}".encode()).digest()[:8], signed=True
        )
        self._shapes: dict[str, Shape] = {}
        self._names: dict[str, str] = {}
        self._raw = self._connect(connect_timeout)
        self._binder = _binder(self._raw)

    def _connect(self, timeout: int) -> psycopg.Connection[tuple[Any, ...]]:
        try:
            import psycopg
        except ImportError:
            raise LedgerError(
                f"The receipts in {self._shared.shown} need the package psycopg, which is not installed.",
                money="Nothing was asked and nothing was paid.",
                remedy="pip install 'og_magics[postgres]'",
            ) from None
        wanted = {
            "connect_timeout": str(timeout), "application_name": "og_magics", "client_encoding": "UTF8",
            # A server that is gone without a word is noticed, and not waited for.
            "tcp_user_timeout": "10000", "keepalives_idle": "10", "keepalives_interval": "5", "keepalives_count": "3",
        }  # fmt: skip
        try:
            raw = psycopg.connect(**(wanted | self._shared.options), autocommit=True)  # type: ignore[arg-type]  # all are texts
        except psycopg.Error as error:
            raise ServerGone(self._said(error)) from None  # psycopg's own may repeat what it was given
        raw.adapters.register_loader("numeric", numeric_loader())
        try:
            raw.execute(
                f"SET search_path = {self._shared.schema}; SET standard_conforming_strings = on; "
                "SET bytea_output = hex; "
                "SET extra_float_digits = 1; SET idle_in_transaction_session_timeout = 60000"
            )
        except psycopg.Error as error:
            raw.close()
            raise ServerGone(self._said(error)) from None
        return raw

    @property
    def in_transaction(self) -> bool:
        """True between BEGIN and its end."""
        return not self.closed and self._raw.info.transaction_status.name != "IDLE"

    @property
    def closed(self) -> bool:
        """True where it cannot be used any more."""
        return self._raw.closed

    @property
    def version(self) -> int:
        """The server's: 150006."""
        return self._raw.info.server_version

    def snapshot(self) -> str:
        """Return a text that is another one whenever anything was committed on the server."""
        return str(self.run("SELECT pg_current_snapshot()::text", ())[0][0][0])

    def cursor(self) -> ServerCursor:
        """Return a cursor."""
        return ServerCursor(self)

    def execute(self, sql: str, parameters: Any = (), /) -> ServerCursor:
        """Run a statement."""
        return ServerCursor(self).execute(sql, parameters)

    def executemany(self, sql: str, parameters: Any, /) -> ServerCursor:
        """Run a statement for each of these."""
        import psycopg

        given = [[given_to_server(value) for value in one] for one in parameters]
        self._flush()
        try:
            with self._raw.cursor() as cursor:
                cursor.executemany(translated(sql), given)
                self.total_changes += 1
        except psycopg.Error as error:
            raise self._failed(error) from None
        return ServerCursor(self)

    def close(self) -> None:
        """Close it. What is not committed is undone."""
        self._raw.close()

    def run(self, sql: str, parameters: Any) -> tuple[list[tuple[Any, ...]], type[ServerRow], int]:
        """Run a statement; return its rows, their class, and how many were changed."""
        if sql == "BEGIN":
            return self._control("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        if sql == "BEGIN IMMEDIATE":
            return self._begin()
        if sql in ("COMMIT", "ROLLBACK"):
            return self._end(sql)
        if sql == "PRAGMA data_version":
            return [(self._others(),)], ServerRow, -1
        if found := _TIMEOUT.fullmatch(sql):
            self.patience = int(found[1]) / 1000
            return [], ServerRow, -1
        if _GIVEN_LIST in sql:
            *others, listed = parameters
            parameters = [*others, [given_to_server(storable(str(one))) for one in json.loads(listed)]]
        if sql == LAST and self._last is not None:
            return self._last, LastRow, len(self._last)
        return self._run(translated(sql), parameters)

    def _run(self, sql: str, parameters: Any) -> tuple[list[tuple[Any, ...]], type[ServerRow], int]:
        given: Any = (
            {name: given_to_server(value) for name, value in parameters.items()}
            if isinstance(parameters, Mapping)
            else [given_to_server(value) for value in parameters]
        )
        if sql.startswith(("INSERT", "UPDATE", "DELETE")):
            self.total_changes += 1
            if "journal" in sql:
                self._last = None
            if self._writes and not sql.startswith("DELETE") and "RETURNING" not in sql:
                self._waiting.append(self._bound(sql, given))
                return [], ServerRow, -1
        cursor = self._last_of([*self._taken(), self._bound(sql, given)]) if self._waiting else self._sent(sql, given)
        if not _width(cursor):
            return [], ServerRow, cursor.rowcount
        shape = self._shape(sql, cursor)
        found = cursor.fetchall()
        if shape.texts:
            found = [restored(row, shape.texts) for row in found]
        if shape.hidden is not None:
            found = [row[: shape.hidden] + row[shape.hidden + 1 :] for row in found]
        return found, shape.row, cursor.rowcount

    def _bound(self, sql: str, parameters: Any) -> str:
        """Return a statement with its values in it, quoted by libpq."""
        return self._binder.mogrify(sql, parameters)

    def _taken(self) -> list[str]:
        waiting, self._waiting = self._waiting, []
        return waiting

    def _flush(self) -> None:
        if self._waiting:
            self._last_of(self._taken())

    def _last_of(self, statements: Sequence[str]) -> psycopg.Cursor[tuple[Any, ...]]:
        """Send statements at once; the result of the last one."""
        cursor = self._sent(";\n".join(statements), None)
        while cursor.nextset():
            pass
        return cursor

    def _sent(self, sql: str, parameters: Any) -> psycopg.Cursor[tuple[Any, ...]]:
        import psycopg

        try:
            # A plan that was kept for "*" fails once a newer version adds a column.
            return self._raw.execute(sql, parameters, prepare=False if "*" in sql else None)
        except psycopg.Error as error:
            raise self._failed(error) from None

    def _failed(self, error: psycopg.Error) -> Exception:
        """Return the error of the same meaning."""
        import psycopg

        said = self._said(error)
        if isinstance(error, psycopg.errors.NumericValueOutOfRange):
            return OverflowError(said)
        if isinstance(error, psycopg.errors.LockNotAvailable):
            return ServerBusy(said)
        if isinstance(error, psycopg.IntegrityError):
            return sqlite3.IntegrityError(said)
        return ServerGone(said) if self._raw.closed else ServerError(said)

    def _said(self, error: Exception) -> str:
        """Return the first line of what the server or libpq said, without the password."""
        text = (str(error).strip() or type(error).__name__).splitlines()[0].strip()
        for password in filter(None, (self._shared.options.get("password"),)):
            text = text.replace(password, "[removed]")
        return text

    def _control(self, sql: str) -> tuple[list[tuple[Any, ...]], type[ServerRow], int]:
        self._sent(sql, None)
        return [], ServerRow, -1

    def at_once(self, statements: Sequence[Known]) -> bool:
        """Write all of these in one transaction and one way to the server, which knows the statements already.

        Return False where nothing was written: one of them divided by zero, as those do whose condition is not met, or
        names what is not there.
        """
        import psycopg

        wait = max(round(self.patience * 1000), 1)
        self._last = None
        try:
            asked = [self._known(*one) for one in ((_LOCK, [f"{wait}ms", self._lock_key]), *statements)]
            begin = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE"
            cursor = self._raw.execute(";\n".join([begin, *asked, "COMMIT"]), prepare=False)
        except psycopg.Error as error:
            failed = self._failed(error)
            self._undo()
            if isinstance(error, psycopg.errors.DivisionByZero | psycopg.IntegrityError):
                return False
            raise failed from None
        while cursor.nextset():
            pass
        if cursor.statusmessage != "COMMIT":
            raise ServerError(f"the server answered {cursor.statusmessage} to COMMIT")
        self.total_changes += len(asked)
        self._own_transactions += 1
        return True

    def _undo(self) -> None:
        """Undo the transaction that is open. Where the server does not hear it any more, the end of the way does."""
        import psycopg

        try:
            if self.in_transaction:
                self._raw.execute("ROLLBACK")
        except psycopg.Error:  # the error that led here says more
            self._raw.close()

    def _known(self, sql: str, given: Sequence[Any]) -> str:
        """Return the call of a statement with these values. The server parses and plans it once a connection."""
        name = self._names.get(sql)
        if name is None:
            name = f"og_{len(self._names)}"
            self._raw.execute(f"PREPARE {name} AS {sql}")
            self._names[sql] = name
        marks = ", ".join("%s" for _ in given)
        return self._bound(f"EXECUTE {name} ({marks})", [given_to_server(one) for one in given])

    def _beginning(self) -> list[str]:
        """Return the statements that begin to write, and wait for the ledger's lock."""
        wait, synced = max(round(self.patience * 1000), 1), "on" if self.synced else "off"
        return [
            "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", f"SET LOCAL synchronous_commit = {synced}",
            f"SET LOCAL lock_timeout = {wait}", f"SELECT pg_advisory_xact_lock({self._lock_key})",
        ]  # fmt: skip

    def _begin(self) -> tuple[list[tuple[Any, ...]], type[ServerRow], int]:
        """Begin to write: one way to the server and back."""
        statements = self._beginning()
        self._waiting, self._last = [], None
        try:
            cursor = self._last_of([*statements, LAST] if self.prepared else statements)
        except BaseException:
            self._undo()
            raise
        self._last, self._writes = cursor.fetchall() if self.prepared else None, True
        return [], ServerRow, -1

    def _end(self, sql: str) -> tuple[list[tuple[Any, ...]], type[ServerRow], int]:
        waiting, self._last, wrote = self._taken(), None, self._writes
        if sql == "ROLLBACK" or not wrote:
            self._writes = False
            return self._control(sql)
        cursor = self._sent(";\n".join([*waiting, "SELECT pg_current_xact_id_if_assigned() IS NULL", "COMMIT"]), None)
        self._writes = False
        while not _width(cursor) and cursor.nextset():
            pass  # what had waited
        self._own_transactions += not (cursor.fetchone() or (True,))[0]
        cursor.nextset()
        if cursor.statusmessage != "COMMIT":  # the server undid it: one of its statements had failed
            raise ServerError(f"the server answered {cursor.statusmessage} to COMMIT")
        return [], ServerRow, -1

    def _others(self) -> str:
        """Return a text that changes when others committed something, as SQLite's `data_version` does."""
        text = self.snapshot()
        _, newest, running = text.split(":")
        return text if running else str(int(newest) - self._own_transactions)

    def _shape(self, sql: str, cursor: psycopg.Cursor[tuple[Any, ...]]) -> Shape:
        known = self._shapes.get(sql)
        if known is None or known.width != _width(cursor):
            known = self._shapes[sql] = shape_of([(one.name, one.type_code) for one in cursor.description or ()])
        return known


def _binder(raw: psycopg.Connection[tuple[Any, ...]]) -> psycopg.ClientCursor[tuple[Any, ...]]:
    """Return a cursor that only writes values into statements."""
    import psycopg

    return psycopg.ClientCursor(raw)


def _width(cursor: psycopg.Cursor[tuple[Any, ...]]) -> int:
    """Return how many columns a result has; 0 of one that has no rows. (Its description is slow to make.)"""
    return 0 if cursor.pgresult is None else cursor.pgresult.nfields
