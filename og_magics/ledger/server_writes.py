"""A receipt's way on a shared ledger, each step in one way to the server, with steps of others that wait.

Writers wait for one lock of the ledger. Here it is held while the server works, and not while a program reads what came
and thinks: what is to be written follows from what this process itself wrote of the receipt, and the entry's number and
hash are worked out by the server (`server_steps.py`). Threads that write at the same time share one transaction
(`server_line.py`). Where the receipt is not as this process left it, or its payment was settled meanwhile, nothing is
written of it; the caller then goes the long way, which looks first.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from typing import Any

from ..core.types import ChatRequest
from .file import LedgerFile
from .ownership import ANSWER, answer_mark
from .rows import AT_FIRST, as_read, canonical, digest_long, given, storable
from .server_file import ServerFile
from .server_steps import ATTACH, END, OPEN, RECORD, Entry, Step
from .spool import ENDED, OPENED

AT_ONCE = 32
"""Threads of a process that write at the same time, and share transactions."""


def on_server(file: LedgerFile) -> bool:
    """Return True for a shared ledger."""
    return isinstance(file, ServerFile)


def opened(file: LedgerFile, row: Mapping[str, Any], question: ChatRequest) -> bool:
    """Open a receipt; return False where nothing was written."""
    values = as_read(row)
    if values is None or not values.keys() <= OPENED:
        return False
    where, receipt_id = question.execution, values["receipt_id"]
    recorded = {"key": question.fingerprint, "run": where.run, "at_cell": where.cell, "source": where.source}
    noted = {name: storable(value) for name, value in recorded.items()}
    entry = _entry("opened", {**AT_FIRST, **given(values)}, receipt_id, None)
    return _written(file, Step(OPEN, {**values, **noted}, entry))


def attached(file: LedgerFile, receipt_id: str, hash: str, session_id: str | None) -> bool:
    """Note the authorization that pays for a receipt, and its session's salted hash; return False where it was not."""
    changes = {"authorization_hash": hash, "session_id": session_id}
    entry = _entry("attached", given(changes), receipt_id, hash)
    return _written(file, Step(ATTACH, {"receipt_id": receipt_id, **changes}, entry))


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
        attestation: a document, with its hash.
    """
    values, receipt_id = as_read(end), opened["receipt_id"]
    if values is None or not values.keys() <= ENDED:
        return False
    changes = {name: value for name, value in values.items() if value != AT_FIRST.get(name)}
    row = {**AT_FIRST, **values, "receipt_id": receipt_id, "paying": hash, "session": session_id}
    if values["ended"] == "served":
        row["mark"] = answer_mark({**dict.fromkeys(ANSWER), **AT_FIRST, **(as_read(opened) or {}), **changes})
    entry = _entry(values["ended"], changes, receipt_id, hash)
    return _written(file, Step(END, row, entry, attestation, brief=True))


def recorded(file: LedgerFile, receipt_id: str, stream: bytes | None, images: str | None, mark: str | None) -> bool:
    """Keep how an answer came, and its pictures; return False where nothing was written."""
    packed = None if stream is None else base64.b64encode(stream).decode()
    row = {"receipt_id": receipt_id, "stream": packed, "images": storable(images), "images_mark": mark}
    return _written(file, Step(RECORD, row, None, brief=True))


def _written(file: LedgerFile, step: Step) -> bool:
    return isinstance(file, ServerFile) and file.write(step)


def _entry(kind: str, changed: Mapping[str, Any], receipt: str, authorization: str | None) -> Entry:
    values = {name: digest_long(value) for name, value in changed.items()}
    about = {"receipt": receipt, "authorization": authorization, "set": {"receipts": values}}
    body = canonical({name: value for name, value in about.items() if value is not None})
    return Entry(canonical(time.time()), kind, body)
