"""Facts that many receipts have in common: one row for all of them, which each names by its number.

A receipt that has ended stands in its table with the number alone, and with its long texts packed (`packing.py`);
whoever reads it puts the facts back and unpacks the texts (`whole`). What
the journal says of it is about all of its columns, wherever they stand, so an audit finds a change of either. A server
compresses for itself, and keeps rows as they are.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from .database import Connection, Row, known_in
from .packing import Unpacker, packed_text
from .rows import canonical, dict_of, storable

_REQUIRED = ("cell", "notebook", "network", "provider", "model", "settlement", "path", "public_key", "enclave_reason")
"""Columns that are never NULL; "" stands in their place."""
_OPTIONAL = (
    "session_id", "tee_id", "enclave_ok", "enclave_form", "finish_reason", "attestation_hash", "paid_for",
)  # fmt: skip
SHARED = (*_REQUIRED, *_OPTIONAL)
"""Columns that stand here, and no more in the receipt."""
_BESIDE = ("authorization_hash", "ended")
"""Columns that stand in both: a frame reads them here, and conditions there."""
FACTS = (*SHARED, *_BESIDE)

TABLE = f"""CREATE TABLE IF NOT EXISTS alike (
    id INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, {", ".join(f"{name} TEXT" for name in FACTS)}
)""".replace("enclave_ok TEXT", "enclave_ok INTEGER")
INDEX = "CREATE INDEX IF NOT EXISTS receipts_not_apart ON receipts (alike) WHERE alike IS NULL"
"""Of the receipts that hold their facts themselves: a frame reads them apart from the others."""
_FEW = 500
"""Numbers that one statement names."""
_TEXTS = ("request", "text", "tool_calls", "gateway_notes")
"""Columns that are packed where they are long (`packing.py`)."""
_BLANK: dict[str, Any] = dict.fromkeys(_REQUIRED, "") | dict.fromkeys(_OPTIONAL)


class WholeRow:
    """A row with its facts put back, in the order in which they always stood."""

    __slots__ = ("_values",)

    def __init__(self, values: dict[str, Any]) -> None:
        self._values = values

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            try:
                return self._values[key]
            except KeyError:
                raise IndexError("No item with that key") from None
        return list(self._values.values())[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values.values())

    def __len__(self) -> int:
        return len(self._values)

    def keys(self) -> list[str]:
        """Return the names of the columns."""
        return list(self._values)


def whole(connection: Connection, rows: Iterable[Row]) -> Iterator[Row]:
    """Yield rows of receipts with their facts put back, and their texts unpacked.

    What was written into one of their columns by hand outdoes the fact, so that it is seen.

    Args:
        rows: with `alike`, where they have any of `SHARED`.
    """
    known: dict[int, Mapping[str, Any]] = {}
    unpack = Unpacker(connection)
    for row in rows:
        try:
            number = row["alike"]
        except IndexError:  # of a file in which nothing stands apart
            number = None
        held = dict_of(row)
        packed = [name for name in _TEXTS if isinstance(held.get(name), bytes)]
        if number is None and not packed:
            yield row
            continue
        held |= {name: unpack.text(held[name]) for name in packed}
        if number is None:
            yield WholeRow(held)
            continue
        if number not in known:
            found = connection.execute("SELECT * FROM alike WHERE id = ?", (number,)).fetchone()
            known[number] = {} if found is None else dict_of(found)
        facts = known[number]
        if facts:
            del held["alike"]
            held |= {name: facts[name] for name in SHARED if name in held and held[name] in (None, "")}
        yield WholeRow(held)


def whole_one(connection: Connection, row: Row | None) -> Row | None:
    """Return a row of a receipt with its facts put back."""
    return None if row is None else next(whole(connection, [row]))


def apart(connection: Connection, before: Row, changes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the columns to write so that a receipt has these changes, within a write transaction.

    Args:
        before: the receipt, whole.
    """
    on_file = isinstance(connection, sqlite3.Connection)
    after = dict_of(before) | dict(changes)
    if after["ended"] is None or (before["ended"] is None and not on_file):
        return changes
    # Asked of the table: a row that was read before this transaction may have stood apart by another number.
    found = connection.execute("SELECT alike FROM receipts WHERE receipt_id = ?", (after["receipt_id"],)).fetchone()
    held = None if found is None else found["alike"]
    if (held is None and not on_file) or (held is not None and changes.keys().isdisjoint(FACTS)):
        return changes
    return _apart(connection, after, changes, set(changes) if before["ended"] is not None else set(_TEXTS))


def ended_apart(connection: Connection, opened: Mapping[str, Any], changes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the columns to write so that a receipt in a file ends with these changes.

    Args:
        opened: its columns before, as far as they were filled in.
    """
    after = {**dict.fromkeys((*FACTS, *_TEXTS)), **opened, **changes}
    return _apart(connection, after, changes, set(_TEXTS))


def _apart(
    connection: Connection, after: Mapping[str, Any], changes: Mapping[str, Any], texts: Collection[str]
) -> Mapping[str, Any]:
    on_file = isinstance(connection, sqlite3.Connection)
    own = {name: value for name, value in changes.items() if name not in SHARED}
    own |= {name: packed_text(connection, storable(after[name])) for name in _TEXTS if name in texts}
    number = _number(connection, {name: after[name] for name in FACTS}) if on_file else None
    if number is not None:
        return own | _BLANK | {"alike": number}
    return own | {name: after[name] for name in SHARED} | {"alike": None}


def _number(connection: Connection, facts: Mapping[str, Any]) -> int | None:
    """Return the number of these facts, written down if they are new; None where that row was changed by hand."""
    facts = {name: storable(value) for name, value in facts.items()}
    facts["enclave_ok"] = None if facts["enclave_ok"] is None else int(facts["enclave_ok"])
    values = list(facts.values())
    digest, known = hashlib.sha256(canonical(values).encode()).hexdigest()[:32], known_in(connection).facts
    if digest in known:
        return known[digest]
    found = connection.execute("SELECT * FROM alike WHERE digest = ?", (digest,)).fetchone()
    if found is None:
        names, marks = ", ".join(facts), ", ".join("?" * len(facts))
        connection.execute(f"INSERT INTO alike (digest, {names}) VALUES (?, {marks})", [digest, *values])  # noqa: S608 - our own names
        found = connection.execute("SELECT * FROM alike WHERE digest = ?", (digest,)).fetchone()
    if any(found[name] != value for name, value in facts.items()):
        return None
    known[digest] = int(found["id"])
    return known[digest]


def misplaced(connection: Connection) -> set[str]:
    """Return the receipts that name facts of another authorization, or of another end, than their own."""
    other = " OR ".join(f"coalesce(f.{name}, '') != coalesce(r.{name}, '')" for name in _BESIDE)
    found = connection.execute(
        f"SELECT r.receipt_id FROM receipts r JOIN alike f ON f.id = r.alike WHERE {other}"  # noqa: S608 - our own names
    )
    return {str(row[0]) for row in found}


def facts_of(connection: Connection, numbers: Collection[int], names: Sequence[str]) -> dict[int, tuple[Any, ...]]:
    """Return the facts of these names by their number; of a number that is not there, each is None."""
    if not numbers:
        return {}
    few = len(numbers) <= _FEW
    where = f"id IN ({', '.join('?' * len(numbers))})" if few else "1 = 1"
    query = f"SELECT id, {', '.join(names)} FROM alike WHERE {where}"  # noqa: S608 - our own names
    cursor = connection.execute(query, list(numbers) if few else [])
    cursor.row_factory = None
    return dict.fromkeys(numbers, (None,) * len(names)) | {number: tuple(facts) for number, *facts in cursor}
