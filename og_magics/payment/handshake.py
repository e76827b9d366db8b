"""The 402 handshake as an `httpx.Auth`: challenge, policy, signature, session, resend."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import NoReturn, Protocol

import httpx

from ..core import log
from ..core.errors import GatewayProtocolError, OGError, PaymentRefused, PaymentRejected
from ..core.off_loop import thread_of
from ..core.protocols import Clock, Journal
from ..core.secret import Secret
from .authorize import (
    CHALLENGE_HEADER,
    SIGNATURE_HEADER,
    Authorizer,
    Payment,
    decode_challenge,
    is_paid_by_permit2,
)
from .policy import Policy
from .sessions import SESSION_HEADER, Route, Session
from .wallet import Wallet

RESPONSE_HEADER = "PAYMENT-RESPONSE"

_LOOK_SECONDS = 5.0
"""Time for which a question that goes over a budget waits for a look at the chain."""

_ROUNDS = 3
"""Sessions of other questions that one question may find dead before it gives up."""

_SESSION_ID = re.compile(r"[A-Za-z0-9._~:+/=-]{1,256}")


class FundsCheck(Protocol):
    """A look at the wallet before a signature. It raises an OGError where the wallet does not have what is asked."""

    async def __call__(self, cap: int, *, by_permit2: bool) -> None: ...


Look = Callable[[], Awaitable[object]]
"""A look at the chain that brings the ledger up to date; it may raise an OGError."""


class Payments:
    """All payments of one wallet. Used on one event loop.

    Args:
        check_funds: asked before each signature. look: made before a budget refuses one.

    Attributes:
        disk: the thread on which the journal is read and written, so that the loop does not wait for it.
    """

    def __init__(
        self,
        wallet: Wallet,
        journal: Journal,
        clock: Clock,
        check_funds: FundsCheck | None = None,
        look: Look | None = None,
    ) -> None:
        self.authorizer = Authorizer(wallet, journal, clock)
        self.check_funds = check_funds
        self.look = look
        self.journal = journal
        self.disk = thread_of(journal)
        self.clock = clock
        self._routes: dict[tuple[str, str], Route] = {}

    @property
    def payer(self) -> str:
        """The wallet's address."""
        return self.authorizer.payer

    def pay_for(
        self, receipt_id: str, policy: Policy, *, gateway: str, path: str, note: Callable[[str], None]
    ) -> PaymentAuth:
        """Return what pays for one request. `note` is called with "paying" and "waiting".

        Send a repetition with the same one: it resends the same authorization.
        """
        route = self._routes.setdefault((gateway, path), Route())
        return PaymentAuth(self, route, receipt_id, policy, gateway, path, note)


class PaymentAuth(httpx.Auth):
    """Payment for one request, by at most one authorization.

    Attributes:
        session: what the question was sent with; None while nothing was.
        settled: True when the payment should be on chain already: the gateway says so (PAYMENT-RESPONSE), or it has
            taken the payment and given no session that could be settled later.
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
        self._attached: tuple[Session, Secret | None] | None = None  # what the ledger has as paying for it
        self._open_fate = False  # it was sent, and whether it was served is not known
        self._fate_before = False  # the same, before the last request

    @property
    def was_sent(self) -> bool:
        """True once the request was sent with a payment, and may have been served."""
        return self._open_fate

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Yield the request as often as the handshake needs it.

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
                refusals = route.refusals
                async with route.opening():
                    session = route.current(payments.clock())
                    if session is None:
                        route.raise_refusal(after=refusals)
                        self._note("paying")
                        response = yield _with(request, {})
                        challenge = response.headers.get(CHALLENGE_HEADER)
                        if response.status_code != 402 or challenge is None:
                            return  # nothing to pay, or an error that the caller reads
                        log.step("challenge", self._receipt_id, gateway=self._gateway)
                        session = route.open(await self._authorize(challenge))
                        leads = True
            if not leads and not await _joined(session):
                continue
            self._policy.allows(session.payment.authorization.cap)
            await self._attach(session)
            self._note("waiting")
            repeated = self._fate_before = self._open_fate
            self._open_fate = True
            proof = _proof_of(session)
            response = yield _with(request, proof)
            if response.status_code == 402 and SESSION_HEADER in proof:
                # The session is over. Its signature may still be good, and then resumes it: only a gateway that
                # refuses the signature too has proved that another one is needed.
                if not session.retired:
                    response = yield _with(request, {SIGNATURE_HEADER: session.payment.header})
                if response.status_code == 402:
                    await self._over(session, repeated)
                    continue
            self._open_fate = response.status_code != 402
            if response.status_code != 402:
                await self._accepted(response, session)
                return
            if leads and repeated:
                self._used_up(session)
            elif leads:
                self._rejected(response.headers.get(CHALLENGE_HEADER), session)
            else:
                await self._not_resumed(session)
        raise PaymentRejected(
            f"The gateway ended {_ROUNDS} payment sessions in a row.",
            reason="session_expired",
            money="What was signed stays within its cap and expires by itself.",
            remedy="Try again in a minute; %og receipts shows what was signed.",
        )

    def sync_auth_flow(self, request: httpx.Request) -> NoReturn:
        raise RuntimeError("Payments are made on the background loop: use an httpx.AsyncClient.")

    async def _authorize(self, challenge: str) -> Payment:
        payments, disk = self._payments, self._payments.disk
        required = decode_challenge(challenge)
        offer = self._policy.choose(required.accepts)
        try:
            await disk.run(lambda: payments.authorizer.check_budgets(offer, self._policy))
        except PaymentRefused:  # what is open may have been settled meanwhile, and then counts with what it used
            if payments.look is None:
                raise
            with contextlib.suppress(OGError, TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await payments.look()
            await disk.run(lambda: payments.authorizer.check_budgets(offer, self._policy))
        if payments.check_funds is not None:
            await payments.check_funds(int(offer.amount), by_permit2=is_paid_by_permit2(offer))
        reason = self._route.reason
        payment = await disk.run(
            lambda: payments.authorizer.authorize(
                required, offer, self._policy, gateway=self._gateway, path=self._path, reason=reason
            )
        )
        signed = payment.authorization
        log.step("authorization", self._receipt_id, hash=signed.hash, cap=signed.cap, network=signed.network)
        return payment

    async def _attach(self, session: Session) -> None:
        journal, hash = self._payments.journal, session.payment.authorization.hash
        session_id = session.id  # as it is now
        if self._attached is None or self._attached[0] is not session or self._attached[1] != session_id:
            await self._payments.disk.run(lambda: journal.attach(self._receipt_id, hash, session_id), together=True)
            self._attached = session, session_id
        self.session = session

    async def _not_resumed(self, session: Session) -> None:
        """Handle a refused signature of another request: it is used up, or refused to that one too, as it will soon
        say.
        """
        await self._release(session)
        await session.answered()
        if session.fate is not None:
            raise session.fate
        if session.id is None:
            self._route.close(session, "the gateway takes a signature only once")
            self._route.single_use = True

    async def _over(self, session: Session, repeated: bool) -> None:
        """Close a session whose signature is used up; a request that it may have served is not paid again."""
        self._route.close(session, "the gateway ended the session before it, and refused to resume it")
        if repeated:
            self._used_up(session)
        await self._release(session)
        self._open_fate = False

    def _used_up(self, session: Session) -> NoReturn:
        self._route.close(session, "the gateway ended the session before it")
        raise PaymentRejected(
            "The gateway took the payment with the first attempt, whose answer was lost, and does not take it again.",
            reason="already_used",
            money="The call may have been charged, by no more than its authorization allows. Nothing more was signed.",
            remedy="Ask again if you want the answer: that is another call. %og receipts --wait shows what was paid.",
        )

    def note_end(self, cost: int | None) -> None:
        """Note that the answer has ended: from now on the gateway takes the session for idle.

        Args:
            cost: base units that the gateway says it cost; None where it does not say.
        """
        if self.session is not None:
            self.session.note_use(self._payments.clock(), cost or 0)

    async def withdraw(self) -> None:
        """Note that the last request never left: unless one before it did, nothing pays for it yet."""
        self._open_fate = self._fate_before
        if self.session is not None and not self._open_fate:
            await self._release(self.session)

    async def _release(self, session: Session) -> None:
        journal, hash = self._payments.journal, session.payment.authorization.hash
        self.session = self._attached = None
        await self._payments.disk.run(lambda: journal.detach(self._receipt_id, hash))

    async def _accepted(self, response: httpx.Response, session: Session) -> None:
        given = response.headers.get(SESSION_HEADER)
        session_id = None if given is None else Secret(given, lasting=False)
        del given  # no traceback shows it
        if session_id is not None and not _SESSION_ID.fullmatch(session_id.reveal()):
            session_id = None  # it could not be sent again, or would be more than an id there
        if session_id is not None:
            session.id = session_id
            self._route.single_use = False
        elif session.id is None and response.is_success:
            self._route.close(session, "the gateway has no sessions")
            self._route.single_use = True
        # After a failure without a session the signature may be unused: the next question sends it, and signs no other.
        session.known.set()
        self.settled = response.is_success and (RESPONSE_HEADER in response.headers or session.id is None)
        await self._attach(session)

    def _rejected(self, challenge: str | None, session: Session) -> NoReturn:
        reason = "no reason given"
        if challenge is not None:
            with contextlib.suppress(GatewayProtocolError):  # what cannot be read gives no reason
                reason = decode_challenge(challenge).error or reason
        error = PaymentRejected(
            f"The gateway did not accept the payment: {reason[:200]}.",
            reason=reason,
            cap=session.payment.authorization.cap,
            money="The gateway says that it took nothing; what was signed stays within its cap and expires by itself.",
            remedy="%og wallet shows the balance and what is approved, %og network the network.",
        )
        self._route.close(session, f"the gateway refused the one before it ({reason[:80]})", error)
        raise error


async def _joined(session: Session) -> bool:
    """Wait until another request's session can be used; return False when it cannot be any more."""
    await session.answered()
    if session.fate is not None:
        raise session.fate
    return not session.retired


def _proof_of(session: Session) -> dict[str, Secret]:
    if session.id is not None:
        return {SESSION_HEADER: session.id}
    return {SIGNATURE_HEADER: session.payment.header}


def _with(request: httpx.Request, headers: dict[str, Secret]) -> httpx.Request:
    """Return the request with these payment headers and no others."""
    for name in (SIGNATURE_HEADER, SESSION_HEADER):
        request.headers.pop(name, None)
    request.headers.update({name: value.reveal() for name, value in headers.items()})
    return request
