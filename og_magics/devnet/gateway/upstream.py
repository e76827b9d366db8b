"""Answers from another OpenAI-compatible server (Ollama, vLLM, LM Studio ...) in place of the simulation."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import httpx

from ...core.failure_reason import reason_of
from ...core.sse import SSEDecoder
from ...core.untrusted_json import read_json
from ..model.protocol import Delta, Ending, Fault, Piece, ProviderFault, Usage


class UpstreamModel:
    """A model behind `url`, with or without its `/v1`; streams are passed on event by event.

    `answered_by` is what answers say of who made them.
    """

    def __init__(self, url: str, answered_by: str = "") -> None:
        self.answered_by = answered_by
        base = url.rstrip("/")
        self._base = base if re.search(r"/v\d+$", urlsplit(base).path) else base + "/v1"
        self._http = httpx.AsyncClient(timeout=httpx.Timeout(300, connect=10))

    def knows(self, model: str) -> bool:
        return bool(model)

    async def answer(self, body: Mapping[str, Any]) -> AsyncIterator[Piece]:
        """Ask for a stream, also where the answer is wanted whole: so the gateway does."""
        asked = {**body, "stream": True, "stream_options": {"include_usage": True}}
        try:
            async with self._http.stream("POST", self._base + "/chat/completions", json=asked) as answer:
                await _refused(answer)
                if "json" in answer.headers.get("content-type", ""):  # a server that streams nothing
                    for piece in _whole(read_json(await answer.aread())):
                        yield piece
                    return
                async for piece in _streamed(answer):
                    yield piece
        except httpx.TransportError as error:
            late = isinstance(error, httpx.TimeoutException)
            raise ProviderFault(None, f"upstream {self._base}: {error!r}", late=late) from error
        except (httpx.HTTPError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise Fault("500", f"upstream {self._base}: {error!r}") from error

    async def aclose(self) -> None:
        await self._http.aclose()


async def _streamed(answer: httpx.Response) -> AsyncIterator[Piece]:
    finish_reason, usage, chunks = "stop", None, 0
    images: list[str] = []
    first: Any = None
    async for event in _events(answer):
        usage = _usage(event.get("usage")) or usage
        for choice in event.get("choices") or []:
            chunks += 1
            first = choice.get("index") if chunks == 1 else first
            if choice.get("index") != first:  # of several answers (`n`), the first alone is passed on
                continue
            delta = dict(choice.get("delta") or choice.get("message") or _text_delta(choice))
            finish_reason = choice.get("finish_reason") or finish_reason
            images += delta.pop("images", None) or []
            if delta.get("content") or delta.get("tool_calls") or delta.get("refusal"):
                yield Delta(delta)
    if not chunks:
        raise Fault("500", "the upstream stream has no answer")
    yield Ending(finish_reason, usage, tuple(images))


async def _refused(answer: httpx.Response) -> None:
    """Raise the fault of an answer that is not 2xx, with the server's own words."""
    if answer.is_success:
        return
    reason = reason_of(await answer.aread(), answer.headers.get("content-type", "")).text
    raise ProviderFault(answer.status_code, reason or f"status {answer.status_code}")


async def _events(answer: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    """Yield a stream's JSON events; what keeps a connection alive is passed over."""
    decoder = SSEDecoder()
    async for data in answer.aiter_bytes():
        for event in decoder.feed(data):
            text = event.data.strip()
            if not text or text.startswith(":"):
                continue
            if text == "[DONE]":
                return
            value = read_json(text.encode(errors="replace"))
            if not isinstance(value, dict):
                continue
            if value.get("error"):
                raise Fault("500", reason_of(text.encode(), "application/json").text)
            yield value


def _text_delta(choice: Mapping[str, Any]) -> dict[str, Any]:
    return {"content": choice.get("text") or "", "role": "assistant"}


def _whole(answer: Mapping[str, Any]) -> list[Piece]:
    choice = answer["choices"][0]
    message = dict(choice.get("message") or _text_delta(choice))
    images = tuple(message.pop("images", None) or ())
    return [Delta(message), Ending(choice.get("finish_reason") or "stop", _usage(answer.get("usage")), images)]


def _usage(usage: Any) -> Usage | None:
    """Return the server's count of tokens; None where it gives none, and the call is free."""
    if not isinstance(usage, Mapping):
        return None
    counts = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
    return Usage(*(int(count) if isinstance(count, int | float) else 0 for count in counts))
