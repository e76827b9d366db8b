"""Proofs: what an answer's receipt can show to someone who does not trust us.

Each module checks one kind of evidence and says, in words, what held and what did not.
"""

from __future__ import annotations

from og_magics.proofs.data import SettledData, check_data
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
from og_magics.proofs.evidence import evidence_of
from og_magics.proofs.payment import check_payment, group_costs
from og_magics.proofs.registry import check_registry
from og_magics.proofs.scrubbed import check_scrubbed
from og_magics.proofs.verdict import Verdict

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
