"""The sum that calls may come to together before a person is asked again."""

from __future__ import annotations

from decimal import Decimal


class Spending:
    """A sum in base units that a person has agreed to, or that needs no question; each call takes its part of it.

    One stands for all calls of a cell or a batch. It is used on the background loop alone once the calls have begun.

    Attributes:
        allowed: what the calls may come to, each counted with the most that it can cost.
        used: what they have taken.
        price: USD of an OPG by which that was worked out, None where it is not known.
    """

    def __init__(self, allowed: int, price: Decimal | None) -> None:
        self.allowed = allowed
        self.used = 0
        self.price = price

    def take(self, most: int) -> bool:
        """Take a call's part; False, and nothing is taken, where that would be more than is allowed."""
        if self.used + most > self.allowed:
            return False
        self.used += most
        return True

    def extend(self, most: int) -> None:
        """Allow one more call, and take its part."""
        self.used += most
        self.allowed = max(self.allowed, self.used)
