"""A receipt's way on a shared ledger, each step in one way to the server.

Writers wait for one lock of the ledger. Here it is held while the server works, and not while a program reads what came
and thinks: what is to be written follows from what this process itself wrote of the receipt, and the entry's number and
hash are worked out by the server. Where the receipt is not as this process left it, or its payment was settled
meanwhile, nothing is written; the caller then goes the long way, which looks first.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

from ..core.recording import request_fingerprint
from ..core.types import ChatRequest
from .file import LedgerFile
from .journal import GENESIS
from .ownership import ANSWER, answer_mark
from .rows import canonical, digest_long, storable
from .server_file import ServerFile

Statement = tuple[str, list[Any]]

_WHOLE = frozenset(("prompt_tokens", "completion_tokens", "tee_timestamp", "enclave_ok"))
_REAL = frozenset(("time", "latency_s", "ttft_s"))
"""Columns of numbers; all others hold texts."""
_AT_FIRST: dict[str, Any] = {
    "weight": "0", "text": "", "tool_calls": "[]", "public_key": "", "enclave_reason": "",
}  # fmt: skip
"""The columns of a receipt that was just opened, where they are not NULL."""
_LAST = (
    f"SELECT * FROM (SELECT 0 AS seq, '{GENESIS}' AS hash "  # noqa: S608 - our own
    "UNION ALL (SELECT seq, hash FROM journal ORDER BY seq DESC LIMIT 1)) both_ends ORDER BY seq DESC LIMIT 1"
)


def on_server(file: LedgerFile) -> bool:
    """Return True for a shared ledger."""
    return isinstance(file, ServerFile)


def opened(file: LedgerFile, row: Mapping[str, Any], question: ChatRequest) -> bool:
    """Open a receipt; return False where nothing was written."""
    values = _as_read(row)
    if values is None:
        return False
    where = question.execution
    key = request_fingerprint(question.path, question.model, question.body)
    recorded = [row["receipt_id"], key, where.run, where.cell, where.source]
    return _at_once(
        file,
        [
            (f"INSERT INTO receipts ({', '.join(values)}) VALUES ({_marks(values)})", [*values.values()]),  # noqa: S608
            (f"INSERT INTO recordings (receipt_id, key, run, cell, source) VALUES ({_marks(recorded)})", recorded),  # noqa: S608
            _entry("opened", {**_AT_FIRST, **_given(values)}, row["receipt_id"], None),
        ],
    )


def attached(file: LedgerFile, receipt_id: str, hash: str, session_id: str | None) -> bool:
    """Note the authorization that pays for a receipt, and its session's salted hash; return False where it was not."""
    changes = _given({"authorization_hash": hash, "session_id": session_id})
    only_if = "authorization_hash IS NULL AND session_id IS NULL AND ended IS NULL"
    return _at_once(file, [_entry("attached", changes, receipt_id, hash, update=(only_if, []))])


def ended(
    file: LedgerFile,
    opened: Mapping[str, Any],
    hash: str | None,
    session_id: str | None,
    end: Mapping[str, Any],
    attestation: tuple[str, bytes] | None,
) -> bool:
    """Write how an answer ended; return False where nothing was written.

    Args:
        opened: the receipt's columns as it was opened. hash: of the authorization that is attached to it.
        session_id: the salted hash that is attached. end: columns, with `ended` and `weight`.
        attestation: a document that may be new to the ledger, with its hash.
    """
    values, receipt_id = _as_read(end), opened["receipt_id"]
    if values is None:
        return False
    changes = {name: value for name, value in values.items() if value != _AT_FIRST.get(name)}
    only_if = (
        "ended IS NULL AND authorization_hash IS NOT DISTINCT FROM ? AND session_id IS NOT DISTINCT FROM ? "
        "AND NOT EXISTS (SELECT 1 FROM settlements s WHERE s.authorization_hash = receipts.authorization_hash)"
    )
    statements = [_entry(values["ended"], changes, receipt_id, hash, update=(only_if, [hash, session_id]))]
    if attestation is not None:
        statements.append(
            ("INSERT INTO attestations (hash, document) VALUES (?, ?) ON CONFLICT DO NOTHING", list(attestation))
        )
    if values["ended"] == "served":
        row = {**dict.fromkeys(ANSWER), **_AT_FIRST, **(_as_read(opened) or {}), **changes}
        statements.append(("UPDATE recordings SET mark = ? WHERE receipt_id = ?", [answer_mark(row), receipt_id]))
    return _at_once(file, statements, brief=True)


def _at_once(file: LedgerFile, statements: list[Statement], *, brief: bool = False) -> bool:
    return isinstance(file, ServerFile) and file.at_once(statements, brief=brief)


def _entry(
    kind: str,
    changed: Mapping[str, Any],
    receipt: str,
    authorization: str | None,
    *,
    update: tuple[str, list[Any]] | None = None,
) -> Statement:
    """Return the statement that enters a change in the journal, and makes it where `update` has its condition.

    Where the row does not meet the condition, the statement divides by zero.
    """
    values = {name: digest_long(value) for name, value in changed.items()}
    about = {"receipt": receipt, "authorization": authorization, "set": {"receipts": values}}
    body, now = canonical({name: value for name, value in about.items() if value is not None}), time.time()
    tail = canonical([now, kind, body])[1:]
    before, given, step = "", list[Any](), "1"
    if update is not None:
        condition, parameters = update
        columns = ", ".join(f"{name} = ?" for name in changed)
        before = f"changed AS (UPDATE receipts SET {columns} WHERE receipt_id = ? AND {condition} RETURNING 1), "  # noqa: S608
        given, step = [*changed.values(), receipt, *parameters], "1 / (SELECT count(*) FROM changed)"
    return (
        f"WITH {before}last AS ({_LAST}), next AS (SELECT seq + {step} AS seq, hash AS previous FROM last) "  # noqa: S608
        "INSERT INTO journal (seq, time, kind, body, previous, hash) SELECT seq, CAST(? AS DOUBLE PRECISION), ?, ?, "
        "previous, encode(sha256(convert_to(previous || '[' || seq || ',' || ?, 'UTF8')), 'hex') FROM next",
        [*given, repr(now), kind, body, tail],
    )


def _as_read(values: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return values as the server gives them back; None where one is of another kind than its column."""
    read: dict[str, Any] = {}
    for name, given in values.items():
        value = int(given) if isinstance(given, bool) else given
        if name in _REAL and isinstance(value, int | float):
            value = None if value != value else float(value)  # noqa: PLR0124 - NaN
        kind = int if name in _WHOLE else float if name in _REAL else str
        if value is not None and not isinstance(value, kind):
            return None
        read[name] = storable(value)
    return read


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _marks(values: Iterable[Any]) -> str:
    return ", ".join("?" for _ in values)
