"""Payments: what each session owes, and its settlement on chain by the official x402 facilitator."""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
import uuid
from dataclasses import dataclass, field

from x402 import x402FacilitatorSync
from x402.mechanisms.evm import FacilitatorWeb3Signer
from x402.mechanisms.evm.exact import ExactEvmFacilitatorScheme
from x402.mechanisms.evm.upto import UptoEvmFacilitatorScheme
from x402.schemas import PaymentPayload, PaymentRequirements, SettleResponse

log = logging.getLogger("og_magics.devnet")


class Facilitator:
    """The official facilitator over one account. Blocking; safe from any thread."""

    def __init__(self, rpc_url: str, private_key: str, network: str) -> None:
        self._rpc_url, self._private_key, self._network = rpc_url, private_key, network
        self._settling = threading.Lock()
        self._x402 = self._assembled()

    def _assembled(self) -> x402FacilitatorSync:
        signer = FacilitatorWeb3Signer(self._private_key, self._rpc_url, confirmation_timeout_seconds=30)
        self.address: str = signer.address
        facilitator = x402FacilitatorSync()
        facilitator.register([self._network], UptoEvmFacilitatorScheme(signer))
        facilitator.register([self._network], ExactEvmFacilitatorScheme(signer))
        return facilitator

    def verify(self, payload: PaymentPayload, requirements: PaymentRequirements) -> str | None:
        """Return None for a payment that can be settled, else the reason why it cannot."""
        verdict = self._x402.verify(payload, requirements)
        return None if verdict.is_valid else verdict.invalid_reason or "invalid_payment"

    def settle(self, payload: PaymentPayload, requirements: PaymentRequirements, amount: int) -> SettleResponse:
        """Settle `amount` base units; one settlement at a time, because the account's nonces are in a row."""
        with self._settling:
            settled = False
            try:
                response = self._x402.settle(payload, requirements.model_copy(update={"amount": str(amount)}))
                settled = response.success
            finally:
                if not settled:
                    # The signer counts its nonces itself; after a failure its count may be ahead of the chain's.
                    self._x402 = self._assembled()
            return response


@dataclass(slots=True, eq=False)
class Session:
    """One authorization, and the calls that it pays for.

    Attributes:
        route: method and path; a session serves no other.
        cap: base units that were authorized.
        deadline: unix seconds after which the authorization is void; infinite where none is known.
        last_call: unix seconds after which no call begins.
        owed: base units of the calls that were answered; never above the cap.
        in_flight: calls that are being answered.
        done: set when the session is settled; where each authorization pays for one call, when that call has ended.
    """

    route: str
    payload: PaymentPayload
    requirements: PaymentRequirements
    cap: int
    deadline: float = math.inf
    last_call: float = math.inf
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    owed: int = 0
    in_flight: int = 0
    done: asyncio.Event = field(default_factory=asyncio.Event)
    timer: asyncio.TimerHandle | None = None
    settlement: asyncio.Task[SettleResponse | None] | None = None

    @property
    def open(self) -> bool:
        """True while another call may begin."""
        return self.settlement is None and self.owed < self.cap and time.time() < self.last_call


class Settler:
    """Settlement of each session, by the clock alone: also while a call of it is being answered.

    It comes `settle_after` seconds after the last cost that was added, when the cap is reached, or when a session takes
    no more calls. A session that owes nothing is never settled; where it failed, the session goes on to the next try.
    With 0 seconds, each authorization pays for one call, and is settled at its end.
    """

    def __init__(self, facilitator: Facilitator, settle_after: float) -> None:
        self._facilitator = facilitator
        self._settle_after = settle_after
        self._sessions: set[Session] = set()
        self._closing = False

    def begin(self, session: Session) -> None:
        """Count a call that begins."""
        self._sessions.add(session)
        session.in_flight += 1

    def owe(self, session: Session, amount: int) -> None:
        """Add the cost of an answered call; it is free where it exceeds what is left, or the settlement has begun."""
        if self._settle_after == 0:
            session.owed = min(session.owed + amount, session.cap)
            return
        if session.settlement is not None or session.owed + amount > session.cap or not amount:
            return
        session.owed += amount
        if session.owed == session.cap:
            self.settle(session)
        else:
            self._wait(session, min(self._settle_after, max(session.last_call - time.time(), 0)))

    def end(self, session: Session) -> None:
        """Count a call that has ended, however it did."""
        session.in_flight -= 1
        if self._settle_after == 0 and not session.in_flight and session.settlement is None:
            self.settle(session)

    def settle(self, session: Session) -> asyncio.Task[SettleResponse | None]:
        """Settle what a session owes, in a task that is the same for every caller.

        Its result is None when nothing is owed. A failure is logged and reported in the response; it does not raise.
        """
        if session.settlement is None:
            if session.timer is not None:
                session.timer.cancel()
            session.settlement = asyncio.get_running_loop().create_task(self._settle(session))
        return session.settlement

    async def close(self) -> None:
        """Settle every session that is left and wait for it."""
        self._closing = True
        await asyncio.gather(*(self.settle(session) for session in list(self._sessions)))

    def _wait(self, session: Session, seconds: float) -> None:
        if session.timer is not None:
            session.timer.cancel()
        session.timer = asyncio.get_running_loop().call_later(seconds, self.settle, session)

    async def _settle(self, session: Session) -> SettleResponse | None:
        response = None
        if session.owed:
            try:
                response = await asyncio.to_thread(
                    self._facilitator.settle, session.payload, session.requirements, session.owed
                )
            except Exception as error:  # noqa: BLE001 - any failure of the chain or its client is reported
                network = session.requirements.network
                response = SettleResponse(success=False, error_reason=repr(error), transaction="", network=network)
        if response is not None and not response.success:
            log.error("settlement of session %s failed: %s", session.id, response.error_reason)
            if self._settle_after and not self._closing:
                session.settlement = None
                if time.time() < session.deadline:
                    self._wait(session, self._settle_after)
                return response
        self._sessions.discard(session)
        session.done.set()
        return response
