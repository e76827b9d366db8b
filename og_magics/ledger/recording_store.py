"""Recordings of a ledger's file: how each answer came, found again by what was asked.

A stream that does not add up to its receipt's text is not used.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Collection, Sequence

from ..core.cell_context import NO_CELL, CellExecution
from ..core.errors import LedgerError
from ..core.receipt import Receipt
from ..core.recording import Deltas, Recording, request_fingerprint
from . import server_writes
from .attestations import documents_of
from .database import Row
from .file import LedgerFile
from .ownership import images_mark, knows_enclave, own_answers
from .spool import RECORDING

_LARGEST = 50_000_000
"""Bytes of a stream when it is unpacked."""


class RecordingStore:
    """The recordings of a ledger's file: a `RecordingSource`. Its methods raise `LedgerError` as the ledger's do."""

    def __init__(self, file: LedgerFile, receipt: Callable[[str], Receipt]) -> None:
        self._file = file
        self._receipt = receipt

    def keep(self, receipt_id: str, deltas: Deltas, images: Sequence[str]) -> None:
        """Keep the stream and the images of an answer; in the spool where the file cannot be written now."""
        packed = zlib.compress(json.dumps([[round(at, 3), text] for at, text in deltas]).encode()) if deltas else None
        pictures = json.dumps(list(images)) if images else None
        mark = images_mark(receipt_id, pictures)
        try:
            if server_writes.recorded(self._file, receipt_id, packed, pictures, mark):
                return
            with self._file.writing(brief=True) as connection:
                connection.execute(
                    "UPDATE recordings SET stream = ?, images = ?, images_mark = ? WHERE receipt_id = ?",
                    (packed, pictures, mark, receipt_id),
                )
        except LedgerError:
            stream = None if packed is None else base64.b64encode(packed).decode()
            entry = {"receipt_id": receipt_id, "kind": RECORDING, "stream": stream, "images": pictures}
            self._file.spool.keep(self._file.path, entry)

    def recorded(self, key: str) -> list[Recording]:
        """Return the complete answers to the requests with this key, oldest first."""
        with self._file.reading() as connection:
            found = connection.execute(
                "SELECT k.* FROM recordings k JOIN receipts r ON r.receipt_id = k.receipt_id "
                "WHERE k.key = ? AND r.ended = 'served' ORDER BY k.receipt_id",
                (key,),
            ).fetchall()
        if not found:
            return []
        own, pictured = own_answers(self._file, [row["receipt_id"] for row in found])
        recordings = [
            _recording(self._receipt(row["receipt_id"]), row, own=row["receipt_id"] in own, pictured=pictured)
            for row in found
        ]
        return [one for one in recordings if _answers(one.receipt, key)]

    def following(self, receipt: Receipt) -> Recording | None:
        """Return the next call of the same turn, or None."""
        with self._file.reading() as connection:
            found = connection.execute(
                "SELECT receipt_id FROM receipts WHERE turn = ? AND receipt_id > ? ORDER BY receipt_id LIMIT 1",
                (receipt.turn or receipt.receipt_id, receipt.receipt_id),
            ).fetchone()
        if found is None:
            return None
        own, _ = own_answers(self._file, [found["receipt_id"]])
        return Recording(self._receipt(found["receipt_id"]), NO_CELL, own=found["receipt_id"] in own)

    def attestations(self, hashes: Collection[str]) -> dict[str, bytes]:
        """Return the documents that receipts name by these hashes, as far as they are there."""
        with self._file.reading() as connection:
            return documents_of(connection, hashes)

    def trusts(self, receipt: Receipt) -> bool:
        """Return False: a ledger is no notebook."""
        return False

    def knows(self, receipt: Receipt) -> bool:
        """Return True if an answer of the receipt's enclave came to this user's machine here, and its proof held."""
        return knows_enclave(self._file, receipt.network, receipt.tee_id or "")


def _answers(receipt: Receipt, key: str) -> bool:
    """Return True if a receipt is of the request with this key, and not only listed under it."""
    return request_fingerprint(receipt.path, receipt.model, receipt.request) == key


def _recording(receipt: Receipt, row: Row, *, own: bool, pictured: Collection[str]) -> Recording:
    images = json.loads(row["images"]) if row["images"] and receipt.receipt_id in pictured else []
    where = CellExecution(row["run"], row["cell"], row["source"])
    return Recording(receipt, where, _deltas(row["stream"], receipt.text), tuple(map(str, images)), own=own)


def _deltas(packed: bytes | None, text: str) -> Deltas:
    """Read the stream, if it is one and adds up to the text."""
    if packed is None:
        return ()
    try:
        unpacked = zlib.decompressobj().decompress(packed, _LARGEST)
        deltas = tuple((float(at), str(piece)) for at, piece in json.loads(unpacked))
    except (zlib.error, ValueError, TypeError):
        return ()
    return deltas if "".join(piece for _, piece in deltas) == text else ()
