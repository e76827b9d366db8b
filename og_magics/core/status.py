"""The status of a receipt, as data: its words for a person, and what it says about the payment.

The names (`served`, `settled`, ...) stand in frames, exports and ledgers; the words on every screen.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Status:
    """One status.

    Attributes:
        words: on a screen.
        look: "good", "open" (something is still to come), "bad" or "plain".
    """

    words: str
    look: str = "plain"


STATUSES = {
    "unpaid": Status("not paid"),
    "authorized": Status("payment signed", "open"),
    "served": Status("to be settled", "open"),
    "paid": Status("paid, transaction not found yet", "open"),
    "settled": Status("settled", "good"),
    "verified": Status("verified", "good"),
    "expired": Status("nothing was paid"),
    "failed": Status("failed", "bad"),
}


def status_named(name: str) -> Status:
    """Return the status of this name; one that a newer version made stands for itself."""
    return STATUSES.get(name) or Status(name)


def is_open(name: str) -> bool:
    """Return True where the payment of a receipt is still to be settled."""
    return status_named(name).look == "open"
