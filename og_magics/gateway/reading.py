"""The body of an answer: one JSON object, or a stream of events."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx

from ..core.connection_failure import message_of
from ..core.errors import GatewayProtocolError, StreamError
from ..core.failure_reason import reason_of
from ..core.sse import EventTooLarge, SSEDecoder
from ..core.untrusted_json import read_json as parse_untrusted
from .bounds import AFTER_DONE, ERROR_BODY, MAY_BE_CHARGED, bounded, read_up_to, watched
from .failures import BODY_SHOWN, excerpt, failure_in_stream, html_instead

_NOT_OF_THE_ANSWER = frozenset(("x402-settlement", "ping", "keepalive", "heartbeat"))
"""Names of events that come between those of an answer."""


async def whole(response: httpx.Response) -> dict[str, Any]:
    """Return the JSON object of an unstreamed answer.

    Raises:
        GatewayProtocolError: it is none.
        GatewayUnreachable: the connection was lost.
        StreamError: it is too large, or takes too long.
    """
    return read_json(b"".join([piece async for piece in bounded(response)]), response.status_code)


async def whole_or_events(response: httpx.Response) -> dict[str, Any] | AsyncIterator[dict[str, Any]]:
    """Return the events of an answer that was to be streamed; or the whole, where a proxy sent it as one JSON body.

    Raises:
        GatewayProtocolError: it began as a JSON body, and is none.
        GatewayUnreachable, StreamError: as `events`.
    """
    if "json" not in response.headers.get("content-type", "").lower():
        return events(response)
    pieces, begun = bounded(response), b""
    try:
        while not begun and (piece := await anext(pieces, None)) is not None:
            begun = piece.lstrip()
        if not begun.lstrip().startswith(b"{"):
            return events(response, _after(begun, pieces))  # a stream that says that it is JSON
        rest = [piece async for piece in pieces]
    except httpx.TransportError as error:
        raise _cut(error) from error
    return read_json(begun + b"".join(rest), response.status_code)


async def _after(begun: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield begun
    async for piece in rest:
        yield piece


async def events(response: httpx.Response, pieces: AsyncIterator[bytes] | None = None) -> AsyncIterator[dict[str, Any]]:
    """Yield the JSON events of a streamed answer up to [DONE]; the rest is read to the end of file and left out.

    Args:
        pieces: the body, where its reading has begun.

    Raises:
        StreamError: an error event, broken JSON, an event without end, or a stream that was cut.
    """
    if "html" in response.headers.get("content-type", ""):
        content = await read_up_to(response, ERROR_BODY, 10.0)
        raise html_instead(response, content, reason_of(content, "text/html").text)
    decoder, clock, after = SSEDecoder(), watched(response)[1], 0
    done = False
    try:
        async for data in bounded(response) if pieces is None else pieces:
            after += len(data) if done else 0
            if after > AFTER_DONE:
                break
            for event in decoder.feed(data):
                text = event.data.strip()
                if text == "[DONE]":
                    done = True
                # Some proxies keep a connection alive by data that is empty, or a comment.
                if not done and text and not text.startswith(":") and event.event not in _NOT_OF_THE_ANSWER:
                    clock.heard()
                    yield _event(text)
    except EventTooLarge as error:
        raise StreamError(f"The stream broke: {str(error).rstrip('.')}.", money=MAY_BE_CHARGED) from None
    except httpx.TransportError as error:
        if not done:  # after [DONE] nothing is missing
            raise _cut(error) from error
    if not done and decoder.pending:
        raise StreamError(
            "The stream was cut in the middle of an event.",
            money=MAY_BE_CHARGED,
            remedy="What had arrived is kept; ask again for the rest.",
        )


def _cut(error: Exception) -> StreamError:
    return StreamError(
        f"The stream was cut: {message_of(error)}.",
        money=MAY_BE_CHARGED,
        remedy="What had arrived is kept; ask again for the rest.",
    )


def _event(data: str) -> dict[str, Any]:
    event = _json_object(data)
    if event is None:
        raise StreamError(
            "The gateway sent an event that is not JSON.",
            body=data[:BODY_SHOWN],
            money=MAY_BE_CHARGED,
            remedy="What had arrived is kept; ask again.",
        )
    if event.get("error"):
        raise failure_in_stream(data)
    return event


def _json_object(text: str) -> dict[str, Any] | None:
    """Return the object that a text holds, or None."""
    try:
        value = parse_untrusted(text.encode("utf-8", "replace"))
        if "\\ud" in text.lower():  # half of a surrogate pair can neither be stored nor printed
            value = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def read_json(content: bytes, status: int) -> dict[str, Any]:
    """Return the JSON object of an answer's body.

    Raises:
        GatewayProtocolError: it is none.
    """
    value = _json_object(content.decode("utf-8", "replace"))
    if value is None:
        raise GatewayProtocolError(
            "The gateway answered with something that is not JSON.",
            status=status,
            body=excerpt(content),
            money=MAY_BE_CHARGED if status < 400 else "",
            remedy="A proxy may stand in between; %og network shows the address that was asked.",
        )
    return value
