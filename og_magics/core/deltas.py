"""Function calls, joined from the pieces in which providers stream them.

Providers differ: a call comes whole or in pieces; its index is missing, null, starts at 1 or is the same for all; its
id or type is missing, or empty after the first piece; its name comes once, in pieces or with each piece; its arguments
are text or an object. A piece belongs to the call that a person would add it to.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any


class CallDeltas:
    """The calls of one answer, in the order in which they begin; of those with indexes of their own, by index."""

    def __init__(self) -> None:
        self._calls: list[dict[str, Any]] = []
        self._indexes: list[int | None] = []

    def __bool__(self) -> bool:
        return bool(self._calls)

    @property
    def calls(self) -> list[dict[str, Any]]:
        """The calls so far, in OpenAI's form, without `index`; a part that never came is not in it."""
        indexes = self._indexes
        if None in indexes or len(set(indexes)) < len(indexes):
            return list(self._calls)
        return [call for _, call in sorted(zip(indexes, self._calls, strict=True), key=lambda pair: pair[0] or 0)]

    def add(self, pieces: Any) -> None:
        """Add the pieces of one event: a list of them, or one alone. What is no piece of a call is passed over."""
        begun: list[dict[str, Any]] = []  # by this event: what follows in it without an index is another call
        for piece in pieces if isinstance(pieces, list) else [pieces]:
            if isinstance(piece, Mapping):
                begun.append(self._add(piece, begun))

    def _add(self, piece: Mapping[str, Any], begun: list[dict[str, Any]]) -> dict[str, Any]:
        index = piece.get("index")
        index = index if isinstance(index, int) and not isinstance(index, bool) else None
        function = piece.get("function")
        function = function if isinstance(function, Mapping) else {}
        call = self._find(index, _text(piece.get("id")), function, begun)
        if call is None:
            call = {}
            self._calls.append(call)
            self._indexes.append(index)
        for name, value in piece.items():
            if name == "function":
                _join(call.setdefault("function", {}), function)
            elif name in ("id", "type"):
                if (text := _text(value)) and not call.get(name):
                    call[name] = text
            elif name != "index" and value is not None:
                call[name] = value
        return call

    def _find(
        self, index: int | None, call_id: str, function: Mapping[str, Any], begun: list[dict[str, Any]]
    ) -> dict[str, Any] | None:
        """Return the call that a piece goes on with; None where it begins one."""
        if index is not None:
            same = [call for call, other in zip(self._calls, self._indexes, strict=True) if other == index]
        else:
            same = [call for call in self._calls if call_id and call.get("id") == call_id] or self._calls
        if not same:
            return None
        last = same[-1]
        if call_id:
            return None if last.get("id") and last["id"] != call_id else last
        if last.get("id") or not _text(function.get("name")):
            return last  # who gives one call an id gives one to the next
        if index is None and any(last is one for one in begun):
            return None
        # Without an id, what names a function after a whole call begins another; at the same index, a name may be
        # repeated with nothing more.
        begins = index is None or bool(function.get("arguments"))
        return None if begins and _is_complete(last) else last


def sendable(calls: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return calls as they are sent back to a model, each with an id and a type: what is missing is made up."""
    sent = []
    for place, call in enumerate(calls):
        whole = {"type": "function"} | {name: value for name, value in call.items() if name != "type" or value}
        if not whole.get("id"):
            digest = hashlib.sha256(json.dumps([place, call], sort_keys=True, default=str).encode()).hexdigest()
            whole["id"] = f"call_{digest[:16]}"
        sent.append(whole)
    return sent


def _join(function: dict[str, Any], piece: Mapping[str, Any]) -> None:
    """Add a piece's name and arguments to those of a call."""
    if "name" in piece:
        known, more = function.get("name", ""), _text(piece["name"])
        if more and more != known and not (known and function.get("arguments")):
            function["name"] = known + more  # in pieces; one that comes after arguments is the name once more
        else:
            function.setdefault("name", known)
    for part, value in piece.items():
        if part == "arguments":
            text = value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)
            function["arguments"] = function.get("arguments", "") + text
        elif part != "name" and value is not None:
            function[part] = value


def _is_complete(call: Mapping[str, Any]) -> bool:
    """Return True for a call whose arguments are a whole JSON value."""
    try:
        json.loads(call.get("function", {}).get("arguments", ""))
    except (ValueError, RecursionError):
        return False
    return True


def _text(value: Any) -> str:
    """Return an id, a type or a name; "" where there is none."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else ""
