"""Responses in the layouts of the real gateway, and a stream that reports its end."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from http import HTTPStatus
from typing import Any

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

JSON = Mapping[str, Any]

_LARGEST = 20 * 2**20  # bytes of a request

_NOT_FOUND = (
    "The requested URL was not found on the server. If you entered the URL manually please check your spelling and "
    "try again."
)
_FAILED = (
    "The server encountered an internal error and was unable to complete your request. Either the server is "
    "overloaded or there is an error in the application."
)
_DETAILS = {404: _NOT_FOUND, 405: "The method is not allowed for the requested URL.", 500: _FAILED}


def answer(content: JSON, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return JSON as its framework writes it: keys sorted, in several lines."""
    text = json.dumps(content, indent=2, sort_keys=True) + "\n"
    return Response(text, status, headers, "application/json")


def compact(content: JSON, status: int = 200) -> Response:
    """Return JSON in one line, with its keys sorted: what is written outside of the documented routes."""
    return Response(json.dumps(content, separators=(",", ":"), sort_keys=True) + "\n", status, None, "application/json")


def problem(status: int, detail: str = "", headers: Mapping[str, str] | None = None) -> Response:
    """Return a problem (RFC 9457), as requests get that fit no route or break its schema."""
    title = HTTPStatus(status).phrase
    body = {"detail": detail or _DETAILS.get(status, title), "status": status, "title": title, "type": "about:blank"}
    return answer(body, status, {**(headers or {}), "Content-Type": "application/problem+json"})


class Unpaid(Response):
    """A 402 as it is made outside of the framework: in chunks; with an offer, its type comes twice."""

    def __init__(self, content: JSON, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(json.dumps(content), 402, headers, "application/json")
        del self.headers["content-length"]
        if headers:
            self.raw_headers.append((b"content-type", b"application/json"))


class Closing:
    """An ASGI application whose answers over plain HTTP close their connections, after the request was read.

    With TLS they do not: on the network, a proxy that keeps its own connections stands in front.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start" and scope["scheme"] == "http":
                message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
            await send(message)

        read: deque[Message] = deque()
        size = 0
        while not read or (read[-1]["type"] == "http.request" and read[-1].get("more_body")):
            read.append(await receive())
            size += len(read[-1].get("body", b""))
            if size > _LARGEST:
                await problem(413)(scope, receive, sent)
                return

        async def again() -> Message:
            return read.popleft() if read else await receive()

        await self._app(scope, again, sent)


class Cut:
    """A broken connection, in the place of an event."""


class _DeliberateCuts(logging.Filter):
    """A log filter that keeps uvicorn's complaints about unfinished responses off stderr.

    Here a response is left unfinished on purpose, or because the devnet stops while a client keeps its connection.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info and isinstance(record.exc_info[1], asyncio.CancelledError):
            return False
        said = record.getMessage()
        return "without completing response" not in said and "graceful shutdown exceeded" not in said


logging.getLogger("uvicorn.error").addFilter(_DeliberateCuts())


class EventStream(Response):
    """Server-sent events.

    `on_end` is called once, when the stream is over: complete, broken, or left by its reader.
    """

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[str | Cut], headers: Mapping[str, str]) -> None:
        super().__init__(headers={"Cache-Control": "no-cache", "Connection": "keep-alive", **headers})
        del self.headers["content-length"]
        self._events = events
        self.on_end: Callable[[], None] = lambda: None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reader = asyncio.ensure_future(_left(receive))
        writer = asyncio.ensure_future(self._write(send))
        try:
            await asyncio.wait({reader, writer}, return_when=asyncio.FIRST_COMPLETED)
            if writer.done():
                writer.result()
        finally:
            reader.cancel()
            writer.cancel()
            await asyncio.gather(reader, writer, return_exceptions=True)
            await self._events.aclose()
            self.on_end()

    async def _write(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for event in self._events:
            if isinstance(event, Cut):
                return
            await send({"type": "http.response.body", "body": event.encode(), "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class BrokenResponse(Response):
    """A body that is shorter than its announced length; then the connection closes."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"application/json"), (b"content-length", b"1000")]
        await send({"type": "http.response.start", "status": self.status_code, "headers": headers})
        await send({"type": "http.response.body", "body": b'{"choices": [', "more_body": True})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
