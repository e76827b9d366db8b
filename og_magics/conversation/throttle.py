"""The pace of many calls: how many are on their way at once, and what is waited for.

A gateway or a provider that says "too many requests" halves the number (additive increase, multiplicative decrease, as
TCP does), and is left alone for as long as it asks. One that cannot be reached is tried with a single call, a little
later each time, until it answers: meanwhile no other call is begun, so none fails.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from ..core.errors import ChainError, GatewayError, GatewayUnreachable, StreamError

MOST = 64
"""Calls on their way at once."""
PATIENCE = 600.0
"""Seconds without an answer after which a run stops, where it had answers before."""
FIRST_PATIENCE = 20.0
"""The same where it had none: the gateway may be named wrongly."""

_FIRST = 8
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 15.0
_LONGEST_REQUEST = 300.0
"""Seconds of a Retry-After that are believed."""
_TOO_MANY = (429, 529)
_SHORT, _LONG = 2 / 11, 2 / 301
"""Weights of a new latency in the two averages: of the last ten calls, and of the last 300."""
_SETTLED = 20
"""Answers after which the averages say something."""
_SLOWER = 2.0
"""The last ten took so many times as long as usual: the number is lowered a little."""


def is_too_many(error: BaseException) -> bool:
    """Return True where a gateway, or the provider behind it, wants fewer requests."""
    return isinstance(error, GatewayError) and (
        error.status in _TOO_MANY or error.provider_status in _TOO_MANY or error.retry_after is not None
    )


def is_gone(error: BaseException) -> bool:
    """Return True where a request never reached its gateway, and may once that is back; nothing was paid for it."""
    if isinstance(error, ChainError):
        return True
    never_left = isinstance(error.__cause__, (httpx.ConnectError, httpx.ConnectTimeout))
    return isinstance(error, GatewayUnreachable) and never_left and not _untrusted(error)


def is_lost(error: BaseException) -> bool:
    """Return True where the connection broke while an answer was waited for: it may be charged, and did not come."""
    if isinstance(error, StreamError):
        return error.cut
    return isinstance(error, GatewayUnreachable) and error.lost


def _untrusted(error: GatewayUnreachable) -> bool:
    return not error.transient and isinstance(error.__cause__, httpx.ConnectError)


@dataclass(frozen=True, slots=True)
class Begun:
    """The moment at which a call began."""

    at: float


class Throttle:
    """Says when the next call may begin. Used on one event loop.

    Args:
        most: calls at once, at most. adapts: begin with few, and find out how many go.
        patience: seconds without an answer, while the gateway is gone or wants fewer requests, that are waited for.
        clock: in seconds.
    """

    def __init__(
        self,
        most: int = MOST,
        *,
        adapts: bool = False,
        patience: float = PATIENCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most, self._clock = most, clock
        self.limit = float(min(_FIRST, most) if adapts else most)
        self.running = 0
        self.answered = 0
        self._adapts, self._patience = adapts, patience
        self._doubling = adapts
        self._until = 0.0
        """No call begins before this moment."""
        self._lowered = self._last_answer = 0.0
        self._gone: GatewayError | ChainError | None = None
        self._before = self.limit
        """The number to go back to, when the gateway is back."""
        self._pause = _FIRST_PAUSE
        self._held_since: float | None = None
        self._short = self._long = 0.0
        self._changed = asyncio.Event()

    @property
    def waits(self) -> str:
        """Say why no call begins now; "" where that is not so."""
        left = self._until - self._clock()
        if self._gone is not None:
            return f"paused: the gateway cannot be reached, tried again in {max(left, 0):.0f} s"
        return f"the gateway asks to wait {left:.0f} s" if left >= 1 else ""

    @property
    def out_of_patience(self) -> bool:
        """True where it was waited for too long."""
        if self._held_since is None:
            return False
        patience = self._patience if self.answered else min(self._patience, FIRST_PATIENCE)
        return self._clock() - self._held_since > patience

    async def ready(self) -> None:
        """Wait until the next call may begin, or until something has changed. For one waiter."""
        left = self._until - self._clock()
        if left <= 0 and self.running < int(self.limit):
            return
        await self.changed(left if left > 0 else None)

    @property
    def is_ready(self) -> bool:
        """True where a call may begin now."""
        return self.running < int(self.limit) and self._until <= self._clock()

    async def changed(self, within: float | None = None) -> None:
        """Wait until a call has ended, at most so many seconds."""
        self._changed.clear()
        try:
            async with asyncio.timeout(within):
                await self._changed.wait()
        except TimeoutError:
            return

    def wake(self) -> None:
        """Have whoever waits look again."""
        self._changed.set()

    def begin(self) -> Begun:
        """Note that a call begins."""
        self.running += 1
        return Begun(self._clock())

    def end(self, begun: Begun, error: BaseException | None = None, *, called: bool = True) -> None:
        """Note that a call has ended, with an answer or with an error; `called` is False where none was made."""
        self.running -= 1
        if error is not None:
            self.refused(error, begun)
        elif called:
            self._note_answer(begun)
        self._changed.set()

    def refused(self, error: BaseException, begun: Begun) -> None:
        """Note a failure, also of a call that is tried again: what it says of the gateway."""
        if is_gone(error) or is_lost(error):
            self._note_gone(begun, error)
            return
        if isinstance(error, GatewayError) and error.status is not None:
            self._note_back()
        if not is_too_many(error):
            return
        now = self._clock()
        self._held_since = self._held_since or now
        asked = error.retry_after if isinstance(error, GatewayError) else None
        self._until = max(self._until, now + min(asked or 0.0, _LONGEST_REQUEST))
        self._doubling = False
        # Calls that were on their way when it was lowered say nothing about the lower number.
        if begun.at >= self._lowered:
            self._lower(0.5)

    def _note_answer(self, begun: Begun) -> None:
        now = self._clock()
        self.answered, self._last_answer, self._held_since = self.answered + 1, now, None
        self._note_back()
        took = now - begun.at
        self._short += (took - self._short) * (_SHORT if self._short else 1)
        self._long += (took - self._long) * (_LONG if self._long else 1)
        if self._adapts and self.answered > _SETTLED and self._short > _SLOWER * self._long:
            self._doubling = False
            if begun.at >= self._lowered:
                self._lower(0.9)
        elif self.limit < self._most:
            self.limit = min(float(self._most), self.limit + (1.0 if self._doubling else 1.0 / self.limit))

    def _note_back(self) -> None:
        if self._gone is not None:
            self._gone, self._pause, self._until = None, _FIRST_PAUSE, 0.0
            self.limit = max(1.0, self._before / 2)
            self._lowered = self._clock()

    def _note_gone(self, begun: Begun, error: BaseException) -> None:
        now = self._clock()
        if is_lost(error) and self._gone is None and self._last_answer >= begun.at:
            return  # one connection broke, while others bring answers
        self._held_since = self._held_since or now
        if self._gone is None:
            self._before, self._pause = self.limit, _FIRST_PAUSE
            self.limit = 1.0
            self._until = now + self._pause
        elif begun.at >= self._until:  # the one that tried it, and none of those that were on their way
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            self._until = now + self._pause
        self._gone = error if isinstance(error, (GatewayError, ChainError)) else self._gone

    def _lower(self, to: float) -> None:
        self.limit = max(1.0, self.limit * to)
        self._lowered = self._clock()
