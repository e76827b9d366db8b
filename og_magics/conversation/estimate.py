"""The estimate of turns before anything is sent: calls, tokens and cost, likely and at most."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from ..client.price_bounds import authorized_most, most_output, prompt_size, usd_for
from ..client.web_search import search_request
from ..core.allowance import never_pays
from ..core.amounts import opg_for
from ..core.estimate import Estimate, ModelEstimate, total
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
    """

    settings: Settings
    price: Decimal | None
    holds: Callable[[ChatRequest], bool]
    typical: Callable[[str], int | None]


@dataclass(frozen=True, slots=True)
class _Call:
    """One call, with what is likely and what is the most; `likely` is False for one that need not be made."""

    request: ChatRequest
    prompt: int
    most_prompt: int
    completion: int
    most_completion: int
    likely: bool = True


def estimate_turns(turns: Sequence[Turn], basis: EstimateBasis) -> Estimate:
    """Return what these turns would come to. Nothing is sent; what is recorded is looked up. Blocks."""
    settings = basis.settings
    modes = {"only" if never_pays() else turn.request.replay or settings.replay for turn in turns}
    mode = next(iter(modes)) if len(modes) == 1 else settings.replay
    questions: dict[str, int] = {}
    recorded: dict[str, int] = {}
    calls: dict[str, list[_Call]] = {}
    searches, results, images = 0, 0, 0
    for turn in turns:
        model = turn.request.model
        held = basis.holds(turn.request)
        questions[model] = questions.get(model, 0) + 1
        recorded[model] = recorded.get(model, 0) + held
        calls.setdefault(model, [])
        images += prompt_size(turn.request.body).images
        if mode == "only" or (held and mode == "auto"):
            continue
        for call in _calls(turn, basis):
            calls.setdefault(call.request.model, []).append(call)
            searches += call.request.path != turn.request.path
        results = max(results, _results(turn) if _rounds(turn) > 1 else 0)
    return Estimate(
        models=tuple(
            _of_model(model, made, questions.get(model, 0), recorded.get(model, 0), basis)
            for model, made in calls.items()
        ),
        network=settings.network_name(),
        price=basis.price,
        as_of=catalogue().as_of,
        replay=mode,
        images=images,
        results=results,
        searches=searches,
        repairs=any(turn.schema is not None for turn in turns),
        by_url=bool(settings.gateway_url),
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


def _of_model(model: str, calls: Sequence[_Call], questions: int, recorded: int, basis: EstimateBasis) -> ModelEstimate:
    likely = [call for call in calls if call.likely]
    usd = [usd_for(call.request, call.prompt, call.completion) for call in likely]
    most_usd = [usd_for(call.request, call.most_prompt, call.most_completion) for call in calls]
    opg, most_opg = ([_opg(one, basis.price) for one in costs] for costs in (usd, most_usd))
    limits = [authorized_most(call.request, basis.settings) for call in calls]
    counted = [limit if one is None else min(one, limit) for one, limit in zip(most_opg, limits, strict=True)]
    return ModelEstimate(
        model=model,
        questions=questions,
        recorded=recorded,
        calls=len(likely),
        most_calls=len(calls),
        prompt_tokens=sum(call.prompt for call in likely),
        most_prompt_tokens=sum(call.most_prompt for call in calls),
        completion_tokens=sum(call.completion for call in likely),
        most_completion_tokens=sum(call.most_completion for call in calls),
        usd=total(usd, Decimal(0)),
        most_usd=total(most_usd, Decimal(0)),
        opg=total(opg, 0),
        most_opg=total(most_opg, 0),
        authorized=sum(counted),
    )


def _opg(usd: Decimal | None, price: Decimal | None) -> int | None:
    return None if usd is None or price is None else opg_for(usd, price)
