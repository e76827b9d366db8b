"""Model names."""

from __future__ import annotations

from decimal import Decimal

import pytest

from og_magics.catalogue import DEFAULTS, PRICES, TEE_LLM, price_usd, resolve_model, resolve_provider
from og_magics.errors import UnknownModel


@pytest.mark.parametrize("typed", ["gpt-5", "openai/gpt-5", "GPT_5", "GPT-5", " gpt-5 ", TEE_LLM.GPT_5])
def test_one_model_has_many_spellings(typed):
    assert resolve_model(typed) == "openai/gpt-5"


def test_a_model_newer_than_the_catalogue_can_be_named():
    assert resolve_model("xai/grok-99") == "x-ai/grok-99"
    assert resolve_model("grok-99", "x-ai") == "x-ai/grok-99"


def test_a_typo_suggests_the_nearest_model():
    with pytest.raises(UnknownModel, match="Did you mean gpt-5"):
        resolve_model("gtp-5")


@pytest.mark.parametrize("typed", ["", " ", "/", "openai/", "/gpt-5", "open ai/gpt-5"])
def test_what_is_no_model_is_refused(typed):
    with pytest.raises(UnknownModel):
        resolve_model(typed)


@pytest.mark.parametrize(("typed", "provider"), [("xAI", "x-ai"), ("Anthropic", "anthropic"), ("gemini", "google")])
def test_a_provider_has_its_usual_names(typed, provider):
    assert resolve_provider(typed) == provider


def test_every_member_reaches_the_gateway_as_provider_and_model():
    assert len(TEE_LLM) == 48
    for member in TEE_LLM:
        provider, slash, name = member.value.partition("/")
        assert slash
        assert name
        assert provider in DEFAULTS
        assert resolve_model(member.name) == member.value


def test_prices_and_defaults_are_of_models_that_exist():
    values = {member.value for member in TEE_LLM}
    assert set(PRICES) <= values
    assert set(DEFAULTS.values()) <= values


def test_a_price_is_exact():
    assert price_usd("openai/gpt-5", 1000, 100) == Decimal("0.00225")
    assert price_usd("openai/unheard-of", 1, 1) is None


def test_a_model_of_another_provider_than_the_one_named_is_refused_with_both_ways_out():
    with pytest.raises(UnknownModel, match=r"model of openai.*provider that is named is anthropic.*anthropic/gpt-5"):
        resolve_model("gpt-5", "anthropic")
    assert resolve_model("gpt-5", "openai") == "openai/gpt-5"
    assert resolve_model("a-newer-one", "anthropic") == "anthropic/a-newer-one"
