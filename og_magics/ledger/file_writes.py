"""A receipt's way in a file, each step in few statements: what this process itself wrote of it is not read again.

What is to be written follows from that. Where the receipt is not as this process left it, where its payment was settled
meanwhile, or where a newer program uses the file too, nothing is written; the caller then goes the long way, which
looks first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..core.types import ChatRequest
from . import attestations, journal, recordings
from .alike import ended_apart
from .database import Connection, FileConnection, known_in
from .ownership import ANSWER, mark_answer
from .rows import AT_FIRST, as_read, digest_long, given
from .schema import MIGRATIONS


def opened(connection: Connection, row: Mapping[str, Any], question: ChatRequest) -> bool:
    """Open a receipt, within a write transaction; return False where nothing was written."""
    values = as_read(row)
    if values is None or not _is_current(connection):
        return False
    receipt_id = str(row["receipt_id"])
    connection.execute(f"INSERT INTO receipts ({', '.join(values)}) VALUES ({_marks(values)})", [*values.values()])  # noqa: S608 - our own names
    _enter(connection, "opened", {**AT_FIRST, **given(values)}, receipt_id, None)
    recordings.note(connection, receipt_id, question)
    return True


def attached(connection: Connection, receipt_id: str, hash: str, session_id: str | None) -> bool:
    """Note the authorization that pays for a receipt, and its session's salted hash; return False where it was not."""
    if not _is_current(connection):
        return False
    changes = given({"authorization_hash": hash, "session_id": session_id})
    done = connection.execute(
        f"UPDATE receipts SET {_changes(changes)} "  # noqa: S608 - our own names
        "WHERE receipt_id = ? AND authorization_hash IS NULL AND session_id IS NULL AND ended IS NULL",
        [*changes.values(), receipt_id],
    )
    if done.rowcount != 1:
        return False
    _enter(connection, "attached", changes, receipt_id, hash)
    return True


def ended(
    connection: Connection,
    opened: Mapping[str, Any],
    hash: str | None,
    session_id: str | None,
    end: Mapping[str, Any],
    attestation: bytes,
) -> bool:
    """Write how an answer ended, within a write transaction; return False where nothing was written.

    Args:
        opened: the receipt's columns as it was opened. hash: of the authorization that is attached to it.
        session_id: the salted hash that is attached. end: columns, with `ended` and `weight`.
    """
    values, before = as_read(end), as_read(opened)
    if values is None or before is None or not _is_current(connection):
        return False
    receipt_id = str(opened["receipt_id"])
    before = {**AT_FIRST, **before, "authorization_hash": hash, "session_id": session_id}
    changes = {name: value for name, value in values.items() if value != AT_FIRST.get(name)}
    is_as_left = (
        "receipt_id = ? AND ended IS NULL AND authorization_hash IS ? AND session_id IS ? AND alike IS NULL "
        "AND NOT EXISTS (SELECT 1 FROM settlements s WHERE s.authorization_hash = receipts.authorization_hash)"
    )
    written = ended_apart(connection, before, changes)
    done = connection.execute(
        f"UPDATE receipts SET {_changes(written)} WHERE {is_as_left}",  # noqa: S608 - our own names
        [*written.values(), receipt_id, hash, session_id],
    )
    if done.rowcount != 1:
        return False
    _enter(connection, values["ended"], changes, receipt_id, hash)
    attestations.keep(connection, attestation)
    if values["ended"] == "served":
        mark_answer(connection, {**dict.fromkeys(ANSWER), **before, **changes})
    return True


def paying(connection: Connection) -> dict[str, tuple[dict[str, Any], str]]:
    """Return the authorizations that paid for something here, with the salt of sessions; see `FileConnection`."""
    return connection.paying if isinstance(connection, FileConnection) else {}


def _is_current(connection: Connection) -> bool:
    known = known_in(connection)
    if known.current is None:
        on_file = isinstance(connection, FileConnection)
        known.current = on_file and connection.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS)
    return known.current


def _enter(connection: Connection, kind: str, changed: Mapping[str, Any], receipt: str, paid_by: str | None) -> None:
    values = {name: digest_long(value) for name, value in changed.items()}
    journal.append(connection, kind, {"receipts": values}, receipt=receipt, authorization=paid_by)


def _changes(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = ?" for name in values)


def _marks(values: Mapping[str, Any]) -> str:
    return ", ".join("?" * len(values))
