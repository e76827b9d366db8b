"""Random walks: a chain that is paid on and reorganized, seen through nodes that lie, by kernels that come and go."""

from __future__ import annotations

import asyncio
import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from og_magics.chain import identity
from og_magics.client import SettlementWatcher
from og_magics.core.errors import ChainError
from og_magics.core.payment_states import PAID, Block, MoneyEvent, MoneyState, is_past, transition
from og_magics.core.receipt import Authorization
from og_magics.core.types import Settlement
from og_magics.ledger import Ledger

from ...conftest import MORE
from .conftest import DEPTH, FakeChain, Lies, Payment, signed

SEED = 20260403
CONFIRMATIONS = 3
MOST = 8
"""Authorizations in one walk; each may be paid for 400 seconds longer than the one before."""
LIES = st.sampled_from(
    [
        Lies(behind=2),
        Lies(behind=500),
        Lies(no_logs=True),
        Lies(refuses_logs=True),
        Lies(no_receipts=True),
        Lies(stale_latest=5_000),
        Lies(stale_latest=5_000, no_logs=True, no_receipts=True),
        Lies(stale_latest=5_000, no_state=True, no_logs=True),
        Lies(stale_latest=20, no_genesis=True, no_receipts=True),
        Lies(behind=40, stale_latest=100, refuses_logs=True, no_receipts=True),
        Lies(another=1),
        Lies(another=84532),
    ]
)


class ChainWalk(RuleBasedStateMachine):
    """What the ledger says of authorizations, whatever the chain does and the nodes say."""

    shown: list[FakeChain]
    url: str
    walked: ClassVar = {"steps": 0, "looks": 0, "expired": 0, "final": 0, "used": 0, "undone": 0}

    @initialize(ahead=st.sampled_from([0, 0, 3_600]))
    def begin(self, ahead: int) -> None:
        identity._proven.clear()
        self.folder = tempfile.TemporaryDirectory()
        self.ledger = Ledger(Path(self.folder.name) / "walk.db")
        self.chain = FakeChain(head=510, url=self.url)
        self.shown[:] = [self.chain]
        self.signed = [
            signed(number, deadline=signed(number).deadline + late + ahead, created=signed(number).created + ahead)
            for number, late in enumerate(range(0, 400 * MOST, 400), 1)
        ]
        for one in self.signed:
            self.ledger.authorize(one)
        self.watcher = self.new_watcher()
        self.states = {one.hash: MoneyState.PENDING for one in self.signed}

    def new_watcher(self) -> SettlementWatcher:
        return SettlementWatcher(self.chain.network(), self.ledger, confirmations=CONFIRMATIONS)

    @property
    def paid(self) -> dict[str, Payment]:
        return {one.authorization.hash: one for one in self.chain.payments}

    @rule(blocks=st.sampled_from([1, 2, DEPTH, 20, 60]))
    def time_goes_on(self, blocks: int) -> None:
        self.chain.head += blocks

    @rule(which=st.integers(0, MOST - 1))
    def the_gateway_settles(self, which: int) -> None:
        self.settle(which)

    def settle(self, which: int) -> bool:
        one = self.signed[which]
        if one.hash in self.paid or self.chain.time_of(self.chain.head + 1) > one.deadline:
            return False
        self.chain.pay(one)
        return True

    @precondition(lambda self: any(one.block > self.chain.head - CONFIRMATIONS for one in self.chain.payments))
    @rule()
    def the_chain_is_reorganized(self) -> None:
        newest = self.chain.payments[-1]
        if newest.block > self.chain.head - CONFIRMATIONS:
            self.chain.undo(newest)
            self.walked["undone"] += 1

    @rule(lies=LIES)
    def another_node_answers(self, lies: Lies) -> None:
        self.chain.lies = lies
        self.look()

    @rule()
    def an_honest_node_answers(self) -> None:
        self.chain.lies = Lies()
        self.look()

    @rule()
    def the_kernel_is_restarted(self) -> None:
        self.ledger.close()
        self.watcher = self.new_watcher()

    @rule(which=st.integers(0, MOST - 1), lies=LIES)
    def the_gateway_settles_while_another_node_answers(self, which: int, lies: Lies) -> None:
        self.settle(which)
        self.another_node_answers(lies)

    @rule(which=st.integers(0, MOST - 1), lies=LIES)
    def the_first_to_answer_after_the_deadline_is_another_node(self, which: int, lies: Lies) -> None:
        which = next((n for n in range(which, MOST) if self.settle(n)), which)
        self.chain.advance_past(self.signed[which].deadline)
        self.another_node_answers(lies)

    def look(self) -> None:
        self.walked["looks"] += 1
        try:
            asyncio.run(self.watcher.wait_settled(0))
        except ChainError:
            assert self.chain.lies != Lies()  # an honest one is always understood

    @invariant()
    def what_was_paid_is_not_called_unpaid(self) -> None:
        self.walked["steps"] += 1
        for one in self.signed:
            state, before = self.ledger.money(one.hash), self.states[one.hash]
            if state is MoneyState.EXPIRED:
                assert one.hash not in self.paid
                assert is_past(one.deadline, Block(0, "", self.chain.time_of(self.chain.head)))
            assert not (state is MoneyState.EXPIRED and before in PAID)
            if state is MoneyState.FINAL:
                settlement = self.ledger.settlement(one.hash)
                assert settlement is not None
                assert settlement.payment_hash == self.paid[one.hash].transaction
            assert before is not MoneyState.FINAL or state is MoneyState.FINAL
            if state is not before:
                self.walked["expired"] += state is MoneyState.EXPIRED
                self.walked["final"] += state is MoneyState.FINAL
                self.walked["used"] += state is MoneyState.USED
            self.states[one.hash] = state

    def teardown(self) -> None:
        if not hasattr(self, "ledger"):
            return
        try:
            self.chain.lies = Lies()
            self.chain.advance_past(max(one.deadline for one in self.signed))
            self.watcher = self.new_watcher()
            for _ in range(3):
                self.look()
            for one in self.signed:
                wanted = MoneyState.FINAL if one.hash in self.paid else MoneyState.EXPIRED
                assert self.ledger.money(one.hash) is wanted
            assert self.ledger.committed(self.signed[0].network) == sum(one.amount for one in self.chain.payments)
            assert self.ledger.audit().ok
        finally:
            self.ledger.close()
            self.folder.cleanup()


class TableWalk(RuleBasedStateMachine):
    """The ledger against the table, for events in any order, whether they make sense or not."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.ledger = Ledger(Path(self.folder.name) / "walk.db")
        self.one: Authorization = signed(1)
        self.ledger.authorize(self.one)
        self.state, self.seen_at = MoneyState.PENDING, 0
        self.numbers = itertools.count(1)

    @rule(event=st.sampled_from(MoneyEvent), number=st.integers(1, 9), past=st.booleans())
    def something_is_found(self, event: MoneyEvent, number: int, past: bool) -> None:
        block = Block(number, f"0x{number:064x}", self.one.deadline + (61 if past else 60))
        found = Settlement(self.one.hash, f"0x{next(self.numbers):064x}", 7, number, block.hash, 5)
        {
            MoneyEvent.FOUND: lambda: self.ledger.settle(found),
            MoneyEvent.CONFIRMED: lambda: self.ledger.settle(found, final=True),
            MoneyEvent.USED: lambda: self.ledger.mark_used(self.one.hash, block),
            MoneyEvent.UNUSED: lambda: self.ledger.expire(self.one.hash, block),
            MoneyEvent.UNDONE: lambda: self.ledger.unsettle(self.one.hash, block),
        }[event]()
        after = transition(self.state, event)
        too_little = (event is MoneyEvent.UNUSED and not past) or (event is MoneyEvent.UNDONE and number < self.seen_at)
        if after is not None and not too_little:
            self.state, self.seen_at = after, number

    @invariant()
    def the_ledger_says_what_the_table_says(self) -> None:
        assert self.ledger.money(self.one.hash) is self.state
        open_, unpaid = self.ledger.pending(), self.ledger.expired(self.one.network)
        assert (open_ == [self.one]) is (self.state in (MoneyState.PENDING, MoneyState.USED))
        assert (unpaid == [self.one]) is (self.state is MoneyState.EXPIRED)
        cost = {MoneyState.PENDING: self.one.cap, MoneyState.USED: self.one.cap, MoneyState.EXPIRED: 0}
        assert self.ledger.committed(self.one.network) == cost.get(self.state, 7)

    def teardown(self) -> None:
        assert self.ledger.audit().ok
        self.ledger.close()
        self.folder.cleanup()


def walk(machine: type[RuleBasedStateMachine], examples: int, number: int = 0) -> None:
    """Walk so many times, as the seed of this number says."""
    run_state_machine_as_test(  # type: ignore[no-untyped-call]  # hypothesis' own
        seed(SEED + number)(machine),
        settings=settings(
            max_examples=examples,
            stateful_step_count=25,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.reuse, Phase.generate),  # to make a failing walk short takes minutes
        ),
    )


@pytest.fixture
def chain_walk(server: tuple[str, list[FakeChain]], monkeypatch: pytest.MonkeyPatch) -> type[ChainWalk]:
    monkeypatch.setattr("og_magics.chain.identity._proven", set())
    monkeypatch.setattr("og_magics.chain.rpc._PAUSES", ())
    ChainWalk.url, ChainWalk.shown = server
    ChainWalk.walked.update(dict.fromkeys(ChainWalk.walked, 0))
    return ChainWalk


def test_no_walk_of_chain_nodes_and_kernels_calls_unpaid_what_was_paid(
    chain_walk: Any, report: Callable[[str], None]
) -> None:
    walk(chain_walk, 6)
    report(_said(chain_walk.walked))


def _said(walked: dict[str, int]) -> str:
    return (
        f"walked {walked['steps']} steps with {walked['looks']} looks at the chain: {walked['final']} payments final, "
        f"{walked['used']} used, {walked['undone']} undone, {walked['expired']} expired, 0 of them paid"
    )


@pytest.mark.ci
@pytest.mark.timeout(300 if MORE == 1 else 3600)  # so many rounds run beside other work
@pytest.mark.parametrize("round", range(MORE))
def test_no_long_walk_does(chain_walk: Any, report: Callable[[str], None], round: int) -> None:
    walk(chain_walk, 60, round)
    report(_said(chain_walk.walked))
    rare = {"undone"} if round else set()  # one walk in twelve undoes no payment; the first one always does
    assert all(count for what, count in chain_walk.walked.items() if what not in rare), chain_walk.walked


def test_the_ledger_follows_the_table_whatever_comes() -> None:
    walk(TableWalk, 15)
