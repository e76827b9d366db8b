"""The 402 handshake: payment offers, verification of signatures, and sessions that are paid already."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from dataclasses import dataclass
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import Response
from x402.extensions.erc20_approval_gas_sponsoring import declare_erc20_approval_gas_sponsoring_extension
from x402.http.utils import decode_payment_signature_header, encode_payment_required_header
from x402.schemas import PaymentPayload, PaymentRequired, PaymentRequirements, ResourceInfo

from ...core.untrusted_json import read_json
from .responses import Unpaid
from .settler import Facilitator, Session, Settler

Scheme = Literal["upto", "exact"]

_KEPT = 3600.0  # seconds in which a session is remembered whose authorization is void
_DESCRIPTIONS = {
    "/v1/chat/completions": "Chat completion",
    "/v1/completions": "Completion",
    "/v1/web_search": "Web search",
}


@dataclass(frozen=True, slots=True)
class Terms:
    """The payment that the gateway asks for.

    Attributes:
        cap: base units; the most that a session may cost, and with scheme "exact" the price of a call.
        max_timeout: seconds that an authorization may be valid.
        margin: seconds before its end in which no call begins.
        at_once: each authorization pays for one call, settled before its answer ends.
    """

    scheme: Scheme
    network: str
    asset: str
    pay_to: str
    facilitator: str
    cap: int
    max_timeout: int
    margin: float
    at_once: bool

    def requirements(self) -> PaymentRequirements:
        extra = {"name": "OpenGradient", "version": "1", "assetTransferMethod": "permit2"}
        if self.scheme == "upto":
            extra["facilitatorAddress"] = self.facilitator
        return PaymentRequirements(
            scheme=self.scheme,
            network=self.network,
            asset=self.asset,
            amount=str(self.cap),
            pay_to=self.pay_to,
            max_timeout_seconds=self.max_timeout,
            extra=extra,
        )


class Paywall:
    """Admission: a request becomes a session that pays for it, or the 402 that says why not."""

    def __init__(self, terms: Terms, facilitator: Facilitator, settler: Settler) -> None:
        self.terms = terms
        self._requirements = terms.requirements()
        self._facilitator = facilitator
        self._settler = settler
        self._by_id: dict[str, Session] = {}
        # One verification and one session for each permit nonce, also when it arrives twice at once.
        self._by_permit: dict[str, asyncio.Task[Session | str]] = {}

    async def admit(self, request: Request) -> Session | Response:
        """Return a session in which one call has begun (the caller ends it), or a 402."""
        route = f"{request.method} {request.url.path}"
        session: Session | str | None
        if session_id := request.headers.get("X-Upto-Session"):
            session = self._by_id.get(session_id)
            if session is not None and session.route != route:
                session = None
        else:
            payload = _decoded(request.headers.get("PAYMENT-SIGNATURE", ""))
            if payload is None:
                return self.offer(request, "Payment required")
            if not self._matches(payload):
                return self.offer(request, "No matching payment requirements")
            session = await self._session_for(payload, route)
            if isinstance(session, str):
                return self.offer(request, session)
        if session is None or not session.open:
            return Unpaid({"error": "Session expired or exhausted"})
        self._settler.begin(session)
        return session

    def offer(self, request: Request, error: str) -> Response:
        """Return a 402 that carries the terms in its header."""
        path = request.url.path
        required = PaymentRequired(
            error=error,
            resource=ResourceInfo(url=str(request.url), description=_DESCRIPTIONS[path], mime_type="application/json"),
            accepts=[self._requirements],
            extensions=declare_erc20_approval_gas_sponsoring_extension(),
        )
        return Unpaid({}, {"PAYMENT-REQUIRED": encode_payment_required_header(required)})

    def _matches(self, payload: PaymentPayload) -> bool:
        wanted = self._requirements.model_dump(exclude={"extra"})
        accepted = payload.accepted.model_dump(exclude={"extra"})
        given = payload.accepted.extra or {}
        return wanted == accepted and all(given.get(k) == v for k, v in self._requirements.extra.items())

    async def _session_for(self, payload: PaymentPayload, route: str) -> Session | str:
        """Return the open session of an authorization, or the reason why there is none."""
        permit = _permit_key(payload)
        while True:
            task = self._by_permit.get(permit)
            if task is None:
                task = asyncio.get_running_loop().create_task(self._verified(payload, route))
                self._by_permit[permit] = task
            # Shielded: a client that goes away must not cancel the verification another one waits for.
            session = await asyncio.shield(task)
            if isinstance(session, Session):
                if session.payload.payload != payload.payload:
                    return "permit2_invalid_nonce"
                if not self.terms.at_once and (session.open or session.settlement is None):
                    return session
                if self.terms.at_once and session.open and not session.in_flight:
                    return session
                if self.terms.at_once:
                    await session.done.wait()
                elif session.settlement is not None:
                    await asyncio.shield(session.settlement)
                if not session.done.is_set():  # its settlement failed
                    continue
            if self._by_permit.get(permit) is task:
                del self._by_permit[permit]
            if isinstance(session, str):
                return session

    async def _verified(self, payload: PaymentPayload, route: str) -> Session | str:
        try:
            reason = await asyncio.to_thread(self._facilitator.verify, payload, self._requirements)
        except Exception as error:  # noqa: BLE001 - the facilitator raises on payloads that it cannot read
            return f"unexpected_verify_error: {error!r}"
        if reason is not None:
            return reason
        session = Session(route, payload, self._requirements, self.terms.cap)
        if deadline := _deadline(payload):
            session.deadline, session.last_call = deadline, deadline - self.terms.margin
        if not self.terms.at_once:
            self._forget_settled()
            self._by_id[session.id] = session
        return session

    def _forget_settled(self) -> None:
        """Drop settled sessions, and those that owe nothing and no longer can: a devnet may run for weeks."""
        self._by_id = {key: session for key, session in self._by_id.items() if not _is_over(session)}
        self._by_permit = {key: task for key, task in self._by_permit.items() if not _is_settled(task)}


def _is_settled(task: asyncio.Task[Session | str]) -> bool:
    if not task.done():
        return False
    session = task.result()
    return isinstance(session, str) or _is_over(session)


def _is_over(session: Session) -> bool:
    return session.done.is_set() or (not session.in_flight and time.time() > session.deadline + _KEPT)


def _deadline(payload: PaymentPayload) -> float | None:
    permit: Any = payload.payload.get("permit2Authorization")
    try:
        return float(permit["deadline"])
    except (TypeError, LookupError, ValueError):
        return None


def _decoded(header: str) -> PaymentPayload | None:
    try:
        read_json(base64.b64decode(header))  # not too deep for the parsers that follow
        payload = decode_payment_signature_header(header)
    except (ValueError, TypeError, AttributeError, KeyError):
        return None
    return payload if isinstance(payload, PaymentPayload) else None


def _permit_key(payload: PaymentPayload) -> str:
    """Return payer and nonce of a Permit2 authorization; the whole payload of any other kind."""
    permit: Any = payload.payload.get("permit2Authorization")
    if isinstance(permit, dict):
        return f"{permit.get('from')}/{permit.get('nonce')}".lower()
    return json.dumps(payload.payload, sort_keys=True)
