"""Money: integers in, integers out."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from og_magics.core.amounts import OPG, format_opg, parse_opg, split, to_opg
from og_magics.core.errors import ConfigError


@pytest.mark.parametrize(
    ("given_by_a_person", "units"),
    [
        ("1", OPG),
        (1, OPG),
        (1.1, 1_100_000_000_000_000_000),
        ("0.1", OPG // 10),
        (Decimal("0.000000000000000001"), 1),
        (" 5 ", 5 * OPG),
        ("1e-3", OPG // 1000),
        (0, 0),
    ],
)
def test_an_amount_is_read_exactly(given_by_a_person, units):
    assert parse_opg(given_by_a_person) == units


@pytest.mark.parametrize("nonsense", ["", "x", "nan", "inf", "-1", "0.0000000000000000001", "1,5", "1e999999", None])
def test_what_is_no_amount_is_refused(nonsense):
    with pytest.raises(ConfigError):
        parse_opg(nonsense)


@given(st.integers(min_value=0, max_value=2**256 - 1))
def test_showing_and_reading_an_amount_gives_it_back(units):
    assert parse_opg(to_opg(units)) == units
    assert "E" not in f"{to_opg(units):f}"


@pytest.mark.parametrize(
    ("units", "text"),
    [
        (OPG, "1"),
        (OPG // 10, "0.1"),
        (309_998_765_456, "0.00000031"),
        (1, "0.000000000000000001"),
        (0, "0"),
        (1234 * OPG, "1234"),
    ],
)
def test_an_amount_for_people_keeps_what_matters(units, text):
    assert format_opg(units) == text


@given(st.integers(0, 2**200), st.lists(st.integers(0, 2**80), min_size=1, max_size=30))
def test_the_parts_of_a_split_add_up_to_the_whole(total, weights):
    parts = split(total, weights)
    assert sum(parts) == total
    assert len(parts) == len(weights)
    assert all(part >= 0 for part in parts)


@given(st.integers(0, 10**20), st.lists(st.integers(1, 10**9), min_size=1, max_size=10))
def test_no_part_is_further_than_one_unit_from_its_share(total, weights):
    for part, weight in zip(split(total, weights), weights, strict=True):
        assert abs(part * sum(weights) - total * weight) < sum(weights)


def test_parts_without_weights_share_alike():
    assert split(10, [0, 0, 0]) == [4, 3, 3]
    assert split(5, []) == []
