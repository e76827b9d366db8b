"""Canonical forms of requests and answers, and their hashes: what an enclave signs.

Gateways of different releases wrote requests down in different ways; `request_hashes` gives the hash of each.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from .hashing import keccak

CHAT_PATH = "/v1/chat/completions"
COMPLETION_PATH = "/v1/completions"
SEARCH_PATH = "/v1/web_search"


class CanonicalForm(StrEnum):
    """The form in which a gateway serializes a request before hashing it. Most requests are the same in both forms."""

    STANDARD = "standard"
    """Attachments are reduced to type and file name; `web_search` is covered."""
    APRIL = "april-2026"
    """A user message that is a list is hashed as Python prints it; `web_search` is not covered."""


def request_hashes(path: str, body: Mapping[str, Any]) -> dict[CanonicalForm, bytes]:
    """Return the hash (32 bytes) that a gateway would sign for this request, in each canonical form.

    Raises:
        ValueError: no gateway signs such a request (an unknown path or role, a value of the wrong kind).
    """
    return {form: request_hash(path, body, form) for form in CanonicalForm}


def request_hash(path: str, body: Mapping[str, Any], form: CanonicalForm) -> bytes:
    if path not in (CHAT_PATH, COMPLETION_PATH, SEARCH_PATH):
        raise ValueError(f"the path {path!r} is not one whose answers are signed")
    try:
        return keccak(json.dumps(_canonical(path, body, form), sort_keys=True).encode("ascii"))
    except (TypeError, AttributeError, KeyError, OverflowError, RecursionError) as error:
        raise ValueError(f"the request body is malformed ({type(error).__name__}: {error})") from error


def canonical_chat(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the chat that an enclave signs of a request, in the standard form.

    Raises:
        ValueError, TypeError, AttributeError: no gateway signs such a request.
    """
    return _canonical(CHAT_PATH, body, CanonicalForm.STANDARD)


def request_form(path: str, body: Mapping[str, Any], signed: bytes) -> CanonicalForm | None:
    """Return the canonical form in which this request has the hash that was signed; None where it has it in none.

    Raises:
        ValueError: as `request_hashes`.
    """
    for form in CanonicalForm:  # STANDARD first: it is the one to name where both hold
        if request_hash(path, body, form) == signed:
            return form
    # April's gateway signs the order of keys in a content's parts, and Jupyter sorts them in a file that it saves.
    usual = with_usual_order(body)
    return CanonicalForm.APRIL if request_hash(path, usual, CanonicalForm.APRIL) == signed else None


def output_hash(text: str | None, tool_calls: Sequence[Mapping[str, Any]] | None, finish_reason: str | None) -> bytes:
    """Return the hash (32 bytes) of an answer: of its tool calls if it ended in them, else of its text.

    Raises:
        ValueError: the text is no text, or a tool call is not JSON.
    """
    try:
        if finish_reason == "tool_calls" and tool_calls:
            # `index` is how a stream numbers its pieces, not part of the call.
            calls = [{name: part for name, part in call.items() if name != "index"} for call in tool_calls]
            signed = json.dumps(calls, sort_keys=True)
        else:
            signed = text or ""
        # A lone surrogate cannot have been signed; it gets a hash that matches nothing, not an exception.
        return keccak(signed.encode("utf-8", errors="surrogatepass"))
    except (TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"the answer is malformed ({type(error).__name__}: {error})") from error


_USUAL_ORDER = ("type", "text", "image_url", "input_audio", "file", "url", "detail", "data", "format", "filename")


def with_usual_order(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request in which the parts of contents have their keys in the order in which everybody writes them."""
    messages = body.get("messages")
    if not isinstance(messages, list):
        return dict(body)
    return {**body, "messages": [_usual_message(message) for message in messages]}


def _usual_message(message: Any) -> Any:
    content = message.get("content") if isinstance(message, Mapping) else None
    return {**message, "content": [_usual_part(part) for part in content]} if isinstance(content, list) else message


def _usual_part(part: Any) -> Any:
    if not isinstance(part, Mapping):
        return part
    known = [name for name in _USUAL_ORDER if name in part]
    return {name: _usual_part(part[name]) for name in [*known, *(name for name in part if name not in known)]}


def _canonical(path: str, body: Mapping[str, Any], form: CanonicalForm) -> dict[str, Any]:
    """Write the request down as the gateway does: only what the signature covers, each field in one shape."""
    if path == SEARCH_PATH:
        return dict(body)
    if path == COMPLETION_PATH:
        # The completions endpoint, unlike chat, fills in OpenAI's defaults for what was left out (not for null).
        body = {"temperature": 1, "max_tokens": 16, **body}
        asked: dict[str, Any] = {"prompt": body.get("prompt")}
        optional: tuple[str, ...] = ("stop",)
    else:
        asked = {"messages": [_canonical_message(message, form) for message in body.get("messages", [])]}
        optional = ("stop", "tools", "response_format")
    temperature = body.get("temperature")
    asked["model"] = body.get("model")
    asked["temperature"] = 0.0 if temperature is None else float(temperature)
    if body.get("max_tokens") is not None:
        asked["max_tokens"] = body["max_tokens"]
    asked |= {name: body[name] for name in optional if body.get(name)}
    if form is CanonicalForm.STANDARD and body.get("web_search"):
        asked["web_search"] = True
    return asked


def _canonical_message(message: Mapping[str, Any], form: CanonicalForm) -> dict[str, Any]:
    role, content = message.get("role"), message.get("content")
    match role:
        case "system" | "developer":
            return {"role": "system", "content": content}
        case "user":
            return {"role": "user", "content": _canonical_content(content, form)}
        case "assistant":
            said: dict[str, Any] = {"role": "assistant", "content": content or ""}
            if message.get("tool_calls"):
                said["tool_calls"] = [_canonical_tool_call(call) for call in message["tool_calls"]]
            return said
        case "tool":
            return {"role": "tool", "content": content, "tool_call_id": message.get("tool_call_id")}
        case "function":
            # The one role whose `name` is covered: it says which function answers.
            return {"role": "function", "content": content, "name": message.get("name")}
    raise ValueError(f"a message has the unknown role {role!r}")


def _canonical_tool_call(call: Mapping[str, Any]) -> dict[str, Any]:
    function = call.get("function", {})
    return {
        "id": call.get("id"),
        "type": call.get("type"),
        "function": {"name": function.get("name"), "arguments": function.get("arguments")},
    }


def _canonical_content(content: Any, form: CanonicalForm) -> Any:
    if isinstance(content, str):
        return content
    if form is CanonicalForm.APRIL or not isinstance(content, list):
        return str(content)
    return [_canonical_part(part) for part in content]


def _canonical_part(part: Any) -> dict[str, Any]:
    if not isinstance(part, Mapping):
        return {"type": "text", "text": str(part)}
    if part.get("type") == "text":
        return {"type": "text", "text": part.get("text") or ""}
    # An attachment's bytes are not covered, only that a file of this name was there.
    file = part.get("file")
    file_name = (file.get("filename") if isinstance(file, Mapping) else None) or part.get("filename")
    return {"type": part.get("type")} | ({"filename": file_name} if file_name else {})
