"""The gateway's routes: those that are paid for, and what is open to everyone."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from decimal import Decimal
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from ..model.protocol import Delta, Ending, Fault, Garbage, Model, Piece
from .answers import Call, event
from .blobs import BlobStore
from .closing import Closer, Closing, Unsettled, payment_headers
from .data import DataSettlement
from .enclave import Enclave
from .failures import failed, first_piece, joined, pieces_of, stream_failed
from .nitro import NONCE_BYTES
from .paywall import Paywall
from .profile import Profile
from .requests import Refusal, for_the_model, read_request, unknown_model
from .responses import Closing as ClosingConnections
from .responses import Cut, EventStream, answer, compact, problem
from .settler import Session, Settler
from .web_search import search_route

JSON = dict[str, Any]

_VERSION = "1.0.0"
_NONCE = re.compile(rf"[0-9a-f]{{{2 * NONCE_BYTES}}}")
_NO_USAGE = "response_json has no 'usage' dict; cannot extract usage tokens"


class Gateway:
    """The routes, wired to the modules of this package. `price` is OPG's in USD; None while it is not known."""

    def __init__(
        self,
        *,
        profile: Profile,
        price: Decimal | None,
        model: Model,
        enclave: Enclave,
        paywall: Paywall,
        settler: Settler,
        data: DataSettlement,
        blobs: BlobStore,
    ) -> None:
        self._profile, self._price = profile, price
        self._model, self._enclave, self._paywall = model, enclave, paywall
        self._settler, self._data, self._blobs = settler, data, blobs
        self._closer = Closer(profile, price, enclave, paywall, settler, data)
        routes = [
            Route("/v1/chat/completions", self._paid, methods=["POST"]),
            Route("/v1/completions", self._paid, methods=["POST"]),
            Route("/v1/keys", self._keys, methods=["POST"]),
            Route("/v1/blobs/{blob_id}", self._blob),
            Route("/health", self._health),
            Route("/heartbeat/status", self._heartbeat),
            Route("/signing-key", self._signing_key),
            Route("/enclave/attestation", self._attestation),
            Route("/settle/{job_id}", self._job),
        ]
        if profile.searches:
            routes.append(search_route(enclave, paywall, settler))
        self.asgi: ASGIApp = ClosingConnections(Starlette(routes=routes, exception_handlers={HTTPException: _no_route}))

    # -- open to everyone --------------------------------------------------------------

    async def _health(self, _request: Request) -> Response:
        feed = {
            "consecutive_failures": 0 if self._price else 1,
            "last_error": None,
            "last_success": None,
            "price_usd": None if self._price is None else float(self._price),
            "refresh_interval": 300,
            "total_errors": 0,
            "total_fetches": 1,
        }
        health = {"status": "OK", "version": _VERSION, "tee_enabled": True, "simulated": True, "price_feed": feed}
        if self._profile.searches:
            health |= {"web_search_enabled": True, "moderation_enabled": False}
        return compact(health)

    async def _signing_key(self, _request: Request) -> Response:
        return compact(self._enclave.signing_key(self._data.signer_address))

    async def _attestation(self, request: Request) -> Response:
        """Answer as nitriding does, the proxy before the gateway inside a real enclave."""
        nonce = request.query_params.get("nonce", "")
        if not _NONCE.fullmatch(nonce):
            message = "unexpected nonce format; must be 40-digit hex string" if nonce else "could not find nonce"
            return Response(f"{message}\n", 400, media_type="text/plain")
        return Response(self._enclave.attestation(bytes.fromhex(nonce)), media_type="text/plain")

    async def _heartbeat(self, _request: Request) -> Response:
        return compact({"enabled": False})

    async def _keys(self, _request: Request) -> Response:
        return compact({"error": "The devnet takes no keys"}, 403)

    async def _job(self, request: Request) -> Response:
        job = self._data.jobs.get(request.path_params["job_id"])
        return compact(job.fields()) if job else problem(404)

    async def _blob(self, request: Request) -> Response:
        blob = self._blobs.get(request.path_params["blob_id"])
        return problem(404) if blob is None else Response(blob, media_type="application/octet-stream")

    # -- paid --------------------------------------------------------------------------

    async def _paid(self, request: Request) -> Response:
        session = await self._paywall.admit(request)
        if isinstance(session, Response):
            return session
        response: Response | None = None
        try:
            try:
                response = await self._answer(await self._read(request, session))
            except Refusal as refusal:
                response = refusal.response
            except Fault as fault:
                response = failed(fault, self._profile)
            except Unsettled as unsettled:
                response = self._paywall.offer(request, str(unsettled))
            if not self._paywall.terms.at_once:
                response.headers["X-Upto-Session"] = session.id
            return response
        finally:
            if isinstance(response, EventStream):
                response.on_end = lambda: self._settler.end(session)
            else:
                self._settler.end(session)

    async def _read(self, request: Request, session: Session) -> Call:
        """Parse a request that has been paid for. Raises `Refusal` or `Fault`."""
        try:
            content = await request.body()
        except ClientDisconnect:
            content = b""
        is_chat = request.url.path.startswith("/v1/chat/")
        body = read_request(request.headers, content, chat=is_chat, parts=self._profile.reads_parts)
        if not self._model.knows(body["model"]):
            raise unknown_model(body["model"])
        if self._price is None:
            raise Fault("503")
        mode = _mode(request.headers.get("X-SETTLEMENT-TYPE", ""))
        return Call(body, mode, session, is_chat, self._profile.tells_ends, self._model.answered_by)

    def _pieces(self, call: Call) -> AsyncGenerator[Piece]:
        return pieces_of(self._model, for_the_model(call.body, parts=self._profile.reads_parts))

    async def _answer(self, call: Call) -> Response:
        if call.is_stream:
            return await self._streamed(call)
        silent = False
        async with aclosing(self._pieces(call)) as pieces:
            async for piece in pieces:
                match piece:
                    case Delta(fields):
                        call.add(fields)
                    case Garbage(line):
                        return Response(line, media_type="application/json")
                    case Ending(end, usage, images):
                        call.end, call.usage, silent = end, usage, piece.silent
                        call.images += images
        closing = self._signed(call)
        await self._closer.charge(call, closing)
        whole = call.complete({} if silent else closing.proof.fields() | closing.cost)
        headers = payment_headers(closing.payment)
        if call.mode == "individual" and closing.charged:
            job = await self._data.individual(closing.proof, closing.request, closing.output)
            headers |= closing.proof.headers() | (job.headers() if job.tx_hash else {})
        return answer(whole, headers=headers)

    async def _streamed(self, call: Call) -> Response:
        pieces = self._pieces(call)
        try:
            # The headers leave with the first piece: some failures before it still have a status of their own.
            first = await first_piece(pieces, self._profile)
            headers: dict[str, str] = {}
            if self._paywall.terms.scheme == "exact" and not isinstance(first, Fault):
                headers = payment_headers(await self._closer.collect(call, call.session.cap))
        except BaseException:
            await pieces.aclose()
            raise
        return EventStream(self._events(call, pieces, first), headers)

    async def _events(
        self, call: Call, pieces: AsyncGenerator[Piece], first: Piece | Fault
    ) -> AsyncGenerator[str | Cut]:
        """Yield the stream's events."""
        try:
            async with aclosing(pieces):
                async for piece in joined(first, pieces):
                    match piece:
                        case Delta(fields):
                            for delta in call.add(fields):
                                yield call.event(delta)
                        case Garbage(line):
                            yield f"data: {line}\n\n"
                        case Ending(end, usage, images):
                            call.end, call.usage = end, usage
                            call.images += images
                            for delta in call.rest():
                                yield call.event(delta)
                            closing = self._signed(call)
                            final = call.final(closing.proof.fields() | closing.cost)
                            await self._closer.charge(call, closing)
                            outcome = await self._individual(call, closing)
                            if not piece.silent:
                                yield event(final | outcome, compact=call.mode == "individual")
            yield "data: [DONE]\n\n"
        except Fault as fault:
            if fault.kind == "cut":
                yield Cut()
                return
            yield event(stream_failed(fault, self._profile))
            if call.mode == "individual":  # it looks for the end's tokens, and tells that there are none
                outcome = {"data_settlement_success": False, "data_settlement_error": _NO_USAGE}
                yield event({"choices": [], "model": "unknown"} | outcome, compact=True)
                yield "data: [DONE]\n\n"
        except Unsettled as unsettled:
            yield event({"error": f"Payment settlement failed: {unsettled}"})

    def _signed(self, call: Call) -> Closing:
        try:
            return self._closer.sign(call)
        except (TypeError, UnicodeEncodeError) as error:
            # Calls with and without an index have no order; half a character has no bytes to be hashed.
            raise Fault("500", repr(error)) from error

    async def _individual(self, call: Call, closing: Closing) -> JSON:
        """Settle the data of a stream by itself; return what its last event tells of that."""
        if call.mode != "individual":
            return {}
        if not closing.charged:
            return {"data_settlement_success": False, "data_settlement_error": _NO_USAGE}
        job = await self._data.individual(closing.proof, closing.request, closing.output)
        return job.event_fields()


def _mode(sent: str) -> str:
    """Return how the data is settled: by batch where nothing else that is known is asked for."""
    mode = re.sub("[^a-z]", "", sent.lower())
    return mode if mode in ("private", "individual") else "batch"


async def _no_route(request: Request, error: Exception) -> Response:
    """Answer what fits no route, and OPTIONS, as the gateway's framework does."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    allowed = (getattr(error, "headers", None) or {}).get("Allow", "")
    if not allowed:
        return problem(status)
    methods = ", ".join(sorted({"OPTIONS", *allowed.split(", ")}))
    if request.method == "OPTIONS":
        return Response("", 200, {"Allow": methods}, "text/html")
    return problem(status, headers={"Allow": methods})
