"""Prompts of many rows: lists, and DataFrames with a template."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from og_magics.conversation import prompt_rows
from og_magics.core.errors import ConfigError

FRAME = pd.DataFrame({"text": ["good", "bad {x}", None], "price": [1.5, 2.25, float("nan")], "prompt": ["a", "", 5]})


def test_a_list_is_taken_as_it_is() -> None:
    assert list(prompt_rows(["a", "b"])) == ["a", "b"]
    assert list(prompt_rows(str(n) for n in range(2))) == ["0", "1"]


@pytest.mark.parametrize("given", ["text", b"bytes", 5, {"a": "What is a hash?"}])
def test_what_is_no_list_is_refused(given: Any) -> None:
    with pytest.raises(ConfigError, match=r"(pass|Pass) a list of prompts"):
        prompt_rows(given)


def test_a_template_is_filled_once_and_values_are_not_looked_at_again() -> None:
    rows = prompt_rows(FRAME, "{{Rate}} {text} at {price:.2f}")
    assert rows[0] == "{Rate} good at 1.50"
    assert rows[1] == "{Rate} bad {x} at 2.25"
    assert len(rows) == 3


def test_without_a_template_the_column_prompt_is_asked() -> None:
    rows = prompt_rows(FRAME)
    assert rows[0] == "a"
    with pytest.raises(ConfigError, match="Row 1 is empty"):
        rows[1]
    assert rows[2] == "5"
    with pytest.raises(ConfigError, match="no column 'prompt'"):
        prompt_rows(FRAME[["text"]])


def test_what_is_missing_is_named_with_its_row() -> None:
    with pytest.raises(ConfigError, match="Row 2 has nothing in the column 'text'"):
        prompt_rows(FRAME, "{text}")[2]
    with pytest.raises(ConfigError, match="Row 2 has nothing in the column 'price'"):
        prompt_rows(FRAME, "{price:.1f}")[2]


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("{txt}", "There is no column 'txt'"),
        ("{text.__class__}", "There is no column"),
        ("{text[0]}", "There is no column"),
        ("{text!r}", "a form that is not known"),
        ("{price:{text}}", "a form that is not known"),
        ("{text", "cannot be read"),
        ("no column", "names no column"),
        ("{}", "There is no column ''"),
    ],
)
def test_a_template_names_columns_and_nothing_else(template: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        prompt_rows(FRAME, template)


def test_a_column_that_is_there_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="There are 2 columns 'a'"):
        prompt_rows(pd.DataFrame([[1, 2]], columns=["a", "a"]), "{a}")


def test_a_template_without_a_frame_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs a DataFrame"):
        prompt_rows(["a"], "{text}")
