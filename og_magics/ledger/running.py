"""A receipt whose answer is on its way, as its ledger has it."""

from __future__ import annotations

import base64
import time as clock
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..core.secret import fingerprint
from . import journal, spool


@dataclass(slots=True)
class Running:
    """The receipt as the ledger has it: enough to write it again.

    Attributes:
        opened: its columns. signed: those of the authorization that pays for it.
        session_id: a salted hash. salt: what it is salted with.
    """

    opened: dict[str, Any]
    signed: dict[str, Any] | None = None
    session_id: str | None = None
    salt: str = journal.GENESIS

    def salted(self, session_id: str | None) -> str | None:
        """Return the hash of a session's id, or the one that was known before."""
        return self.session_id if session_id is None else fingerprint(session_id, self.salt)

    def note(self, signed: dict[str, Any], salt: str, session_id: str | None) -> None:
        """Note what pays for it, with the id of its session."""
        self.signed, self.salt = signed, salt
        self.session_id = self.salted(session_id)

    def entry(self, ended: Mapping[str, Any], attestation: bytes) -> spool.Entry:
        """Return the entry for the spool."""
        return {
            "receipt_id": self.opened["receipt_id"], "kind": spool.END, "at": clock.time(), "opened": self.opened,
            "authorization": self.signed, "session_id": self.session_id, "ended": dict(ended),
            "attestation": base64.b64encode(attestation).decode(),
        }  # fmt: skip
