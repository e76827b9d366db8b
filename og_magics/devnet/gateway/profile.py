"""Versions of the real gateway that the devnet imitates, and in what they differ."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Profile:
    """One version of the gateway.

    Attributes:
        cap: OPG that a session is signed for.
        max_timeout: seconds that its authorization is valid.
        idle: seconds after its last use at which the real one settles it; the devnet does so sooner, by default.
        margin: the share of `max_timeout` at whose end a session takes no more calls and is settled.
        reads_parts: messages may hold files and pictures: they reach the model, and are hashed part by part.
        tells_costs: answers carry what they cost.
        tells_reasons: errors say what failed, whose fault it is, and whether to ask again.
        tells_ends: answers say why they ended, such as by a cut, and a provider's refusal reaches the reader.
        searches: there is a route for web searches.
    """

    cap: Decimal
    max_timeout: int
    idle: int
    margin: float
    reads_parts: bool
    tells_costs: bool
    tells_reasons: bool
    tells_ends: bool
    searches: bool


PROFILES = {
    # Its code at cb95a5c, as captured.
    "april": Profile(
        cap=Decimal("0.1"),
        max_timeout=300,
        idle=100,
        margin=0.0,
        reads_parts=False,
        tells_costs=False,
        tells_reasons=False,
        tells_ends=False,
        searches=False,
    ),
    # What is known of its later files; no capture has it. Whether it tells why an answer ended is not known.
    "newest": Profile(
        cap=Decimal(5),
        max_timeout=600,
        idle=60,
        margin=0.2,
        reads_parts=True,
        tells_costs=True,
        tells_reasons=True,
        tells_ends=True,
        searches=True,
    ),
}
DEFAULT = "newest"
