"""The enclave's signature where what it is about was taken out: the hashes are left, and are all that is checked."""

from __future__ import annotations

from .enclave import EnclaveEvidence, tee_id_of, unix_seconds, verify_signature
from .hashing import hash_bytes
from .verdict import Verdict


def check_scrubbed(evidence: EnclaveEvidence) -> Verdict:
    """Check the signature over the hashes. It says nothing of any text: only that some exchange has these hashes.

    For receipts that hold no text. One that does is checked with its text, by `check_enclave`.
    """
    if not evidence.tee_signature:
        return Verdict(None, "The gateway sent no enclave signature with this answer, so there is nothing to verify.")
    request, output = hash_bytes(evidence.tee_request_hash), hash_bytes(evidence.tee_output_hash)
    timestamp = unix_seconds(evidence.tee_timestamp)
    if request is None or output is None or timestamp is None:
        return Verdict(False, "A hash or the time that was signed is not one.")
    key = evidence.public_key_der
    if key is None:
        return Verdict(None, f"No key is known for the enclave {evidence.tee_id}; the text was removed.")
    if hash_bytes(evidence.tee_id) != hash_bytes(tee_id_of(key)):
        return Verdict(False, f"Key: the known key is not that of the enclave {evidence.tee_id!r}.")
    if not verify_signature(key, request, output, timestamp, evidence.tee_signature):
        return Verdict(False, "Signature: the key did not sign these hashes at this time.")
    return Verdict(
        True,
        f"The enclave {evidence.tee_id} signed these hashes (signature over the hashes; the text was removed, so which "
        "model was asked what, and what it answered, is not shown).",
    )
