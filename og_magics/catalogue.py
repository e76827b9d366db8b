"""The catalogue: every model of the official SDK's `TEE_LLM` (release 1.1.4), names a person may type, and prices.

Prices are USD for a million tokens, from OpenGradient's price list; a model without one has no estimate.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from decimal import Decimal
from enum import Enum
from typing import NamedTuple

from .errors import ConfigError, UnknownModel


class TEE_LLM(str, Enum):  # noqa: N801 - the official SDK's name
    """Models that are served from enclaves. Any other "provider/model" string works too."""

    GPT_4_1_2025_04_14 = "openai/gpt-4.1-2025-04-14"
    GPT_4_1_MINI = "openai/gpt-4.1-mini"
    GPT_4_1_NANO = "openai/gpt-4.1-nano"
    O3 = "openai/o3"
    O4_MINI = "openai/o4-mini"
    GPT_5 = "openai/gpt-5"
    GPT_5_MINI = "openai/gpt-5-mini"
    GPT_5_2 = "openai/gpt-5.2"
    GPT_5_4 = "openai/gpt-5.4"
    GPT_5_4_MINI = "openai/gpt-5.4-mini"
    GPT_5_4_NANO = "openai/gpt-5.4-nano"
    GPT_5_5 = "openai/gpt-5.5"
    GPT_IMAGE_2 = "openai/gpt-image-2"
    CLAUDE_SONNET_4_5 = "anthropic/claude-sonnet-4-5"
    CLAUDE_SONNET_4_6 = "anthropic/claude-sonnet-4-6"
    CLAUDE_HAIKU_4_5 = "anthropic/claude-haiku-4-5"
    CLAUDE_OPUS_4_5 = "anthropic/claude-opus-4-5"
    CLAUDE_OPUS_4_6 = "anthropic/claude-opus-4-6"
    CLAUDE_OPUS_4_7 = "anthropic/claude-opus-4-7"
    CLAUDE_OPUS_4_8 = "anthropic/claude-opus-4-8"
    GEMINI_2_5_FLASH = "google/gemini-2.5-flash"
    GEMINI_2_5_PRO = "google/gemini-2.5-pro"
    GEMINI_2_5_FLASH_LITE = "google/gemini-2.5-flash-lite"
    GEMINI_3_FLASH = "google/gemini-3-flash-preview"
    GEMINI_3_1_PRO_PREVIEW = "google/gemini-3.1-pro-preview"
    GEMINI_3_1_FLASH_LITE_PREVIEW = "google/gemini-3.1-flash-lite-preview"
    GEMINI_3_5_FLASH = "google/gemini-3.5-flash"
    GEMINI_2_5_FLASH_IMAGE = "google/gemini-2.5-flash-image"
    GEMINI_3_1_FLASH_IMAGE = "google/gemini-3.1-flash-image"
    GROK_4 = "x-ai/grok-4"
    GROK_4_FAST = "x-ai/grok-4-fast"
    GROK_4_1_FAST = "x-ai/grok-4-1-fast"
    GROK_4_1_FAST_NON_REASONING = "x-ai/grok-4-1-fast-non-reasoning"
    GROK_4_20_REASONING = "x-ai/grok-4.20-reasoning"
    GROK_4_20_NON_REASONING = "x-ai/grok-4.20-non-reasoning"
    GROK_CODE_FAST_1 = "x-ai/grok-code-fast-1"
    GROK_2_IMAGE = "x-ai/grok-2-image"
    SEED_1_6 = "bytedance/seed-1.6"
    SEED_1_8 = "bytedance/seed-1.8"
    SEED_2_0_LITE = "bytedance/seed-2.0-lite"
    DEEPSEEK_V4_FLASH = "bytedance/deepseek-v4-flash"
    DEEPSEEK_V4_PRO = "bytedance/deepseek-v4-pro"
    SEEDREAM_4_0 = "bytedance/seedream-4.0"
    SEEDANCE_4_5 = "bytedance/seedance-4.5"
    HERMES_4_405B = "nous/hermes-4-405b"
    HERMES_4_70B = "nous/hermes-4-70b"
    GLM_5_2 = "zai/glm-5.2"
    GLM_IMAGE = "zai/glm-image"


class Price(NamedTuple):
    """USD for a million tokens."""

    input: Decimal
    output: Decimal


def _price(input_usd: str, output_usd: str) -> Price:
    return Price(Decimal(input_usd), Decimal(output_usd))


PRICES: dict[str, Price] = {
    "openai/gpt-4.1-2025-04-14": _price("2", "8"),
    "openai/o4-mini": _price("1.1", "4.4"),
    "openai/gpt-5": _price("1.25", "10"),
    "openai/gpt-5-mini": _price("0.25", "2"),
    "openai/gpt-5.2": _price("1.75", "14"),
    "anthropic/claude-sonnet-4-5": _price("3", "15"),
    "anthropic/claude-sonnet-4-6": _price("3", "15"),
    "anthropic/claude-haiku-4-5": _price("1", "5"),
    "anthropic/claude-opus-4-5": _price("5", "25"),
    "anthropic/claude-opus-4-6": _price("5", "25"),
    "google/gemini-2.5-flash": _price("0.3", "2.5"),
    "google/gemini-2.5-pro": _price("1.25", "10"),
    "google/gemini-2.5-flash-lite": _price("0.1", "0.4"),
    "google/gemini-3-flash-preview": _price("0.5", "3"),
    "x-ai/grok-4": _price("3", "15"),
    "x-ai/grok-4-fast": _price("0.2", "0.5"),
    "x-ai/grok-4-1-fast": _price("0.2", "0.5"),
}

DEFAULTS: dict[str, str] = {
    "openai": TEE_LLM.GPT_5.value,
    "anthropic": TEE_LLM.CLAUDE_SONNET_4_6.value,
    "google": TEE_LLM.GEMINI_2_5_FLASH.value,
    "x-ai": TEE_LLM.GROK_4.value,
    "bytedance": TEE_LLM.SEED_2_0_LITE.value,
    "nous": TEE_LLM.HERMES_4_70B.value,
    "zai": TEE_LLM.GLM_5_2.value,
}
"""The model that a provider's name alone stands for."""

_ALIASES = {
    "xai": "x-ai",
    "grok": "x-ai",
    "claude": "anthropic",
    "gemini": "google",
    "gpt": "openai",
    "hermes": "nous",
}


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The one that was probably meant, or None."""
    by_form = {one.lower(): one for one in known}
    close = difflib.get_close_matches(name.strip().lower(), by_form, n=1, cutoff=0.6)
    return by_form[close[0]] if close else None


def nearest_model(name: str) -> str | None:
    """The model of the catalogue that was probably meant by a name that no gateway knows, or None.

    The name may stand without its provider, as it does on the wire.
    """
    wire = {model.value.partition("/")[2]: model.value for model in TEE_LLM}
    tail = name.rpartition("/")[2]
    close = None if tail in wire else nearest(tail, wire)
    return close and wire[close]


def resolve_provider(name: str) -> str:
    """A provider's id from what a person types: "xAI", "Anthropic", "gemini".

    Raises:
        ConfigError: no such provider.
    """
    key = name.strip().lower()
    key = _ALIASES.get(key, key)
    if key not in DEFAULTS:
        close = nearest(key, [*DEFAULTS, *_ALIASES])
        hint = f"Did you mean {close}? " if close else ""
        raise ConfigError(f"There is no provider {name!r}.", remedy=f"{hint}Choose one of {', '.join(DEFAULTS)}.")
    return key


def resolve_model(name: str | TEE_LLM, provider: str | None = None) -> str:
    """A "provider/model" id from what a person types.

    "gpt-5", "openai/gpt-5", "GPT_5" and `TEE_LLM.GPT_5` are the same; with a provider, the model is looked for there
    first. A string with a slash is taken as it is, so that a model newer than this catalogue can be used.

    Raises:
        UnknownModel: a bare name that the catalogue does not have.
    """
    if isinstance(name, TEE_LLM):
        return name.value
    text = name.strip()
    if "/" in text:
        head, _, tail = text.partition("/")
        if not head or not tail or any(c.isspace() for c in text):
            raise UnknownModel(f"{name!r} is not a model.", remedy='Write it as "provider/model", like openai/gpt-5.')
        return f"{_ALIASES.get(head.lower(), head)}/{tail}"
    known = {model.value.partition("/")[2]: model.value for model in TEE_LLM}
    found = known.get(text.lower()) or getattr(TEE_LLM.__members__.get(text.upper().replace("-", "_")), "value", None)
    if found and (provider is None or found.startswith(provider + "/")):
        return str(found)
    if found:
        raise UnknownModel(
            f"{name} is a model of {found.partition('/')[0]}, and the provider that is named is {provider}.",
            remedy=f'Leave one of them out; "{provider}/{text}" in full asks {provider} all the same.',
        )
    if provider is not None and text:
        return f"{provider}/{text}"
    close = difflib.get_close_matches(text.lower(), known, n=1, cutoff=0.5)
    hint = f"Did you mean {close[0]}? " if close else ""
    raise UnknownModel(
        f"There is no model {name!r}.",
        remedy=f'{hint}%og models lists them; any "provider/model" works, like openai/gpt-5.',
    )


def price_usd(model: str, prompt_tokens: int, completion_tokens: int) -> Decimal | None:
    """USD for so many tokens of a "provider/model", or None when its price is not known."""
    price = PRICES.get(model)
    if price is None:
        return None
    return (price.input * prompt_tokens + price.output * completion_tokens) / 1_000_000
