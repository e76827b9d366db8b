"""Failures of a model, as the gateway answers them."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

from starlette.responses import HTMLResponse, Response

from ..model.protocol import Fault, Model, Piece, ProviderFault
from .profile import Profile
from .responses import BrokenResponse, answer, compact

log = logging.getLogger("og_magics.devnet")

JSON = dict[str, Any]

_PAGE = "<html><head><title>502 Bad Gateway</title></head><body><h1>502 Bad Gateway</h1></body></html>"
_NO_PRICE = "OPG price not yet available \u2014 price feed has not completed a successful fetch"
_OF_CREDENTIALS = (401, 402, 403, 407)
_RETRYABLE = (408, 409, 425, 429, 500, 502, 503, 504, 529)


async def pieces_of(model: Model, body: Mapping[str, Any]) -> AsyncGenerator[Piece]:
    """Yield the model's answer; any failure, such as a request it cannot read, is raised as `Fault`."""
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


async def first_piece(pieces: AsyncGenerator[Piece], profile: Profile) -> Piece | Fault:
    """Return the first piece, or the failure that a stream reports in an event; raise any other failure."""
    try:
        return await anext(pieces)
    except Fault as fault:
        if fault.kind == "500" or (fault.kind == "provider" and not profile.tells_reasons):
            return fault
        raise


async def joined(first: Piece | Fault, rest: AsyncGenerator[Piece]) -> AsyncIterator[Piece]:
    """Yield all pieces again."""
    if isinstance(first, Fault):
        raise first
    yield first
    async for piece in rest:
        yield piece


def failed(fault: Fault, profile: Profile) -> Response:
    """Return the answer to a request whose model failed."""
    match fault.kind:
        case "503":
            return compact({"error": f"Pricing unavailable: {_NO_PRICE}"}, 503)
        case "html":
            return HTMLResponse(_PAGE, 502)
        case "cut":
            return BrokenResponse()
    error: JSON = {"error": "Request processing failed"}
    if not profile.tells_reasons:
        return answer(error, 500)
    if not isinstance(fault, ProviderFault):
        return answer(error | _OWN, 500)
    return answer(_reported(fault), _status(fault))


def stream_failed(fault: Fault, profile: Profile) -> JSON:
    """Return the event that ends a stream whose model failed."""
    if not profile.tells_reasons:
        return {"error": "Stream processing failed"}
    return _reported(fault) if isinstance(fault, ProviderFault) else {"error": "Stream processing failed"} | _OWN


_OWN: JSON = {"exception_type": "RuntimeError"}


def _reported(fault: ProviderFault) -> JSON:
    error: JSON = {"error": fault.reason, "exception_type": "ProviderError", "source": "provider"}
    if fault.status is None:
        return error | {"retryable": True}
    return error | {"provider_status": fault.status, "retryable": fault.status in _RETRYABLE}


def _status(fault: ProviderFault) -> int:
    """Return the status for a provider's failure: its 4xx about the request pass through, credentials are a 502."""
    if fault.status is None or fault.status == 408:
        return 504 if fault.status or fault.late else 502
    if fault.status == 429:
        return 503
    return fault.status if 400 <= fault.status < 500 and fault.status not in _OF_CREDENTIALS else 502
