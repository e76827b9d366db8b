"""The server's routes: chat, completions, models. Each request is one paid call of this wallet, with its receipt."""

from __future__ import annotations

import asyncio
import gc
import math
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import Lifespan, Receive, Scope, Send

from ..client.llm import LLM
from ..core.errors import ConfigError, LedgerError, OGError
from ..core.loopback import LocalOnly
from ..core.models import offered
from ..core.progress import Progress
from ..core.runtime import runtime
from ..core.types import StreamChunk
from ..core.untrusted_json import read_json
from .admission import Admission, Admitted, TooManyRequests
from .keys import Askers
from .openai_answer import as_event, as_events, as_whole, error_body, error_of, headers_of
from .openai_request import Asked, Payer, read_chat, read_completion
from .turns import Turns
from .users import User

_MOST = 32 * 2**20
"""Bytes of a request, at most."""
_EVENTS = "text/event-stream"
_FEW, _SENT, _LONGEST = 20, 1800, 0.15
"""Streams that are sent all as it comes; of more, times a second that all together are sent; seconds between two."""
_NO_RETRY = {"x-should-retry": "false"}
"""For OpenAI's clients: what could be tried again has been, with the same authorization; another would pay anew."""


def make_app(
    llm: LLM,
    keys: Askers,
    admission: Admission,
    payer: Payer,
    *,
    beyond: bool = False,
    prefix: str = "/",
    more: Sequence[BaseRoute] = (),
    lifespan: Lifespan[Starlette] | None = None,
) -> LocalOnly:
    """Return the ASGI application. It refuses what a web page sent, and what was sent to another name than loopback's.

    Args:
        llm: asks, pays and keeps the receipts.
        keys: who may ask. admission: what they may, and what it costs. payer: who pays.
        beyond: it answers to other host names, too: it listens beyond this machine.
        prefix: path below which all is served. more: routes of other pages.
        lifespan: what is done at the start and at the end.
    """
    server = _Server(llm, keys, admission, payer)
    routes: list[BaseRoute] = [
        Route("/v1/chat/completions", server.chat, methods=["POST"]),
        Route("/v1/completions", server.completion, methods=["POST"]),
        Route("/v1/models", server.models),
        Route("/v1/models/{name:path}", server.model),
        Route("/v1/receipts/{receipt_id}", server.receipt),
        Route("/health", server.health),
        *more,
    ]
    app = Starlette(
        routes=routes if prefix == "/" else [Mount(prefix.rstrip("/"), routes=routes)],
        lifespan=lifespan,
        exception_handlers={HTTPException: _http_error, OGError: _og_error, Exception: _unexpected},  # type: ignore[dict-item]  # of one kind each
    )
    return LocalOnly(app, beyond=beyond)


class _Server:
    def __init__(self, llm: LLM, keys: Askers, admission: Admission, payer: Payer) -> None:
        self._llm = llm
        self._keys = keys
        self._admission = admission
        self._payer = payer
        self._streams, self._turns = 0, Turns(self._pause)
        self._is_warm = False

    async def chat(self, request: Request) -> Response:
        """Answer a chat."""
        return await self._answer(request, read_chat)

    async def completion(self, request: Request) -> Response:
        """Answer with the continuation of a prompt."""
        return await self._answer(request, read_completion)

    async def models(self, request: Request) -> Response:
        """List the models that the user may ask."""
        user = await self._asker(request)
        return JSONResponse({"object": "list", "data": [_model(name) for name in offered() if user.may_ask(name)]})

    async def model(self, request: Request) -> Response:
        """Describe one model."""
        user, name = await self._asker(request), request.path_params["name"]
        if name not in offered() or not user.may_ask(name):
            raise HTTPException(404, f"There is no model {name[:80]!r}.")
        return JSONResponse(_model(name))

    async def receipt(self, request: Request) -> Response:
        """Return a receipt as it stands now, with all that verifies it; of a user, one of their own."""
        user, receipt_id = await self._asker(request), request.path_params["receipt_id"]
        try:
            found = await asyncio.to_thread(self._llm.journal.receipt, receipt_id)
        except LedgerError:
            found = None
        if found is None or (user.name and found.paid_for != user.name):
            raise HTTPException(404, f"There is no receipt {receipt_id[:40]!r} of yours.")
        return JSONResponse(found.to_json())

    async def health(self, _: Request) -> Response:
        """Say that the server runs."""
        return JSONResponse({"status": "ok"})

    async def _asker(self, request: Request) -> User:
        return await self._keys.asker(request.headers.get("authorization", ""))

    async def _answer(self, request: Request, read: Callable[..., Asked]) -> Response:
        user = await self._asker(request)
        asked = read(await _body(request), self._llm.settings, replace(self._payer, user=user.name))
        admitted = await self._admission.admit(user, asked.request)
        asked = replace(asked, request=admitted.request)
        progress = Progress()
        progress.changed = lambda: admitted.opened(progress.receipt_id)
        if not asked.request.stream:
            try:
                output = await runtime.run(self._turns.before(self._llm.answer(asked.request, progress)))
            finally:
                admitted.end()
            self._warmed()
            answer = await asyncio.to_thread(as_whole, output, asked, progress.receipt_id or "")
            headers = headers_of(progress, asked, output)
            if not asked.stream:
                return JSONResponse(answer, headers=headers)
            return Response(as_event(answer), media_type=_EVENTS, headers=headers)
        chunks = runtime.batches(self._turns.before_all_of(self._llm.stream(asked.request, progress)), self._pause)
        try:
            # The first chunk decides the status: what fails before it is an error, and what fails later is an event.
            first: list[StreamChunk] = await anext(chunks, [])
        except BaseException:
            admitted.end()
            raise
        self._warmed()
        events = as_events(chunks, first, asked, progress.receipt_id or "")
        return _Stream(chunks, events, admitted, headers_of(progress, asked), self._count)

    def _warmed(self) -> None:
        """After the first answer, take what was imported for it for what stays; see `wiring.py`."""
        if not self._is_warm:
            self._is_warm = True
            gc.freeze()

    def _count(self, streams: int) -> None:
        self._streams += streams

    def _pause(self) -> float:
        """Return the seconds for which a stream gathers what comes: the more there are, the rarer each is sent."""
        return min(max(self._streams - _FEW, 0) / _SENT, _LONGEST)


class _Stream(StreamingResponse):
    """A stream whose call is closed and counted at its end, also where whoever asked went away before it began."""

    def __init__(
        self,
        chunks: AsyncGenerator[Any, None],
        events: AsyncIterator[str],
        admitted: Admitted,
        headers: dict[str, str],
        count: Callable[[int], None],
    ) -> None:
        super().__init__(events, media_type=_EVENTS, headers=headers | {"cache-control": "no-store"})
        self._chunks, self._admitted, self._count = chunks, admitted, count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._count(1)
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._count(-1)
            try:
                await self._chunks.aclose()
            finally:
                self._admitted.end()


async def _body(request: Request) -> Mapping[str, Any]:
    received = bytearray()
    try:
        async for part in request.stream():
            received += part
            if len(received) > _MOST:
                raise HTTPException(413, f"The request is larger than {_MOST // 2**20} MiB.")
    except ClientDisconnect:
        raise HTTPException(499, "The client went away.") from None
    try:
        body = read_json(bytes(received))
    except ValueError:
        body = None
    if not isinstance(body, Mapping):
        raise ConfigError(
            "The request is not a JSON object.", money="Nothing was sent and nothing was paid.", remedy="Send one."
        )
    return body


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": name.partition("/")[0]}


async def _og_error(_: Request, error: OGError) -> Response:
    status, body = error_of(error)
    if isinstance(error, TooManyRequests):
        return JSONResponse(body, status, headers={"retry-after": str(math.ceil(error.seconds))})
    later = getattr(error, "retry_after", None)
    return JSONResponse(
        body, status, headers=_NO_RETRY | ({} if later is None else {"retry-after": str(math.ceil(later))})
    )


async def _unexpected(_: Request, error: Exception) -> Response:
    """Answer in OpenAI's form where the server itself fails; what happened is in its log, and not for everybody."""
    money = "If a payment was signed, its receipt has it, and it takes no more than the call cost."
    body = error_body(f"The server failed ({type(error).__name__}). {money}", "server_error", "error")
    return JSONResponse(body, 500, headers=_NO_RETRY)


async def _http_error(_: Request, error: HTTPException) -> Response:
    kind = "authentication_error" if error.status_code == 401 else "invalid_request_error"
    code = "invalid_api_key" if error.status_code == 401 else "invalid_request"
    return JSONResponse(
        error_body(error.detail, kind, code), error.status_code, headers=_NO_RETRY | dict(error.headers or {})
    )
