"""The cost of a call, as far as it is known before its session is settled."""

from __future__ import annotations

from decimal import Decimal
from typing import NamedTuple

from ..core.errors import GatewayUnreachable, OGError, StreamError
from ..core.models import Price, price_of
from ..core.types import ChatRequest, Outcome

_TYPICAL = Price(Decimal(1), Decimal(5))
"""USD per million tokens where the catalogue has no price: only to split a session's settlement among its calls."""

_WEIGHT_UNITS = 10**15

_UNCERTAIN = 1
"""The weight of a call of which it is not known whether the gateway charged it: next to nothing, and not nothing."""


class CallCost(NamedTuple):
    """The price of a call.

    Attributes:
        usd: by the catalogue; None where tokens or prices are not known.
        weight: its part when a settlement is split among a session's calls, 0 where a gateway charges nothing.
    """

    usd: Decimal | None
    weight: int


NOTHING = CallCost(None, 0)


def served_cost(request: ChatRequest, outcome: Outcome) -> CallCost:
    """Return the cost of a complete answer. One without usage is not charged, where tokens are what is priced."""
    prompt, completion = outcome.prompt_tokens, outcome.completion_tokens
    price = price_of(request.model, request.prices)
    if prompt is None or completion is None:
        # What is priced by the picture or the call needs no usage.
        if price is None or not price.flat:
            return CallCost(None, _UNCERTAIN) if outcome.images else NOTHING
        prompt = completion = 0
    resolution = str(request.body.get("resolution") or "")
    usd = (price or _TYPICAL).usd(prompt, completion, images=len(outcome.images), resolution=resolution)
    return CallCost(None if price is None else usd, max(int(usd * _WEIGHT_UNITS), _UNCERTAIN))


def failed_cost(request: ChatRequest, outcome: Outcome, error: BaseException, *, was_sent: bool) -> CallCost:
    """Return the cost of a call that failed. A stream that fails at the gateway or is left is not charged.

    What was left for want of an answer, or cut, may have been answered all the same.
    """
    if not was_sent:
        return NOTHING
    if outcome.prompt_tokens is not None and outcome.completion_tokens is not None:
        return served_cost(request, outcome)
    unheard = not isinstance(error, OGError) or isinstance(error, GatewayUnreachable)
    cut = isinstance(error, StreamError) and error.cut  # on its way here: the gateway may have made all of it
    return CallCost(None, _UNCERTAIN) if cut or (unheard and not request.stream) else NOTHING
