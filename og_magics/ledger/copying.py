"""A ledger's copy in another place: from a file to a server, back, or to another of the same kind.

All of it is copied in one transaction, and the copy is audited before that ends: its journal has the same entries with
the same hashes, and its rows are what they say. Else nothing is copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..core.errors import LedgerError
from . import journal
from .audit import audit
from .database import Connection
from .journal import GENESIS, Head
from .packing import Unpacker
from .schema import is_newer, min_reader
from .store import Ledger

_TABLES = {
    "authorizations": "rowid", "settlements": "rowid", "alike": "id", "receipts": "receipt_id", "journal": "seq",
    "meta": "name", "recordings": "receipt_id", "attestations": "hash", "notebooks": "id", "threads": "rowid",
    "turns": "id",
}  # fmt: skip
"""The tables, in an order in which each row's key is there before it is named, and the order of their rows."""
_COUNTED = {"turns": "id"}
"""Columns of which the copy makes its own numbers."""
_SLICE = 500
"""Rows that are in memory at once."""
_MONEY = "Nothing was copied, and payments are not changed by this."


@dataclass(frozen=True, slots=True)
class Copied:
    """The outcome of a copy.

    Attributes:
        rows: how many each table has. head: of the journal, the same in both.
    """

    rows: dict[str, int]
    head: Head


def copy_ledger(source: Ledger, target: Ledger) -> Copied:
    """Copy all of a ledger into an empty one. What waits in the source's spool is taken in before.

    Raises:
        LedgerError: the source is not as it was written, or a newer og_magics writes to it; the target holds something;
            or one of them cannot be read or written. Then the target is as it was.
    """
    if source.path == target.path:
        raise _refused(f"{source.name} is source and target at once.", "Name two places.")
    source.head()  # opened for writing: what waits is taken in
    with source._file.reading_beside(own=True) as held:
        if is_newer(held):
            raise _refused(
                f"{source.name} is written by a newer og_magics.", "Upgrade with `pip install -U og_magics`."
            )
        found = audit(held, None)
        if not found.ok:
            wrong = len(found.broken) + len(found.payments) + len(found.problems)
            raise _refused(
                f"{source.name} is not as it was written: {wrong} things differ from its journal.",
                "`og-magics verify --ledger` and %og verify name them. Put a copy from before back.",
            )
        with target._file.writing(synced=True, money=_MONEY, begins=True) as made:
            _require_empty(made, target)
            needed = max(min_reader(held), min_reader(made))
            made.execute("DELETE FROM meta")
            rows = {table: _copy_table(held, made, table, order) for table, order in _TABLES.items()}
            made.execute("UPDATE meta SET value = ? WHERE name = 'min_reader'", (str(needed),))
            _require_same(made, (found.length, found.head), target)
    return Copied(rows, (found.length, found.head))


def _require_empty(connection: Connection, target: Ledger) -> None:
    used = journal.head(connection) != (0, GENESIS)
    tables = [one for one in _TABLES if one not in ("meta", "journal")]
    if used or any(connection.execute(f"SELECT 1 FROM {one} LIMIT 1").fetchone() for one in tables):  # noqa: S608 - ours
        raise _refused(
            f"{target.name} holds receipts or conversations already.", "Name a place where there is none yet."
        )


def _copy_table(source: Connection, target: Connection, table: str, order: str) -> int:
    names = [row["name"] for row in source.execute(f"PRAGMA table_info({table})") if row["name"] != _COUNTED.get(table)]
    columns = ", ".join(names)
    insert = f"INSERT INTO {table} ({columns}) VALUES ({', '.join('?' * len(names))})"  # noqa: S608 - our own names
    where, behind, number, unpack = "", list[object](), 0, Unpacker(source)
    while True:
        query = f"SELECT {order} AS place, {columns} FROM {table} {where} ORDER BY {order} LIMIT {_SLICE}"  # noqa: S608 - ours
        part = [tuple(row) for row in source.execute(query, behind)]
        if not part:
            return number
        target.executemany(insert, [_plain(table, names, values, unpack) for _, *values in part])
        number += len(part)
        where, behind = f"WHERE {order} > ?", [part[-1][0]]


def _plain(table: str, names: Sequence[str], values: Sequence[Any], unpack: Unpacker) -> list[Any]:
    """Return a row as any ledger takes it, with nothing packed."""
    if table not in ("receipts", "journal"):
        return list(values)
    hashes = ("previous", "hash") if table == "journal" else ()
    given = zip(names, values, strict=True)
    return [unpack.hash(value) if name in hashes else unpack.text(value) for name, value in given]


def _require_same(connection: Connection, head: Head, target: Ledger) -> None:
    """Audit the copy, in the transaction that made it."""
    try:
        found = audit(connection, head)
    finally:
        connection.text_factory = str
    if not found.ok or (found.length, found.head) != head:
        wrong = [*found.problems, *found.payments.values(), *found.broken.values()]
        raise _refused(
            f"{target.name} did not keep what it was given: {wrong[0] if wrong else 'its journal ends elsewhere'}.",
            "Please report it, with the versions of both.",
        )


def _refused(what: str, remedy: str) -> LedgerError:
    return LedgerError(what, money=_MONEY, remedy=remedy)
