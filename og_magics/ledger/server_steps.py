"""Steps of receipts on a shared ledger: many of them are written by a few statements, which the server knows already.

A step is a row for the statement of its kind, and what is entered of it in the journal. The rows of a kind go as one
JSON text; the entries follow each other in the order in which the steps are given, and the server works out their
numbers and hashes. Where a row is not as its step needs it, its statement divides by zero, and nothing is written.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .journal import GENESIS
from .rows import REAL, WHOLE
from .server_rows import given_to_server
from .spool import ENDED, OPENED

Known = tuple[str, list[Any]]
"""A statement with its values' places as $1, $2, and these values."""

OPEN, ATTACH, END, RECORD = "open", "attach", "end", "record"


@dataclass(frozen=True, slots=True)
class Entry:
    """The journal's entry of a step: `time` as JSON has it, and `body` as canonical JSON, which is ASCII."""

    time: str
    kind: str
    body: str


@dataclass(frozen=True, slots=True)
class Step:
    """One step of one receipt.

    Attributes:
        kind: `OPEN`, `ATTACH`, `END` or `RECORD`.
        row: what the statement of its kind is given, by name. entry: None where the journal has none of it.
        attestation: a document, with its hash.
        brief: another process that writes is not waited for long.
    """

    kind: str
    row: Mapping[str, Any]
    entry: Entry | None
    attestation: tuple[str, bytes] | None = None
    brief: bool = False


def documents_of(steps: Iterable[Step]) -> dict[str, bytes]:
    """Return the documents of these steps by their hashes."""
    return dict(step.attestation for step in steps if step.attestation is not None)


def statements_of(steps: Sequence[Step], new: Collection[str]) -> list[Known]:
    """Return the statements that write these steps, each of another receipt.

    Args:
        new: hashes of the documents that may not be there yet.
    """
    found: list[Known] = []
    for kind, statement in _STATEMENTS.items():
        rows = [step.row for step in steps if step.kind == kind]
        if rows:
            found.append((statement, [_as_json(rows), len(rows)]))
    entries = [step.entry for step in steps if step.entry is not None]
    if entries:
        found.append((_JOURNAL, ["\n".join(part) for part in zip(*map(_parts, entries), strict=True)]))
    found += [(_ATTESTATION, [hash, document]) for hash, document in documents_of(steps).items() if hash in new]
    return found


def _parts(entry: Entry) -> tuple[str, str, str]:
    return entry.time, entry.kind, entry.body


def _as_json(rows: Iterable[Mapping[str, Any]]) -> str:
    return _encoded([{name: _given(value) for name, value in row.items() if value is not None} for row in rows])


_encoded = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def _given(value: Any) -> Any:
    return given_to_server(value) if isinstance(value, str) else value


def _typed(names: Iterable[str]) -> str:
    """Return the columns of the rows that a statement is given."""
    types = dict.fromkeys(WHOLE, "bigint") | dict.fromkeys(REAL, "double precision")
    return ", ".join(f"{name} {types.get(name, 'text')}" for name in names)


def _rows(names: Iterable[str]) -> str:
    return f"given AS (SELECT * FROM json_to_recordset($1) AS given ({_typed(names)}))"  # noqa: S608 - our own


def _counted(changed: str) -> str:
    """Return the statement that fails where fewer rows were changed than were given."""
    return f"SELECT 1 / CASE WHEN count(*) = $2 THEN 1 ELSE 0 END FROM {changed}"  # noqa: S608 - our own


def _update(columns: Collection[str], condition: str) -> str:
    changes = ", ".join(f"{name} = given.{name}" for name in columns)
    return (
        f"changed AS (UPDATE receipts r SET {changes} FROM given "  # noqa: S608 - our own
        f"WHERE r.receipt_id = given.receipt_id AND r.ended IS NULL AND {condition} RETURNING 1)"
    )


_OPENED, _ENDED = sorted(OPENED), sorted(ENDED)
_STATEMENTS = {
    OPEN: f"""WITH {_rows((*_OPENED, "key", "run", "at_cell", "source"))},
        made AS (INSERT INTO receipts ({", ".join(_OPENED)}) SELECT {", ".join(_OPENED)} FROM given RETURNING 1),
        noted AS (INSERT INTO recordings (receipt_id, key, run, cell, source)
            SELECT receipt_id, key, run, at_cell, source FROM given)
        {_counted("made")}""",  # noqa: S608 - our own
    ATTACH: f"""WITH {_rows(("receipt_id", "authorization_hash", "session_id"))},
        {_update(("authorization_hash", "session_id"), "r.authorization_hash IS NULL AND r.session_id IS NULL")}
        {_counted("changed")}""",
    END: f"""WITH {_rows(("receipt_id", "paying", "session", "mark", *_ENDED))},
        {_update(_ENDED, '''r.authorization_hash IS NOT DISTINCT FROM given.paying
            AND r.session_id IS NOT DISTINCT FROM given.session
            AND NOT EXISTS (SELECT 1 FROM settlements s WHERE s.authorization_hash = given.paying)''')},
        marked AS (UPDATE recordings k SET mark = given.mark FROM given
            WHERE k.receipt_id = given.receipt_id AND given.mark IS NOT NULL)
        {_counted("changed")}""",  # noqa: S608 - our own
    RECORD: f"""WITH {_rows(("receipt_id", "stream", "images", "images_mark"))},
        changed AS (UPDATE recordings k SET stream = decode(given.stream, 'base64'), images = given.images,
            images_mark = given.images_mark FROM given WHERE k.receipt_id = given.receipt_id RETURNING 1)
        {_counted("changed")}""",  # noqa: S608 - our own
}  # fmt: skip
"""By the kind of step. Each sees what was there before it, and no two steps of a group are of one receipt."""

_LAST = (
    f"SELECT * FROM (SELECT CAST(0 AS bigint) AS seq, '{GENESIS}' AS hash "  # noqa: S608 - our own
    "UNION ALL (SELECT seq, hash FROM journal ORDER BY seq DESC LIMIT 1)) both_ends ORDER BY seq DESC LIMIT 1"
)
# What is entered is ASCII without control characters, so a line break stands between no two parts of one entry; and
# of the characters in a body, JSON writes none but the quote and the backslash otherwise.
_JOURNAL = rf"""WITH RECURSIVE given AS (SELECT string_to_array($1, E'\n') AS times,
        string_to_array($2, E'\n') AS kinds, string_to_array($3, E'\n') AS bodies),
    chain (place, seq, previous, hash) AS (
        SELECT 0, seq, hash, hash FROM ({_LAST}) last
        UNION ALL
        SELECT place + 1, seq + 1, hash, encode(sha256(convert_to(hash || '[' || (seq + 1) || ',' || times[place + 1]
            || ',"' || kinds[place + 1] || '","'
            || replace(replace(bodies[place + 1], '\', '\\'), '"', '\"') || '"]', 'UTF8')), 'hex')
        FROM chain, given WHERE place < cardinality(times))
    INSERT INTO journal (seq, time, kind, body, previous, hash)
    SELECT seq, CAST(times[place] AS double precision), kinds[place], bodies[place], previous, hash
    FROM chain, given WHERE place > 0"""  # noqa: S608 - our own
_ATTESTATION = "INSERT INTO attestations (hash, document) VALUES ($1, $2) ON CONFLICT DO NOTHING"
