"""Payment sessions: one signature that pays for many calls.

An `upto` gateway answers a paid call with a session id; later calls to the same path send the id alone. A session ends
when the gateway says so or when its authorization comes near its deadline, since what is asked after the deadline could
no longer be settled.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from ..errors import OGError
from .authorize import Payment

SESSION_HEADER = "X-Upto-Session"

_LONGEST_MARGIN = 120.0
"""Seconds before the deadline at which a session is given up: an idle gateway needs ~100 s to settle it."""
_MARGIN_SHARE = 0.4
"""Of a short authorization's life, likewise."""
_GRACE = 0.5
"""Seconds a follower waits for the session's id before it sends the same signature, which resumes the session."""


@dataclass(eq=False)
class Session:
    """One authorization in use.

    Attributes:
        payment: what was signed.
        id: the gateway's name for it, once told.
        retired: True when no new question may use it.
        fate: the error that the gateway answered the authorization with, if it refused it.
        known: set when the gateway has answered the first question.
    """

    payment: Payment
    id: str | None = None
    retired: bool = False
    fate: OGError | None = None
    known: asyncio.Event = field(default_factory=asyncio.Event)

    def fresh(self, now: float) -> bool:
        """Whether a question asked now can still be settled in time."""
        authorization = self.payment.authorization
        life = authorization.deadline - authorization.created
        return not self.retired and now < authorization.deadline - min(_LONGEST_MARGIN, _MARGIN_SHARE * life)

    async def answered(self) -> None:
        """Wait until the gateway has answered the first question, or long enough that resuming is safe."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.known.wait(), _GRACE)

    def retire(self, fate: OGError | None = None) -> None:
        """No further question uses it."""
        self.retired = True
        self.fate = self.fate or fate
        self.known.set()


class Route:
    """One path of one gateway: its current session, and the lock that makes a stampede of first calls sign once."""

    def __init__(self) -> None:
        self.single_use = False  # whether this gateway takes a signature for one question only
        self._session: Session | None = None
        self._lock = asyncio.Lock()
        self._last_end = "first"

    def current(self, now: float) -> Session | None:
        """The session that a question asked now may use."""
        if self._session is not None and not self._session.fresh(now):
            if not self._session.retired:
                self._last_end = "the session before it came near its deadline"
            self._session = None
        return self._session

    def opening(self) -> contextlib.AbstractAsyncContextManager[None]:
        """Held while an authorization is asked for and signed. A gateway without sessions needs no queue."""
        return contextlib.nullcontext() if self.single_use else self._locked()

    @contextlib.asynccontextmanager
    async def _locked(self) -> AsyncIterator[None]:
        async with self._lock:
            yield

    @property
    def reason(self) -> str:
        """Why a new authorization is signed."""
        return "the gateway has no sessions" if self.single_use else self._last_end

    def open(self, payment: Payment) -> Session:
        """A session of a new payment; the route's own unless the gateway has no sessions."""
        session = Session(payment)
        # An exact payment is for one question by its nature; no other needs to try.
        self.single_use = self.single_use or payment.authorization.scheme == "exact"
        if not self.single_use:
            self._session = session
        return session

    def close(self, session: Session, reason: str, fate: OGError | None = None) -> None:
        """A session that cannot be used any more, and why."""
        session.retire(fate)
        if self._session is session:
            self._session, self._last_end = None, reason
