"""Table of recordings: under what key each request stands, which cell asked it, and how its answer came.

It stands beside the journal: what was asked and answered is in the receipts, which the journal is about.
"""

from __future__ import annotations

import json

from ..core.recording import request_fingerprint
from ..core.types import ChatRequest
from .alike import whole
from .database import Connection

TABLE = """CREATE TABLE recordings (
    receipt_id TEXT PRIMARY KEY, key TEXT NOT NULL, run TEXT NOT NULL, cell TEXT NOT NULL, source TEXT NOT NULL,
    stream BLOB, images TEXT
)"""
INDEX = "CREATE INDEX recordings_by_key ON recordings (key)"


def note(connection: Connection, receipt_id: str, question: ChatRequest) -> None:
    """Note the request of a new receipt, with its replay key. To be called within a write transaction."""
    where = question.execution
    connection.execute(
        "INSERT INTO recordings (receipt_id, key, run, cell, source) VALUES (?, ?, ?, ?, ?)",
        (receipt_id, question.fingerprint, where.run, where.cell, where.source),
    )


def import_receipts(connection: Connection) -> None:
    """Note the receipts of a file that had no recordings yet."""
    for row in list(whole(connection, connection.execute("SELECT * FROM receipts"))):
        try:
            key = request_fingerprint(row["path"], row["model"], json.loads(row["request"]))
        except ValueError:  # edited by hand: it answers no question
            continue
        connection.execute(
            "INSERT INTO recordings (receipt_id, key, run, cell, source) VALUES (?, ?, '', '', '')",
            (row["receipt_id"], key),
        )
