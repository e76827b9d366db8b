"""The admission of a request: may this user ask this model now, and is there room for it in the budgets?

After it the request is followed to the end of its money: what the ledger says of its receipt is what counts.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from decimal import Decimal

from ..client.price_bounds import authorized_most, most_opg
from ..core.amounts import split
from ..core.errors import LedgerError, PaymentRefused
from ..core.off_loop import OrderedThread
from ..core.protocols import Clock, Journal
from ..core.receipt import Receipt
from ..core.settings import Settings
from ..core.shares import ESTIMATE
from ..core.types import ChatRequest
from .asking_process import has_ended
from .budget_file import BudgetExceeded, BudgetFile, Charge, Spent
from .users import User

_NOTHING = "Nothing was sent and nothing was paid."
_MARGIN = Decimal(5) / 4
"""An OPG may be worth less to the gateway than to the last payment: a reservation counts with so much more."""
_MINUTE = 60.0
_ENDED = ("failed", "served", "paid", "settled", "verified")


class ModelNotAllowed(PaymentRefused):
    """The user may not ask this model. Nothing was sent and nothing was paid."""


class TooManyRequests(PaymentRefused):
    """The user has asked as often as is allowed in a minute. Nothing was sent and nothing was paid.

    Attributes:
        seconds: after which there is room again.
    """

    seconds: float = _MINUTE


@dataclass
class Admitted:
    """A request that may be asked.

    Attributes:
        request: to be asked. id: of its reservation, "" where nothing is reserved.
    """

    request: ChatRequest
    id: str = ""
    _on_receipt: Callable[[str, str], None] | None = None
    _on_end: Callable[[str, str | None], None] | None = None
    _noted: str | None = field(default=None, init=False)

    def opened(self, receipt_id: str | None) -> None:
        """Note the receipt as soon as there is one."""
        if receipt_id and receipt_id != self._noted and self._on_receipt is not None:
            self._noted = receipt_id
            self._on_receipt(self.id, receipt_id)

    def end(self) -> None:
        """Count what the request has cost by now. It does not wait, and may be called by whatever ends."""
        if self._on_end is not None:
            self._on_end(self.id, self._noted)


class Admission:
    """Admits requests and follows what they cost.

    Args:
        budgets: where each is reserved; None where the server has one user, who is its owner.
        journal: the ledger with the receipts. network: the name under which it has them.
        price: returns USD of an OPG that reservations count with at most; None where nobody named one.
    """

    def __init__(
        self,
        budgets: BudgetFile | None,
        journal: Journal,
        settings: Callable[[], Settings],
        network: str,
        price: Callable[[], Decimal | None] = lambda: None,
        clock: Clock = time.time,
    ) -> None:
        self._budgets, self._journal, self._settings, self._network = budgets, journal, settings, network
        self._price, self._clock = price, clock
        self._thread = OrderedThread("og_magics-budgets")
        self._running: set[str] = set()
        self._times: dict[str, deque[float]] = {}

    async def admit(self, user: User, request: ChatRequest) -> Admitted:
        """Let a request pass, with room reserved for all that it can cost.

        Raises:
            ModelNotAllowed, TooManyRequests, BudgetExceeded: it may not be asked; nothing is reserved.
        """
        if not user.may_ask(request.model):
            raise ModelNotAllowed(
                f"The model {request.model[:80]} is not among those that {user.name or 'you'} may ask: "
                f"{', '.join(user.models)[:200]}.",
                money=_NOTHING,
                remedy="Ask one of these, or ask whoever runs the server for it; /v1/models lists yours.",
            )
        self._pass_rate(user)
        budgets = self._budgets
        if budgets is None or not user.name:
            return Admitted(request)
        reserving = self._thread.give(lambda: self._reserve(budgets, user, request))
        try:
            id = await asyncio.wrap_future(reserving)
        except asyncio.CancelledError:
            reserving.add_done_callback(self._withdrawn)
            raise
        return Admitted(replace(request, cell=id), id, self._note, self._end)

    async def recover(self) -> None:
        """Look for the receipts of requests that a process before this one left before it noted them."""
        if self._budgets is not None:
            budgets = self._budgets
            await self._thread.run(lambda: self._recover(budgets))

    def look(self) -> None:
        """Count again what is not final, soon: payments were found on chain, or expired."""
        if self._budgets is not None:
            self._thread.give(self._count_open)

    async def spent(self) -> list[Spent]:
        """Return what users spent, counted with what the ledger says now."""
        if self._budgets is None:
            return []
        await self._thread.run(self._count_open)
        return await self._thread.run(self._budgets.spent)

    def now(self) -> float:
        """Return unix seconds."""
        return self._clock()

    async def close(self) -> None:
        """Finish what was begun, and close the file of budgets."""
        if self._budgets is not None:
            await self._thread.run(self._budgets.close)

    # -- on the thread ---------------------------------------------------------------------------

    def _reserve(self, budgets: BudgetFile, user: User, request: ChatRequest) -> str:
        settings = self._settings()
        known = [one for one in (self._journal.price_paid(self._network), self._price()) if one is not None]
        most = most_opg(request, settings, min(known) / _MARGIN if known else None)
        remedy = "" if known else (
            "No payment shows what an OPG is worth yet, so all that may be signed for a call is reserved: whoever runs "
            "the server can say it (opg_usd in the file of users)."
        )  # fmt: skip
        most = min(most, authorized_most(request, settings))
        try:
            id = budgets.reserve(user, request.model, most, remedy)
        except BudgetExceeded:  # payments may have been found meanwhile, and count with what was used
            self._count_open(user.name)
            id = budgets.reserve(user, request.model, most, remedy)
        self._running.add(id)
        return id

    def _withdrawn(self, reserving: Future[str]) -> None:
        if reserving.exception() is None:
            self._end(reserving.result(), None)

    def _recover(self, budgets: BudgetFile) -> None:
        lost = {one.id for one in budgets.open_charges() if one.receipt is None}
        for id, receipt_id in self._receipts_of(lost).items():
            budgets.note_receipt(id, receipt_id)
        self._count_open()

    def _note(self, id: str, receipt_id: str) -> None:
        budgets = self._budgets
        if budgets is not None:
            self._thread.give(lambda: budgets.note_receipt(id, receipt_id))

    def _end(self, id: str, receipt_id: str | None) -> None:
        budgets = self._budgets
        if budgets is None:
            return

        def end() -> None:
            self._running.discard(id)
            if receipt_id is None:
                budgets.count(id, 0, final=True, asked=False)
            else:
                self._count(budgets, budgets.open_charges(id=id))

        self._thread.give(end)

    def _count_open(self, user: str | None = None) -> None:
        if self._budgets is not None:
            self._count(self._budgets, self._budgets.open_charges(user))

    def _count(self, budgets: BudgetFile, charges: Sequence[Charge]) -> None:
        """Count charges with what the ledger says of their receipts."""
        receipts = self._receipts(budgets, [one for one in charges if one.id not in self._running])
        pending = {one.hash for one in self._journal.pending()}
        settled: dict[str, list[tuple[Charge, Receipt]]] = {}
        for charge, receipt in receipts:
            hash = receipt.authorization_hash
            if hash is None:
                if receipt.replayed or receipt.status in _ENDED or self._is_left(charge):
                    budgets.count(charge.id, 0, final=True)
            elif receipt.cost is not None:
                settled.setdefault(hash, []).append((charge, receipt))
            elif hash not in pending and self._journal.receipt(receipt.receipt_id).cost is None:
                budgets.count(charge.id, 0, final=True)  # it expired: nothing was paid
            elif receipt.reported_cost is not None:
                budgets.count(charge.id, receipt.reported_cost, final=False)
        for hash in settled:
            self._count_settled(budgets, hash)

    def _count_settled(self, budgets: BudgetFile, hash: str) -> None:
        """Count the requests of one payment with their shares of it.

        Where the costs that the gateway reports do not add up to the payment, a request with such a cost counts with
        it, and the rest falls on those that ended without one: a process that died was asking them.
        """
        open_now = budgets.open_charges()
        asking = [one.receipt for one in open_now if one.id in self._running and one.receipt]
        if any(self._journal.receipt(one).authorization_hash == hash for one in asking):
            return  # shares change until all have ended; the last of them counts all
        held = [pair for pair in self._receipts(budgets, open_now) if pair[1].authorization_hash == hash]
        costs = {charge.id: receipt.cost or 0 for charge, receipt in held}
        reported = {charge.id: r.reported_cost for charge, r in held if r.reported_cost is not None}
        others = [charge for charge, _ in held if charge.id not in reported]
        rest = sum(costs.values()) - sum(reported.values())
        if others and rest >= 0 and any(receipt.cost_basis == ESTIMATE for _, receipt in held):
            parts = split(rest, [charge.reserved for charge in others])
            costs = reported | {charge.id: part for charge, part in zip(others, parts, strict=True)}
        for id, cost in costs.items():
            budgets.count(id, cost, final=True)

    def _receipts(self, budgets: BudgetFile, charges: Sequence[Charge]) -> list[tuple[Charge, Receipt]]:
        """Return the charges with their receipts, those that have one; what was left before it had one is no charge."""
        found = []
        open_ones = [one for one in charges if one.receipt is None and one.id not in self._running]
        left = {one.id for one in open_ones if self._is_left(one)}
        opened = self._receipts_of(left)  # a process that was killed may have had no time to note it
        for charge in charges:
            receipt_id = charge.receipt or opened.get(charge.id)
            if receipt_id is None:
                if charge.id in left:
                    budgets.count(charge.id, 0, final=True, asked=False)
                continue
            if charge.receipt is None:
                budgets.note_receipt(charge.id, receipt_id)
            try:
                found.append((charge, self._journal.receipt(receipt_id)))
            except LedgerError:  # another ledger than that of before: what it has paid stays reserved
                continue
        return found

    def _receipts_of(self, ids: Collection[str]) -> dict[str, str]:
        """Return the receipts that the ledger has of these reservations."""
        receipts = self._journal.receipts() if ids else []
        return {one.cell: one.receipt_id for one in receipts if one.cell in ids and one.paid_for is not None}

    def _is_left(self, charge: Charge) -> bool:
        """Return True for a request that no process can be asking any more."""
        late = charge.created + self._settings().call_timeout + _MINUTE < self._clock()
        return late or has_ended(charge.process)

    def _pass_rate(self, user: User) -> None:
        if user.rate is None:
            return
        now = self._clock()
        times = self._times.setdefault(user.name, deque())
        while times and times[0] <= now - _MINUTE:
            times.popleft()
        if len(times) >= user.rate:
            error = TooManyRequests(
                f"{user.name} may make {user.rate} requests in a minute, and has made them.",
                money=_NOTHING,
                remedy=f"Ask again in {times[0] + _MINUTE - now:.0f} seconds.",
            )
            error.seconds = times[0] + _MINUTE - now
            raise error
        times.append(now)
