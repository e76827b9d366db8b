"""The gateway's request bodies, each argument checked before anything is paid."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..core.errors import ConfigError
from ..core.models import TEE_LLM, resolve_model
from ..core.options import BODY
from ..core.types import ChatRequest, ResponseFormat, x402SettlementMode
from .images import check_images

CHAT = "/v1/chat/completions"
COMPLETION = "/v1/completions"

MOST_STOPS = 4
_JOINS_CALLS = "google/"
"""Models of which gateways join the parallel function calls of a stream into one before they sign."""
_ROLES = ("system", "developer", "user", "assistant", "tool", "function")


def chat_request(
    model: str | TEE_LLM,
    messages: Sequence[Mapping[str, Any]],
    *,
    settlement: str | x402SettlementMode,
    parameters: Mapping[str, Any],
    origin: tuple[str, str],
    stop_sequence: str | Sequence[str] | None = None,
    tools: Sequence[Mapping[str, Any]] | None = None,
    tool_choice: str | Mapping[str, Any] | None = None,
    response_format: ResponseFormat | Mapping[str, Any] | None = None,
) -> ChatRequest:
    """Return the request of a chat.

    Args:
        parameters: by their keys in the body, as the table of options has them: `temperature`, `max_tokens`, ...
        origin: (cell, notebook).

    Raises:
        ConfigError: an argument that the gateway would refuse after it was paid.
    """
    name = resolve_model(model)
    body: dict[str, Any] = {"model": _wire_name(name), "messages": [_sent(one) for one in _checked(messages)]}
    body |= _parameters(parameters)
    check_images(name, body)
    if stop_sequence:
        body["stop"] = _stops(stop_sequence)
    if tools:
        body["tools"] = _tools(tools)
        body["tool_choice"] = tool_choice or "auto"
    if response_format is not None:
        form = response_format.to_dict() if isinstance(response_format, ResponseFormat) else dict(response_format)
        if form.get("type") == "json_object" and name.startswith("anthropic/"):
            raise ConfigError(
                "Anthropic models have no response format json_object.",
                remedy="Use ResponseFormat(type='json_schema', json_schema={...}) with a schema.",
            )
        body["response_format"] = form
    return ChatRequest(CHAT, name, _sendable(body), x402SettlementMode.parse(settlement), *origin)


def whole_where_calls_are_joined(request: ChatRequest) -> ChatRequest:
    """Return a request for a whole answer where gateways would join a stream's function calls before they sign them."""
    if not (request.stream and request.body.get("tools") and request.model.startswith(_JOINS_CALLS)):
        return request
    return replace(request, body={name: value for name, value in request.body.items() if name != "stream"})


def completion_request(
    model: str | TEE_LLM,
    prompt: str,
    *,
    settlement: str | x402SettlementMode,
    parameters: Mapping[str, Any],
    origin: tuple[str, str],
    stop_sequence: str | Sequence[str] | None = None,
) -> ChatRequest:
    """Return the request of a completion.

    Raises:
        ConfigError: an argument that the gateway would refuse after it was paid.
    """
    name = resolve_model(model)
    if not isinstance(prompt, str) or not prompt.strip():
        raise ConfigError("The prompt is empty.", remedy="Write a prompt.")
    body: dict[str, Any] = {"model": _wire_name(name), "prompt": prompt, **_parameters(parameters)}
    if stop_sequence:
        body["stop"] = _stops(stop_sequence)
    return ChatRequest(COMPLETION, name, _sendable(body), x402SettlementMode.parse(settlement), *origin)


def _wire_name(model: str) -> str:
    """Return the model's name without its provider, as the gateway wants it."""
    return model.partition("/")[2]


def _parameters(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body's parameters, checked by the table of options; what is unset or off is left out."""
    values = {key: BODY[key].convert(value) for key, value in given.items()}
    return {key: value for key, value in values.items() if value is not None and value is not False}


def _stops(stop: str | Sequence[str]) -> list[str]:
    stops = [stop] if isinstance(stop, str) else list(stop)
    if len(stops) > MOST_STOPS or not all(isinstance(one, str) and one for one in stops):
        raise ConfigError(
            f"These are not stop sequences: {str(stops)[:80]}", remedy=f"Give at most {MOST_STOPS} texts, none empty."
        )
    return stops


def _sent(message: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message as it is sent. April's gateway fails at the role `developer`, which it signs as `system`."""
    return {**message, "role": "system"} if message["role"] == "developer" else dict(message)


def _checked(messages: Any) -> Sequence[Mapping[str, Any]]:
    if not isinstance(messages, Sequence) or isinstance(messages, str | bytes) or not messages:
        raise ConfigError(
            "There are no messages.", remedy='Give a list such as [{"role": "user", "content": "Hello"}].'
        )
    for message in messages:
        if not isinstance(message, Mapping) or message.get("role") not in _ROLES:
            raise ConfigError(
                f"A message has no known role: {str(message)[:80]}", remedy=f"Use one of {', '.join(_ROLES)}."
            )
        _check_content(message)
    return messages


def _check_content(message: Mapping[str, Any]) -> None:
    """Check a message's content.

    Raises:
        ConfigError: there is none, or it is neither text nor a list of parts that have a type.
    """
    role, content = message["role"], message.get("content")
    if role == "user" and (not content or (isinstance(content, str) and not content.strip())):
        raise ConfigError("A message of the user is empty.", remedy="Give it a content.")
    if content is None and role == "assistant":
        return
    if not isinstance(content, str) and not (isinstance(content, list) and all(map(_is_part, content))):
        raise ConfigError(
            f"A message of the role {role} has a content of a form that no gateway takes: {str(content)[:80]}",
            remedy='Give it text, or a list of parts such as {"type": "text", "text": "..."}.',
        )
    if role == "tool" and not isinstance(message.get("tool_call_id"), str):
        raise ConfigError("The result of a function names no call.", remedy="Give it the tool_call_id of its call.")


def _is_part(part: Any) -> bool:
    if not isinstance(part, Mapping) or not isinstance(part.get("type"), str):
        return False
    return part["type"] != "text" or isinstance(part.get("text"), str)


def warn_of_search(wanted: bool) -> None:
    """Warn whoever calls `LLM.chat` or `LLM.completion` that `web_search` is not sent."""
    if wanted:
        warnings.warn(
            "web_search does nothing in a single call: gateways take no notice of the flag, and it was not sent. "
            "og.ask(..., web_search=True) and --web-search let a model search.",
            stacklevel=3,
        )


def _tools(tools: Any) -> list[dict[str, Any]]:
    if not isinstance(tools, Sequence) or not all(_is_tool(tool) for tool in tools):
        raise ConfigError(
            f"These are not tools: {str(tools)[:80]}",
            remedy='Give a list of {"type": "function", "function": {"name": ..., "parameters": {...}}}.',
        )
    return [dict(tool) for tool in tools]


def _is_tool(tool: Any) -> bool:
    if not isinstance(tool, Mapping):
        return False
    function = tool.get("function")
    named = isinstance(function, Mapping) and isinstance(function.get("name"), str) and bool(function["name"])
    return named or tool.get("type", "function") != "function"


def _sendable(body: dict[str, Any]) -> dict[str, Any]:
    try:
        json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ConfigError(
            f"The request cannot be written as JSON: {str(error)[:200]}.",
            remedy="Use text, numbers, lists and dicts; encode files as data: URIs.",
        ) from None
    return body
