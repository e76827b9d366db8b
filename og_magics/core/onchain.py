"""Facts read about receipts, on chain and beside it: plain values that `chain` gathers and `verification` judges.

Hashes and addresses are as the chain gives them: `bytes` where they are compared byte by byte, lower-case 0x hex where
they name an account or a transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .facts import fact

SETTLES_WITHIN: int = (fact("settlements", "batch")["oldest_minutes"] + 5) * 60
"""Seconds from an answer to the block with its data, at most: a batch waits so long, and is then sent."""

BLOBS_KEPT: int = fact("blobs", "walrus")["kept_days"] * 24 * 60 * 60
"""Seconds for which blobs are paid for; afterwards none is expected to be there."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Something that could not be asked, which is not the same as something that is not there.

    Attributes:
        reason: in a person's words.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class TransferLog:
    """One ERC-20 transfer in a transaction. Addresses in lower case; `amount` in base units."""

    token: str
    source: str
    target: str
    amount: int


@dataclass(frozen=True, slots=True)
class PaymentCall:
    """The use that a transaction made of an authorization, read from its calldata.

    Attributes:
        kind: "upto", "exact" (both through Permit2) or "eip3009" (the token itself).
        owner, payee, token, facilitator: addresses in lower case; facilitator is "" where the signature names none.
        nonce: of Permit2 or EIP-3009, as an int. cap: the most that was signed. amount: what was taken; base units.
        deadline, valid_after: unix seconds.
    """

    kind: str
    owner: str
    payee: str
    token: str
    nonce: int
    cap: int
    amount: int
    deadline: int
    valid_after: int
    facilitator: str = ""


@dataclass(frozen=True, slots=True)
class OnchainPayment:
    """A mined transaction of the payment chain.

    Attributes:
        transaction, block_hash: 0x hex, lower case. to: whom it calls, lower case; "" where it creates a contract.
        succeeded: False when it was reverted. gas_used: paid by whoever sent it.
        call: the payment that it asks for; None when it calls something that is no known way to pay.
        transfers: what really moved, in order.
    """

    transaction: str
    to: str
    block_number: int
    block_hash: str
    succeeded: bool
    gas_used: int
    call: PaymentCall | None
    transfers: tuple[TransferLog, ...]


@dataclass(frozen=True, slots=True)
class BatchEvent:
    """The root of many calls' hashes, as it was written on chain. `size`: how many. `blob_id`: where the tree is."""

    transaction: str
    block_number: int
    root: bytes
    size: int
    blob_id: str


@dataclass(frozen=True, slots=True)
class IndividualEvent:
    """One call's hashes, as they were written on chain. `address` is the payment proxy's, not the payer's."""

    transaction: str
    block_number: int
    tee_id: bytes
    address: str
    input_hash: bytes
    output_hash: bytes
    timestamp: int
    blob_id: str
    signature: bytes


@dataclass(frozen=True, slots=True)
class Blob:
    """A blob as the aggregators gave it.

    Attributes:
        content: None where it could not be fetched; `problem` says why.
        absent: True where every aggregator says that it has no such blob, which is no failure to answer.
    """

    content: bytes | None
    problem: str = ""
    absent: bool = False


@dataclass(frozen=True, slots=True)
class OnchainData:
    """The data settlements of some receipts.

    Attributes:
        read_at: unix seconds when the chain was read.
        problem: why it could not be read, "" when it was.
        batches, individuals: the events of the blocks that can hold what the receipts claim.
        blobs: by id, those that the events and receipts point to.
    """

    read_at: float
    problem: str = ""
    batches: tuple[BatchEvent, ...] = ()
    individuals: tuple[IndividualEvent, ...] = ()
    blobs: Mapping[str, Blob] = field(default_factory=dict)
