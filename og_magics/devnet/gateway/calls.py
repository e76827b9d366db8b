"""Function calls as the real gateway joins them: by index alone, whatever the index is.

This is not what a person would read in them (`core/deltas.py`): calls that share an index, as Gemini's do in a stream,
become one, and that one is signed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ...core.untrusted_json import read_json
from ..model.provider import provider_of

JSON = dict[str, Any]

_BUFFERED = ("openai", "anthropic")
_HALF = 400  # signs of a cut text that may be left out


class StreamedCalls:
    """The calls of a stream: one for each index, with the last id and name that came, and all arguments joined."""

    def __init__(self, model: str) -> None:
        self._calls: dict[Any, JSON] = {}
        self._waits = provider_of(model) in _BUFFERED

    def __bool__(self) -> bool:
        return bool(self._calls)

    def add(self, piece: Mapping[str, Any]) -> JSON | None:
        """Join a piece; return the delta that goes out for it, of a provider whose calls go out in pieces."""
        index, call_id = piece.get("index"), piece.get("id")
        name, arguments = _parts(piece)
        empty = {"id": call_id, "type": "function", "function": {"name": name, "arguments": ""}}
        call = self._calls.setdefault(index, empty)
        call["id"] = call_id or call["id"]
        call["function"]["name"] = name or call["function"]["name"]
        call["function"]["arguments"] += arguments
        if self._waits:
            return None
        function = {part: value for part, value in (("name", name), ("arguments", arguments)) if value}
        delta: JSON = {"index": index, "type": "function", "function": function}
        if call_id:
            delta["id"] = call_id
        return delta

    def whole(self) -> list[JSON]:
        """Return the deltas that are left to go out at the end."""
        if not self._waits:
            return []
        return [{"index": index, **call} for index, call in self._calls.items()]

    def signed(self) -> list[JSON]:
        """Return the calls that are signed. Raises TypeError where some have an index and some have none."""
        return [self._calls[index] for index in sorted(self._calls)]


class WholeCalls:
    """The calls of an answer that is not streamed: pieces with a number are joined, each other one stands alone.

    Arguments are read and written anew; a piece that is no beginning of an object is dropped.
    """

    def __init__(self) -> None:
        self._calls: list[JSON] = []

    def add(self, piece: Mapping[str, Any]) -> None:
        index = piece.get("index")
        name, arguments = _parts(piece)
        same = [call for call in self._calls if isinstance(index, int) and call["index"] == index]
        if not same:
            call = {"index": index, "id": piece.get("id"), "name": name, "arguments": arguments}
            self._calls.append(call)
            return
        same[0]["id"] = same[0]["id"] or piece.get("id")
        same[0]["name"] = (same[0]["name"] or "") + (name or "")
        same[0]["arguments"] += arguments

    def signed(self) -> list[JSON]:
        """Return the calls of the answer, as they are signed."""
        calls = []
        for call in self._calls:
            arguments = _opened(call["arguments"]) if call["arguments"] else {}
            if isinstance(arguments, dict):
                function = {"name": call["name"] or "", "arguments": json.dumps(arguments)}
                calls.append({"id": call["id"], "type": "function", "function": function})
        return calls


def _parts(piece: Mapping[str, Any]) -> tuple[str | None, str]:
    function = piece.get("function")
    function = function if isinstance(function, Mapping) else {}
    name, arguments = function.get("name"), function.get("arguments")
    if isinstance(arguments, Mapping):
        arguments = json.dumps(arguments)
    return None if name is None else str(name), "" if arguments is None else str(arguments)


def _opened(text: str) -> Any:
    """Return a JSON value that may have been cut: what is open is closed, and what is half is left out."""
    closers, quoted, escaped = "", False, False
    at: list[tuple[str, bool]] = [("", False)]  # after each sign: what would close it, whether within a text
    for sign in text:
        if quoted:
            quoted, escaped = (escaped or sign != '"'), not escaped and sign == "\\"
        elif sign == '"':
            quoted = True
        elif sign in "{[":
            closers = ("}" if sign == "{" else "]") + closers
        elif sign in "}]":
            closers = closers[1:]
        at.append((closers, quoted))
    for end in range(len(text), max(len(text) - _HALF, 0), -1):
        closing, within = at[end]
        try:
            return read_json((text[:end] + ('"' if within else "") + closing).encode(errors="replace"))
        except ValueError:
            continue
    return None
