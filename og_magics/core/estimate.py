"""The estimate of what questions would cost, and the form in which it is shown.

The form is fixed, so that the audit of a saved notebook knows an estimate when it sees one, and takes nothing else for
it. All of it is text; names of models are the only words in it that are not ours.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from html import escape
from typing import Any, TypeVar

from .amounts import format_opg
from .durations import duration_of

_HEAD = "Estimate. Nothing was sent, signed or paid."
_MOST_ROWS = 8
"""Models that are listed by themselves."""
_MOST_NAMES = 3
_LONGEST_NAME = 60
_ODD = re.compile(r"[^\w./:+-]", re.A)


_CALLS_A_SECOND = 100
"""Calls that one process asks a second, at most, however soon they are answered."""


@dataclass(frozen=True, slots=True)
class AtOnce:
    """The calls that are on their way at once, at most; `adapts`: it is found out how many go."""

    most: int = 1
    adapts: bool = False


ONE = AtOnce()


@dataclass(frozen=True, slots=True)
class ModelEstimate:
    """The part of one model.

    Attributes:
        model: "provider/model".
        questions: prompts for it. recorded: of these, those of which the first call is recorded.
        calls, prompt_tokens, completion_tokens: likely; recorded answers that are shown again do not count.
        most_calls, most_prompt_tokens, most_completion_tokens: the same, at most.
        usd, most_usd: USD by the list; None where the model's price is not known.
        opg, most_opg: base units; None where that price or that of an OPG is not known.
        authorized: base units that count for an approval: `most_opg`, or all that may be signed where that is None.
        seconds: that the likely calls take, one after the other; None where no answer of the model shows it.
    """

    model: str
    questions: int
    recorded: int
    calls: int
    most_calls: int
    prompt_tokens: int
    most_prompt_tokens: int
    completion_tokens: int
    most_completion_tokens: int
    usd: Decimal | None
    most_usd: Decimal | None
    opg: int | None
    most_opg: int | None
    authorized: int
    seconds: float | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Estimate:
    """The calls, tokens, cost and time that questions would come to. Nothing was sent for it.

    Amounts are base units (10**18 to an OPG) in `opg` and `most_opg`, USD as Decimal; None where they are not known.

    Attributes:
        models: one part for each model.
        network: that would be paid on.
        price: USD of an OPG as the last payment of this notebook on the network came out; None without one.
        as_of: date of the price list.
        replay: "auto", "only" or "off".
        images: pictures that would go along. searches: searches of the web, at most.
        results: tokens of what functions return that each further round counts with at most; 0 without functions.
        repairs: an answer that does not fit its form may be asked for once more.
        by_url: a gateway is given by URL, which may take no payment.
        at_once: calls that would be on their way at once.
    """

    models: tuple[ModelEstimate, ...]
    network: str
    price: Decimal | None
    as_of: str
    replay: str = "off"
    images: int = 0
    results: int = 0
    searches: int = 0
    repairs: bool = False
    by_url: bool = False
    at_once: AtOnce = ONE

    @property
    def questions(self) -> int:
        """The number of prompts, once for each model."""
        return self._sum("questions")

    @property
    def recorded(self) -> int:
        """The questions that are recorded already."""
        return self._sum("recorded")

    @property
    def calls(self) -> int:
        """The calls that are likely paid."""
        return self._sum("calls")

    @property
    def most_calls(self) -> int:
        """The calls that are paid at most."""
        return self._sum("most_calls")

    @property
    def prompt_tokens(self) -> int:
        """The tokens that are likely sent."""
        return self._sum("prompt_tokens")

    @property
    def most_prompt_tokens(self) -> int:
        """The tokens that are sent at most: one for each byte."""
        return self._sum("most_prompt_tokens")

    @property
    def completion_tokens(self) -> int:
        """The tokens that are likely answered."""
        return self._sum("completion_tokens")

    @property
    def most_completion_tokens(self) -> int:
        """The tokens that are answered at most."""
        return self._sum("most_completion_tokens")

    @property
    def usd(self) -> Decimal | None:
        """The likely cost in USD."""
        return total([one.usd for one in self.models], Decimal(0))

    @property
    def most_usd(self) -> Decimal | None:
        """The cost in USD at most."""
        return total([one.most_usd for one in self.models], Decimal(0))

    @property
    def opg(self) -> int | None:
        """The likely cost in base units."""
        return total([one.opg for one in self.models], 0)

    @property
    def most_opg(self) -> int | None:
        """The cost in base units at most."""
        return total([one.most_opg for one in self.models], 0)

    @property
    def authorized(self) -> int:
        """Base units that count for an approval: where a price is not known, all that may be signed counts."""
        return self._sum("authorized")

    @property
    def seconds(self) -> float | None:
        """The likely time until all are answered; None where no answer of a model shows how long one takes.

        It is the time of the last answers, for so many at once, and a hundredth of a second for each call at least.
        """
        asked = [one for one in self.models if one.calls]
        one_by_one = total([one.seconds for one in asked], 0.0)
        if one_by_one is None:
            return None
        longest = max((one.seconds / one.calls for one in asked if one.seconds), default=0.0)
        return max(one_by_one / self.at_once.most, longest, self.calls / _CALLS_A_SECOND)

    @property
    def unknown(self) -> list[str]:
        """The models whose price is not known."""
        return [one.model for one in self.models if one.usd is None]

    def __repr__(self) -> str:
        return "\n".join(self._lines())

    def _repr_html_(self) -> str:
        return as_html(repr(self))

    def bundle(self) -> dict[str, str]:
        """Return it by media type."""
        return {"text/plain": repr(self), "text/html": self._repr_html_()}

    def _sum(self, name: str) -> int:
        return sum(getattr(one, name) for one in self.models)

    def _lines(self) -> Iterable[str]:
        yield _HEAD
        yield f"calls            {_range(self.calls, self.most_calls)}"
        yield f"recorded         {self.recorded} of {self.questions}{self._recorded_note()}"
        yield f"tokens sent      {_range(self.prompt_tokens, self.most_prompt_tokens)}"
        yield f"tokens answered  {_range(self.completion_tokens, self.most_completion_tokens)}"
        if self.calls:
            yield f"time             {self._time()}"
        yield f"cost in OPG      {self._opg()}"
        yield f"cost in USD      {self._usd()}"
        if len(self.models) > 1:
            for one in self.models[:_MOST_ROWS]:
                yield f"  {name_of(one.model)}  {_usd_range(one.usd, one.most_usd)}"
            if len(self.models) > _MOST_ROWS:
                yield f"  and {len(self.models) - _MOST_ROWS} more models"
        yield f"Prices are of the list of {self.as_of}. At most: a token for each byte sent, and the longest answers."
        if self.images:
            yield f"Pictures sent along: {self.images}. Their tokens are a guess: providers count in their own ways."
        if self.results:
            yield f"Functions count at most with all rounds, and with {self.results:,} tokens of results in each."
        if self.searches:
            yield f"Searches of the web count at most with {self.searches}, each with its own price."
        if self.repairs:
            yield "An answer that does not have its form is asked for once more, which counts at most."
        if self.by_url:
            yield "The gateway is given by its URL: where it takes no payment, nothing is paid."

    def _recorded_note(self) -> str:
        if self.replay == "only":
            return ": these are shown again, and the others are refused, so nothing is paid"
        if not self.recorded:
            return ""
        return ": shown again and not paid" if self.replay == "auto" else ": --replay auto would show them unpaid"

    def _time(self) -> str:
        seconds, at_once = self.seconds, self.at_once
        if seconds is None:
            names = [name_of(one.model) for one in self.models if one.calls and one.seconds is None]
            return f"not known: no answer of {names[0]} is in the receipts here yet"
        mean = sum(one.seconds or 0.0 for one in self.models) / self.calls
        at = f"{'up to ' * at_once.adapts}{at_once.most} at once"
        least = f"{duration_of(seconds)} or more" if at_once.adapts else f"about {duration_of(seconds)}"
        return f"{least}: {mean:.1f} s a call, as the last ones took, and {at}"

    def _opg(self) -> str:
        if self.opg is not None and self.most_opg is not None:
            at = "" if self.price is None else f" (1 OPG is ${_short(self.price)}, by the last payment here)"
            return f"{_range_of(format_opg(self.opg), format_opg(self.most_opg))}{at}"
        if self.usd is None:
            return f"not known; no more than {format_opg(self.authorized)} OPG may be signed"
        return f"not known: no payment of this notebook on {name_of(self.network)} shows the price of an OPG yet"

    def _usd(self) -> str:
        if self.usd is not None:
            return _usd_range(self.usd, self.most_usd)
        names = ", ".join(map(name_of, self.unknown[:_MOST_NAMES]))
        more = f" and {len(self.unknown) - _MOST_NAMES} more" if len(self.unknown) > _MOST_NAMES else ""
        return f"not known: the price list has no price of {names}{more}"


_N = r"[\d,]{1,20}"
_D = r"\d[\d.]{0,40}"
_NAME = rf"[\w./:+…-]{{1,{_LONGEST_NAME}}}"
_TIME = r"(?:\d{1,9} h \d\d? min|(?:\d\d? min )?\d\d? s)"
_USD = rf"(?:about \${_D}, at most \${_D}|\${_D}|not known)"
_FORMS = tuple(
    re.compile(form, re.A)
    for form in (
        rf"calls            (?:about {_N}, at most {_N}|{_N})",
        rf"recorded         {_N} of {_N}(?:: these are shown again, and the others are refused, so nothing is paid|"
        r": shown again and not paid|: --replay auto would show them unpaid)?",
        rf"tokens (?:sent     |answered ) (?:about {_N}, at most {_N}|{_N})",
        rf"time             (?:(?:about {_TIME}|{_TIME} or more): {_D} s a call, as the last ones took, and "
        rf"(?:up to )?\d{{1,4}} at once|not known: no answer of {_NAME} is in the receipts here yet)",
        rf"cost in OPG      (?:(?:about {_D}, at most {_D}|{_D})(?: \(1 OPG is \${_D}, by the last payment here\))?|"
        rf"not known; no more than {_D} OPG may be signed|"
        rf"not known: no payment of this notebook on {_NAME} shows the price of an OPG yet)",
        rf"cost in USD      (?:{_USD}|"
        rf"not known: the price list has no price of {_NAME}(?:, {_NAME}){{0,2}}(?: and \d+ more)?)",
        rf"  {_NAME}  {_USD}",
        r"  and \d+ more models",
        r"Prices are of the list of \d{4}-\d\d-\d\d\. At most: a token for each byte sent, and the longest answers\.",
        r"Pictures sent along: \d+\. Their tokens are a guess: providers count in their own ways\.",
        rf"Functions count at most with all rounds, and with {_N} tokens of results in each\.",
        r"Searches of the web count at most with \d+, each with its own price\.",
        r"An answer that does not have its form is asked for once more, which counts at most\.",
        r"The gateway is given by its URL: where it takes no payment, nothing is paid\.",
    )
)
_MOST_LINES = 30


def is_estimate(data: Mapping[str, Any]) -> bool:
    """Return True if the data of an output, by media type, show an estimate and nothing else."""
    text, html = data.get("text/plain"), data.get("text/html")
    if not isinstance(text, str) or not set(data) <= {"text/plain", "text/html"}:
        return False
    head, *lines = text.removesuffix("\n").split("\n")
    known = len(lines) <= _MOST_LINES and all(any(form.fullmatch(line) for form in _FORMS) for line in lines)
    return head == _HEAD and bool(lines) and known and html in (None, as_html(text))


def as_html(text: str) -> str:
    """Return the HTML of an estimate's text."""
    return f"<pre>{escape(text)}</pre>"


def name_of(model: str) -> str:
    """Return a name as an estimate shows it: bounded, with nothing in it that a name does not have."""
    name = _ODD.sub("-", model[: 2 * _LONGEST_NAME]) or "-"
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"


_Amount = TypeVar("_Amount", int, float, Decimal)


def total(parts: Sequence[_Amount | None], zero: _Amount) -> _Amount | None:
    """Return the sum, None where a part is not known."""
    return None if None in parts else sum((one for one in parts if one is not None), zero)


def _range(likely: int, most: int) -> str:
    return _range_of(f"{likely:,}", f"{most:,}")


def _range_of(likely: str, most: str) -> str:
    return likely if likely == most else f"about {likely}, at most {most}"


def _usd_range(likely: Decimal | None, most: Decimal | None) -> str:
    if likely is None or most is None:
        return "not known"
    return _range_of(f"${_short(likely)}", f"${_short(most)}")


def _short(usd: Decimal) -> str:
    """Write USD with two significant digits at least, and four decimals."""
    places = max(4, 1 - usd.adjusted()) if usd else 0
    text = f"{usd:.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
