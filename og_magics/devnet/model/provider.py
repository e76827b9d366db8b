"""Provider of a model, by its name."""

from __future__ import annotations

from ...core.models import catalogue

_PREFIXES = {"gpt": "openai", "o3": "openai", "o4": "openai", "claude": "anthropic", "gemini": "google", "grok": "x-ai"}


def provider_of(model: str) -> str:
    """Return the provider of a model; "" for one that is not known."""
    rows = catalogue()
    if model in rows.names:
        return rows.models[rows.names[model]].provider
    return next((provider for prefix, provider in _PREFIXES.items() if model.startswith(prefix)), "")
