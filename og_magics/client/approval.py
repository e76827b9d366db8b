"""The question before much is spent: a call above `OG_APPROVE_ABOVE` needs a person's word. No call goes past it."""

from __future__ import annotations

import asyncio

from ..core.amounts import format_opg
from ..core.errors import PaymentRefused
from ..core.progress import Progress, SpendRequest
from ..core.protocols import Journal
from ..core.settings import Settings
from ..core.spending import Spending
from ..core.types import ChatRequest
from .price_bounds import most_opg

_MONEY = "Nothing was signed and nothing was paid for this call; earlier calls of its turn are paid, with receipts."

_STEP = 10**14
"""Base units to which an amount that is to be set is rounded up."""


async def agree(request: ChatRequest, progress: Progress, settings: Settings, journal: Journal, network: str) -> None:
    """Let a call pass that is within what was agreed, or needs no word; else ask whoever follows it.

    Raises:
        PaymentRefused: the answer was no, or nobody could be asked.
    """
    limit = settings.approve_above
    if limit is None:
        return
    spending = request.spending
    if spending is None:
        spending = Spending(limit, await asyncio.to_thread(journal.price_paid, network))
    most = most_opg(request, settings, spending.price)
    if spending.take(most):
        return
    text = (
        f"A call to {request.model[:80]} could cost up to {format_opg(most)} OPG. {format_opg(spending.allowed)} OPG "
        f"are agreed to or need no question, and {format_opg(spending.used)} of these are taken by earlier calls."
    )
    said = await asyncio.wrap_future(progress.request_confirmation(SpendRequest(text)))
    if not said:
        raise PaymentRefused(
            f"{text} {'Nobody could be asked.' if said is None else 'You did not allow it.'}",
            money=_MONEY,
            remedy=remedy(spending.used + most) if said is None else "",
        )
    spending.extend(most)


def remedy(amount: int) -> str:
    """Return what to do where nobody can be asked about an amount in base units."""
    enough = -(-amount // _STEP) * _STEP
    return (
        f"Set OG_APPROVE_ABOVE={format_opg(enough)} or more where this process is started (or `%og budget "
        "--approve-above`, where only the notebook set it), if it may cost that; or ask for less (-n, fewer prompts, "
        "--max-cost); or run it where it can be answered. og.estimate and --dry-run show the cost."
    )
