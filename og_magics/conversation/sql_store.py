"""A table of a database that answers are written into as they come, by SQLAlchemy.

Each group of rows is one transaction, and rows count once it is over. A row that failed has no fingerprint, by which
the next run knows it. One run writes a table at a time: on PostgreSQL an advisory lock of the connection holds the
others off, on SQLite a locked file beside the database.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import re
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..core.errors import ConfigError, LedgerError
from ..core.secret import PrivateURL, note_secret, revealed, without_secrets
from .answer_store import UNPAID, AnswerStore, Ended, Occupied, stored
from .schema_columns import FieldColumn

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")

TABLE = "answers"
_URL = re.compile(r"\s*[A-Za-z][A-Za-z0-9_+.-]+://")
_NAME = re.compile(r"(?:[A-Za-z_][A-Za-z0-9_]{0,62}\.)?[A-Za-z_][A-Za-z0-9_]{0,62}")
_AGAIN = 15.0
"""Seconds for which a server that has gone is tried again, before a run ends."""
_ROWS = 200
"""Rows of one statement: databases bound the values of one."""
_DTYPES = {"integer": "Int64", "number": "float64"}


def is_url(out: object) -> bool:
    """Return True for the URL of a database."""
    return isinstance(out, str) and _URL.match(revealed(out)) is not None


def url_for_workers(url: str) -> str:
    """Return the URL of a database as it goes to other processes: the path of a file is absolute.

    Raises:
        ConfigError: it holds a password, or may hold one.
    """
    found = _read(_sqlalchemy(), PrivateURL(url))
    if found.password or found.query:
        raise ConfigError(
            "The URL of the database would go to the workers through the scheduler, and may hold a password.",
            money=UNPAID,
            remedy="Leave password and parameters out, and set PGPASSWORD, or a password file, where the workers run.",
        )
    file = sqlite_file(url)
    return url if file is None else str(found.set(database=str(file)).render_as_string())


def sqlite_file(url: str) -> Path | None:
    """Return the absolute path of an SQLite database; None of one in memory, and of others."""
    found = _read(_sqlalchemy(), PrivateURL(url))
    if found.get_backend_name() != "sqlite" or _is_in_memory(found.database):
        return None
    return Path(found.database).absolute()


class SqlStore(AnswerStore):
    """A table. See `AnswerStore`.

    Args:
        url: of the database, as SQLAlchemy has it. table: name of the table, "schema.table" for one of a schema.
        share: name of the share of the rows that is written; "" for all of them.
        rows: the rows that are looked at, from the first to the last; None for all.

    Raises:
        ConfigError: SQLAlchemy or a driver is missing, or one of these cannot be read. Nothing of the URL is in it.
    """

    def __init__(
        self,
        url: str,
        columns: Sequence[FieldColumn],
        table: str = TABLE,
        share: str = "",
        rows: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(columns)
        self._sql = _sqlalchemy()
        self._url = _read(self._sql, PrivateURL(url))
        place = self._url.set(username=None, password=None, query={}).render_as_string()
        if not _NAME.fullmatch(table):
            raise ConfigError(
                f"table is {table[:60]!r}.", money=UNPAID,
                remedy="It is a plain name, of letters, digits and underscores, or schema.table.",
            )  # fmt: skip
        self.name = f"the table {table} of {place}"
        schema, _, name = table.rpartition(".")
        self._full_name, self._share, self._rows = table, share, rows
        self._held: Any = None
        self._connection: Any = None
        self._engine = self._made()
        self._table = self._sql.Table(
            name, self._sql.MetaData(), *self._columns(), schema=schema or None, comment="Written by og_magics."
        )

    def open(self) -> SqlStore:
        """Make the table, lock it, and read which rows have answers.

        Raises:
            ConfigError: the database cannot be reached, another run writes to the table, or its columns are others.
        """
        try:
            self._connect()
            self._look()
        except (self._sql.exc.SQLAlchemyError, OSError) as error:
            self.close()
            raise ConfigError(
                f"{self.name} cannot be used: {_said(error)}", money=UNPAID,
                remedy="Correct the URL, the rights or the table. In a password, @ : / are written as %40 %3A %2F.",
            ) from None  # fmt: skip
        except BaseException:
            self.close()
            raise
        return self

    def begin(self) -> None:
        """Forget the failures of earlier runs: those rows are asked again."""
        old = self._mine(self._table.delete().where(self._table.c.fingerprint.is_(None)))
        self._do(lambda connection: connection.execute(old))

    def write(self, rows: Iterable[Ended]) -> None:
        """Write rows, all or none. When this returns, a kill does not lose them."""
        values = [self._values(row, failed) for row, failed in rows]
        table = self._table

        def put(connection: Any) -> None:
            for group in _groups(values):
                connection.execute(table.delete().where(table.c.row.in_([one["row"] for one in group])))
                connection.execute(table.insert(), group)

        self._do(put)
        self._done |= {one["row"]: bytes.fromhex(one["fingerprint"]) for one in values if one["fingerprint"]}

    def finish(self) -> None:
        """Close: all is written."""
        self.close()

    def close(self) -> None:
        """Give the table free. What was written stays."""
        connection, self._connection = self._connection, None
        held, self._held = self._held, None
        if connection is not None:
            with contextlib.suppress(self._sql.exc.SQLAlchemyError):
                connection.close()
        if held is not None:
            held.close()
            if self._share:
                _lock_path(self._url.database, self._full_name, self._share).unlink(missing_ok=True)

    def frame(self) -> pd.DataFrame:
        """Return all rows that were written, in their order; the index is the row."""
        import pandas as pd

        table = self._table
        try:
            with self._engine.connect() as connection:
                found = connection.execute(self._sql.select(table).order_by(table.c.row)).all()
        except self._sql.exc.SQLAlchemyError as error:
            raise LedgerError(
                f"{self.name} cannot be read: {_said(error)}", money="Nothing was paid for that.", remedy="Try again."
            ) from None
        columns = zip(*found, strict=True) if found else ((),) * len(self.kinds)
        made = {
            name: pd.Series(list(values), dtype=_DTYPES.get(kind))
            for (name, kind), values in zip(self.kinds.items(), columns, strict=True)
        }
        return pd.DataFrame(made).set_index("row").drop(columns="fingerprint")

    # -- inside --------------------------------------------------------------------------------

    def _made(self) -> Any:
        more = {"check_same_thread": False, "timeout": 60} if self._url.get_backend_name() == "sqlite" else {}
        try:
            return self._sql.create_engine(
                self._url, hide_parameters=True, poolclass=self._sql.pool.NullPool, connect_args=more
            )
        except (ImportError, self._sql.exc.SQLAlchemyError) as error:
            driver = f", {error.name}," if isinstance(error, ImportError) and error.name else ""
            raise ConfigError(
                f"{self._url.drivername} is not known, or its driver{driver} is not installed.",
                money=UNPAID,
                remedy="Install the driver of your database: for PostgreSQL, `pip install 'og_magics[sql,postgres]'`.",
            ) from None

    def _columns(self) -> Iterator[Any]:
        sql = self._sql
        exact = _exact(sql)
        types = {
            "text": sql.Text(), "json": sql.Text(), "integer": sql.BigInteger(), "number": sql.Double(),
            "flag": sql.Boolean(), "units": exact(38, 0), "amount": exact(38, 18),
        }  # fmt: skip
        for name, kind in self.kinds.items():
            yield sql.Column(name, types[kind], primary_key=name == "row", autoincrement=False)

    def _connect(self) -> None:
        self.close()
        if self._url.get_backend_name() == "sqlite":
            self._held = self._lock_files(self._url.database)
        self._connection = self._engine.connect()
        if self._url.get_backend_name() == "postgresql" and not self._locks_server():
            raise Occupied.at(self.name)

    def _locks_server(self) -> bool:
        """Hold others off this table, or this share of it; a whole table, once no share of it is written any more."""
        sql, connection = self._sql, self._connection

        def call(function: str, of: str) -> Any:
            digest = hashlib.sha256(f"og_magics answers {self._full_name} {of}".encode()).digest()
            key = int.from_bytes(digest[:8], signed=True)
            return connection.scalar(sql.text(f"SELECT pg_{function}(:key)"), {"key": key})

        shared = call("try_advisory_lock_shared" if self._share else "try_advisory_lock", "shares")
        if shared and not self._share:
            call("advisory_unlock", "shares")
        locked = shared and call("try_advisory_lock", f"share {self._share}")
        connection.commit()
        return bool(locked)

    def _lock_files(self, database: str | None) -> sqlite3.Connection:
        """Do the same by files beside the database."""
        if database is None or _is_in_memory(database):
            raise ConfigError(
                "A database in memory ends with this process.", money=UNPAID,
                remedy="Name a file: sqlite:///answers.db",
            )  # fmt: skip
        whole = _lock_path(database, self._full_name, "")
        for share in () if self._share else whole.parent.glob(_lock_path(database, self._full_name, "*").name):
            if share != whole:
                _locked(share, self.name).close()
                share.unlink(missing_ok=True)
        return _locked(_lock_path(database, self._full_name, self._share), self.name)

    def _look(self) -> None:
        """Make the table, or look whether it is one of this kind; read which rows have answers."""
        table, connection = self._table, self._connection
        found = self._sql.inspect(connection)
        if not found.has_table(table.name, schema=table.schema):
            table.create(connection, checkfirst=True)
        else:
            names = {column["name"] for column in found.get_columns(table.name, schema=table.schema)}
            if names != set(self.kinds):
                raise ConfigError(
                    f"{self.name} has other columns: it was made with another schema, or for something else.",
                    money=UNPAID, remedy="Name another table for these answers.",
                )  # fmt: skip
        connection.commit()
        query = self._sql.select(table.c.row, table.c.fingerprint).where(table.c.fingerprint.is_not(None))
        self._done = {row: bytes.fromhex(found) for row, found in connection.execute(self._mine(query))}
        connection.commit()

    def _mine(self, statement: Any) -> Any:
        """Return a statement on the rows of this share."""
        return statement if self._rows is None else statement.where(self._table.c.row.between(*self._rows))

    def _values(self, row: Mapping[str, Any], failed: bool) -> dict[str, Any]:
        values = {name: stored(row.get(name), kind) for name, kind in self.kinds.items()}
        # PostgreSQL holds no NUL in a text.
        values = {name: one.replace("\0", "\ufffd") if isinstance(one, str) else one for name, one in values.items()}
        return values | ({"fingerprint": None} if failed else {})

    def _do(self, work: Callable[[Any], T]) -> None:
        """Do something in one transaction; where the server has gone, connect anew and do it again.

        Raises:
            LedgerError: it cannot be done.
        """
        until, error = time.monotonic() + _AGAIN, Exception()
        lost = self._connection is None
        while True:
            try:
                if lost:
                    self._connect()
                with self._connection.begin():
                    work(self._connection)
                return
            except Occupied as found:  # by the session that was lost, of which the server does not know yet
                error = found
            except (self._sql.exc.SQLAlchemyError, OSError) as found:
                error = found
                lost = isinstance(found, self._sql.exc.DBAPIError) and (lost or found.connection_invalidated)
            if not lost or time.monotonic() > until:
                raise LedgerError(
                    f"The answers cannot be written into {self.name}: {_said(error)}",
                    money="Nothing more is asked. What was answered is paid, and is in the receipts.",
                    remedy="Correct it, and ask the same again: what is recorded is not asked twice.",
                ) from None
            time.sleep(0.5)


def _exact(sql: Any) -> Any:
    """Return a type of exact decimal numbers, which SQLite has as texts."""

    class Exact(sql.types.TypeDecorator):  # type: ignore[misc]
        impl = sql.Numeric
        cache_ok = True

        def __init__(self, digits: int, scale: int) -> None:
            super().__init__(digits, scale)

        def load_dialect_impl(self, dialect: Any) -> Any:
            kind = sql.String(60) if dialect.name == "sqlite" else self.impl
            return dialect.type_descriptor(kind)

        def process_bind_param(self, value: Any, dialect: Any) -> Any:
            return f"{value:f}" if value is not None and dialect.name == "sqlite" else value

        def process_result_value(self, value: Any, dialect: Any) -> Any:
            return None if value is None else Decimal(value)

    return Exact


def _locked(path: Path, name: str) -> sqlite3.Connection:
    try:
        held = sqlite3.connect(path, timeout=0, check_same_thread=False)
        held.execute("PRAGMA locking_mode = EXCLUSIVE")
        held.execute("BEGIN EXCLUSIVE")
    except sqlite3.Error as error:
        if "locked" in str(error):
            raise Occupied.at(name) from None
        raise OSError(0, str(error)) from None
    return held


def _is_in_memory(database: str | None) -> bool:
    return not database or database == ":memory:" or database.startswith("file:")


def _lock_path(database: str, table: str, share: str) -> Path:
    path = Path(database).absolute()
    return path.with_name(f".{path.name}.{table}{'.' if share else ''}{share}.lock")


def _read(sql: Any, url: PrivateURL) -> Any:
    """Read a URL. Its password is looked for in all that is shown from here on."""
    try:
        found = sql.make_url(revealed(url).strip())
        note_secret(str(found.password or ""))
        found.get_backend_name()
    except (sql.exc.SQLAlchemyError, ValueError):
        raise ConfigError(
            "The URL of the database cannot be read.", money=UNPAID,
            remedy="It is one of SQLAlchemy: sqlite:///answers.db, or postgresql://USER@HOST/DATABASE. A password with "
            "@ : / in it needs them as %40 %3A %2F.",
        ) from None  # fmt: skip
    return found.set(drivername="postgresql+psycopg") if found.drivername in ("postgresql", "postgres") else found


def _said(error: Exception) -> str:
    """Return the first line of what a driver says of an error; no statement and no value is in it."""
    text = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
    return without_secrets(text)[:300]


def _groups(values: Sequence[dict[str, Any]]) -> Iterator[Sequence[dict[str, Any]]]:
    for begin in range(0, len(values), _ROWS):
        yield values[begin : begin + _ROWS]


def _sqlalchemy() -> Any:
    try:
        return importlib.import_module("sqlalchemy")
    except ImportError:
        raise ConfigError(
            "Answers in a database need SQLAlchemy, which is not installed.", money=UNPAID,
            remedy="Install it with `pip install 'og_magics[sql]'`, or name a folder of Parquet files.",
        ) from None  # fmt: skip
