"""Model names."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from og_magics.core.errors import UnknownModel
from og_magics.core.facts import facts
from og_magics.core.models import (
    DEFAULTS,
    TEE_LLM,
    WEB_SEARCH,
    catalogue,
    known_model,
    nearest_model,
    notice,
    offered,
    price_of,
    refuse_removed,
    resolve_model,
    resolve_provider,
)
from og_magics.core.options import SETTINGS

ROWS = catalogue().models


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


@pytest.mark.parametrize("row", ROWS.values(), ids=lambda row: row.id)
def test_every_row_has_a_provider_and_a_price_or_the_reason_why_not(row):
    assert row.provider in DEFAULTS or row.id == WEB_SEARCH
    assert row.status in ("served", "redirected", "shut down", "removed")
    if row.price is None:
        assert row.status == "removed"
    else:
        assert row.price.usd(1000, 1000, images=1) > 0
    if row.served:
        assert notice(row.id) == ""
    else:
        assert ROWS[row.use].served
        assert row.use in notice(row.id)
        assert row.id not in offered()
    assert bool(row.answered_by) == (row.status == "redirected")


def test_every_default_is_served_and_is_offered():
    for provider, model in DEFAULTS.items():
        assert ROWS[model].provider == provider
        assert model in offered()
    assert SETTINGS["model"].default in DEFAULTS.values()


def test_every_model_of_the_sdk_has_a_row():
    assert all(known_model(member.value) for member in TEE_LLM)


def test_every_alias_stands_for_a_row_and_hides_none():
    names = {row.name for row in ROWS.values()}
    for alias, id in facts()["catalogue"]["aliases"].items():
        assert id in ROWS
        assert alias not in names


def test_the_list_says_where_and_when_it_is_from():
    assert facts()["catalogue"]["source"]
    assert facts()["catalogue"]["as_of"] <= facts()["read"]


@given(st.sampled_from(sorted(ROWS)), st.integers(0, 10**7), st.integers(0, 10**7), st.integers(0, 10), st.text())
def test_a_call_costs_no_less_for_more(model, prompt, completion, images, resolution):
    price = ROWS[model].price
    if price is not None:
        usd = price.usd(prompt, completion, images=images, resolution=resolution)
        assert 0 <= usd <= price.usd(prompt + 1, completion + 1, images=images + 1, resolution=resolution)


@given(st.text(max_size=60))
def test_a_model_that_nobody_knows_can_be_asked_and_its_price_is_said_to_be_unknown(name):
    model = f"acme/{name}"
    if known_model(model) is None:
        assert price_of(model) is None
        assert "price is not known" in notice(model)
    if (row := known_model(model)) is None or row.status != "removed":
        refuse_removed(model)


@pytest.mark.parametrize(
    ("model", "prompt", "completion", "images", "resolution", "usd"),
    [
        ("openai/gpt-5", 1000, 100, 0, "", "0.00225"),
        ("openai/gpt-4.1-2025-04-14", 1_000_000, 0, 0, "", "2"),
        ("x-ai/grok-4", 1_000_000, 1_000_000, 0, "", "3.75"),
        ("openai/gpt-image-2", 500, 500, 2, "", "0.1"),
        ("bytedance/seedance-5.0", 0, 0, 1, "", "0.045"),
        ("bytedance/seedance-5.0", 0, 0, 1, "1.5K", "0.045"),
        ("bytedance/seedance-5.0", 0, 0, 1, "2K", "0.09"),
        ("google/gemini-3.1-flash-image", 1_000_000, 1_000_000, 1, "", "60.5"),
        (WEB_SEARCH, 0, 0, 0, "", "0.015"),
    ],
)
def test_a_price_is_exact(model, prompt, completion, images, resolution, usd):
    assert price_of(model).usd(prompt, completion, images=images, resolution=resolution) == Decimal(usd)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("x-ai/grok-4", "grok-4.3 answers in its name"),
        ("x-ai/grok-4.1-fast", "retired on 2026-05-15"),
        ("openai/o4-mini", "shut down by its provider on 2026-10-23"),
        ("nous/hermes-4-70b", "Use nous/hermes-4-405b"),
        ("openai/gpt-5", ""),
        ("google/gemini-2.5-flash", ""),
    ],
)
def test_a_retired_name_is_said_to_be_one(model, said):
    assert said in notice(model)
    assert bool(said) == bool(notice(model))


@pytest.mark.parametrize("model", ["nous/hermes-4-70b", "google/gemini-3.1-flash-lite-preview", "acme/hermes-4-70b"])
def test_a_model_that_gateways_removed_is_refused_with_what_to_use(model):
    with pytest.raises(UnknownModel, match=r"removed from the gateways") as caught:
        refuse_removed(model)
    assert caught.value.remedy.startswith("Use ")
    assert "nothing was paid" in caught.value.money


def test_names_of_the_catalogue_and_its_aliases_may_stand_without_a_provider():
    assert resolve_model("grok-4.3") == "x-ai/grok-4.3"
    assert resolve_model("gpt-5.6") == "openai/gpt-5.6"
    assert resolve_model("gpt-4.1-2025-04-14") == "openai/gpt-4.1-2025-04-14"
    assert nearest_model("hermes-4-71b") == "nous/hermes-4-405b"


def test_a_model_of_another_provider_than_the_one_named_is_refused_with_both_ways_out():
    with pytest.raises(UnknownModel, match=r"model of openai.*provider that is named is anthropic.*anthropic/gpt-5"):
        resolve_model("gpt-5", "anthropic")
    assert resolve_model("gpt-5", "openai") == "openai/gpt-5"
    assert resolve_model("a-newer-one", "anthropic") == "anthropic/a-newer-one"
