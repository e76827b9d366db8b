"""What of a receipt each proof is about."""

from __future__ import annotations

from ..receipt import Receipt
from .enclave import EnclaveEvidence


def evidence_of(receipt: Receipt) -> EnclaveEvidence:
    """What of a receipt the enclave's proof is about."""
    try:
        key = bytes.fromhex(receipt.public_key)
    except ValueError:
        key = b"\x00"  # no key of any enclave: the check says so
    return EnclaveEvidence(
        path=receipt.path,
        body=receipt.request,
        text=receipt.text,
        tool_calls=receipt.tool_calls,
        finish_reason=receipt.finish_reason,
        tee_id=receipt.tee_id,
        tee_signature=receipt.tee_signature,
        tee_timestamp=receipt.tee_timestamp,
        tee_request_hash=receipt.request_hash,
        tee_output_hash=receipt.output_hash,
        public_key_der=key or None,
    )
