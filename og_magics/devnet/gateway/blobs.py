"""A blob store with the addressing of a Walrus aggregator: the id of a blob is a hash of its content."""

from __future__ import annotations

import base64
import hashlib


class BlobStore:
    """Blobs in memory; they end with the devnet."""

    def __init__(self) -> None:
        self._blobs: dict[str, bytes] = {}

    def put(self, content: bytes) -> str:
        """Keep a blob and return its id: base64url, without padding, of a 32-byte hash (43 characters)."""
        blob_id = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        self._blobs[blob_id] = content
        return blob_id

    def get(self, blob_id: str) -> bytes | None:
        """Return the content, or None for an unknown id."""
        return self._blobs.get(blob_id)
