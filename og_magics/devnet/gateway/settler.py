"""Payments: what each session owes, and its settlement on chain by the official x402 facilitator."""

from __future__ import annotations

import asyncio
import logging
import threading
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
        """None for a payment that can be settled, else the reason why not."""
        verdict = self._x402.verify(payload, requirements)
        return None if verdict.is_valid else verdict.invalid_reason or "invalid_payment"

    def settle(self, payload: PaymentPayload, requirements: PaymentRequirements, amount: int) -> SettleResponse:
        """Settles `amount` base units; one settlement at a time, because the account's nonces are in a row."""
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
        owed: base units of the calls that were answered; never above the cap.
        in_flight: calls that are being answered.
        open: whether another call may begin.
        done: set when the session is settled, or has ended without owing anything.
    """

    route: str
    payload: PaymentPayload
    requirements: PaymentRequirements
    cap: int
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    owed: int = 0
    in_flight: int = 0
    open: bool = True
    done: asyncio.Event = field(default_factory=asyncio.Event)
    timer: asyncio.TimerHandle | None = None
    settlement: asyncio.Task[SettleResponse | None] | None = None


class Settler:
    """Settles each session once: `settle_after` seconds after its last use, or when its cap is reached."""

    def __init__(self, facilitator: Facilitator, settle_after: float) -> None:
        self._facilitator = facilitator
        self._settle_after = settle_after
        self._sessions: set[Session] = set()

    def begin(self, session: Session) -> None:
        """A call of this session begins."""
        self._sessions.add(session)
        session.in_flight += 1
        _stop_timer(session)

    def owe(self, session: Session, amount: int) -> None:
        """Adds the cost of an answered call."""
        session.owed = min(session.owed + amount, session.cap)
        if session.owed == session.cap:
            session.open = False

    def end(self, session: Session) -> None:
        """A call of this session has ended, however it did."""
        session.in_flight -= 1
        if session.in_flight or session.settlement is not None:
            return
        if self._settle_after == 0 or not session.open:
            self.settle(session)
        else:
            session.timer = asyncio.get_running_loop().call_later(self._settle_after, self.settle, session)

    def settle(self, session: Session) -> asyncio.Task[SettleResponse | None]:
        """Ends a session and settles what it owes, in a task that is the same for every caller.

        Its result is None when nothing is owed. A failure is logged, and told in the response; it does not raise.
        """
        if session.settlement is None:
            session.open = False
            _stop_timer(session)
            session.settlement = asyncio.get_running_loop().create_task(self._settle(session))
        return session.settlement

    async def close(self) -> None:
        """Settles every session that is left and waits for it."""
        await asyncio.gather(*(self.settle(session) for session in list(self._sessions)))

    async def _settle(self, session: Session) -> SettleResponse | None:
        try:
            if session.owed == 0:
                return None
            response = await asyncio.to_thread(
                self._facilitator.settle, session.payload, session.requirements, session.owed
            )
        except Exception as error:  # noqa: BLE001 - any failure of the chain or its client ends here, told
            response = SettleResponse(
                success=False,
                error_reason=repr(error),
                transaction="",
                network=session.requirements.network,
            )
        finally:
            self._sessions.discard(session)
            session.done.set()
        if not response.success:
            log.error("settlement of session %s failed: %s", session.id, response.error_reason)
        return response


def _stop_timer(session: Session) -> None:
    if session.timer is not None:
        session.timer.cancel()
        session.timer = None
