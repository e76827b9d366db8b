"""The text of values: whole where it is short, bounded where it is not, and honest about it."""

from __future__ import annotations

import datetime
import enum
import json
from collections import OrderedDict, namedtuple
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from og_magics.conversation.value_text import LIMIT, render_value
from og_magics.core.errors import ConfigError
from og_magics.core.settings import Secret, Settings
from og_magics.core.types import TextGenerationOutput


class Color(str, enum.Enum):
    RED = "red"


@dataclass
class Point:
    x: int
    tags: list[str]
    password: str = field(default="hidden", repr=False)


def text(value: Any) -> str:
    return render_value(value, "v").text


class TestWhole:
    @pytest.mark.parametrize(
        ("value", "told"),
        [
            ("{a} as is\n", "{a} as is\n"), (Color.RED, "red"), (1, "1"), (1.5, "1.5"), (True, "True"), (None, "None"),
            (Decimal("1.10"), "1.10"), (datetime.date(2026, 1, 2), "2026-01-02"), (Path("a/b"), "a/b"),
            (np.float64(2.5), "2.5"), (np.int32(7), "7"), (np.str_("s"), "s"), ([1, "é", None], '[1, "é", null]'),
            ((1, 2), "[1, 2]"), ({"a": {"b": [1]}}, '{"a": {"b": [1]}}'), ({1: 2, None: 3}, '{"1": 2, "None": 3}'),
            ([datetime.date(2026, 1, 2), Decimal(1)], '["2026-01-02", "1"]'), ({"a": np.int64(3)}, '{"a": 3}'),
            (OrderedDict(a=1), '{"a": 1}'), ({3}, "[3]"), ([], "[]"), ({}, "{}"), (Point(1, ["t"]), '{"x": 1, "tags": ["t"]}'),
            ([Point(1, [])], '[{"x": 1, "tags": []}]'), (range(3), "range(0, 3)"), (json, "json"),
            (namedtuple("T", "a b")(1, 2), "[1, 2]"),
            (TextGenerationOutput(chat_output={"content": "the answer"}), "the answer"),
        ],
    )  # fmt: skip
    def test_it_is_the_value(self, value: Any, told: str) -> None:
        assert render_value(value, "v").text == told
        assert render_value(value, "v").left_out == ""

    @pytest.mark.parametrize("value", [[float("nan")], {(1, 2): 3}, [object], [{1, "a"}, b"x"]])
    def test_what_json_does_not_know_is_pythons_own_text(self, value: Any) -> None:
        assert text(value) == repr(value)

    def test_what_holds_itself_ends(self) -> None:
        loop: list[Any] = [1]
        loop.append(loop)
        told = render_value(loop, "v")
        assert told.text == "[ … nested in more than 60 levels … ]"
        assert told.left_out

    def test_a_secret_does_not_show_itself(self) -> None:
        secret = Secret("hush")
        for value in (
            secret,
            [secret],
            {"a": [{"b": secret}], secret: 1},
            Settings(private_key=secret),
            (secret, object),
        ):
            assert "<secret>" in text(value)
            assert "hush" not in text(value)

    def test_a_function_is_its_source(self) -> None:
        assert text(text) == 'def text(value: Any) -> str:\n    return render_value(value, "v").text\n'

    def test_a_long_text_is_never_cut(self) -> None:
        assert text("x" * 100_000) == "x" * 100_000


class TestBounded:
    @pytest.mark.parametrize(
        "value",
        [
            list(range(100_000)), {str(n): "v" * 50 for n in range(5_000)}, ["x" * 100_000], [["y" * 9_000]] * 3,
            pd.DataFrame({"a": range(10_000), "b": "t" * 500}), pd.Series(range(10_000)), pd.DataFrame(np.zeros((2_000, 300))),
            pd.DataFrame({f"{n}" * 200: [n] for n in range(200)}), np.zeros((500, 500)), np.array(["z" * 1000] * 1000),
            pd.DataFrame({"a": [[1, 2, 3] * 5_000] * 3}),
        ],
        ids=str,
    )  # fmt: skip
    def test_large_values_are_short_and_say_what_is_missing(self, value: Any) -> None:
        told = render_value(value, "v")
        assert len(told.text) <= LIMIT + 200
        assert told.left_out
        assert "left out" in told.text or "…" in told.text or "..." in told.text

    def test_a_table_has_its_shape_its_types_its_head_and_its_tail(self) -> None:
        frame = pd.DataFrame({"n": range(5_000), "when": pd.Timestamp("2026-01-01")})
        told = text(frame)
        assert told.startswith("DataFrame with 5,000 rows and 2 columns. Columns: n int64, when datetime64[")
        assert "\n0,2026-01-01\n" in told
        assert "\n4999,2026-01-01\n" in told

    def test_a_table_with_an_index_keeps_it_and_an_empty_one_is_its_columns(self) -> None:
        assert ",a\nx,1\n" in text(pd.DataFrame({"a": [1]}, index=["x"]))
        assert text(pd.DataFrame({"a": []})).startswith("DataFrame with 0 rows and 1 column. Columns: a ")

    def test_columns_of_the_same_name_and_of_several_levels_are_shown(self) -> None:
        assert "1,2" in text(pd.DataFrame([[1, 2]], columns=["a", "a"]))
        assert "1,2" in text(pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "b"), ("a", "c")])))

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v)
        )
    )
    def test_whatever_json_knows_comes_back(self, value: Any) -> None:
        if isinstance(value, list | dict) and len(json.dumps(value, ensure_ascii=False)) < LIMIT // 2:
            assert json.loads(text(value)) == value


class TestRefused:
    @pytest.mark.parametrize(
        ("value", "told"),
        [
            (b"x", "bytes"), (object(), "type object"), ((n for n in ()), "type generator"), (bytearray(2), "bytes"),
        ],
    )  # fmt: skip
    def test_what_has_no_text(self, value: Any, told: str) -> None:
        with pytest.raises(ConfigError, match=told):
            render_value(value, "v")

    @pytest.mark.ci
    def test_pictures(self) -> None:
        matplotlib = pytest.importorskip("matplotlib")
        matplotlib.use("Agg")
        from matplotlib.figure import Figure

        with pytest.raises(ConfigError, match="a picture"):
            render_value(Figure(), "v")

    def test_an_object_whose_text_fails(self) -> None:
        class Bad:
            def __str__(self) -> str:
                raise RuntimeError("no text")

        with pytest.raises(ConfigError, match="RuntimeError: no text"):
            render_value(Bad(), "v")

    def test_a_number_of_more_digits_than_python_writes(self) -> None:
        with pytest.raises(ConfigError, match="4300 digits"):
            render_value(10**5_000, "v")
