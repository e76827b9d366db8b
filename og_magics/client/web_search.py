"""A search of the web by a gateway: a call that is paid, signed and has its receipt as a chat has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..core.errors import ConfigError, GatewayError, OGError
from ..core.models import WEB_SEARCH
from ..core.types import ChatRequest

SEARCH = "/v1/web_search"
MOST_RESULTS = 10

_NO_SUCH_PATH = (404, 405, 501)


def search_request(asking: ChatRequest, query: str, results: int = 6, recency_days: int | None = None) -> ChatRequest:
    """Return the request of a search.

    Args:
        asking: the request of the chat that the search is for: cell, limits and settlement are the same.
        results: pages, at most 10. recency_days: age of a page, at most; None for any.

    Raises:
        ConfigError: an argument that the gateway would refuse.
    """
    if not query.strip():
        raise ConfigError("The search has no words.", remedy="Say what to look for.")
    if not 1 <= results <= MOST_RESULTS:
        raise ConfigError(f"A search finds 1 to {MOST_RESULTS} pages, and {results} are asked for.")
    body: dict[str, Any] = {"query": query, "num_results": results}
    if recency_days is not None:
        body["recency_days"] = recency_days
    return replace(asking, path=SEARCH, model=WEB_SEARCH, body=body, turn="")


def as_answer(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a search found in the form of a chat's answer; its text is what the enclave signed."""
    content = body.get("content")
    choices = [{"message": {"role": "assistant", "content": content}, "finish_reason": "stop"}]
    name = WEB_SEARCH.partition("/")[2]
    return {**body, "model": name, "choices": choices if isinstance(content, str) else []}


def unavailable(error: OGError, gateway: str) -> OGError:
    """Return the error of a search at a gateway that has no path for it; any other error as it is."""
    if not isinstance(error, GatewayError) or error.status not in _NO_SUCH_PATH:
        return error
    return GatewayError(
        f"The gateway {gateway} has no web search.",
        status=error.status,
        body=error.body,
        money="Nothing was paid for the search.",
        remedy="Ask without --web-search, or choose another gateway with --gateway.",
    )
