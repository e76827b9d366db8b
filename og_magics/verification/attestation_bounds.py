"""Bounds of attestations, for who needs nothing else of them: checking one imports `cryptography`."""

from __future__ import annotations

ATTESTED_FOR = 24 * 3600.0
"""Seconds for which an enclave that is attested is not asked again."""
LONGEST_DOCUMENT = 16 * 1024
"""Bytes of a document."""
MOST_DOCUMENTS = 1000
"""Documents that are read of one notebook."""
