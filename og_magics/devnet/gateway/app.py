"""The gateway's routes: two that are paid for, and what is open to everyone."""

from __future__ import annotations

import asyncio
import json
import logging
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from x402.http.utils import encode_payment_response_header
from x402.schemas import SettleResponse

from ..._version import __version__
from .blobs import BlobStore
from .data import DataSettlement, Job
from .enclave import Enclave, Proof, canonical_request, output_hash, request_hash, signed_output
from .model import Delta, Ending, Fault, Garbage, Model, Piece
from .paywall import Paywall
from .prices import OPG_PRICE_USD, Usage, cost
from .settler import Session, Settler
from .stream import BrokenResponse, Cut, EventStream

log = logging.getLogger("og_magics.devnet")

JSON = dict[str, Any]

MODES = ("private", "batch", "individual")
_PAGE = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
_NO_PRICE = "OPG price not yet available \u2014 price feed has not completed a successful fetch"


class Refusal(Exception):
    """A request that ends with an error, though it is paid for."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(error)
        self.status = status


class Unsettled(Exception):
    """The payment of this call could not be settled."""


@dataclass(slots=True)
class Call:
    """One paid request, and what has been answered to it so far."""

    body: JSON
    mode: str
    session: Session
    is_chat: bool
    text: str = ""
    tool_calls: list[JSON] = field(default_factory=list)
    images: list[str] = field(default_factory=list)

    @property
    def model(self) -> str:
        return str(self.body["model"])

    def add(self, delta: Mapping[str, Any]) -> None:
        """Joins a delta to the answer; a tool call's name comes first, its arguments in pieces."""
        self.text += delta.get("content") or ""
        for piece in delta.get("tool_calls") or []:
            index = piece.get("index", len(self.tool_calls))
            while len(self.tool_calls) <= index:
                self.tool_calls.append({"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
            call, function = self.tool_calls[index], piece.get("function") or {}
            call["id"] = piece.get("id") or call["id"]
            call["function"]["name"] = function.get("name") or call["function"]["name"]
            call["function"]["arguments"] += function.get("arguments") or ""


@dataclass(frozen=True, slots=True)
class Closing:
    """What is known when an answer is complete."""

    proof: Proof
    job: Job | None
    payment: SettleResponse | None


class Gateway:
    """The routes, wired to the rooms of this package."""

    def __init__(
        self,
        *,
        model: Model,
        enclave: Enclave,
        paywall: Paywall,
        settler: Settler,
        data: DataSettlement,
        blobs: BlobStore,
    ) -> None:
        self._model, self._enclave, self._paywall = model, enclave, paywall
        self._settler, self._data, self._blobs = settler, data, blobs
        self.asgi = Starlette(
            routes=[
                Route("/v1/chat/completions", self._paid, methods=["POST"]),
                Route("/v1/completions", self._paid, methods=["POST"]),
                Route("/v1/blobs/{blob_id}", self._blob),
                Route("/health", self._health),
                Route("/signing-key", self._signing_key),
                Route("/settle/{job_id}", self._job),
            ]
        )

    # -- open to everyone --------------------------------------------------------------

    async def _health(self, _request: Request) -> Response:
        return JSONResponse(
            {
                "status": "OK",
                "version": __version__,
                "tee_enabled": True,
                "simulated": True,
                "price_feed": {"price_usd": float(OPG_PRICE_USD)},
            }
        )

    async def _signing_key(self, _request: Request) -> Response:
        return JSONResponse(self._enclave.attestation(self._data.signer_address))

    async def _job(self, request: Request) -> Response:
        job = self._data.jobs.get(request.path_params["job_id"])
        return JSONResponse(job.fields()) if job else JSONResponse({"error": "Job not found"}, 404)

    async def _blob(self, request: Request) -> Response:
        blob = self._blobs.get(request.path_params["blob_id"])
        if blob is None:
            return JSONResponse({"error": "Blob not found"}, 404)
        return Response(blob, media_type="application/octet-stream")

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
                response = JSONResponse({"error": str(refusal)}, refusal.status)
            except Fault as fault:
                response = _failed(fault)
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
        """The call of a request that has been paid for. Raises `Refusal`."""
        if not request.headers.get("Authorization", "").startswith("Bearer "):
            raise Refusal(401, "No authorization token provided")
        mode = request.headers.get("X-SETTLEMENT-TYPE", "batch").lower()
        if mode not in MODES:
            raise Refusal(400, f"Unknown settlement type '{mode}': use one of {', '.join(MODES)}")
        is_chat = request.url.path.startswith("/v1/chat/")
        try:
            body = json.loads(await request.body())
            canonical_request(body)
            if not body["messages" if is_chat else "prompt"]:
                raise ValueError("an empty request")
        except (ValueError, TypeError, AttributeError, LookupError, ClientDisconnect):
            raise Refusal(400, "The request body is not a valid completion request") from None
        if not self._model.knows(str(body.get("model", ""))):
            raise Refusal(400, f"Model '{body.get('model')}' is not supported")
        return Call(body, mode, session, is_chat)

    async def _answer(self, call: Call) -> Response:
        if call.body.get("stream"):
            return await self._streamed(call)
        async with aclosing(_pieces(self._model, call.body)) as pieces:
            async for piece in pieces:
                match piece:
                    case Delta(fields):
                        call.add(fields)
                    case Garbage(line):
                        return Response(line, media_type="application/json")
                    case Ending():
                        ending = piece
        closing = await self._close(call, ending.usage)
        call.images += ending.images
        return JSONResponse(_whole(call, ending, closing), headers=_headers(closing))

    async def _streamed(self, call: Call) -> Response:
        pieces = _pieces(self._model, call.body)
        try:
            # The headers leave with the first piece, so what fails before it still has a status of its own.
            first = await _first(pieces)
            headers: dict[str, str] = {}
            if self._paywall.terms.scheme == "exact" and not isinstance(first, Fault):
                payment = await self._collect(call, call.session.cap)
                headers |= _payment_headers(payment)
            if call.mode == "individual":
                # Its settlement is told in the headers: the whole answer is made before they leave.
                buffered = [event async for event in self._events(call, pieces, first, headers)]
                return EventStream(_replayed(buffered), headers)
        except BaseException:
            await pieces.aclose()
            raise
        return EventStream(self._events(call, pieces, first, {}), headers)

    async def _events(
        self, call: Call, pieces: AsyncGenerator[Piece], first: Piece | Fault, headers: dict[str, str]
    ) -> AsyncGenerator[str | Cut]:
        """The stream's events; `headers` is filled with what belongs there if they have not left yet."""
        try:
            async with aclosing(pieces):
                async for piece in _joined(first, pieces):
                    match piece:
                        case Delta(fields):
                            call.add(fields)
                            yield _event({"choices": [_choice(call, fields)], "model": call.model})
                        case Garbage(line):
                            yield f"data: {line}\n\n"
                        case Ending():
                            closing = await self._close(call, piece.usage)
                            headers |= _headers(closing)
                            if not piece.silent:
                                yield _event(_final(call, piece, closing))
            yield "data: [DONE]\n\n"
        except Fault as fault:
            yield Cut() if fault.kind == "cut" else _event({"error": "Stream processing failed"})
        except Unsettled as unsettled:
            yield _event({"error": f"Payment settlement failed: {unsettled}"})

    # -- the end of a call -------------------------------------------------------------

    async def _close(self, call: Call, usage: Usage) -> Closing:
        """Signs, charges and settles a complete answer. Raises `Unsettled`."""
        request = canonical_request(call.body)
        output = signed_output(call.text, call.tool_calls)
        proof = self._enclave.sign(request_hash(request), output_hash(output))
        payment = await self._collect(call, cost(call.model, usage))
        job = None
        if call.mode == "individual":
            job = await self._data.individual(proof, request, output)
        elif call.mode == "batch":
            self._data.batch(proof)
        return Closing(proof, job, payment)

    async def _collect(self, call: Call, amount: int) -> SettleResponse | None:
        """Charges a call; where every call is settled at once, settles it (a second time does nothing)."""
        terms, session = self._paywall.terms, call.session
        if session.settlement is None:
            self._settler.owe(session, terms.cap if terms.scheme == "exact" else amount)
        if not terms.at_once:
            return None
        # Shielded: a client that goes away now has its answer; what it owes is still collected.
        payment = await asyncio.shield(self._settler.settle(session))
        if payment is not None and not payment.success:
            raise Unsettled(payment.error_reason or "settlement_failed")
        return payment


async def _pieces(model: Model, body: JSON) -> AsyncGenerator[Piece]:
    """The model's answer; whatever goes wrong in it, such as a request that it cannot read, is a `Fault`."""
    try:
        async for piece in model.answer(body):
            yield piece
    except Fault as fault:
        if fault.detail:
            log.error("the model failed: %s", fault.detail)  # noqa: TRY400 - it has said enough
        raise
    except Exception as error:
        log.exception("the model failed")
        raise Fault("500") from error


async def _first(pieces: AsyncGenerator[Piece]) -> Piece | Fault:
    """The first piece; a failure that a stream tells in an event is returned, any other is raised."""
    try:
        return await anext(pieces)
    except Fault as fault:
        if fault.kind != "500":
            raise
        return fault


async def _joined(first: Piece | Fault, rest: AsyncGenerator[Piece]) -> AsyncIterator[Piece]:
    if isinstance(first, Fault):
        raise first
    yield first
    async for piece in rest:
        yield piece


async def _replayed(events: list[str | Cut]) -> AsyncGenerator[str | Cut]:
    for event in events:
        yield event


def _failed(fault: Fault) -> Response:
    match fault.kind:
        case "503":
            return JSONResponse({"error": f"Pricing unavailable: {_NO_PRICE}"}, 503)
        case "html":
            return HTMLResponse(_PAGE, 502)
        case "cut":
            return BrokenResponse()
        case _:
            return JSONResponse({"error": "Request processing failed"}, 500)


def _event(data: JSON) -> str:
    return f"data: {json.dumps(data)}\n\n"


def _choice(call: Call, delta: JSON, finish_reason: str | None = None) -> JSON:
    if call.is_chat:
        return {"delta": delta, "index": 0, "finish_reason": finish_reason}
    return {"text": delta.get("content", ""), "index": 0, "finish_reason": finish_reason}


def _final(call: Call, ending: Ending, closing: Closing) -> JSON:
    final: JSON = {"choices": [_choice(call, {}, ending.finish_reason)], "model": call.model}
    final |= closing.proof.fields() | {"usage": ending.usage.fields()}
    if ending.images:
        final["images"] = list(ending.images)
    if closing.job is not None and closing.job.tx_hash:
        final["data_settlement_transaction_hash"] = closing.job.tx_hash
        final["data_settlement_blob_id"] = closing.job.blob_id
    return final


def _whole(call: Call, ending: Ending, closing: Closing) -> JSON:
    choice: JSON = {"finish_reason": ending.finish_reason, "index": 0}
    if call.is_chat:
        message: JSON = {"content": call.text, "role": "assistant"}
        if call.tool_calls:
            message["tool_calls"] = call.tool_calls
        if call.images:
            message["images"] = call.images
        choice["message"] = message
    else:
        choice["text"] = call.text
    answer = {
        "choices": [choice],
        "created": int(time.time()),
        "id": f"{'chatcmpl' if call.is_chat else 'cmpl'}-{uuid.uuid4()}",
        "model": call.model,
        "object": "chat.completion" if call.is_chat else "text_completion",
        "usage": ending.usage.fields(),
    }
    return answer if ending.silent else answer | closing.proof.fields()


def _headers(closing: Closing) -> dict[str, str]:
    headers = _payment_headers(closing.payment)
    if closing.job is not None:
        headers |= closing.proof.headers() | closing.job.headers()
    return headers


def _payment_headers(payment: SettleResponse | None) -> dict[str, str]:
    return {} if payment is None else {"PAYMENT-RESPONSE": encode_payment_response_header(payment)}
