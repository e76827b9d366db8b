"""Responses that Starlette has no word for: a stream that always tells its end, and one that breaks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping

from starlette.responses import Response
from starlette.types import Receive, Scope, Send


class Cut:
    """In place of an event: the connection breaks here."""


class _DeliberateCuts(logging.Filter):
    """Keeps uvicorn's complaints about unfinished responses off stderr.

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
        super().__init__(headers={"Cache-Control": "no-cache", **headers})
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
