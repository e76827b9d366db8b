"""The reason of a failure, in whatever form a gateway, a provider or a proxy gives it."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .untrusted_json import read_json

_SHOWN = 400
_TITLE = re.compile(r"<title[^>]*>([^<]{1,400})</title", re.IGNORECASE)
_TEXTS = ("error", "detail", "message", "msg", "title", "reason", "error_description")
"""Keys under which servers put a reason, the most telling first."""
_DEEPEST = 6


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason that was given.

    Attributes:
        text: in a line of at most 400 characters; "" where there is none. Untrusted.
        source: "provider" or "gateway", as the gateway says; "" where it does not.
        retryable: False where the gateway says that the same request would fail again; None where it does not say.
        provider_status: HTTP status that the model's provider answered the gateway; None where it does not say.
    """

    text: str
    source: str = ""
    retryable: bool | None = None
    provider_status: int | None = None

    @property
    def whose(self) -> str:
        """Name of who failed."""
        return "The gateway's model provider" if self.source == "provider" else "The gateway"


def reason_of(content: bytes, content_type: str) -> Reason:
    """Return the reason in a body: JSON of several forms, plain text, or the title of a page."""
    try:
        value = read_json(content)
    except (ValueError, RecursionError):
        return Reason(_of_text(content[: 64 * 1024].decode("utf-8", "replace"), content_type))
    text, source, retryable, provider_status = _line(_find(value, 0)), "", None, None
    places = [value, value.get("error")] if isinstance(value, Mapping) else []
    for place in places:
        if isinstance(place, Mapping):
            source = place["source"] if place.get("source") in ("provider", "gateway") else source
            retryable = place["retryable"] if isinstance(place.get("retryable"), bool) else retryable
            status = place.get("provider_status")
            if isinstance(status, int) and not isinstance(status, bool):
                provider_status = status
                text += f" (the provider's status {status})" * (str(status) not in text)
    return Reason(text, source, retryable, provider_status)


def _find(value: Any, depth: int) -> str:
    """Return the words of a reason in a JSON value."""
    if depth > _DEEPEST:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list):  # FastAPI: one entry for each field
        return "; ".join(filter(None, (_find(one, depth + 1) for one in value[:5])))
    if not isinstance(value, Mapping):
        return ""
    found = next((text for key in _TEXTS if (text := _find(value.get(key), depth + 1))), "")
    where = value.get("loc")
    if found and isinstance(where, list):
        found = f"{'.'.join(str(part) for part in where[:6])}: {found}"
    return found


def _of_text(text: str, content_type: str) -> str:
    if "html" in content_type or text.lstrip()[:1] == "<":
        title = _TITLE.search(text)
        return _line(html.unescape(title[1])) if title else ""
    return _line(text)


def _line(text: str) -> str:
    flat = " ".join("".join(c for c in text if c.isprintable() or c.isspace()).split())
    flat = flat if len(flat) <= _SHOWN else flat[: _SHOWN - 1] + "…"
    return flat.rstrip(".")
