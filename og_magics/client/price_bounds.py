"""The tokens and the price of a request before it is sent: what is likely, and what is the most."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ..core.amounts import opg_for
from ..core.models import known_model, price_of
from ..core.settings import Settings
from ..core.types import ChatRequest

BYTES_PER_TOKEN = 4
"""Of a text, on average. No token is of less than one byte, so a text has at most as many tokens as bytes."""
IMAGE_TOKENS, MOST_IMAGE_TOKENS = 1_000, 5_000
"""Tokens that a picture which goes along counts for. Providers count in their own ways: the second is no bound."""
DEFAULT_OUTPUT = 4_096
"""Tokens at which gateways end an answer where a request does not say."""
_MESSAGE, _MOST_MESSAGE = 4, 16
"""Tokens that are put around a message."""
_MOST_TOOLS = 500
"""Tokens that providers put before functions."""


@dataclass(frozen=True, slots=True)
class PromptSize:
    """The size of what is sent.

    Attributes:
        tokens: likely. most: at most. images: pictures that go along, of which the tokens are guessed.
    """

    tokens: int
    most: int
    images: int = 0


def prompt_size(body: Mapping[str, Any]) -> PromptSize:
    """Return the size of a request's prompt: its messages, the functions that it offers, and its schema."""
    size, images = 0, 0
    messages = [one for one in body.get("messages") or () if isinstance(one, Mapping)]
    for message in messages:
        content = message.get("content") or ""
        for part in [content] if isinstance(content, str) else content:
            text = part if isinstance(part, str) else part.get("text") if isinstance(part, Mapping) else None
            if isinstance(text, str):
                size += _bytes(text)
            else:
                images += 1
        size += _bytes(message["tool_calls"]) if message.get("tool_calls") else 0
    if isinstance(body.get("prompt"), str):
        size += _bytes(body["prompt"])
    size += sum(_bytes(body[key]) for key in ("tools", "response_format") if body.get(key))
    count = max(len(messages), 1)
    return PromptSize(
        -(-size // BYTES_PER_TOKEN) + _MESSAGE * count + IMAGE_TOKENS * images,
        size + _MOST_MESSAGE * count + MOST_IMAGE_TOKENS * images + (_MOST_TOOLS if body.get("tools") else 0),
        images,
    )


def most_output(body: Mapping[str, Any]) -> int:
    """Return the tokens that an answer has at most."""
    limit = body.get("max_tokens")
    return limit if isinstance(limit, int) and limit > 0 else DEFAULT_OUTPUT


def usd_for(request: ChatRequest, prompt: int, completion: int) -> Decimal | None:
    """Return USD for so many tokens, and for the picture of a model that makes pictures; None for no known price."""
    model, price = known_model(request.model, request.prices), price_of(request.model, request.prices)
    if model is None or price is None:
        return None
    resolution = str(request.body.get("resolution") or "")
    return price.usd(prompt, completion, images=int(model.draws), resolution=resolution)


def authorized_most(request: ChatRequest, settings: Settings) -> int:
    """Return base units that may be signed for a request, whatever it costs."""
    limit = settings.max_authorization
    return limit if request.max_cost is None else min(limit, request.max_cost)


def most_opg(request: ChatRequest, settings: Settings, price: Decimal | None) -> int:
    """Return base units that a request costs at most.

    Where a price is not known, of the model or of an OPG, all that may be signed for it counts.
    """
    allowed = authorized_most(request, settings)
    usd = usd_for(request, prompt_size(request.body).most, most_output(request.body))
    return allowed if usd is None or price is None else min(allowed, opg_for(usd, price))


def _bytes(value: Any) -> int:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return len(text.encode("utf-8", "surrogatepass"))
