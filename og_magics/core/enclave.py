"""An enclave as the registry describes it: its gateway, its keys, whether it is vouched for, and until when it was."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

LLM_PROXY = 0
"""The registry's type of the enclaves that serve models."""

TYPE_NAMES = {LLM_PROXY: "LLM proxy", 1: "validator"}


class Ending(Enum):
    """The reason why an enclave is not vouched for any more; the value completes "The enclave was ..."."""

    DISABLED = "disabled in the registry"
    REVOKED = "of code whose measurement was revoked"
    RETYPED = "registered as one that does not serve models"


@dataclass(frozen=True, slots=True)
class Standing:
    """The standing of an enclave in the registry. None stands for what the registry does not tell.

    Attributes:
        tee_type: `LLM_PROXY`, or another.
        enabled: whether it is allowed to serve.
        registered_at, heartbeat_at: unix seconds.
        active: enabled, of approved code, and with a fresh heartbeat.
        approved: whether its measurement is approved for its type.
        heartbeat_max_age: seconds for which a heartbeat keeps an enclave active.
        read_at: unix seconds of the newest block that the node had; None on a local network, whose clock stands still
            between its transactions.
        endings: what is not in order now -> unix seconds of the block since which it is so, 0 where it never was in
            order, None where that is not known.
    """

    tee_type: int = LLM_PROXY
    enabled: bool = True
    registered_at: int = 0
    heartbeat_at: int = 0
    active: bool | None = None
    approved: bool | None = None
    heartbeat_max_age: int | None = None
    read_at: int | None = None
    endings: dict[Ending, int | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Enclave:
    """An enclave that serves answers, as the registry (or the gateway itself) describes it.

    Attributes:
        endpoint: base URL of its gateway.
        tee_id: "0x" + keccak256 of `public_key`; "" when not known.
        public_key: DER (SubjectPublicKeyInfo) of the key that signs answers; b"" when not known.
        tls_certificate: DER; the only certificate to accept. None: ordinary verification.
        payment_address: who is to be paid; "" when not known.
        registered: True when all this comes from the on-chain registry.
        pcr_hash: measurement of the code, hex; "" when not known.
        standing: in the registry; None when not known.
    """

    endpoint: str
    tee_id: str = ""
    public_key: bytes = b""
    tls_certificate: bytes | None = None
    payment_address: str = ""
    registered: bool = False
    pcr_hash: str = ""
    standing: Standing | None = field(default=None, compare=False)
