"""The states of an authorization's money: one table of state, event, the evidence that it takes, and next state.

`TABLE` holds every step that there is. An event that has no row for a state changes nothing: less evidence never
outdoes more. Events come from `chain/evidence.py`, which makes one only of the evidence that stands here, and are
entered by the ledger, which asks this table within the transaction that writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

MARGIN = 60
"""Seconds by which a block must be later than a deadline to show that nothing can be paid any more."""


class MoneyState(str, Enum):
    """The state of what one authorization allows to be taken.

    Attributes:
        PENDING: it may be paid, or has been and nobody saw it yet.
        USED: paid, transaction not found yet.
        SETTLED: paid, by a transaction in a block that may still be undone.
        FINAL: paid, by a transaction that is deep enough. Nothing leads out of it.
        EXPIRED: nothing was paid.
    """

    PENDING = "pending"
    USED = "used"
    SETTLED = "settled"
    FINAL = "final"
    EXPIRED = "expired"

    @property
    def words(self) -> str:
        """The state in a person's words."""
        return _WORDS[self]


class MoneyEvent(str, Enum):
    """A finding on the chain about one authorization. `EVIDENCE` says what each one takes."""

    USED = "used"
    FOUND = "found"
    CONFIRMED = "confirmed"
    UNUSED = "unused"
    UNDONE = "undone"


_WORDS = {
    MoneyState.PENDING: "not settled yet",
    MoneyState.USED: "paid, transaction not found yet",
    MoneyState.SETTLED: "settled",
    MoneyState.FINAL: "settled",
    MoneyState.EXPIRED: "expired: nothing was paid",
}

EVIDENCE = {
    MoneyEvent.USED: "the right chain has the nonce as used, and no transaction with it was found",
    MoneyEvent.FOUND: "a transaction of the right chain carries the nonce and moved the money",
    MoneyEvent.CONFIRMED: "the same, in a block with enough blocks on top of it",
    MoneyEvent.UNUSED: "the proven chain, at a block that is deep enough and later than the deadline by the margin, "
    "has the nonce as unused",
    MoneyEvent.UNDONE: "the proven chain, at a block that is deep enough and not below the one where it was seen as "
    "used, has the nonce as unused",
}


@dataclass(frozen=True, slots=True)
class Transition:
    """One row of the table."""

    state: MoneyState
    event: MoneyEvent
    next: MoneyState

    @property
    def evidence(self) -> str:
        """The evidence that the event takes."""
        return EVIDENCE[self.event]


TABLE = (
    Transition(MoneyState.PENDING, MoneyEvent.USED, MoneyState.USED),
    Transition(MoneyState.PENDING, MoneyEvent.FOUND, MoneyState.SETTLED),
    Transition(MoneyState.PENDING, MoneyEvent.CONFIRMED, MoneyState.FINAL),
    Transition(MoneyState.PENDING, MoneyEvent.UNUSED, MoneyState.EXPIRED),
    Transition(MoneyState.USED, MoneyEvent.FOUND, MoneyState.SETTLED),
    Transition(MoneyState.USED, MoneyEvent.CONFIRMED, MoneyState.FINAL),
    Transition(MoneyState.USED, MoneyEvent.UNDONE, MoneyState.PENDING),
    Transition(MoneyState.SETTLED, MoneyEvent.FOUND, MoneyState.SETTLED),  # the chain was reorganized: another block
    Transition(MoneyState.SETTLED, MoneyEvent.CONFIRMED, MoneyState.FINAL),
    Transition(MoneyState.SETTLED, MoneyEvent.UNDONE, MoneyState.PENDING),
    Transition(MoneyState.EXPIRED, MoneyEvent.USED, MoneyState.USED),
    Transition(MoneyState.EXPIRED, MoneyEvent.FOUND, MoneyState.SETTLED),
    Transition(MoneyState.EXPIRED, MoneyEvent.CONFIRMED, MoneyState.FINAL),
)

PAID = (MoneyState.USED, MoneyState.SETTLED, MoneyState.FINAL)
"""The states in which something was paid."""

_NEXT = {(row.state, row.event): row.next for row in TABLE}


@dataclass(frozen=True, slots=True)
class Block:
    """A block in which something was read. `time` is its own, unix seconds."""

    number: int
    hash: str
    time: int


@dataclass(frozen=True, slots=True)
class Commitment:
    """The sum of what authorizations on a chain have cost or may still cost, for budgets.

    Attributes:
        total: base units. For each authorization: the amount settled, if it is settled; 0, if it expired; else its cap.
        open: of these, what may still be taken.
    """

    total: int
    open: int


def transition(state: MoneyState, event: MoneyEvent) -> MoneyState | None:
    """Return the state that an event leads to, None where it changes nothing."""
    return _NEXT.get((state, event))


def is_past(deadline: int, block: Block) -> bool:
    """Return True where a block is later than a deadline by the margin."""
    return block.time > deadline + MARGIN
