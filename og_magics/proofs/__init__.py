"""Proofs: what an answer's receipt can show to someone who does not trust us.

Each module checks one kind of evidence and says, in words, what held and what did not.
"""

from __future__ import annotations

from og_magics.proofs.enclave import (
    CanonicalForm,
    EnclaveCheck,
    EnclaveEvidence,
    check_enclave,
    output_hash,
    pem_to_der,
    request_hashes,
    tee_id_of,
    verify_signature,
)

__all__ = [
    "CanonicalForm",
    "EnclaveCheck",
    "EnclaveEvidence",
    "check_enclave",
    "output_hash",
    "pem_to_der",
    "request_hashes",
    "tee_id_of",
    "verify_signature",
]
