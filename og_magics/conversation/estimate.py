"""The estimate of turns before anything is sent: calls, tokens and cost, likely and at most."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from decimal import Decimal

from ..client.price_bounds import authorized_most, most_output, prompt_size, usd_for
from ..client.web_search import search_request
from ..core.allowance import never_pays
from ..core.amounts import opg_for
from ..core.estimate import ONE, AtOnce, Estimate, ModelEstimate, total
from ..core.models import catalogue
from ..core.settings import Settings
from ..core.types import ChatRequest
from .turn import Turn
from .web_search import SEARCHES, TOOL

RESULTS, SEARCH_RESULTS = 2_000, 10_000
"""Tokens of what functions return that each further round counts with at most; the second with a search among them."""
_LIKELY_RESULTS = 500
_REPAIR = 300
"""Tokens of the message that asks for an answer's form once more."""


@dataclass(frozen=True, slots=True)
class EstimateBasis:
    """The facts that an estimate is worked out from.

    Attributes:
        settings: with all limits that hold.
        price: USD of an OPG; None where it is not known.
        holds: returns True where a request is recorded.
        typical: returns the tokens that answers of a model have had; None where there was none.
        latency: returns the seconds that they have taken.
        at_once: calls that would be on their way at once.
    """

    settings: Settings
    price: Decimal | None
    holds: Callable[[ChatRequest], bool]
    typical: Callable[[str], int | None]
    latency: Callable[[str], float | None] = lambda _: None
    at_once: AtOnce = ONE


@dataclass(frozen=True, slots=True)
class _Call:
    """One call, with what is likely and what is the most; `likely` is False for one that need not be made."""

    request: ChatRequest
    prompt: int
    most_prompt: int
    completion: int
    most_completion: int
    likely: bool = True


def estimate_turns(turns: Iterable[Turn], basis: EstimateBasis) -> Estimate:
    """Return what these turns would come to. Nothing is sent; what is recorded is looked up. Blocks.

    Each turn is looked at once, and none is kept: there may be many.
    """
    settings = basis.settings
    modes: set[str] = set()
    parts: dict[str, _Tally] = {}
    searches, results, images, repairs = 0, 0, 0, False
    for turn in turns:
        request = turn.request
        own = "only" if never_pays() else request.replay or settings.replay
        modes.add(own)
        held = basis.holds(request)
        part = parts.setdefault(request.model, _Tally(request.model))
        part.questions += 1
        part.recorded += held
        images += prompt_size(request.body).images
        repairs = repairs or turn.schema is not None
        if own == "only" or (held and own == "auto"):
            continue
        for call in _calls(turn, basis):
            parts.setdefault(call.request.model, _Tally(call.request.model)).add(call, basis)
            searches += call.request.path != request.path
        results = max(results, _results(turn) if _rounds(turn) > 1 else 0)
    return Estimate(
        models=tuple(part.estimate() for part in parts.values()),
        network=settings.network_name(),
        price=basis.price,
        as_of=catalogue().as_of,
        replay=next(iter(modes)) if len(modes) == 1 else settings.replay,
        images=images,
        results=results,
        searches=searches,
        repairs=repairs,
        by_url=bool(settings.gateway_url),
        at_once=basis.at_once,
    )


def _calls(turn: Turn, basis: EstimateBasis) -> Iterable[_Call]:
    """Yield the calls of a turn: its rounds, the repair of its answer, and its searches."""
    request, size = turn.request, prompt_size(turn.request.body)
    most = most_output(request.body)
    typical = basis.typical(request.model)
    likely = min(most, max(1, most // 2) if typical is None else typical)
    rounds, results = _rounds(turn), _results(turn)
    for number in range(rounds):
        yield _Call(
            request,
            size.tokens + number * (likely + _LIKELY_RESULTS),
            size.most + number * (most + results),
            likely,
            most,
            likely=number < 2,  # the model asks for functions once, and answers
        )
    if turn.schema is not None:
        before = size.most + (rounds - 1) * (most + results)
        yield _Call(request, 0, before + most + _REPAIR, likely, most, likely=False)
    if _searches(turn):
        search = replace(search_request(request, "a search"), spending=None)
        for number in range(SEARCHES):
            yield _Call(search, 0, 0, 0, 0, likely=number == 0)


def _rounds(turn: Turn) -> int:
    return 1 if turn.tools is None or turn.tools.show else turn.tools.rounds


def _results(turn: Turn) -> int:
    return SEARCH_RESULTS if _searches(turn) else RESULTS


def _searches(turn: Turn) -> bool:
    tools = turn.tools
    return tools is not None and not tools.show and any(tool is TOOL for tool in tools.by_name.values())


@dataclass(slots=True)
class _Tally:
    """The sums of one model. An amount is None from the first call on of which it is not known."""

    model: str
    questions: int = 0
    recorded: int = 0
    calls: int = 0
    most_calls: int = 0
    prompt_tokens: int = 0
    most_prompt_tokens: int = 0
    completion_tokens: int = 0
    most_completion_tokens: int = 0
    usd: Decimal | None = Decimal(0)
    most_usd: Decimal | None = Decimal(0)
    opg: int | None = 0
    most_opg: int | None = 0
    authorized: int = 0
    seconds: float | None = 0.0

    def add(self, call: _Call, basis: EstimateBasis) -> None:
        """Count a call."""
        most_usd = usd_for(call.request, call.most_prompt, call.most_completion)
        most_opg = _opg(most_usd, basis.price)
        limit = authorized_most(call.request, basis.settings)
        self.most_calls += 1
        self.most_prompt_tokens += call.most_prompt
        self.most_completion_tokens += call.most_completion
        self.most_usd = total([self.most_usd, most_usd], Decimal(0))
        self.most_opg = total([self.most_opg, most_opg], 0)
        self.authorized += limit if most_opg is None else min(most_opg, limit)
        if call.likely:
            usd = usd_for(call.request, call.prompt, call.completion)
            self.calls += 1
            self.prompt_tokens += call.prompt
            self.completion_tokens += call.completion
            self.usd = total([self.usd, usd], Decimal(0))
            self.opg = total([self.opg, _opg(usd, basis.price)], 0)
            self.seconds = total([self.seconds, basis.latency(self.model)], 0.0)

    def estimate(self) -> ModelEstimate:
        """Return the part of this model."""
        return ModelEstimate(**{one.name: getattr(self, one.name) for one in fields(self)})


def _opg(usd: Decimal | None, price: Decimal | None) -> int | None:
    return None if usd is None or price is None else opg_for(usd, price)
