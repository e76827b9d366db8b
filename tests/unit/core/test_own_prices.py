"""Prices of one's own: read, bounded, refused by name, and used wherever a price is."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from og_magics import LLM, Settings
from og_magics.client.price_bounds import usd_for
from og_magics.conversation import Options
from og_magics.core import models
from og_magics.core.errors import ConfigError
from og_magics.core.models import known_model, notice, price_of, prices_of
from og_magics.core.own_prices import read_prices
from og_magics.session import Session


def file_of(folder: Path, content: Any) -> str:
    path = folder / "prices.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return str(path)


def test_a_price_stands_in_place_of_the_lists_and_under_the_same_names(tmp_path: Path) -> None:
    before = price_of("openai/gpt-5")
    own = prices_of(file_of(tmp_path, {"openai/gpt-5": {"input": "0.1", "output": 0.3}}))
    for name in ("openai/gpt-5", "another/gpt-5"):
        price = price_of(name, own)
        assert price is not None
        assert (price.input, price.output) == (Decimal("0.1"), Decimal("0.3"))
    row = known_model("openai/gpt-5", own)
    assert row is not None
    assert row.own
    assert price_of("openai/gpt-5") == before


def test_a_model_that_the_list_does_not_have_gets_one(tmp_path: Path) -> None:
    assert "not in the price list" in notice("acme/wise-1")
    own = prices_of(file_of(tmp_path, {"acme/wise-1": {"input": "2", "output": "4", "call": "0.01"}}))
    price = price_of("acme/wise-1", own)
    assert price is not None
    assert price.usd(1_000_000, 500_000) == Decimal("4.01")
    assert notice("acme/wise-1", own) == ""
    assert [one.id for one in models.own_models(own)] == ["acme/wise-1"]


def test_what_became_of_a_retired_model_stays(tmp_path: Path) -> None:
    removed = next(one for one in models.catalogue().models.values() if one.status == "removed")
    own = prices_of(file_of(tmp_path, {removed.id: {"input": "1", "output": "1"}}))
    row = known_model(removed.id, own)
    assert row is not None
    assert (row.status, row.own) == ("removed", True)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[" * 10_000, "not JSON"),
        (b" " * (1 << 20) + b"{}", "larger than 1 MiB"),
        ([], "not an object"),
        ({f"a/{n}": {"input": 1} for n in range(2_001)}, "at most 2000 models"),
        ({"gpt-5": {"input": 1}}, "'gpt-5'"),
        ({"a/" + "b" * 300: {"input": 1}}, "which is not a"),
        ({"a/\u202eb": {"input": 1}}, "which is not a"),
        ({"a/b": {}}, "the price of a/b"),
        ({"a/b": 1}, "the price of a/b"),
        ({"a/b": {"inputs": 1}}, "some of input, output, image"),
        ({"a/b": {"input": "-1"}}, "input of a/b is '-1'"),
        ({"a/b": {"input": "NaN"}}, "input of a/b is 'NaN'"),
        (b'{"a/b": {"input": Infinity}}', "input of a/b"),
        ({"a/b": {"input": True}}, "input of a/b"),
        ({"a/b": {"input": "1e99"}}, "input of a/b"),
        ({"a/b": {"input": "1" * 5_000}}, "input of a/b"),
        ({"a/b": {"input": None}}, "input of a/b"),
        ({"a/b": {"input": "a lot"}}, "input of a/b is 'a lot'"),
    ],
)
def test_what_is_no_price_is_refused_by_name(tmp_path: Path, content: Any, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        prices_of(file_of(tmp_path, content))
    assert said in caught.value.what
    assert "OG_PRICES" in caught.value.what
    assert len(str(caught.value)) < 600
    assert "nothing was paid" in caught.value.money


def test_a_file_that_is_not_there_is_refused_before_anything_is_paid(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        read_prices(tmp_path / "none.json")
    with pytest.raises(ConfigError, match="cannot be read"):
        LLM(settings=Settings(prices=str(tmp_path)))


def test_the_environment_names_it_and_the_list_of_models_marks_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from og_magics import session

    monkeypatch.setenv("OG_PRICES", file_of(tmp_path, {"acme/wise-1": {"input": "2"}, "openai/gpt-5": {"input": "3"}}))
    monkeypatch.setattr("og_magics.session.api.current", session.Session)
    listed = session.models().set_index("model")
    assert listed.loc["acme/wise-1", "note"] == "your price"
    assert listed.loc["openai/gpt-5", "usd_input"] == 3
    assert listed.loc["openai/gpt-5", "note"].endswith("your price")
    assert "your price" not in listed.loc["openai/gpt-5.2", "note"]


def test_two_sessions_with_prices_of_their_own_do_not_disturb_each_other(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a", "b")]
    for path, price in zip(paths, ("1", "7"), strict=True):
        path.mkdir()
        file_of(path, {"acme/wise-1": {"input": price}})
    a, b = (Session(Settings(prices=str(path / "prices.json"))) for path in paths)
    without = Session(Settings())
    for session, usd in ((a, 1), (b, 7), (without, None), (a, 1)):
        request = session.build_request("What?", Options(model="acme/wise-1"))
        assert usd_for(request, 1_000_000, 0) == usd
