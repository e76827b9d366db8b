"""Requests as the real gateway takes them: checked against its schema after the payment, which its session keeps."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from jsonschema import Draft4Validator
from starlette.responses import Response

from ...core.untrusted_json import read_json
from .responses import compact, problem

JSON = dict[str, Any]

# What the gateway refuses to send on; a model's default is 4096 tokens.
_SENT_ON = ("max_tokens", "temperature", "tools", "response_format", "stream")
_DEFAULT_MAX_TOKENS = 4096
_DEFAULTS: JSON = {"temperature": 1.0, "max_tokens": 16}  # of a completion

_TEXT: JSON = {"type": "string"}
_TEXT_PART = {
    "type": "object",
    "required": ["type", "text"],
    "properties": {"type": {"enum": ["text"]}, "text": _TEXT},
}
_IMAGE_PART = {
    "type": "object",
    "required": ["type", "image_url"],
    "properties": {
        "type": {"enum": ["image_url"]},
        "image_url": {"type": "object", "required": ["url"], "properties": {"url": _TEXT}},
    },
}
_FILE_PART = {
    "type": "object",
    "required": ["type", "file"],
    "properties": {"type": {"enum": ["file"]}, "file": {"type": "object"}},
}
_CALL = {
    "type": "object",
    "required": ["id", "type", "function"],
    "properties": {
        "id": _TEXT,
        "type": {"enum": ["function"]},
        "function": {
            "type": "object",
            "required": ["name", "arguments"],
            "properties": {"name": _TEXT, "arguments": _TEXT},
        },
    },
}


class Refusal(Exception):
    """A request that ends with an error, though it is paid for."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status_code)
        self.response = response


def read_request(headers: Mapping[str, str], content: bytes, *, chat: bool, parts: bool) -> JSON:
    """Return the body of a paid request. `parts` allows files in messages.

    Raises:
        Refusal: what the gateway answers instead.
    """
    if not headers.get("authorization", "").startswith("Bearer "):
        raise Refusal(problem(401, "No authorization token provided"))
    kind = headers.get("content-type", "").split(";")[0].strip().lower()
    if kind != "application/json" and (kind or content):
        raise Refusal(problem(415, f"Invalid Content-type ({kind}), expected JSON data"))
    try:
        body: Any = read_json(content) if content else None
    except ValueError:
        raise Refusal(problem(400, "Request body is not valid JSON")) from None
    if isinstance(body, list):  # its framework stumbles
        raise Refusal(problem(500))
    if isinstance(body, dict):  # an option that is null is one that is absent
        body = {name: value for name, value in body.items() if value is not None or name not in _OPTIONS}
    error = next(_validator(chat, parts).iter_errors(body), None)
    if error is not None:
        place = ".".join(str(step) for step in error.absolute_path)
        raise Refusal(problem(400, error.message + (f" - '{place}'" if place else "")))
    read: JSON = body
    if any(message["role"] == "developer" for message in read.get("messages", [])):
        raise Refusal(problem(500))  # its schema knows the role, its code does not
    if not chat:
        read = _DEFAULTS | read  # of the schema; they are hashed, too
    try:
        json.dumps(read, ensure_ascii=False).encode()
    except UnicodeError:  # a half of a surrogate pair
        raise Refusal(problem(500)) from None
    return read


def unknown_model(model: str) -> Refusal:
    """Return the refusal of a model that no provider is known for."""
    return Refusal(compact({"error": f"Model '{model}' is not supported"}, 400))


def for_the_model(body: Mapping[str, Any], *, parts: bool) -> JSON:
    """Return what the gateway sends on: a chat, also for a completion; of the options, those that it knows.

    Without `parts`, the texts of a message's parts are joined, and its pictures are left out.
    """
    if "prompt" in body:
        messages: list[JSON] = [{"role": "user", "content": body["prompt"]}]
    else:
        messages = [dict(message) for message in body["messages"]]
    if not parts:
        for message in messages:
            message["content"] = _flat(message.get("content"))
    sent: JSON = {"model": body["model"], "messages": messages}
    sent |= {name: body[name] for name in _SENT_ON if body.get(name) is not None}
    sent["max_tokens"] = sent.get("max_tokens") or _DEFAULT_MAX_TOKENS
    return sent


def _flat(content: Any) -> Any:
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        return content
    return "".join(part["text"] for part in content if part["type"] == "text")


@cache
def _validator(chat: bool, parts: bool) -> Draft4Validator:
    return Draft4Validator(_chat_schema(parts) if chat else _COMPLETION)


def _of(role: str, content: JSON, required: tuple[str, ...] = ("content",), **more: JSON) -> JSON:
    return {
        "type": "object",
        "required": ["role", *required],
        "properties": {"role": {"enum": [role]}, "content": content, **more},
    }


def _list_or_text(*parts: JSON) -> JSON:
    return {"anyOf": [_TEXT, {"type": "array", "minItems": 1, "items": {"anyOf": list(parts)}}]}


def _nullable(schema: JSON) -> JSON:
    return {"anyOf": [schema, {"type": "null"}]}


_OPTIONS: JSON = {
    "max_tokens": {"type": "integer"},
    "n": {"type": "integer", "minimum": 1, "maximum": 128},
    "stop": {"anyOf": [_TEXT, {"type": "array", "maxItems": 4, "items": _TEXT}]},
    "stream": {"type": "boolean"},
    "temperature": {"type": "number", "minimum": 0, "maximum": 2},
    "top_p": {"type": "number", "minimum": 0, "maximum": 1},
    "tools": {"type": "array", "items": {"type": "object", "required": ["type", "function"]}},
}


def _chat_schema(parts: bool) -> JSON:
    user = (_TEXT_PART, _IMAGE_PART, *((_FILE_PART,) if parts else ()))
    text = _list_or_text(_TEXT_PART)
    calls = {"type": "array", "items": _CALL}
    roles = [
        _of("system", text),
        _of("developer", text),
        _of("user", _list_or_text(*user)),
        _of("assistant", _nullable(text), (), tool_calls=_nullable(calls)),
        _of("tool", text, ("content", "tool_call_id"), tool_call_id=_TEXT),
        _of("function", _nullable(_TEXT), ("content", "name"), name=_TEXT),
    ]
    messages = {"type": "array", "minItems": 1, "items": {"anyOf": roles}}
    return {
        "type": "object",
        "required": ["model", "messages"],
        "properties": {"model": _TEXT, "messages": messages, **_OPTIONS},
    }


_COMPLETION: JSON = {
    "type": "object",
    "required": ["model", "prompt"],
    "properties": {
        "model": _TEXT,
        "prompt": {"anyOf": [_TEXT, {"type": "array", "minItems": 1, "items": _TEXT}]},
        **_OPTIONS,
    },
}
