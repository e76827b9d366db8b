"""The catalogue: the models that gateways route, names a person may type, prices, and what became of retired models.

`facts.json` holds the rows, with their source and date. A model that is not in it can be asked all the same; nobody
here knows its price. `TEE_LLM` is the enumeration of the official SDK (release 1.1.4).
"""

from __future__ import annotations

import difflib
import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import Enum
from types import MappingProxyType
from typing import Any, NamedTuple

from . import cell_notes
from .errors import ConfigError, UnknownModel
from .facts import facts
from .own_prices import read_prices


class TEE_LLM(str, Enum):  # noqa: N801 - the official SDK's name
    """Names of the official SDK, some of retired models. Any other "provider/model" string works too."""

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
    """USD for a million tokens in and out, and what is added to that.

    Attributes:
        image: for each image. image_at: the same by resolution, where that matters.
        image_tokens: for a million tokens of output of a model that draws in tokens.
        call: for each call.
    """

    input: Decimal
    output: Decimal
    image: Decimal = Decimal(0)
    image_at: Mapping[str, Decimal] = MappingProxyType({})
    image_tokens: Decimal | None = None
    call: Decimal = Decimal(0)

    @property
    def flat(self) -> bool:
        """True where tokens cost nothing."""
        return not self.input and not self.output

    def usd(self, prompt: int, completion: int, *, images: int = 0, resolution: str = "") -> Decimal:
        """Return USD for so many tokens and images, at most: what a model that draws in tokens reasons costs less."""
        drawn = self.output if self.image_tokens is None else self.image_tokens
        tokens = self.input * prompt + drawn * completion
        return tokens / 1_000_000 + images * self.image_at.get(resolution, self.image) + self.call


@dataclass(frozen=True, slots=True)
class Model:
    """A row of the catalogue.

    Attributes:
        id: "provider/model".
        price: None for a model that is not served any more.
        status: "served"; "redirected" where another model answers in its name; "shut down" by its provider, though
            gateways still route it; "removed" from the gateways.
        since, ends: date of that, and the date from which it is not known who answers; "" for none.
        answered_by: name of the model that answers a redirected one. use: id of the model to ask instead.
        references: images that it takes as references, at most; None where that is not known.
        own: the price is the user's (OG_PRICES), and not the catalogue's.
    """

    id: str
    price: Price | None
    status: str = "served"
    since: str = ""
    ends: str = ""
    answered_by: str = ""
    use: str = ""
    references: int | None = None
    own: bool = False

    @property
    def provider(self) -> str:
        """The provider's id."""
        return self.id.partition("/")[0]

    @property
    def name(self) -> str:
        """The name without the provider, as gateways know it."""
        return self.id.partition("/")[2]

    @property
    def served(self) -> bool:
        """True where this model itself answers."""
        return self.status == "served"

    @property
    def draws(self) -> bool:
        """True for a model that makes images."""
        return self.price is not None and (bool(self.price.image) or self.price.image_tokens is not None)

    @property
    def note(self) -> str:
        """The end or the replacement of a retired model, and what to use instead; "" for one that is served."""
        when = f" {'on' if self.since.count('-') == 2 else 'in'} {self.since}" if self.since else ""
        match self.status:
            case "redirected":
                return cell_notes.MODEL_RETIRED.of(model=self.id, when=when, by=self.answered_by, use=self.use)
            case "shut down":
                return cell_notes.MODEL_SHUT_DOWN.of(model=self.id, when=when, use=self.use)
            case "removed":
                return cell_notes.MODEL_REMOVED.of(model=self.id, when=when, use=self.use)
        return cell_notes.MODEL_ENDS.of(model=self.id, date=self.ends) if self.ends else ""


@dataclass(frozen=True, slots=True)
class Catalogue:
    """All rows.

    Attributes:
        as_of: date of the price list. models: by id. names: ids by the name that gateways know, aliases included.
    """

    as_of: str
    models: Mapping[str, Model]
    names: Mapping[str, str]


OwnPrices = Mapping[str, Price]
"""Prices that a user adds, or puts in place of the catalogue's, by "provider/model"."""
NO_PRICES: OwnPrices = MappingProxyType({})

WEB_SEARCH = "opengradient/web-search"
"""Id under which a search stands in receipts: the gateway itself answers it."""


@functools.cache
def catalogue() -> Catalogue:
    """Return the catalogue, made once."""
    data = facts()["catalogue"]
    models = {id: _row(id, row) for id, row in data["models"].items()}
    models[WEB_SEARCH] = Model(
        WEB_SEARCH, Price(Decimal(0), Decimal(0), call=Decimal(data["web_search"])), references=0
    )
    names = {model.name: id for id, model in models.items()} | data["aliases"]
    return Catalogue(data["as_of"], MappingProxyType(models), MappingProxyType(names))


def _row(id: str, row: Mapping[str, Any]) -> Model:
    price = None
    if "input" in row or "image" in row:
        price = Price(
            Decimal(row.get("input", 0)),
            Decimal(row.get("output", 0)),
            Decimal(row.get("image", 0)),
            MappingProxyType({size: Decimal(usd) for size, usd in row.get("image_at", {}).items()}),
            Decimal(row["image_tokens"]) if "image_tokens" in row else None,
        )
    return Model(
        id, price, row.get("status", "served"), row.get("since", ""), row.get("ends", ""), row.get("answers", ""),
        row.get("use", ""), row.get("references"),
    )  # fmt: skip


def known_model(model: str, own: OwnPrices = NO_PRICES) -> Model | None:
    """Return the row of a "provider/model"; None for a model that neither the catalogue nor the user has a price for.

    Gateways go by the name after the provider, whatever the provider is called.

    Args:
        own: the user's own prices, of the session or the LLM that asks.
    """
    rows = catalogue()
    id = model if model in rows.models else rows.names.get(model.partition("/")[2].strip().lower(), "")
    row = rows.models.get(id)
    price = own.get(model) or own.get(id)
    return row if price is None else replace(row or Model(model, None), price=price, own=True)


def prices_of(path: str) -> OwnPrices:
    """Return the prices of a file, in place of the catalogue's for whoever is given them; none where it is "".

    Raises:
        ConfigError: it cannot be read, or holds what is no price.
    """
    found = read_prices(path) if path else {}
    return MappingProxyType({
        id: Price(
            row.get("input", Decimal(0)), row.get("output", Decimal(0)), row.get("image", Decimal(0)),
            image_tokens=row.get("image_tokens"), call=row.get("call", Decimal(0)),
        )
        for id, row in found.items()
    })  # fmt: skip


def own_models(own: OwnPrices) -> list[Model]:
    """Return the rows of models that only the user's prices name."""
    listed = catalogue().models
    return [Model(id, price, own=True) for id, price in own.items() if id not in listed]


def offered() -> list[str]:
    """Return the ids of the models that are served, to be offered for a choice."""
    return [id for id, model in catalogue().models.items() if model.served and id != WEB_SEARCH]


def price_of(model: str, own: OwnPrices = NO_PRICES) -> Price | None:
    """Return the price of a "provider/model", or None where it is not known."""
    row = known_model(model, own)
    return None if row is None else row.price


def notice(model: str, own: OwnPrices = NO_PRICES) -> str:
    """Return what to know before a "provider/model" is paid for: it is retired, or its price is not known; else ""."""
    row = known_model(model, own)
    if row is None:
        return cell_notes.MODEL_WITHOUT_PRICE.of(model=model, date=catalogue().as_of)
    return "" if row.served else row.note


def refuse_removed(model: str) -> None:
    """Refuse a "provider/model" that gateways no longer route: they would do so after the payment.

    Raises:
        UnknownModel: it was removed.
    """
    row = known_model(model)
    if row is not None and row.status == "removed":
        what, _, remedy = row.note.partition(". ")
        raise UnknownModel(f"{what}.", money="Nothing was sent and nothing was paid.", remedy=remedy)


DEFAULTS: dict[str, str] = {
    "openai": TEE_LLM.GPT_5.value,
    "anthropic": TEE_LLM.CLAUDE_SONNET_4_6.value,
    "google": TEE_LLM.GEMINI_2_5_FLASH.value,
    "x-ai": "x-ai/grok-4.3",
    "bytedance": TEE_LLM.SEED_2_0_LITE.value,
    "nous": TEE_LLM.HERMES_4_405B.value,
    "tencent": "tencent/hy3",
    "zai": TEE_LLM.GLM_5_2.value,
}
"""The model that a provider's name alone stands for."""

UNLISTED = "local"
"""Provider of a model that the catalogue does not have, typed without one: only a plain server may know it."""

_ALIASES = {
    "xai": "x-ai",
    "grok": "x-ai",
    "claude": "anthropic",
    "gemini": "google",
    "gpt": "openai",
    "hermes": "nous",
    "hunyuan": "tencent",
}


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Return the name that was probably meant, or None."""
    by_form = {one.lower(): one for one in known}
    close = difflib.get_close_matches(name.strip().lower(), by_form, n=1, cutoff=0.6)
    return by_form[close[0]] if close else None


def nearest_model(name: str) -> str | None:
    """Return the catalogue's model that was probably meant by a name that no gateway knows, or None.

    The name may stand without its provider, as it does on the wire.
    """
    wire = _by_name()
    tail = name.rpartition("/")[2]
    close = None if tail in wire else nearest(tail, [id.partition("/")[2] for id in offered()])
    return close and wire[close]


def _by_name() -> dict[str, str]:
    """Return "provider/model" by each name that may stand without its provider."""
    models = catalogue().models
    aliases = {name: f"{models[id].provider}/{name}" for name, id in catalogue().names.items() if "/" not in name}
    return aliases | {model.value.partition("/")[2]: model.value for model in TEE_LLM}


def resolve_provider(name: str) -> str:
    """Read a provider's id from what a person types: "xAI", "Anthropic", "gemini".

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
    """Read a "provider/model" id from what a person types.

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
    known = _by_name()
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
