"""`POST /v1/web_search`: a search that is paid for and signed as a chat is. What it finds is made up, and says so."""

from __future__ import annotations

import asyncio
import json
from decimal import ROUND_CEILING, Decimal
from typing import Any

from eth_utils.crypto import keccak
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from x402.http.utils import encode_payment_response_header

from ...core.models import WEB_SEARCH, price_of
from ...core.untrusted_json import read_json
from .enclave import Enclave
from .paywall import Paywall
from .prices import OPG_PRICE_USD
from .settler import Settler

JSON = dict[str, Any]

PATH = "/v1/web_search"
_RESULTS = range(1, 11)


def search_route(enclave: Enclave, paywall: Paywall, settler: Settler) -> Route:
    """Return the route of the search."""

    async def search(request: Request) -> Response:
        session = await paywall.admit(request)
        if isinstance(session, Response):
            return session
        try:
            headers = {} if paywall.terms.at_once else {"X-Upto-Session": session.id}
            body = await _body(request)
            if body is None:
                return JSONResponse({"error": "A search has a query and 1 to 10 results"}, 400, headers)
            content, citations = _found(body)
            proof = enclave.sign(keccak(json.dumps(body, sort_keys=True).encode()), keccak(content.encode()))
            usd = _usd()
            amount = int((usd / OPG_PRICE_USD * 10**18).to_integral_value(ROUND_CEILING))
            settler.owe(session, session.cap if paywall.terms.scheme == "exact" else amount)
            if paywall.terms.at_once:
                payment = await asyncio.shield(settler.settle(session))
                if payment is not None and not payment.success:
                    return paywall.offer(request, payment.error_reason or "settlement_failed")
                if payment is not None:
                    headers["PAYMENT-RESPONSE"] = encode_payment_response_header(payment)
            cost = {"cost_opg": str(amount), "cost_usd": str(usd), "opg_price_usd": str(OPG_PRICE_USD)}
            answer = {"content": content, "citations": citations, "opengradient": cost}
            return JSONResponse(answer | proof.fields(), headers=headers)
        finally:
            settler.end(session)

    return Route(PATH, search, methods=["POST"])


async def _body(request: Request) -> JSON | None:
    """Return the request's body, or None for one that is no search."""
    try:
        body = read_json(await request.body())
        query, results, days = body["query"], body.get("num_results", 6), body.get("recency_days", 1)
        query.encode()
        good = query.strip() and type(results) is int and results in _RESULTS and type(days) is int and days > 0
    except (ValueError, TypeError, AttributeError, LookupError, ClientDisconnect):
        return None
    return body if good else None


def _found(body: JSON) -> tuple[str, list[JSON]]:
    numbers = range(1, body.get("num_results", 6) + 1)
    citations = [{"title": f"Simulated page {n}", "url": f"https://example.com/{n}"} for n in numbers]
    lines = [f"[{n}] The devnet searches nothing: this page {n} about {body['query']!r} is made up." for n in numbers]
    return "\n".join(lines), citations


def _usd() -> Decimal:
    price = price_of(WEB_SEARCH)
    return Decimal(0) if price is None else price.call
