"""The body of an answer: one JSON object, or a stream of events."""

from __future__ import annotations

import base64
import contextlib
import json
import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx

from ..core.connection_failure import message_of
from ..core.errors import GatewayProtocolError, StreamError
from ..core.failure_reason import reason_of
from ..core.sse import EventTooLarge, SSEDecoder
from ..core.untrusted_json import read_cut_json
from ..core.untrusted_json import read_json as parse_untrusted
from .bounds import (
    AFTER_DONE,
    ERROR_BODY,
    KEPT,
    MAY_BE_CHARGED,
    bounded,
    encoding_of,
    is_unreadable,
    read_up_to,
    watched,
)
from .failures import BODY_SHOWN, excerpt, failure_in_stream, html_instead

_SPACE = b" \t\r\n"
_BOM = b"\xef\xbb\xbf"
_EVENTS = (b"data:", b"event:", b"id:", b"retry:", b":")
"""Beginnings of a stream's body."""
_ENOUGH = 8
"""Bytes by which a body's form is known."""
_NOT_OF_THE_ANSWER = frozenset(("x402-settlement", "ping", "keepalive", "heartbeat"))
"""Names of events that come between those of an answer."""


async def body_of(
    response: httpx.Response, kept: Callable[[dict[str, Any]], None]
) -> dict[str, Any] | AsyncIterator[dict[str, Any]]:
    """Return an answer in the form in which it came, whichever was asked for: one JSON object, or the events of a
    stream.

    Args:
        kept: called with what can be read of a JSON object that was cut, or of a body that cannot be read.

    Raises:
        GatewayProtocolError: it is neither.
        StreamError: it was cut, is too large, or takes too long; it is compressed in a way that is not read here, or
            no text; or as `events`.
    """
    pieces, begun, packed = bounded(response), b"", is_unreadable(response)
    try:
        while len(begun) < _ENOUGH and (piece := await anext(pieces, None)) is not None:
            begun += piece
            begun = begun if packed else begun.removeprefix(_BOM).lstrip(_SPACE)
    except httpx.TransportError as error:
        if packed and begun:
            kept(_as_it_came(begun, response))
        raise _cut(error) from error
    kind = response.headers.get("content-type", "").lower()
    packed = is_unreadable(response) and not begun.startswith((b"{", *_EVENTS))  # a header alone says little
    if (
        not packed
        and not begun.startswith(b"{")
        and ("event-stream" in kind or begun.startswith(_EVENTS) or _is_page(response))
    ):
        return events(response, _after(begun, pieces))
    read = bytearray(begun)
    try:
        async for piece in pieces:
            read += piece
    except (httpx.TransportError, StreamError) as error:
        content = bytes(read)
        if packed:
            kept(_as_it_came(content, response))
        answer = _json_object(content.decode("utf-8", "replace"))
        failure = error if isinstance(error, StreamError) else _cut(error)
        if answer is not None and failure.cut:
            return answer  # nothing is missing but the end of the connection
        with contextlib.suppress(ValueError, RecursionError):
            part = read_cut_json(content)
            if isinstance(part, dict):
                kept(part)
        raise failure from error
    if packed or not _is_text(read):
        kept(_as_it_came(bytes(read), response))
        raise _unreadable(response)
    return _whole(bytes(read), response, kept)


def _is_text(content: bytearray) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return b"{" in content[:_ENOUGH]  # an answer with a broken character, which is replaced
    return True


def _as_it_came(content: bytes, response: httpx.Response) -> dict[str, Any]:
    """Return an answer whose text is a body as a data: URI, so that nothing that was paid for is lost."""
    name = re.sub(r"[^a-z0-9]+", "-", encoding_of(response)[:40]).strip("-")
    text = f"data:application/octet-stream;encoding={name or 'identity'};base64,{base64.b64encode(content).decode()}"
    return {"choices": [{"index": 0, "message": {"role": "assistant", "content": text}}]}


def _unreadable(response: httpx.Response) -> StreamError:
    name = ascii(encoding_of(response)[:40])[1:-1]
    known = name not in ("", "identity")
    return StreamError(
        f"The answer came compressed ({name}), which was not asked for and cannot be read here."
        if known
        else "The answer came as bytes that are no text.",
        money=MAY_BE_CHARGED,
        remedy="All of it is kept as it came: the receipt's text is its bytes in base64, "
        f"{f'to be unpacked by a program for {name}. ' if known else 'behind the comma. '}"
        "A proxy may stand in between; %og network shows the address. It was not asked again.",
    )


def _whole(content: bytes, response: httpx.Response, kept: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """Return the JSON object of a body; of one whose length was not said, the end may be missing."""
    answer = _json_object(content.decode("utf-8", "replace"))
    if answer is None and content.startswith(b"{"):
        with contextlib.suppress(ValueError, RecursionError):
            part = read_cut_json(content)
            if isinstance(part, dict) and (part.get("choices") or part.get("content")):
                kept(part)
                raise StreamError(
                    "The answer was cut: its JSON ends in the middle.", body=excerpt(content), money=MAY_BE_CHARGED,
                    remedy=KEPT, cut=True,
                )  # fmt: skip
    return read_json(content, response.status_code) if answer is None else answer


def _is_page(response: httpx.Response) -> bool:
    return "html" in response.headers.get("content-type", "")


async def _after(begun: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if begun:
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
    if _is_page(response):
        content = await _beginning(response, pieces)
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
        raise StreamError(f"The stream broke: {str(error).rstrip('.')}.", money=MAY_BE_CHARGED, remedy=KEPT) from None
    except httpx.TransportError as error:
        if not done:  # after [DONE] nothing is missing
            raise _cut(error) from error
    if not done and decoder.pending:
        raise StreamError("The stream was cut in the middle of an event.", money=MAY_BE_CHARGED, remedy=KEPT, cut=True)


async def _beginning(response: httpx.Response, pieces: AsyncIterator[bytes] | None) -> bytes:
    """Return the beginning of a page: its reason stands there."""
    if pieces is None:
        return await read_up_to(response, ERROR_BODY, 10.0)
    read = bytearray()
    with contextlib.suppress(httpx.TransportError, StreamError):
        async for piece in pieces:
            read += piece[: ERROR_BODY - len(read)]
            if len(read) >= ERROR_BODY:
                break
    return bytes(read)


def _cut(error: Exception) -> StreamError:
    return StreamError(f"The answer was cut: {message_of(error)}.", money=MAY_BE_CHARGED, remedy=KEPT, cut=True)


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
