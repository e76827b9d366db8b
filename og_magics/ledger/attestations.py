"""Documents by which enclaves' hardware was attested: one row each, by its SHA-256, however many receipts name it.

The table stands beside the journal: what it holds is known by its hash, which is in the receipts, which the journal is
about. A document that was changed is no longer the one that a receipt names.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache

from .database import Connection, known_in

TABLE = "CREATE TABLE IF NOT EXISTS attestations (hash TEXT PRIMARY KEY, document BLOB NOT NULL)"
_SLICE = 500
"""Hashes that one statement names."""


@lru_cache(maxsize=16)
def attestation_hash(document: bytes) -> str | None:
    """Return the hash by which receipts name a document; None for none."""
    return hashlib.sha256(document).hexdigest() if document else None


def keep(connection: Connection, document: bytes) -> None:
    """Keep a document, within a write transaction; b"" is none, and a second time changes nothing."""
    hash, known = attestation_hash(document), known_in(connection).documents
    if hash is not None and hash not in known:
        values = hash, document
        connection.execute("INSERT INTO attestations (hash, document) VALUES (?, ?) ON CONFLICT DO NOTHING", values)
        known.add(hash)


def documents_of(connection: Connection, hashes: Iterable[str]) -> dict[str, bytes]:
    """Return the documents under these hashes, as far as they are there; what is no document is b""."""
    wanted, found = sorted(set(hashes)), dict[str, bytes]()
    for start in range(0, len(wanted), _SLICE):
        part = wanted[start : start + _SLICE]
        marks = ", ".join("?" * len(part))
        rows = connection.execute(f"SELECT hash, document FROM attestations WHERE hash IN ({marks})", part)  # noqa: S608 - question marks
        found |= {row["hash"]: row["document"] if isinstance(row["document"], bytes) else b"" for row in rows}
    return found
