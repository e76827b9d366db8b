"""What was probably meant by a name that is not known."""

from __future__ import annotations

import pytest

from og_magics.core.errors import ConfigError
from og_magics.core.models import nearest, nearest_model, resolve_model, resolve_provider
from og_magics.core.types import x402SettlementMode


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("openai/gtp-5", "openai/gpt-5"),
        ("gpt5-mini", "openai/gpt-5-mini"),
        ("anthropic/claude-sonet-4-6", "anthropic/claude-sonnet-4-6"),
        ("gpt-5", None),
        ("nobody/qwerty", None),
        ("", None),
    ],
)
def test_the_nearest_model_is_found_with_its_provider_or_without(typed: str, meant: str | None) -> None:
    assert nearest_model(typed) == meant


def test_a_bare_name_that_is_not_known_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="Did you mean gpt-5"):
        resolve_model("gtp-5")


@pytest.mark.parametrize(("typed", "meant"), [("antropic", "anthropic"), ("gogle", "google"), ("OpenIA", "openai")])
def test_a_provider_that_is_not_known_names_the_nearest(typed: str, meant: str) -> None:
    with pytest.raises(ConfigError, match=f"Did you mean {meant}"):
        resolve_provider(typed)


@pytest.mark.parametrize(("typed", "meant"), [("individaul", "individual"), ("bacth", "batch"), ("PRIVAT", "private")])
def test_a_mode_that_is_not_known_names_the_nearest(typed: str, meant: str) -> None:
    with pytest.raises(ConfigError, match=f"Did you mean {meant}"):
        x402SettlementMode.parse(typed)


def test_nothing_is_meant_by_what_is_like_nothing() -> None:
    assert nearest("xyz", ["alpha", "beta"]) is None
    assert nearest("ALPAH", ["alpha"]) == "alpha"
