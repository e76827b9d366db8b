"""Proofs of a receipt, for someone who does not trust its author.

Each module checks one kind of evidence and says, in words, what held and what did not.
"""

from __future__ import annotations

from .canonical import CanonicalForm, output_hash, request_hashes
from .data import SettledData, check_data
from .enclave import (
    EnclaveCheck,
    EnclaveEvidence,
    check_enclave,
    check_scrubbed,
    evidence_of,
    pem_to_der,
    tee_id_of,
    verify_signature,
)
from .payment import check_payment, group_costs
from .registry import check_registry
from .verdict import Verdict

__all__ = [
    "CanonicalForm",
    "EnclaveCheck",
    "EnclaveEvidence",
    "SettledData",
    "Verdict",
    "check_data",
    "check_enclave",
    "check_payment",
    "check_registry",
    "check_scrubbed",
    "evidence_of",
    "group_costs",
    "output_hash",
    "pem_to_der",
    "request_hashes",
    "tee_id_of",
    "verify_signature",
]
