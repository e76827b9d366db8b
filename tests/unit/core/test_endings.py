"""How an answer ended: cut, refused or empty is said with what to do; a complete one is left alone."""

from __future__ import annotations

from typing import Any

import pytest

from og_magics.core.endings import CUT, EMPTY, FILTERED, REFUSED, ending_note, ending_of
from og_magics.core.receipt import Receipt


def ended(reason: str | None = "stop", limit: Any = None, **fields: Any) -> Receipt:
    request = {} if limit is None else {"max_tokens": limit}
    given: dict[str, Any] = {"text": "It is", "completion_tokens": 5, "finish_reason": reason, "request": request}
    return Receipt("01", 1.0, "", "", "devnet", "openai", "openai/gpt-5", "batch", "served", **(given | fields))


@pytest.mark.parametrize(
    ("receipt", "ending"),
    [
        (ended(), ""), (ended(limit=6), ""), (ended(limit="5"), ""), (ended(limit=True, completion_tokens=1), ""),
        (ended("length"), CUT), (ended(limit=5), CUT), (ended("MAX_TOKENS"), CUT), (ended("length", text=""), CUT),
        (ended("content_filter"), FILTERED), (ended("SAFETY", text=""), FILTERED),
        (ended("refusal"), REFUSED), (ended(gateway_notes={"refused": True}), REFUSED),
        (ended(text=" \n"), EMPTY), (ended(text="", completion_tokens=None), EMPTY),
        (ended("tool_calls", text="", tool_calls=({"id": "1"},)), ""),
        (ended(text="", error="The stream broke."), ""), (ended(None, text=""), ""), (ended(text="", scrubbed=True), ""),
    ],
)  # fmt: skip
def test_it_is_found_and_told_with_what_to_do(receipt: Receipt, ending: str) -> None:
    assert ending_of(receipt) == ending
    assert bool(ending_note(receipt)) is bool(ending)
    assert not ending or "sk" in ending_note(receipt)  # "Ask ..."


def test_the_limit_is_named_and_reasoning_that_used_it_up_is_told_apart() -> None:
    assert "max_tokens (1,024)" in ending_note(ended(limit=1024, completion_tokens=1024))
    assert "before any text came" in ending_note(ended("length", 1024, text=""))
    assert "--max-tokens" in ending_note(ended("length"))


def test_an_answer_of_images_is_not_empty() -> None:
    assert ending_of(ended(text=""), images=True) == ""
