"""The forms of an answer: whole, or as a stream's events."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..model.protocol import Usage
from .calls import StreamedCalls, WholeCalls
from .settler import Session

JSON = dict[str, Any]

_ENDS = ("stop", "length", "content_filter")


@dataclass(slots=True)
class Call:
    """One paid request, and what has been answered to it so far.

    Attributes:
        body: as it came, with the schema's defaults.
        mode: "private", "batch" or "individual".
        tells_ends: the provider's reason for the end is passed on, and its refusal is an answer in words.
        usage: None until the provider has counted its tokens.
        end: the provider's reason.
        answered_by: what the answer says of who made it; "" for nothing.
    """

    body: JSON
    mode: str
    session: Session
    is_chat: bool
    tells_ends: bool = False
    answered_by: str = ""
    text: str = ""
    images: list[str] = field(default_factory=list)
    usage: Usage | None = None
    end: str = "stop"
    streamed: StreamedCalls = field(init=False)
    whole: WholeCalls = field(default_factory=WholeCalls)

    def __post_init__(self) -> None:
        self.streamed = StreamedCalls(self.model)

    @property
    def model(self) -> str:
        return str(self.body["model"])

    @property
    def is_stream(self) -> bool:
        """True where events are asked for; a completion is always whole."""
        return self.is_chat and bool(self.body.get("stream"))

    @property
    def tool_calls(self) -> list[JSON]:
        return self.streamed.signed() if self.is_stream else self.whole.signed()

    def add(self, fields: Mapping[str, Any]) -> list[JSON]:
        """Join a provider's delta to the answer; return the deltas that go out for it."""
        deltas: list[JSON] = []
        if text := _text(fields.get("content")) or (self.tells_ends and _text(fields.get("refusal"))):
            self.text += text
            deltas.append({"content": text, "role": "assistant"})
        for piece in fields.get("tool_calls") or []:
            if not isinstance(piece, Mapping):
                continue
            if not self.is_stream:
                self.whole.add(piece)
            elif delta := self.streamed.add(piece):
                deltas.append(_calls_delta(delta))
        return deltas

    def rest(self) -> list[JSON]:
        """Return the deltas of calls that waited for the end."""
        return [_calls_delta(delta) for delta in self.streamed.whole()]

    def event(self, delta: JSON) -> str:
        return event({"choices": [_choice(delta)], "model": self.model})

    def final(self, proof: JSON) -> JSON:
        """Return the last event of the stream."""
        final: JSON = {"choices": [_choice({}, self._finish(bool(self.streamed)))], "model": self.model, **proof}
        if self.usage is not None:
            final["usage"] = self.usage.fields()
        if self.images:
            final["images"] = self.images
        return final | self._maker()

    def _finish(self, called: bool) -> str:
        if called:
            return "tool_calls"
        return self.end if self.tells_ends and self.end in _ENDS else "stop"

    def complete(self, proof: JSON) -> JSON:
        """Return the answer that is not streamed."""
        calls = self.tool_calls if self.is_chat else []
        choice: JSON = {"finish_reason": self._finish(bool(calls)), "index": 0}
        if self.is_chat:
            message: JSON = {"content": self.text, "role": "assistant"}
            if calls:
                message["tool_calls"] = calls
            if self.images:
                message["images"] = self.images
            choice["message"] = message
        else:
            choice["text"] = self.text
        answer = {
            "choices": [choice],
            "created": int(time.time()),
            "id": f"{'chatcmpl' if self.is_chat else 'cmpl'}-{uuid.uuid4()}",
            "model": self.model,
            "object": "chat.completion" if self.is_chat else "text_completion",
            **proof,
        }
        if self.usage is not None:
            answer["usage"] = self.usage.fields()
        return answer | self._maker()

    def _maker(self) -> JSON:
        return {"answered_by": self.answered_by} if self.answered_by else {}


def event(data: Mapping[str, Any], *, compact: bool = False) -> str:
    """Return an event of a stream; `compact` as the payment's middleware writes it."""
    text = json.dumps(data, separators=(",", ":") if compact else None)
    return f"data: {text}\n\n"


def _text(content: Any) -> str:
    """Return a text that may come in parts."""
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") if isinstance(part, Mapping) else str(part) for part in content)
    return str(content or "")


def _calls_delta(delta: JSON) -> JSON:
    return {"role": "assistant", "tool_calls": [delta]}


def _choice(delta: JSON, finish_reason: str | None = None) -> JSON:
    return {"delta": delta, "index": 0, "finish_reason": finish_reason}
