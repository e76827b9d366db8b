"""Search for the transactions that settle what was signed, in the background and on demand."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from .. import chain
from ..core import log
from ..core.errors import ChainError, OGError
from ..core.networks import Network
from ..core.off_loop import thread_of
from ..core.payment_states import MoneyEvent
from ..core.protocols import Journal
from ..core.receipt import Authorization
from ..core.types import Settlement

_FIRST_PAUSE = 1.0
_LONGEST_PAUSE = 15.0
_LONGEST_IDLE_PAUSE = 300.0
"""Between looks when all that is left should have been settled or expired long ago."""
_PAUSE_GROWTH = 1.3
_OVERDUE = 600
"""Seconds after its deadline from which an authorization is looked for less often."""
_LOOKED_AGAIN = 10_000
"""Blocks for which settlements are looked at again until they are final; older ones were settled by older versions."""
_AT_ONCE = 200
"""Settlements that are looked at again in one look, at most: the newest."""


class SettlementWatcher:
    """A search for the open authorizations of a ledger on one network, whoever signed them, until none is left.

    A settlement is final once `confirmations` blocks stand on it; until then it is looked at again. What counts as
    expired is looked at again once, and whenever somebody waits: a node may have been wrong.
    `on_change` is called on the background loop when some are pending no more: used or settled, here or by another
    process, or expired. It must not block, nor raise.

    Attributes:
        last_error: the last failure to read the chain or to write the ledger, or None. It is kept here and not raised:
            the next look may succeed.
        reasons: by hash, the sentence that says why an authorization is still open, of the last look.
    """

    def __init__(
        self, network: Network, journal: Journal, on_change: Callable[[], None] | None = None, confirmations: int = 0
    ) -> None:
        self._network = network
        self._journal = journal
        self._disk = thread_of(journal)
        self._on_change = on_change
        self._known: set[tuple[str, bool]] = set()
        self._confirmations = confirmations
        self._recheck_from = 0  # settlements below this block are not looked at again
        self._expired_checked = False
        self._task: asyncio.Task[None] | None = None
        self._woken = asyncio.Event()
        self._looking = asyncio.Lock()
        self.last_error: OGError | None = None
        self.reasons: dict[str, str] = {}

    def wake(self) -> None:
        """Look soon, and go on until all is settled: something was signed or served. On the background loop."""
        self._woken.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._watch())

    async def poll_once(self) -> int:
        """Look once; return how many are still open.

        Raises:
            ChainError: the chain cannot be read, or it is another network's.
        """
        async with self._looking:
            known = self._known | await self._disk.run(self._waiting)
            await self._look()
            self._known = await self._disk.run(self._waiting)
            if known - self._known and self._on_change is not None:
                self._on_change()
            return len(self._known)

    async def wait_settled(self, timeout: float) -> set[str]:
        """Look until nothing is open or the time is over; return the hashes of what is still open.

        Raises:
            ChainError: the chain could not be read at the end of that time.
        """
        end = time.monotonic() + timeout
        pause = 0.2
        self._expired_checked = False
        while True:
            try:
                left: int | None = await self.poll_once()
            except ChainError:
                if time.monotonic() >= end:
                    raise
                left = None
            remaining = end - time.monotonic()
            if left == 0 or remaining <= 0:
                return {authorization.hash for authorization in await self._disk.run(self._open)}
            await asyncio.sleep(min(pause, max(remaining, 0)))
            pause = min(pause * _PAUSE_GROWTH, 2.0)

    def close(self) -> None:
        """Stop looking. What is pending stands in the ledger and is found another time."""
        if self._task is not None:
            self._task.cancel()

    async def _look(self) -> None:
        wanted, again, doubted, used_at = await self._disk.run(self._wanted)
        findings = await asyncio.to_thread(
            chain.look,
            self._network,
            wanted,
            again,
            doubted=doubted,
            used_at=used_at,
            confirmations=self._confirmations,
        )
        for finding in findings:
            await self._disk.run(partial(self._enter, finding))
        if findings:
            self._recheck_from = max(finding.block.number for finding in findings) - _LOOKED_AGAIN
        self._expired_checked = True
        self.reasons = {finding.hash: finding.why for finding in findings}
        self.last_error = None

    def _wanted(
        self,
    ) -> tuple[list[Authorization], list[tuple[Authorization, Settlement]], list[Authorization], dict[str, int]]:
        """Return what is looked for, what is looked at again, and what counts as expired; and where nonces were seen
        as used.
        """
        used_at = self._journal.used_at(self._network.caip2)
        wanted = [one for one in self._journal.pending() if self._may_be_here(one, used_at)]
        expired = [] if self._expired_checked else self._journal.expired(self._network.caip2)
        again = [(self._journal.authorization(one.authorization_hash), one) for one in self._unfinal()[-_AT_ONCE:]]
        again = [(one, settled) for one, settled in again if self._is_of_this_chain(one)]
        return wanted, again, [one for one in expired if self._is_of_this_chain(one)], used_at

    def _enter(self, finding: chain.Finding) -> None:
        """Give the ledger an event; what its table does not allow changes nothing there."""
        if finding.event is None:
            return
        if finding.settlement is not None:
            self._journal.settle(finding.settlement, final=finding.event is MoneyEvent.CONFIRMED)
            log.step(
                "settlement", authorization=finding.hash, transaction=finding.settlement.payment_hash,
                amount=finding.settlement.amount, block=finding.settlement.block_number,
            )  # fmt: skip
            return
        note = {
            MoneyEvent.USED: self._journal.mark_used,
            MoneyEvent.UNUSED: self._journal.expire,
            MoneyEvent.UNDONE: self._journal.unsettle,
        }[finding.event]
        note(finding.hash, finding.block, finding.why)
        log.step("payment " + finding.event.value, authorization=finding.hash, block=finding.block.number)

    def _waiting(self) -> set[tuple[str, bool]]:
        """Return the open authorizations, each with True where its nonce was seen as used."""
        used = self._journal.used_at(self._network.caip2)
        return {(one.hash, one.hash in used) for one in self._open()}

    def _open(self) -> Sequence[Authorization]:
        """Return what may still be settled here; what was signed for a devnet that is gone is waited for by nobody."""
        return [one for one in self._journal.pending() if self._is_of_this_chain(one)]

    def _is_of_this_chain(self, one: Authorization) -> bool:
        return one.network == self._network.caip2 and one.created >= self._network.genesis_time

    def _may_be_here(self, one: Authorization, used_at: Mapping[str, int]) -> bool:
        """Return True for what is worth a look: what was signed for a devnet that is gone can at most expire."""
        if self._is_of_this_chain(one):
            return True
        gone = one.network == self._network.caip2 and self._network.local
        return gone and one.hash not in used_at and one.deadline < time.time()

    def _unfinal(self) -> Sequence[Settlement]:
        """Return settlements that a reorganization may still undo."""
        return self._journal.settled_since(max(self._recheck_from, 0), self._network.caip2)

    def _longest_pause(self) -> float:
        waiting = any(one.deadline + _OVERDUE > time.time() for one in self._open())
        return _LONGEST_PAUSE if waiting or self._unfinal() else _LONGEST_IDLE_PAUSE

    async def _watch(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            try:
                if await self.poll_once() == 0 and not await self._disk.run(self._unfinal):
                    return
                longest = await self._disk.run(self._longest_pause)
            except OGError as error:
                self.last_error, longest = error, _LONGEST_PAUSE
            except RuntimeError:
                return  # the interpreter is shutting down: there are no threads any more to read the chain on
            self._woken.clear()
            try:
                await asyncio.wait_for(self._woken.wait(), pause)
                pause = _FIRST_PAUSE
                await asyncio.sleep(_FIRST_PAUSE)  # a stream of calls does not make a stream of looks
            except TimeoutError:
                pause = min(pause * _PAUSE_GROWTH, longest)
