"""Payment sessions: one signature that pays for many calls.

An `upto` gateway answers a paid call with a session id; later calls to the same path send the id alone. A session ends
when the gateway says so, and before that in time: what is still asked of it must be settled before its authorization's
deadline, it must not be settled while it is used, and its cap must hold what is asked.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from ..core.errors import OGError
from ..core.secret import Secret
from .authorize import Payment

SESSION_HEADER = "X-Upto-Session"

_SETTLES_AFTER = 100.0
"""Seconds after a session's last use at which the slowest known gateway settles it."""
_REAPER = 20.0
"""Seconds until its reaper has come round and the transaction is in a block."""
_LONGEST_ANSWER = 60.0
"""Seconds that an answer may still run for when its session is given up."""
_MARGIN = _SETTLES_AFTER + _REAPER + _LONGEST_ANSWER
"""Before the deadline. The newest gateways themselves take no request in the last 120 s."""
_MARGIN_SHARE = 0.6
"""Of a short authorization's life, likewise."""
_LONGEST_PAUSE = 55.0
"""Seconds between uses of a session: the quickest known gateway settles one after 60, also while an answer runs."""
_CALLS_LEFT = 2
"""Calls as dear as the dearest so far for which a session's cap must have room."""
_GRACE = 0.5
"""Seconds a follower waits for the session's id before it sends the same signature, which resumes the session."""


@dataclass(eq=False)
class Session:
    """One authorization in use.

    Attributes:
        payment: what was signed.
        id: the gateway's name for it, once it has said so. Whoever has it can spend what the session allows: it is in
            memory alone, and the ledger keeps a salted hash.
        retired: True when no new question may use it.
        fate: the error that the gateway answered the authorization with, if it refused it.
        used: when the last answer ended, which is when its cost was added; None while none has.
        spent, dearest: base units that its calls have cost, and the dearest of them, as far as the gateway says.
        known: set when the gateway has answered the first question.
    """

    payment: Payment
    id: Secret | None = None
    retired: bool = False
    fate: OGError | None = None
    used: float | None = None
    spent: int = 0
    dearest: int = 0
    known: asyncio.Event = field(default_factory=asyncio.Event)

    def over(self, now: float) -> str:
        """Return why no call should be made with it now, "" while one may."""
        authorization = self.payment.authorization
        life = authorization.deadline - authorization.created
        if now >= authorization.deadline - min(_MARGIN, _MARGIN_SHARE * life):
            return "the session before it came near its deadline"
        if self.used is not None and now - self.used > _LONGEST_PAUSE:
            return "the session before it was not used for a minute, after which gateways settle it"
        if self.spent and self.spent + _CALLS_LEFT * self.dearest > authorization.cap:
            return "the session before it came near its cap"
        return ""

    def note_use(self, now: float, cost: int) -> None:
        """Note that an answer has ended, and what it cost as far as the gateway says."""
        self.used = now
        self.spent += cost
        self.dearest = max(self.dearest, cost)

    async def answered(self) -> None:
        """Wait until the gateway has answered the first call, or long enough that resuming is safe."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.known.wait(), _GRACE)

    def retire(self, fate: OGError | None = None) -> None:
        """Mark it as used by no further call."""
        self.retired = True
        self.fate = self.fate or fate
        self.known.set()


class Route:
    """One path of one gateway: its current session, and the lock that makes a stampede of first calls sign once."""

    def __init__(self) -> None:
        self.single_use = False  # whether this gateway takes a signature for one question only
        self.refusals = 0
        self._refusal: OGError | None = None
        self._session: Session | None = None
        self._lock = asyncio.Lock()
        self._last_end = "first"

    def current(self, now: float) -> Session | None:
        """Return the session that a call made now may use, or None."""
        if self._session is not None:
            end = self._session.over(now)
            if end and not self._session.retired:
                self._last_end = end
            if end or self._session.retired:
                self._session = None
        return self._session

    def opening(self) -> contextlib.AbstractAsyncContextManager[None]:
        """Hold while an authorization is asked for and signed. A gateway without sessions needs no queue."""
        return contextlib.nullcontext() if self.single_use else self._locked()

    @contextlib.asynccontextmanager
    async def _locked(self) -> AsyncIterator[None]:
        async with self._lock:
            yield

    @property
    def reason(self) -> str:
        """The reason that a new authorization is signed."""
        return "the gateway has no sessions" if self.single_use else self._last_end

    def open(self, payment: Payment) -> Session:
        """Return the session of a new payment; it is the route's own unless the gateway has no sessions."""
        session = Session(payment)
        # An exact payment is for one question by its nature; no other needs to try.
        self.single_use = self.single_use or payment.authorization.scheme == "exact"
        if not self.single_use:
            self._session = session
        return session

    def raise_refusal(self, after: int) -> None:
        """Raise the error with which the gateway refused what a request waited for.

        Args:
            after: the number of refusals when it began to wait.
        """
        if self._refusal is not None and self.refusals > after:
            raise self._refusal

    def close(self, session: Session, reason: str, fate: OGError | None = None) -> None:
        """Close a session that cannot be used any more, and note the reason."""
        session.retire(fate)
        if fate is not None:
            self.refusals, self._refusal = self.refusals + 1, fate
        if self._session is session:
            self._session, self._last_end = None, reason
