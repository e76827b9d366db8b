"""Building the gateway's request bodies, with every argument checked before anything is paid."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..catalogue import TEE_LLM, resolve_model
from ..errors import ConfigError
from ..types import Question, ResponseFormat, x402SettlementMode

CHAT = "/v1/chat/completions"
COMPLETION = "/v1/completions"

_ROLES = ("system", "developer", "user", "assistant", "tool", "function")


def chat_question(
    model: str | TEE_LLM,
    messages: Sequence[Mapping[str, Any]],
    *,
    max_tokens: int,
    stop_sequence: str | Sequence[str] | None,
    temperature: float,
    tools: Sequence[Mapping[str, Any]] | None,
    tool_choice: str | Mapping[str, Any] | None,
    response_format: ResponseFormat | Mapping[str, Any] | None,
    web_search: bool,
    settlement: str | x402SettlementMode,
    stream: bool,
    origin: tuple[str, str],
) -> Question:
    """The question of a chat. `origin` is (cell, notebook).

    Raises:
        ConfigError: an argument that the gateway would refuse after it was paid.
    """
    name = resolve_model(model)
    body: dict[str, Any] = {"model": _wire_name(name), "messages": [dict(m) for m in _checked(messages)]}
    body |= _common(max_tokens, temperature)
    if stream:
        body["stream"] = True
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
    if web_search:
        body["web_search"] = True
    return Question(CHAT, name, _sendable(body), x402SettlementMode.parse(settlement), *origin)


def completion_question(
    model: str | TEE_LLM,
    prompt: str,
    *,
    max_tokens: int,
    stop_sequence: str | Sequence[str] | None,
    temperature: float,
    web_search: bool,
    settlement: str | x402SettlementMode,
    origin: tuple[str, str],
) -> Question:
    """The question of a completion.

    Raises:
        ConfigError: an argument that the gateway would refuse after it was paid.
    """
    name = resolve_model(model)
    if not isinstance(prompt, str) or not prompt.strip():
        raise ConfigError("The prompt is empty.", remedy="Write a prompt.")
    body: dict[str, Any] = {"model": _wire_name(name), "prompt": prompt, **_common(max_tokens, temperature)}
    if stop_sequence:
        body["stop"] = _stops(stop_sequence)
    if web_search:
        body["web_search"] = True
    return Question(COMPLETION, name, _sendable(body), x402SettlementMode.parse(settlement), *origin)


def _wire_name(model: str) -> str:
    """The gateway wants the model without its provider."""
    return model.partition("/")[2]


def _common(max_tokens: Any, temperature: Any) -> dict[str, Any]:
    if not isinstance(max_tokens, int) or isinstance(max_tokens, bool) or max_tokens < 1:
        raise ConfigError(f"max_tokens is {max_tokens!r}.", remedy="Give a whole number of 1 or more.")
    if not isinstance(temperature, int | float) or isinstance(temperature, bool) or not 0 <= float(temperature) <= 2:
        raise ConfigError(f"temperature is {temperature!r}.", remedy="Give a number from 0 to 2.")
    return {"max_tokens": max_tokens, "temperature": float(temperature)}


def _stops(stop: str | Sequence[str]) -> list[str]:
    return [stop] if isinstance(stop, str) else [str(s) for s in stop]


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
        content = message.get("content")
        if message["role"] == "user" and (not content or (isinstance(content, str) and not content.strip())):
            raise ConfigError("A message of the user is empty.", remedy="Give it a content.")
    return messages


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
