"""The attestation of the enclave that a receipt names, checked long after it was fetched: no network is needed.

The receipt names a document by its SHA-256; the notebook or the ledger has it. It was held against the clock and the
nonce when it was fetched. What can be shown to somebody who was not there is that AWS's hardware made it, at most a
day before the answer was signed, for code of this measurement that holds the key which signed the answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..core.networks import AWS_NITRO_ROOT, Network, described
from ..core.onchain import Unavailable
from ..core.receipt import Receipt
from ..core.types import Enclave
from .attestation_bounds import ATTESTED_FOR, LONGEST_DOCUMENT
from .verdict import Verdict

if TYPE_CHECKING:
    from .attestation import Document

_LONGEST_ANSWER = 3600.0
"""Seconds that an answer may take, whose enclave was attested before it began."""
_AHEAD = 300.0
"""Seconds by which the enclave's clock may be behind its hardware's."""


@dataclass(frozen=True, slots=True)
class RegistryLookup:
    """The registry's word on an enclave, where it was asked; None where it does not know it."""

    enclave: Enclave | Unavailable | None


class ReceiptAttestations:
    """The check of many receipts' attestations. A document is checked once, however many receipts name it.

    Args:
        documents: by the hash under which they stand: a stranger's may be anything.
        allowed: the measurements that the user pins; see `attestation.Expected`.
    """

    def __init__(self, documents: Mapping[str, bytes], allowed: Collection[str] = ()) -> None:
        self._documents = documents
        self._allowed = allowed
        self._checked: dict[tuple[str, str], tuple[Document | Verdict, str]] = {}
        self._held: dict[tuple[Any, ...], Verdict] = {}

    def check(self, receipt: Receipt, network: Network | None, word: RegistryLookup | None) -> Verdict:
        """Check that the hardware attested the key that a receipt is signed with.

        The measurement is held against the registry's where that was asked, and against the user's pins. Offline and
        without a pin it is named, and the verdict is True: which code is good is another question.

        Args:
            network: as it is reached here; None where it is not. A devnet's root is known by it alone.
            word: None for an offline check.
        """
        hash = receipt.attestation_hash
        if not described(receipt.network).paid:
            return Verdict(None, "A plain server answered, which has no enclave.")
        if hash is None:
            return Verdict(None, "Not attested: the receipt names no document of the enclave's hardware.")
        if hash not in self._documents:
            return Verdict(None, f"The attestation that it names ({hash[:10]}…) is not here: a ledger may have it.")
        found, root = self._document(hash, network, local=described(receipt.network).local)
        if isinstance(found, Verdict):
            return found
        return self._against(receipt, found, root, word)

    def _document(self, hash: str, network: Network | None, *, local: bool) -> tuple[Document | Verdict, str]:
        """Return a document whose signature holds, or why it does not; and the root under which it is judged."""
        pinned = (network.attestation_root if network is not None else "") if local else AWS_NITRO_ROOT
        if (hash, pinned) not in self._checked:
            self._checked[hash, pinned] = _signed(self._documents[hash], hash, pinned)
        return self._checked[hash, pinned]

    def _against(self, receipt: Receipt, found: Document, root: str, word: RegistryLookup | None) -> Verdict:
        signed = receipt.time if receipt.tee_timestamp is None else receipt.tee_timestamp
        if not -_AHEAD <= signed - found.time <= ATTESTED_FOR + _LONGEST_ANSWER:
            return _refused(
                f"it is of {_utc(found.time)} and the answer of {_utc(signed)}; it vouches for a day from then on"
            )
        try:
            key = bytes.fromhex(receipt.public_key)
        except ValueError:
            key = b""
        if not key:
            return Verdict(None, "The receipt has no key that can be read, so there is none to be attested.")
        enclave = word.enclave if word is not None and isinstance(word.enclave, Enclave) else None
        return self._compared(found, root, key, enclave, offline=word is None)

    def _compared(self, found: Document, root: str, key: bytes, enclave: Enclave | None, *, offline: bool) -> Verdict:
        """Compare a document's values, once for all answers of one enclave and key."""
        from .attestation import Expected, check_document

        expected = Expected(
            tls_certificate=enclave.tls_certificate if enclave else None,
            public_key=key,
            pcr_hash=enclave.pcr_hash if enclave else "",
            allowed=self._allowed,
        )
        case = (found.signature, root, key, expected.tls_certificate, expected.pcr_hash, offline)
        if case not in self._held:
            verdict = check_document(found, expected, root=root)
            if verdict.ok is None and offline:
                hardware = "AWS Nitro hardware" if root == AWS_NITRO_ROOT else "a devnet's simulated hardware"
                named = f"Attested by {hardware} at {_utc(found.time)}: code {found.pcr_hash} holds this key."
                verdict = Verdict(True, named)
            self._held[case] = verdict
        return self._held[case]


def _signed(document: bytes, hash: str, pinned: str) -> tuple[Document | Verdict, str]:
    from .attestation import Document, own_root, signed_document

    if hashlib.sha256(document).hexdigest() != hash:
        larger = f", or has more than {LONGEST_DOCUMENT // 1024} KiB"
        return _refused(f"what stands under its hash {hash[:10]}… is another document{larger}"), pinned
    root = pinned or own_root(document)
    found = signed_document(document, root=root)
    if isinstance(found, Document) and not pinned and root == AWS_NITRO_ROOT:
        return _refused("it is AWS's, and a devnet's enclave has none of it"), root
    return found, root


def _refused(why: str) -> Verdict:
    return Verdict(False, f"The enclave's attestation does not hold: {why}.")


def _utc(seconds: float) -> str:
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, ValueError, OSError):
        return "no time"
