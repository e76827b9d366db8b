"""Endings of answers: one that was cut, refused or is empty, in words and with what to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from .receipt import Receipt

CUT, FILTERED, REFUSED, EMPTY = "cut at max_tokens", "content filter", "refused", "empty"

_LENGTH = frozenset(("length", "max_tokens", "max_output_tokens", "model_length"))
_FILTER = frozenset(("content_filter", "safety", "prohibited_content", "blocklist", "recitation"))
_REFUSAL = "refusal"

_MORE = "again with a larger --max-tokens."
_OTHER = "Ask in other words, or ask another model."
_NOTES = {
    CUT: f"The answer is cut: it reached {{limit}}. Ask it to go on, or ask {_MORE}",
    FILTERED: f"The answer is cut: the provider's content filter ended it. {_OTHER}",
    REFUSED: f"The model refused to answer. {_OTHER}",
    EMPTY: "The answer is empty: the model sent no text. Ask again, or ask another model.",
}
_ALL_THOUGHT = f"The answer is empty: all of {{limit}} was used before any text came. Ask {_MORE}"


class Ended(Protocol):
    """The part of a receipt that an answer fills, as far as it says how the answer ended."""

    @property
    def text(self) -> str: ...
    @property
    def tool_calls(self) -> Sequence[Any]: ...
    @property
    def finish_reason(self) -> str | None: ...
    @property
    def completion_tokens(self) -> int | None: ...
    @property
    def gateway_notes(self) -> Mapping[str, Any]: ...


def ending_of(receipt: Receipt, *, images: bool = False) -> str:
    """Return `CUT`, `FILTERED`, `REFUSED` or `EMPTY`; "" for a complete answer, and for one that failed.

    April's gateway says "stop" where `max_tokens` ended an answer: the count of tokens tells.

    Args:
        images: there are images, which no receipt holds.
    """
    return "" if receipt.scrubbed or receipt.error else _ending(receipt, limit_of(receipt.request), images)


def ending_note(receipt: Receipt, *, images: bool = False) -> str:
    """Return one or two sentences to show below an answer: how it ended, and what to do; "" where nothing is amiss."""
    return "" if receipt.scrubbed or receipt.error else note_of(receipt, receipt.request, images=images)


def note_of(answer: Ended, request: Mapping[str, Any], *, images: bool = False) -> str:
    """Return the same for an answer to a request."""
    limit = limit_of(request)
    ending = _ending(answer, limit, images)
    note = _NOTES.get(ending, "")
    if ending == CUT and not answer.text.strip() and not answer.tool_calls and not images:
        note = _ALL_THOUGHT
    return note.format(limit="the model's limit of tokens" if limit is None else f"max_tokens ({limit:,})")


def _ending(answer: Ended, limit: int | None, images: bool) -> str:
    if not answer.finish_reason:
        return ""
    reason = answer.finish_reason.lower()
    if reason in _FILTER:
        return FILTERED
    if reason == _REFUSAL or answer.gateway_notes.get("refused"):
        return REFUSED
    counted = limit is not None and answer.completion_tokens is not None and answer.completion_tokens >= limit
    if reason in _LENGTH or (counted and reason == "stop"):
        return CUT
    return "" if answer.text.strip() or answer.tool_calls or images else EMPTY


def limit_of(request: Mapping[str, Any]) -> int | None:
    """Return the tokens that a request allows the answer; None where it sets no limit."""
    limit = request.get("max_tokens")
    return limit if isinstance(limit, int) and not isinstance(limit, bool) and limit > 0 else None
