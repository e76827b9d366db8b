"""Endings of answers: one that was cut, refused or is empty, in words and with what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

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


def ending_of(receipt: Receipt, *, images: bool = False) -> str:
    """Return `CUT`, `FILTERED`, `REFUSED` or `EMPTY`; "" for a complete answer, and for one that failed.

    April's gateway says "stop" where `max_tokens` ended an answer: the count of tokens tells.

    Args:
        images: there are images, which no receipt holds.
    """
    if receipt.scrubbed or receipt.error or not receipt.finish_reason:
        return ""
    reason, limit = receipt.finish_reason.lower(), limit_of(receipt)
    if reason in _FILTER:
        return FILTERED
    if reason == _REFUSAL or receipt.gateway_notes.get("refused"):
        return REFUSED
    counted = limit is not None and receipt.completion_tokens is not None and receipt.completion_tokens >= limit
    if reason in _LENGTH or (counted and reason == "stop"):
        return CUT
    return "" if receipt.text.strip() or receipt.tool_calls or images else EMPTY


def ending_note(receipt: Receipt, *, images: bool = False) -> str:
    """Return one or two sentences to show below an answer: how it ended, and what to do; "" where nothing is amiss."""
    ending, limit = ending_of(receipt, images=images), limit_of(receipt)
    note = _NOTES.get(ending, "")
    if ending == CUT and not receipt.text.strip() and not receipt.tool_calls and not images:
        note = _ALL_THOUGHT
    return note.format(limit="the model's limit of tokens" if limit is None else f"max_tokens ({limit:,})")


def limit_of(receipt: Receipt) -> int | None:
    """Return the tokens that the request allows the answer; None where it sets no limit."""
    limit = receipt.request.get("max_tokens")
    return limit if isinstance(limit, int) and not isinstance(limit, bool) and limit > 0 else None
