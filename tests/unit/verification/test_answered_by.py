"""The maker of an answer on a practice network: the line below names it, and an audit finds a line that names another."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from og_magics.core.gateway_notes import PREPARED, gateway_notes, read_notes
from og_magics.core.receipt import Receipt
from og_magics.verification.output_check import shown_problem

from .test_output_check import ONE, assert_change_is_found, shown


def made_by(maker: str, **more: Any) -> Receipt:
    return replace(ONE, gateway_notes={"answered_by": maker} if maker else {}, **more)


@pytest.mark.parametrize(
    ("maker", "line"),
    [
        ("", "practice network"),
        (PREPARED, "practice network, prepared answer"),
        ("SmolLM2-135M-Instruct.Q4_1", "practice network, answered by SmolLM2-135M-Instruct.Q4_1"),
    ],
)
def test_the_line_says_who_answered_and_holds(maker: str, line: str) -> None:
    receipt = made_by(maker)
    assert shown(receipt)["text/plain"].endswith(f" · {line}")
    assert shown_problem(receipt, shown(receipt)) is None
    assert Receipt.from_json(receipt.to_json()).gateway_notes == receipt.gateway_notes


@pytest.mark.parametrize("kind", ["text/plain", "text/markdown"])
@pytest.mark.parametrize(
    ("maker", "old", "new"),
    [
        (PREPARED, ", prepared answer", ""),
        (PREPARED, "prepared answer", "answered by gpt-5"),
        ("", "practice network", "practice network, prepared answer"),
        ("small-1.gguf", "practice network, answered by small-1.gguf", "practice network, prepared answer"),
        ("small-1.gguf", "answered by small-1.gguf", "answered by large-2.gguf"),
    ],
)
def test_a_line_that_says_another_maker_is_found(kind: str, maker: str, old: str, new: str) -> None:
    assert_change_is_found(made_by(maker), kind, old, new)


def test_on_a_real_network_nothing_of_it_is_shown() -> None:
    line = shown(made_by(PREPARED, network="base"))["text/plain"].splitlines()[-1]
    assert "prepared" not in line
    assert "practice" not in line


@pytest.mark.parametrize("maker", ["", "two words", "<b>x</b>", "a\u202eb", "x" * 61, "[x](y)", 5, None, ["prepared"]])
def test_a_maker_that_is_no_plain_word_is_not_kept(maker: Any) -> None:
    assert gateway_notes({"answered_by": maker}, {}) == {}
    assert read_notes({"answered_by": maker}) == {}
