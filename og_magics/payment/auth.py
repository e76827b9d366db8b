"""The 402 handshake as an `httpx.Auth`: challenge, policy, signature, session, resend."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from typing import NoReturn

import httpx

from ..errors import PaymentRejected
from ..ports import Clock, Journal
from .authorize import CHALLENGE_HEADER, SIGNATURE_HEADER, Authorizer, Payment, decode_challenge
from .policy import Policy
from .sessions import SESSION_HEADER, Route, Session
from .wallet import Wallet

RESPONSE_HEADER = "PAYMENT-RESPONSE"

_ROUNDS = 3
"""Sessions that one question may find dead before it gives up."""


class Payments:
    """All payments of one wallet. Used on one event loop."""

    def __init__(self, wallet: Wallet, journal: Journal, clock: Clock) -> None:
        self.authorizer = Authorizer(wallet, journal, clock)
        self.journal = journal
        self.clock = clock
        self._routes: dict[tuple[str, str], Route] = {}

    @property
    def payer(self) -> str:
        """The wallet's address."""
        return self.authorizer.payer

    def question(
        self, receipt_id: str, policy: Policy, *, gateway: str, path: str, note: Callable[[str], None]
    ) -> QuestionAuth:
        """What pays for one question. `note` is told "paying" and "waiting".

        Send a repetition with the same one: it resends the same authorization.
        """
        route = self._routes.setdefault((gateway, path), Route())
        return QuestionAuth(self, route, receipt_id, policy, gateway, path, note)


class QuestionAuth(httpx.Auth):
    """Pays for one question with at most one authorization.

    Attributes:
        session: what the question was sent with; None while nothing was.
        settled: True when the gateway said (PAYMENT-RESPONSE) that it has settled the payment already.
    """

    requires_request_body = True

    def __init__(
        self,
        payments: Payments,
        route: Route,
        receipt_id: str,
        policy: Policy,
        gateway: str,
        path: str,
        note: Callable[[str], None],
    ) -> None:
        self._payments = payments
        self._route = route
        self._receipt_id = receipt_id
        self._policy = policy
        self._gateway = gateway
        self._path = path
        self._note = note
        self.session: Session | None = None
        self.settled = False

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Yields the request as often as the handshake needs it.

        Raises:
            PaymentRefused: our policy refused; nothing was signed.
            PaymentRejected: the gateway refused what was signed.
            GatewayProtocolError: the challenge cannot be read.
        """
        payments, route = self._payments, self._route
        for _ in range(_ROUNDS):
            leads = self.session is not None
            session = self.session or route.current(payments.clock())
            if session is None:
                async with route.opening():
                    session = route.current(payments.clock())
                    if session is None:
                        self._note("paying")
                        response = yield _with(request, {})
                        challenge = response.headers.get(CHALLENGE_HEADER)
                        if response.status_code != 402 or challenge is None:
                            return  # nothing to pay, or an error that the caller reads
                        session = route.open(self._authorize(challenge))
                        leads = True
            if not leads:
                await session.answered()
                if session.fate is not None:
                    raise session.fate
                if session.retired:
                    continue
            self._attach(session)
            self._note("waiting")
            response = yield _with(request, _proof_of(session))
            if response.status_code != 402:
                self._accepted(response, session)
                return
            challenge = response.headers.get(CHALLENGE_HEADER)
            if challenge is not None and leads:
                self._rejected(challenge, session)
            # A session that is over, or a signature that was used up by the question it was made for.
            self._release(session, "the gateway ended the session before it")
            if session.fate is not None:
                raise session.fate
        raise PaymentRejected(
            f"The gateway ended {_ROUNDS} payment sessions in a row.",
            reason="session_expired",
            money="What was signed stays within its cap and expires by itself.",
            remedy="Try again in a minute; %og receipts shows what was signed.",
        )

    def sync_auth_flow(self, request: httpx.Request) -> NoReturn:
        raise RuntimeError("Payments are made on the background loop: use an httpx.AsyncClient.")

    def _authorize(self, challenge: str) -> Payment:
        return self._payments.authorizer.authorize(
            challenge, self._policy, gateway=self._gateway, path=self._path, reason=self._route.reason
        )

    def _attach(self, session: Session) -> None:
        self.session = session
        self._payments.journal.attach(self._receipt_id, session.payment.authorization.hash, session.id)

    def _release(self, session: Session, reason: str) -> None:
        self._route.close(session, reason)
        self._payments.journal.detach(self._receipt_id, session.payment.authorization.hash)
        self.session = None

    def _accepted(self, response: httpx.Response, session: Session) -> None:
        told = response.headers.get(SESSION_HEADER)
        if told is not None:
            session.id = told
            session.known.set()
        elif session.id is None:
            self._route.close(session, "the gateway has no sessions")
            self._route.single_use = response.is_success or self._route.single_use
        self.settled = RESPONSE_HEADER in response.headers
        self._attach(session)

    def _rejected(self, challenge: str, session: Session) -> NoReturn:
        reason = decode_challenge(challenge).error or "no reason given"
        error = PaymentRejected(
            f"The gateway did not accept the payment: {reason[:200]}.",
            reason=reason,
            money="Nothing was paid; the signed authorization expires by itself within minutes.",
            remedy="%og wallet shows balance and allowance, %og network the network.",
        )
        self._route.close(session, f"the gateway refused the one before it ({reason[:80]})", error)
        raise error


def _proof_of(session: Session) -> dict[str, str]:
    if session.id is not None:
        return {SESSION_HEADER: session.id}
    return {SIGNATURE_HEADER: session.payment.header}


def _with(request: httpx.Request, headers: dict[str, str]) -> httpx.Request:
    """The request with these payment headers and no others."""
    for name in (SIGNATURE_HEADER, SESSION_HEADER):
        request.headers.pop(name, None)
    request.headers.update(headers)
    return request
