"""The request that settings make of a prompt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..client.requests import chat_request
from ..core.cell_context import origin
from ..core.errors import ConfigError
from ..core.options import BODY, SETTINGS
from ..core.redaction import holds_this_key, key_in
from ..core.settings import Settings
from ..core.types import ChatRequest


def request_of(
    settings: Settings, prompt: str | list[dict[str, Any]], of_call: Mapping[str, Any] | None = None
) -> ChatRequest:
    """Return the request that these settings make of a prompt; `of_call` goes into its body too, by its keys.

    Raises:
        ConfigError: a setting that the gateway would refuse after it was paid.
    """
    messages: list[dict[str, Any]] = [{"role": "system", "content": settings.system}] if settings.system else []
    messages.append({"role": "user", "content": prompt})
    parameters = {key: getattr(settings, one.name) for key, one in BODY.items() if one.name in SETTINGS}
    parameters |= of_call or {}
    return chat_request(
        settings.model, messages, settlement=settings.settlement, parameters=parameters, origin=origin()
    )


def refuse_keys(text: str, settings: Settings) -> None:
    """Refuse text that holds a private key. (Other keys look like hashes, which one may ask about.)

    Raises:
        ConfigError: it does.
    """
    key = settings.private_key
    found = key_in(text) or (key is not None and holds_this_key(text, key.reveal()) and "a private key")
    if found:
        raise ConfigError(f"The prompt holds {found}. It was not sent.", remedy="Remove it, and ask again.")
