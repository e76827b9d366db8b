"""The cost of a cell, a batch or a comparison before it is asked, and the question where that is much."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from ..client import Replays
from ..client.approval import remedy
from ..conversation import EstimateBasis, Turn, estimate_turns
from ..core.amounts import format_opg
from ..core.errors import PaymentRefused
from ..core.estimate import ONE, AtOnce, Estimate
from ..core.recording import RecordingSource
from ..core.settings import Settings
from ..core.spending import Spending
from ..ledger import Ledger, readable_at

Approver = Callable[[Estimate, str], bool | None]
"""Shows an estimate and asks a question about it: True, False, or None where nobody can be asked."""

_MONEY = "Nothing was sent, nothing was signed and nothing was paid."


def estimate_of(
    turns: Iterable[Turn],
    settings: Settings,
    ledger: Ledger,
    others: Iterable[RecordingSource],
    at_once: AtOnce = ONE,
) -> Estimate:
    """Return what turns would come to. A ledger that is not there yet is not made.

    Args:
        others: the sources of recorded answers besides the ledger. at_once: calls on their way at once.
    """
    if not readable_at(ledger.path).is_file():
        return estimate_turns(
            turns, EstimateBasis(settings, None, Replays([*others]).holds, lambda _: None, at_once=at_once)
        )
    held, price = Replays([ledger.recordings, *others]), ledger.price_paid(settings.network_name())
    tokens, seconds = functools.cache(ledger.typical_tokens), functools.cache(ledger.typical_seconds)
    return estimate_turns(turns, EstimateBasis(settings, price, held.holds, tokens, seconds, at_once))


def approved(turns: Sequence[Turn], limit: int, estimate: Estimate, approve: Approver | None) -> list[Turn]:
    """Return the turns with the sum that they may come to, after a question where that is above the limit.

    Args:
        limit: base units, `OG_APPROVE_ABOVE`.
        approve: asks a person; None where nobody can be asked.

    Raises:
        PaymentRefused: the answer was no, or nobody could be asked.
    """
    spending = spending_of(limit, estimate, approve)
    return [with_spending(turn, spending) for turn in turns]


def with_spending(turn: Turn, spending: Spending | None) -> Turn:
    """Return a turn with the sum that was agreed to; unchanged where none had to be."""
    return turn if spending is None else replace(turn, request=replace(turn.request, spending=spending))


def spending_of(limit: int, estimate: Estimate, approve: Approver | None) -> Spending:
    """Return the sum that may be spent: the limit, or what a person agreed to.

    Raises:
        PaymentRefused: as `approved`.
    """
    most = estimate.authorized
    if most > limit:
        calls = "1 call" if estimate.most_calls == 1 else f"{estimate.most_calls:,} calls"
        what = f"This could cost up to {format_opg(most)} OPG ({calls}), over the limit of {format_opg(limit)} OPG."
        if estimate.most_opg is None:
            what += " Its price in OPG is not known, so all that may be signed for it counts."
        said = None if approve is None else approve(estimate, what)
        if not said:
            raise PaymentRefused(
                f"{what} {'Nobody could be asked.' if said is None else 'You did not allow it.'}",
                money=_MONEY,
                remedy=remedy(most) if said is None else "",
            )
    return Spending(max(limit, most), estimate.price)
