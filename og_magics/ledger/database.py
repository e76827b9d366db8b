"""The database that a ledger is in, for those who read and write it: SQLite's connection, or one that behaves so.

The statements are SQLite's, as far as PostgreSQL reads them too; the few that it does not are in the table of
`postgres.py`, which has the other connection. Errors are `sqlite3.Error` in both.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar


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


_FACTS = 4096
"""Facts that are kept from one transaction to the next, at most."""

_Value = TypeVar("_Value")


def remember(kept: dict[str, _Value], key: str, value: _Value) -> None:
    """Keep what can be read again in memory, and not all of it in a process that runs for weeks."""
    if len(kept) >= _FACTS:
        kept.clear()
    kept[key] = value


@dataclass(slots=True)
class Known:
    """The facts that a transaction has read or written: they hold until somebody else writes.

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

    def bounded(self) -> Known:
        """Forget what would add up in a long run; of dictionaries the last one is enough."""
        if len(self.dictionaries) > 1:
            last = max(self.dictionaries)
            self.dictionaries = {last: self.dictionaries[last]}
        for many in (self.facts, self.documents):
            if len(many) > _FACTS:
                many.clear()
        return self


class FileConnection(sqlite3.Connection):
    """The connection by which a file is written.

    Attributes:
        known: of the write transaction that is open; None while none is.
        paying: the authorizations that paid for something here, by their hashes: columns, and the salt of sessions.
            Neither is ever written again.
    """

    known: Known | None = None
    paying: dict[str, tuple[dict[str, Any], str]]
    _kept: tuple[tuple[int, int], Known] | None = None
    _others: int = 0

    def begin_knowing(self) -> None:
        """Begin with what the last transaction knew, if nothing was written since. The transaction has begun."""
        self._others = self.execute("PRAGMA data_version").fetchone()[0]
        kept, self._kept = self._kept, None
        self.known = Known() if kept is None or kept[0] != (self.total_changes, self._others) else kept[1]

    def end_knowing(self, *, written: bool) -> None:
        """Keep what the transaction knew, where it was written. None of others came in between."""
        known, self.known = self.known, None
        if written and known is not None:
            self._kept = (self.total_changes, self._others), known.bounded()


def known_in(connection: Connection) -> Known:
    """Return what the open transaction knows; nothing that is kept, where it is none that writes a file."""
    known = connection.known if isinstance(connection, FileConnection) else None
    return Known() if known is None else known


def changes_seen(connection: Connection) -> object:
    """Return a value that changes when a file was written by anybody, by hand too; None of what is no file."""
    if not isinstance(connection, FileConnection):
        return None
    return connection.total_changes, connection.execute("PRAGMA data_version").fetchone()[0]
