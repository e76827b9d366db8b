"""The verdict on one proof."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Verdict:
    """The outcome of one check of one receipt.

    Attributes:
        ok: True: it holds. False: it was looked at and does not hold. None: it is not known, or not yet.
        reason: in a person's words, for all three.
    """

    ok: bool | None
    reason: str
