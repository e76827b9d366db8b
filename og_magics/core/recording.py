"""Answers that are kept, so that a notebook runs again without paying: how they are found, and what they hold."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from .cell_context import CellExecution
from .receipt import Receipt

Deltas = Sequence[tuple[float, str]]
"""A streamed answer in its pieces, each with the seconds from the question to it."""


def request_fingerprint(path: str, model: str, body: Mapping[str, Any]) -> str:
    """Return the replay key: hex SHA-256 of path, model and body (without `stream`).

    That is the model with its provider, the messages, the parameters, the tools and the schema; not whether it was
    streamed, and not how it was settled.
    """
    asked = {name: value for name, value in body.items() if name != "stream"}
    canonical = json.dumps([path, model, asked], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class Recording:
    """An answer that is kept.

    Attributes:
        receipt: of the call; what was asked and answered is in it.
        execution: the run of the cell that asked, as far as it is known.
        deltas: as it was streamed; empty where that is not known.
        images: that came with it, data: URIs or links.
        problem: why it must not be shown as the answer, "" where nothing speaks against it.
        own: True where a ledger of this notebook wrote it down when the answer came; False for what a file says.
    """

    receipt: Receipt
    execution: CellExecution
    deltas: Deltas = ()
    images: Sequence[str] = ()
    problem: str = ""
    own: bool = False


class RecordingSource(Protocol):
    """A source of recordings. Safe to call from any thread; its methods may block."""

    def recorded(self, key: str) -> list[Recording]:
        """Return the complete answers to the requests with this key, oldest first."""

    def following(self, receipt: Receipt) -> Recording | None:
        """Return the next call of the same turn, or None where it was the last, or is not known."""

    def attestations(self, hashes: Collection[str]) -> dict[str, bytes]:
        """Return the documents that receipts name by these hashes, as far as it has them: as a file says, unchecked."""

    def trusts(self, receipt: Receipt) -> bool:
        """Return True if the receipt is in a notebook of this source that Jupyter trusts: this user ran it."""

    def knows(self, receipt: Receipt) -> bool:
        """Return True if this source is a ledger that had a proven answer of the receipt's enclave, on its network."""
