"""What a model is told that a function returned."""

from __future__ import annotations

import dataclasses
import datetime
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from pydantic import BaseModel

from og_magics.conversation.tool_results import LONGEST, error_of, error_text, result_text


@dataclasses.dataclass
class Point:
    x: int
    when: datetime.date


class Model(BaseModel):
    a: int


class Odd:
    def __str__(self) -> str:
        return "odd"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is\n", "as it is\n"),
        (None, "null"),
        (3, "3"),
        ({"a": [1, True]}, '{"a":[1,true]}'),
        (Point(1, datetime.date(2026, 1, 2)), '{"x":1,"when":"2026-01-02"}'),
        (Model(a=1), '{"a":1}'),
        (Decimal("1.50"), '"1.50"'),
        ({Odd()}, '["odd"]'),
        (float("nan"), '"NaN"'),
        (pd.Series([1, 2]).iloc[0], "1"),
        ({1: "é"}, '{"1":"é"}'),
    ],
)
def test_a_text_stays_and_all_else_is_json(value: Any, text: str) -> None:
    assert result_text(value) == text


def test_what_holds_itself_is_told_as_text() -> None:
    value: list[Any] = []
    value.append(value)
    assert result_text(value) == "[[...]]"


def test_a_table_is_told_in_short() -> None:
    told = result_text(pd.DataFrame({"n": range(100_000), "text": ["x" * 100] * 100_000}))
    assert len(told) < LONGEST
    assert "100,000 rows" in told


def test_what_is_long_is_cut_and_says_so() -> None:
    told = result_text("x" * 50_000)
    assert told.startswith("x" * LONGEST)
    assert told.endswith("[cut: 30,000 more characters were left out]")


def test_half_a_character_does_not_stop_the_request() -> None:
    assert result_text("a\ud800b").encode() == b"a?b"


def test_an_error_says_what_and_not_where() -> None:
    told = json.loads(error_of(FileNotFoundError(2, "No such file or directory", f"{Path.home()}/secret.txt")))
    assert told == {"error": "FileNotFoundError: [Errno 2] No such file or directory: '~/secret.txt'"}
    assert json.loads(error_text("x" * 5_000))["error"].startswith("x" * 1_000 + "\n[cut")
    assert json.loads(error_of(SystemExit())) == {"error": "SystemExit"}
