"""Recordings: under what key each request stands, which cell asked it, and how its answer came.

They stand beside the journal: what was asked and answered is in the receipts, which the journal is about. A stream that
does not add up to its receipt's text is not used.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..origin import Execution
from ..receipt import Receipt
from ..recording import Deltas, Recording, request_key
from ..types import Question

if TYPE_CHECKING:
    from .file import LedgerFile

TABLE = """CREATE TABLE recordings (
    receipt_id TEXT PRIMARY KEY, key TEXT NOT NULL, run TEXT NOT NULL, cell TEXT NOT NULL, source TEXT NOT NULL,
    stream BLOB, images TEXT
)"""
INDEX = "CREATE INDEX recordings_by_key ON recordings (key)"
_LARGEST = 50_000_000
"""Bytes of a stream when it is unpacked."""


def note(connection: sqlite3.Connection, receipt_id: str, question: Question) -> None:
    """A question with this receipt is asked. To be called within a write transaction."""
    where = question.execution
    key = request_key(question.path, question.model, question.body)
    connection.execute(
        "INSERT INTO recordings (receipt_id, key, run, cell, source) VALUES (?, ?, ?, ?, ?)",
        (receipt_id, key, where.run, where.cell, where.source),
    )


def import_receipts(connection: sqlite3.Connection) -> None:
    """Note the receipts of a file that had no recordings yet."""
    for row in connection.execute("SELECT receipt_id, path, model, request FROM receipts").fetchall():
        try:
            key = request_key(row["path"], row["model"], json.loads(row["request"]))
        except ValueError:  # edited by hand: it answers no question
            continue
        connection.execute(
            "INSERT INTO recordings (receipt_id, key, run, cell, source) VALUES (?, ?, '', '', '')",
            (row["receipt_id"], key),
        )


class RecordingStore:
    """The recordings of a ledger's file: a `Shelf`. Its methods raise `LedgerError` as the ledger's do."""

    def __init__(self, file: LedgerFile, receipt: Callable[[str], Receipt]) -> None:
        self._file = file
        self._receipt = receipt

    def keep(self, receipt_id: str, deltas: Deltas, images: Sequence[str]) -> None:
        """How an answer came."""
        packed = zlib.compress(json.dumps([[round(at, 3), text] for at, text in deltas]).encode()) if deltas else None
        with self._file.writing() as connection:
            connection.execute(
                "UPDATE recordings SET stream = ?, images = ? WHERE receipt_id = ?",
                (packed, json.dumps(list(images)) if images else None, receipt_id),
            )

    def recorded(self, key: str) -> list[Recording]:
        """The complete answers to the requests with this key, oldest first."""
        with self._file.reading() as connection:
            found = connection.execute(
                "SELECT k.* FROM recordings k JOIN receipts r ON r.receipt_id = k.receipt_id "
                "WHERE k.key = ? AND r.ended = 'served' ORDER BY k.receipt_id",
                (key,),
            ).fetchall()
        return [_recording(self._receipt(row["receipt_id"]), row) for row in found]

    def following(self, receipt: Receipt) -> Receipt | None:
        """The next call of the same turn, or None."""
        with self._file.reading() as connection:
            found = connection.execute(
                "SELECT receipt_id FROM receipts WHERE turn = ? AND receipt_id > ? ORDER BY receipt_id LIMIT 1",
                (receipt.turn or receipt.receipt_id, receipt.receipt_id),
            ).fetchone()
        return None if found is None else self._receipt(found["receipt_id"])


def _recording(receipt: Receipt, row: sqlite3.Row) -> Recording:
    images = json.loads(row["images"]) if row["images"] else []
    where = Execution(row["run"], row["cell"], row["source"])
    return Recording(receipt, where, _deltas(row["stream"], receipt.text), tuple(map(str, images)))


def _deltas(packed: bytes | None, text: str) -> Deltas:
    """The stream, if it is one and adds up to the text."""
    if packed is None:
        return ()
    try:
        unpacked = zlib.decompressobj().decompress(packed, _LARGEST)
        deltas = tuple((float(at), str(piece)) for at, piece in json.loads(unpacked))
    except (zlib.error, ValueError, TypeError):
        return ()
    return deltas if "".join(piece for _, piece in deltas) == text else ()
