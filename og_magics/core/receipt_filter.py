"""A choice among receipts: by model, provider, notebook, time and status. What is not named chooses all."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from .errors import ConfigError
from .models import resolve_model, resolve_provider
from .receipt import Receipt
from .status import STATUSES

Names = str | Iterable[str] | None
Moment = date | str | None
"""A date stands for its midnight, UTC; a datetime without a zone is UTC, as the times of receipts are."""


@dataclass(frozen=True, slots=True)
class ReceiptFilter:
    """A choice among receipts; None for all.

    Attributes:
        texts: by the name of a column, the values of which a receipt has one. statuses: of which it has one.
        since, until: microseconds, the first that is in and the first that is not.
    """

    texts: dict[str, frozenset[str]]
    statuses: frozenset[str] | None = None
    since: int | None = None
    until: int | None = None

    def __bool__(self) -> bool:
        return bool(self.texts) or (self.statuses, self.since, self.until) != (None, None, None)

    def keeps(self, receipt: Receipt) -> bool:
        """Return True for a receipt that is chosen."""
        time = round(receipt.time * 1_000_000)
        return (
            all(getattr(receipt, name) in values for name, values in self.texts.items())
            and (self.statuses is None or receipt.status in self.statuses)
            and (self.since is None or time >= self.since)
            and (self.until is None or time < self.until)
        )


def receipt_filter(
    *,
    model: Names = None,
    provider: Names = None,
    from_notebook: Names = None,
    since: Moment = None,
    until: Moment = None,
    status: Names = None,
) -> ReceiptFilter:
    """Return the choice that these make together. A model or a provider is found by each name that it is asked by.

    Raises:
        ConfigError: a time that is none, a status that there is not, or a name that is no text.
    """
    named = {
        "model": _also(_names("model", model), resolve_model),
        "provider": _also(_names("provider", provider), resolve_provider),
        "notebook": _names("from_notebook", from_notebook),
    }
    texts = {name: found for name, found in named.items() if found is not None}
    statuses = _names("status", status)
    for unknown in sorted((statuses or frozenset()) - STATUSES.keys()):
        raise ConfigError(f"No receipt has the status {unknown!r}.", remedy=f"There are {', '.join(STATUSES)}.")
    return ReceiptFilter(texts, statuses, _moment("since", since), _moment("until", until))


def _names(name: str, given: Any) -> frozenset[str] | None:
    if given is None:
        return None
    try:
        found = frozenset((given,) if isinstance(given, str) else given)
    except TypeError:
        found = frozenset((given,))
    for one in found:
        if not isinstance(one, str):
            raise ConfigError(f"{name} is {one!r}, which is no text.", remedy="Give a name, or a list of names.")
    return frozenset(str.__str__(one) for one in found)  # the value of an enum, and not its name


def _also(names: frozenset[str] | None, resolve: Callable[[str], str]) -> frozenset[str] | None:
    """Return names, and what they stand for where a question is asked: "gpt-5" for "openai/gpt-5"."""
    if names is None:
        return None
    found = set(names)
    for name in names:
        with contextlib.suppress(ConfigError):
            found.add(resolve(name))
    return frozenset(found)


def _moment(name: str, given: Any) -> int | None:
    if given is None:
        return None
    try:
        found = datetime.fromisoformat(given) if isinstance(given, str) else given
        if not isinstance(found, datetime):
            found = datetime(found.year, found.month, found.day)  # noqa: DTZ001 - its zone follows
        found = found if found.tzinfo is not None else found.replace(tzinfo=UTC)
        past = found - datetime(1970, 1, 1, tzinfo=UTC)
        return int((past.days * 86_400 + past.seconds) * 1_000_000 + past.microseconds)  # a NaT has no number
    except (ValueError, TypeError, AttributeError):
        raise ConfigError(
            f"{name} is {given!r}, which is no time.",
            remedy='Give a date or a datetime, or a text such as "2026-04-01" or "2026-04-01T12:30".',
        ) from None
