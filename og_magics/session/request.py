"""The request that settings make of a prompt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..client.requests import chat_request
from ..core.cell_context import origin
from ..core.errors import ConfigError, UnknownModel
from ..core.models import DEFAULTS, UNLISTED, resolve_model, resolve_provider
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


def chosen_model(settings: Settings, model: str | None, provider: str | None) -> str:
    """Return the model that flags and settings amount to: a provider alone stands for its default model.

    Raises:
        ConfigError: no such provider or model.
    """
    chosen = resolve_provider(provider) if provider else None
    if model:
        try:
            return resolve_model(model, chosen)
        except UnknownModel:
            if settings.gateway_url and "/" not in model and chosen is None:
                return f"{UNLISTED}/{model.strip()}"  # a plain server may serve it; a gateway refuses it unpaid
            raise
    if chosen:
        current = settings.model
        return current if current.startswith(chosen + "/") else DEFAULTS[chosen]
    return resolve_model(settings.model)
