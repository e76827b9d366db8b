"""Finding the transactions that settle what was signed, in the background and on demand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence

from .. import chain
from ..errors import ChainError, OGError
from ..networks import Network
from ..ports import Clock, Journal
from ..types import Authorization

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 15.0
_PAUSE_GROWTH = 1.3
_EXPIRY_GRACE = 60
"""Seconds after its deadline for which an authorization is still looked for: blocks and clocks lag."""


class SettlementWatch:
    """Looks for the pending authorizations of one wallet on one network until none is left.

    A settlement is final once `confirmations` blocks stand on it; until then it is looked at again.
    `on_change` is called on the background loop when some are pending no more: settled, here or by another process, or
    expired. It must not block, nor raise.

    Attributes:
        trouble: the last failure to read the chain or to write the ledger, or None. It is kept here and not raised: the
            next look may succeed.
    """

    def __init__(
        self,
        network: Network,
        payer: str,
        journal: Journal,
        clock: Clock = time.time,
        on_change: Callable[[], None] | None = None,
        confirmations: int = 0,
    ) -> None:
        self._network = network
        self._payer = payer
        self._journal = journal
        self._clock = clock
        self._on_change = on_change
        self._known_pending: set[str] = set()
        self._confirmations = confirmations
        self._final = -1  # no settlement up to this block is looked at again
        self._task: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()
        self._looking = asyncio.Lock()
        self.trouble: OGError | None = None

    def wake(self) -> None:
        """Something was signed or served: look soon, and go on until all is settled. On the background loop."""
        self._woken.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._watch())

    async def look(self) -> int:
        """Look once; how many are still pending.

        Raises:
            ChainError: the chain cannot be read.
        """
        async with self._looking:
            self._expire_the_stranded()
            await self._look_again()
            pending = self._pending()
            if not pending:
                return self._left(pending)
            found = await asyncio.to_thread(chain.find_settlements, self._network, pending)
            for settlement in found.values():
                self._journal.settle(settlement)
            rest = [a for a in pending if a.hash not in found]
            for authorization in rest:
                if self._clock() > authorization.deadline + _EXPIRY_GRACE:
                    self._journal.expire(authorization.hash)
            self.trouble = None
            return self._left(pending)

    async def settle(self, timeout: float) -> int:
        """Look until nothing is pending or the time is over; how many are still pending.

        Raises:
            ChainError: the chain could not be read at the end of that time.
        """
        end = time.monotonic() + timeout
        pause = 0.2
        while True:
            try:
                left = await self.look()
            except ChainError:
                if time.monotonic() >= end:
                    raise
                left = -1
            remaining = end - time.monotonic()
            if left == 0 or remaining <= 0:
                return left if left >= 0 else len(self._pending())
            await asyncio.sleep(min(pause, max(remaining, 0)))
            pause = min(pause * _PAUSE_GROWTH, 2.0)

    def close(self) -> None:
        """Stop looking. What is pending stands in the ledger and is found another time."""
        if self._task is not None:
            self._task.cancel()

    def _left(self, before: Sequence[Authorization]) -> int:
        """How many are pending after a look; where fewer are than were known to be, by whomever, it is told."""
        known = self._known_pending.union(authorization.hash for authorization in before)
        self._known_pending = {authorization.hash for authorization in self._pending()}
        if known - self._known_pending and self._on_change is not None:
            self._on_change()
        return len(self._known_pending)

    def _pending(self) -> Sequence[Authorization]:
        return [a for a in self._ours() if a.created >= self._network.born]

    async def _look_again(self) -> None:
        """Settlements that are not deep enough yet to be final: a reorganization may have moved or undone them."""
        if not self._unfinal():
            return
        head = await asyncio.to_thread(chain.head, self._network)
        first = max(head - self._confirmations + 1, 0)
        for old in self._journal.settled_since(first, self._network.caip2):
            authorization = self._journal.authorization(old.authorization_hash)
            found = await asyncio.to_thread(chain.find_settlement, self._network, authorization)
            if found is not None:
                self._journal.settle(found)  # the same again changes nothing
            elif head > old.block_number:  # a node that is behind has not seen it yet: that proves nothing
                self._journal.unsettle(old.authorization_hash)
        self._final = max(self._final, first - 1)

    def _unfinal(self) -> bool:
        """Whether there are settlements that a reorganization may still undo."""
        return self._confirmations > 0 and bool(self._journal.settled_since(self._final + 1, self._network.caip2))

    def _expire_the_stranded(self) -> None:
        """What was signed for a devnet that is gone can be settled nowhere; its deadline says when that is certain."""
        for authorization in self._ours():
            if authorization.created < self._network.born and self._clock() > authorization.deadline:
                self._journal.expire(authorization.hash)

    def _ours(self) -> Sequence[Authorization]:
        return [
            a
            for a in self._journal.pending()
            if a.network == self._network.caip2 and a.payer.lower() == self._payer.lower()
        ]

    async def _watch(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                if await self.look() == 0 and not self._unfinal():
                    return
            except OGError as error:
                self.trouble = error
            except RuntimeError:
                return  # the interpreter is shutting down: there are no threads any more to read the chain on
            self._woken.clear()
            try:
                await asyncio.wait_for(self._woken.wait(), pause)
                pause = _FIRST_PAUSE
                await asyncio.sleep(_FIRST_PAUSE)  # a stream of calls does not make a stream of looks
            except TimeoutError:
                pause = min(pause * _PAUSE_GROWTH, _LONGEST_PAUSE)
