"""The server's routes: chat, completions, models. Each request is one paid call of this wallet, with its receipt."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from ..client.llm import LLM
from ..core.errors import ConfigError, OGError
from ..core.loopback import LocalOnly
from ..core.models import offered
from ..core.progress import Progress
from ..core.runtime import runtime
from ..core.untrusted_json import read_json
from .keys import Keys
from .openai_answer import as_event, as_events, as_whole, error_body, error_of
from .openai_request import Asked, read_chat, read_completion

_MOST = 32 * 2**20
"""Bytes of a request, at most."""
_EVENTS = "text/event-stream"
_NO_RETRY = {"x-should-retry": "false"}
"""For OpenAI's clients: what could be tried again has been, with the same authorization; another would pay anew."""


def make_app(llm: LLM, keys: Keys) -> LocalOnly:
    """Return the ASGI application. It refuses what was sent to another host name than loopback's, or by a web page.

    Args:
        llm: asks, pays and keeps the receipts.
        keys: who may ask.
    """
    server = _Server(llm, keys)
    app = Starlette(
        routes=[
            Route("/v1/chat/completions", server.chat, methods=["POST"]),
            Route("/v1/completions", server.completion, methods=["POST"]),
            Route("/v1/models", server.models),
            Route("/v1/models/{name:path}", server.model),
            Route("/health", server.health),
        ],
        exception_handlers={HTTPException: _http_error, OGError: _og_error},  # type: ignore[dict-item]  # of one kind each
    )
    return LocalOnly(app)


class _Server:
    def __init__(self, llm: LLM, keys: Keys) -> None:
        self._llm = llm
        self._keys = keys

    async def chat(self, request: Request) -> Response:
        """Answer a chat."""
        return await self._answer(request, read_chat)

    async def completion(self, request: Request) -> Response:
        """Answer with the continuation of a prompt."""
        return await self._answer(request, read_completion)

    async def models(self, request: Request) -> Response:
        """List the models."""
        self._keys.asker(request.headers.get("authorization", ""))
        return JSONResponse({"object": "list", "data": [_model(name) for name in offered()]})

    async def model(self, request: Request) -> Response:
        """Describe one model."""
        self._keys.asker(request.headers.get("authorization", ""))
        name = request.path_params["name"]
        if name not in offered():
            raise HTTPException(404, f"There is no model {name[:80]!r}.")
        return JSONResponse(_model(name))

    async def health(self, _: Request) -> Response:
        """Say that the server runs."""
        return JSONResponse({"status": "ok"})

    async def _answer(self, request: Request, read: Callable[..., Asked]) -> Response:
        asker = self._keys.asker(request.headers.get("authorization", ""))
        asked = read(await _body(request), self._llm.settings, asker)
        progress = Progress()
        if not asked.request.stream:
            output = await runtime.run(self._llm.answer(asked.request, progress))
            answer, headers = as_whole(output, asked, progress.receipt_id or ""), _headers(progress)
            if not asked.stream:
                return JSONResponse(answer, headers=headers)
            return Response(as_event(answer), media_type=_EVENTS, headers=headers)
        chunks = runtime.stream(self._llm.stream(asked.request, progress))
        # The first chunk decides the status: what fails before it is an error, and what fails later is an event.
        first = await anext(chunks, None)
        return StreamingResponse(
            as_events(chunks, first, asked, progress.receipt_id or ""),
            media_type=_EVENTS,
            headers=_headers(progress) | {"cache-control": "no-store"},
        )


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


def _headers(progress: Progress) -> dict[str, str]:
    return {"x-og-receipt-id": progress.receipt_id or ""}


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": name.partition("/")[0]}


async def _og_error(_: Request, error: OGError) -> Response:
    status, body = error_of(error)
    return JSONResponse(body, status, headers=_NO_RETRY)


async def _http_error(_: Request, error: HTTPException) -> Response:
    kind = "authentication_error" if error.status_code == 401 else "invalid_request_error"
    code = "invalid_api_key" if error.status_code == 401 else "invalid_request"
    return JSONResponse(
        error_body(error.detail, kind, code), error.status_code, headers=_NO_RETRY | dict(error.headers or {})
    )
