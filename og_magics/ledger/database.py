"""The database that a ledger is in, for those who read and write it: SQLite's connection, or one that behaves so.

The statements are SQLite's, as far as PostgreSQL reads them too; the few that it does not are in the table of
`postgres.py`, which has the other connection. Errors are `sqlite3.Error` in both.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol


class Row(Protocol):
    """One row: its values in order, and each by its column's name or place."""

    def __getitem__(self, key: Any, /) -> Any: ...
    def __iter__(self) -> Iterator[Any]: ...
    def __len__(self) -> int: ...
    def keys(self) -> list[str]: ...


class Cursor(Protocol):
    """The rows of a statement, to be fetched.

    Attributes:
        row_factory: None for plain tuples.
    """

    row_factory: Any

    @property
    def rowcount(self) -> int: ...
    def execute(self, sql: str, parameters: Any = ..., /) -> Cursor: ...
    def fetchone(self) -> Any: ...
    def fetchmany(self, size: int | None = 1) -> list[Any]: ...
    def fetchall(self) -> list[Any]: ...
    def __iter__(self) -> Iterator[Any]: ...


class Connection(Protocol):
    """A connection to a ledger. Transactions are begun and ended by statements."""

    row_factory: Any
    text_factory: Any

    @property
    def in_transaction(self) -> bool: ...
    @property
    def total_changes(self) -> int: ...
    def cursor(self) -> Cursor: ...
    def execute(self, sql: str, parameters: Any = ..., /) -> Cursor: ...
    def executemany(self, sql: str, parameters: Any, /) -> Cursor: ...
    def close(self) -> None: ...


@dataclass(slots=True)
class Known:
    """The facts that the transaction which is open has read or written, and that nobody else can change meanwhile.

    Attributes:
        head: the journal's length and the hash of its last entry.
        current: the file has the tables and columns that this version knows, and no others.
        documents: hashes of attestations that are there. facts: numbers of facts that stand apart, by their digests.
        dictionaries: by their numbers.
    """

    head: tuple[int, str] | None = None
    current: bool | None = None
    documents: set[str] = field(default_factory=set)
    facts: dict[str, int] = field(default_factory=dict)
    dictionaries: dict[int, bytes] = field(default_factory=dict)


class FileConnection(sqlite3.Connection):
    """The connection by which a file is written.

    Attributes:
        known: of the write transaction that is open; None while none is.
        paying: the authorizations that paid for something here, by their hashes: columns, and the salt of sessions.
            Neither is ever written again.
    """

    known: Known | None = None
    paying: dict[str, tuple[dict[str, Any], str]]


def known_in(connection: Connection) -> Known:
    """Return what the open transaction knows; nothing that is kept, where it is none that writes a file."""
    known = connection.known if isinstance(connection, FileConnection) else None
    return Known() if known is None else known


def changes_seen(connection: Connection) -> object:
    """Return a value that changes when a file was written by anybody, by hand too; None of what is no file."""
    if not isinstance(connection, FileConnection):
        return None
    return connection.total_changes, connection.execute("PRAGMA data_version").fetchone()[0]
