"""The journal: one entry for each write, chained by hash. No table is written but through `write`.

An entry holds what changed, so that the entries from the first to the last say what the tables hold. Its `body` is
canonical JSON: `receipt` and `authorization`, the ids that it is about (left out where there is none), and `set`: for
each table the columns that changed, or null for a row that was removed. A long text stands there as its digest.

In a file, all but the first entries are packed (`packing.py`); what is said here is of what they hold.

`hash` is the SHA-256, in hex, of `previous` (the hash of the entry before) and the canonical JSON of
`[seq, time, kind, body]`. `previous` is kept beside it, so that an audit can tell a changed entry from the next one.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Mapping
from typing import Any

from .alike import apart, whole, whole_one
from .database import Connection, Row, known_in
from .packing import Unpacker, entries, packed_entry
from .rows import LONG, canonical, dict_of, digest_long, storable

LAST = "SELECT seq, hash FROM journal ORDER BY seq DESC LIMIT 1"
GENESIS = "0" * 64
"""The hash that the first entry follows."""

KEYS = {"authorizations": "hash", "settlements": "authorization_hash", "receipts": "receipt_id"}
"""The tables that the journal is about, and the column by which each row is known."""

Head = tuple[int, str]
"""The number of entries, and the hash of the last."""


def write(
    connection: Connection,
    kind: str,
    tables: Mapping[str, Mapping[str, Any] | None],
    *,
    receipt: str | None = None,
    authorization: str | None = None,
    held: Mapping[str, Row | None] | None = None,
) -> None:
    """Bring one row of each table to these values (None: remove it), and enter what that changed. No change, no entry.

    To be called within a write transaction, which keeps all others from entering something between.

    Args:
        held: rows that the caller has read in this transaction, by table; the others are read here.
    """
    held = held or {}
    changed: dict[str, Any] = {}
    for table, values in tables.items():
        key = str(receipt if table == "receipts" else authorization)
        before = held[table] if table in held else row(connection, table, key)
        if values is None:
            if before is not None:
                connection.execute(f"DELETE FROM {table} WHERE {KEYS[table]} = ?", (key,))  # noqa: S608 - our own names
                changed[table] = None
            continue
        after = _put(connection, table, key, before, {name: storable(value) for name, value in values.items()})
        if after is not None:
            changed[table] = after
    if changed:
        append(connection, kind, changed, receipt=receipt, authorization=authorization)


def row(connection: Connection, table: str, key: str) -> Row | None:
    """Return the row of a table, or None."""
    found = connection.execute(f"SELECT * FROM {table} WHERE {KEYS[table]} = ?", (key,))  # noqa: S608 - our own names
    row: Row | None = found.fetchone()
    return whole_one(connection, row) if table == "receipts" else row


def append(
    connection: Connection,
    kind: str,
    changed: Mapping[str, Any],
    *,
    receipt: str | None = None,
    authorization: str | None = None,
) -> None:
    """Append an entry for rows that were changed already."""
    length, previous = head(connection)
    about = {"receipt": receipt, "authorization": authorization, "set": changed}
    body = canonical({name: value for name, value in about.items() if value is not None})
    entry = (length + 1, time.time(), kind, body)
    hash = entry_hash(previous, *entry)
    held = packed_entry(connection, entry[0], body, (previous, hash))
    connection.execute(
        "INSERT INTO journal (seq, time, kind, body, previous, hash) VALUES (?, ?, ?, ?, ?, ?)", (*entry[:3], *held)
    )
    known_in(connection).head = entry[0], hash


def entry_hash(previous: str, seq: int, time: float, kind: str, body: str) -> str:
    """Return the hash of an entry."""
    return hashlib.sha256((previous + canonical([seq, time, kind, body])).encode()).hexdigest()


def head(connection: Connection) -> Head:
    """Return the journal's length, and the hash of its last entry."""
    if (known := known_in(connection).head) is not None:
        return known
    last = connection.execute(LAST).fetchone()
    return (0, GENESIS) if last is None else (last["seq"], Unpacker(connection).hash(last["hash"]))


def salt(connection: Connection) -> str:
    """Return the hash of the first entry, which this file alone has: it salts hashes of sessions."""
    first = connection.execute("SELECT hash FROM journal WHERE seq = 1").fetchone()
    return GENESIS if first is None else str(first["hash"])


def contains_head(connection: Connection, head: Head) -> bool:
    """Return True where the journal had that hash at that length."""
    length, hash = head
    if length == 0:
        return hash == GENESIS
    found = connection.execute("SELECT hash FROM journal WHERE seq = ?", (length,)).fetchone()
    return found is not None and Unpacker(connection).hash(found["hash"]) == hash


def subjects(connection: Connection, after: int) -> tuple[set[str], set[str]]:
    """Return the receipts and the authorizations that the entries after this one are about."""
    receipts: set[str] = set()
    authorizations: set[str] = set()
    for entry in entries(connection, "seq > ?", (after,)):
        body = json.loads(entry["body"])
        receipts |= {body["receipt"]} if "receipt" in body else set()
        authorizations |= {body["authorization"]} if "authorization" in body else set()
    return receipts, authorizations


def import_rows(connection: Connection) -> None:
    """Enter the rows of a file that had no journal yet, as they are."""
    orders = {"authorizations": "created, rowid", "settlements": "rowid", "receipts": "receipt_id"}
    for table, order in orders.items():
        found = connection.execute(f"SELECT * FROM {table} ORDER BY {order}").fetchall()  # noqa: S608 - our own
        for row in whole(connection, found) if table == "receipts" else found:
            values = digest_long_values(row)
            if table == "receipts":
                about = {"receipt": row["receipt_id"], "authorization": row["authorization_hash"]}
            else:
                about = {"authorization": row[KEYS[table]]}
            append(connection, "imported", {table: values}, **about)


def _put(
    connection: Connection, table: str, key: str, before: Row | None, values: Mapping[str, Any]
) -> dict[str, Any] | None:
    if before is None:
        columns, places = ", ".join(values), ", ".join(f":{name}" for name in values)
        connection.execute(f"INSERT INTO {table} ({columns}) VALUES ({places})", values)  # noqa: S608 - our own names
    else:
        values = {name: value for name, value in values.items() if before[name] != value}
        if not values:
            return None
        written = apart(connection, before, values) if table == "receipts" else values
        changes = ", ".join(f"{name} = :{name}" for name in written)
        connection.execute(
            f"UPDATE {table} SET {changes} WHERE {KEYS[table]} = :key",  # noqa: S608 - our own names
            {**written, "key": key},
        )
    # Read back: SQLite turns a "11" into 11 where the column is a number, and the entry must say what is there.
    after = row(connection, table, key)
    if after is None:
        raise sqlite3.DatabaseError(f"{table} did not keep {key}")
    if before is None:
        return digest_long_values(after)
    return {name: digest_long(after[name]) for name in values}


def digest_long_values(row: Row) -> dict[str, Any]:
    """Return the journal's form of a whole row; columns that are NULL are left out."""
    return {
        name: digest_long(value) if isinstance(value, str) and len(value) > LONG else value
        for name, value in dict_of(row).items()
        if value is not None
    }
