"""Answers from another OpenAI-compatible server (Ollama, vLLM, LM Studio ...) in place of the simulation."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx

from .model import Delta, Ending, Fault, Piece
from .prices import Usage


class UpstreamModel:
    """Forwards requests to `url`, with or without its `/v1`; streams are passed on event by event."""

    def __init__(self, url: str) -> None:
        base = url.rstrip("/")
        self._base = base if re.search(r"/v\d+$", urlsplit(base).path) else base + "/v1"
        self._http = httpx.AsyncClient(timeout=httpx.Timeout(300, connect=10))

    def knows(self, model: str) -> bool:
        return bool(model)

    async def answer(self, body: Mapping[str, Any]) -> AsyncIterator[Piece]:
        path = "/completions" if "prompt" in body and "messages" not in body else "/chat/completions"
        try:
            if body.get("stream"):
                async for piece in self._streamed(path, body):
                    yield piece
            else:
                answer = await self._http.post(self._base + path, json=dict(body))
                answer.raise_for_status()
                for piece in _whole(answer.json(), body):
                    yield piece
        except (httpx.HTTPError, json.JSONDecodeError, LookupError, TypeError) as error:
            raise Fault("500", f"upstream {self._base}: {error!r}") from error

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _streamed(self, path: str, body: Mapping[str, Any]) -> AsyncIterator[Piece]:
        asked = {**body, "stream_options": {"include_usage": True}}
        words, finish_reason, usage = 0, "", None
        images: list[str] = []
        async with self._http.stream("POST", self._base + path, json=asked) as answer:
            answer.raise_for_status()
            async for line in answer.aiter_lines():
                data = line.removeprefix("data:").strip()
                if not line.startswith("data:") or data == "[DONE]":
                    continue
                event = json.loads(data)
                if "error" in event:
                    raise Fault("500", str(event["error"]))
                usage = event.get("usage") or usage
                for choice in event.get("choices") or []:
                    delta = choice.get("delta") or choice.get("message") or _text_delta(choice)
                    finish_reason = choice.get("finish_reason") or finish_reason
                    images += delta.pop("images", None) or []
                    words += len(str(delta.get("content") or "").split())
                    if delta.get("content") or delta.get("tool_calls"):
                        yield Delta(delta)
        if not finish_reason:
            raise Fault("500", "the upstream stream ended early")
        yield Ending(finish_reason, _usage(usage, body, words), tuple(images))


def _text_delta(choice: Mapping[str, Any]) -> dict[str, Any]:
    return {"content": choice.get("text") or "", "role": "assistant"}


def _whole(answer: Mapping[str, Any], body: Mapping[str, Any]) -> list[Piece]:
    choice = answer["choices"][0]
    message = dict(choice.get("message") or _text_delta(choice))
    images = tuple(message.pop("images", None) or ())
    words = len(str(message.get("content") or "").split())
    usage = _usage(answer.get("usage"), body, words)
    return [Delta(message), Ending(choice.get("finish_reason") or "stop", usage, images)]


def _usage(usage: Mapping[str, Any] | None, body: Mapping[str, Any], words: int) -> Usage:
    """The server's own count, or one of words when it gives none."""
    if usage:
        return Usage(int(usage.get("prompt_tokens", 0)), int(usage.get("completion_tokens", 0)))
    return Usage(len(json.dumps(body.get("messages") or body.get("prompt")).split()), words)
