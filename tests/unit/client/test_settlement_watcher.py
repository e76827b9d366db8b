"""Payments seen through nodes that lie: what was paid is never called unpaid."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from og_magics.client import SettlementWatcher
from og_magics.core.errors import ChainError
from og_magics.core.payment_states import Block, MoneyState
from og_magics.ledger import Ledger

from .conftest import DEPTH, FakeChain, Lies, signed

if TYPE_CHECKING:
    from collections.abc import Iterator

ONE = signed(1)
P, U, S, F, E = MoneyState.PENDING, MoneyState.USED, MoneyState.SETTLED, MoneyState.FINAL, MoneyState.EXPIRED


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "tour.db") as ledger:
        yield ledger


@pytest.fixture
def look(ledger: Ledger, fake_chain: FakeChain) -> Callable[..., SettlementWatcher]:
    """Look once with a new watcher; it is returned."""
    ledger.authorize(ONE)

    def look(confirmations: int = 3, **changes: Any) -> SettlementWatcher:
        watcher = SettlementWatcher(fake_chain.network(**changes), ledger, confirmations=confirmations)
        asyncio.run(watcher.poll_once())
        return watcher

    return look


def test_a_payment_is_found_and_final_once_it_is_deep(ledger: Ledger, fake_chain: FakeChain, look: Any) -> None:
    look()
    assert ledger.money(ONE.hash) is P
    paid = fake_chain.pay(ONE)
    look()
    assert ledger.money(ONE.hash) is S
    fake_chain.head += 3
    look()
    assert ledger.money(ONE.hash) is F
    settlement = ledger.settlement(ONE.hash)
    assert settlement is not None
    assert (settlement.payment_hash, settlement.block_number) == (paid.transaction, paid.block)


def test_what_was_not_paid_expires_once_a_deep_block_is_past_the_deadline(
    ledger: Ledger, fake_chain: FakeChain, look: Any
) -> None:
    late = (ONE.deadline + 60 - fake_chain.time_of(0)) // 2
    told = []
    for head in (fake_chain.head, late, late + DEPTH, late + DEPTH + 1):
        fake_chain.head = head
        told.append((look().reasons[ONE.hash], ledger.money(ONE.hash)))
    assert [state for _, state in told] == [P, P, P, E]
    assert "It may be settled until" in told[0][0]
    assert "deep enough" in told[2][0]
    assert ledger.committed(ONE.network) == 0


@pytest.mark.parametrize(
    ("lies", "state", "why"),
    [
        pytest.param(Lies(no_logs=True), U, "shows no transaction", id="empty logs though the nonce is used"),
        pytest.param(Lies(refuses_logs=True), U, "shows no transaction", id="logs pruned"),
        pytest.param(Lies(no_receipts=True), U, "shows no transaction", id="transactions pruned"),
        pytest.param(Lies(stale_latest=500), F, "", id="a stale newest state"),
        pytest.param(Lies(stale_latest=500, no_logs=True), U, "shows no transaction", id="stale, and no logs"),
        pytest.param(Lies(stale_latest=500, no_state=True), P, "does not have the state", id="stale, and pruned"),
        pytest.param(Lies(behind=500), P, "It may be settled until", id="a node that is behind"),
        pytest.param(Lies(stale_latest=500, no_genesis=True), P, "first block", id="no first block to know it by"),
    ],
)
def test_what_was_paid_is_not_called_unpaid_by_a_node_that(
    ledger: Ledger, fake_chain: FakeChain, look: Any, lies: Lies, state: MoneyState, why: str
) -> None:
    paid = fake_chain.pay(ONE)
    fake_chain.advance_past(ONE.deadline)
    fake_chain.lies = lies
    assert why in look().reasons[ONE.hash]
    assert ledger.money(ONE.hash) is state
    fake_chain.lies = Lies()
    look()
    settlement = ledger.settlement(ONE.hash)
    assert settlement is not None
    assert settlement.payment_hash == paid.transaction


@pytest.mark.parametrize(
    "lies", [Lies(another=1), Lies(another=84532), Lies(genesis="0x" + "7" * 64)], ids=["ethereum", "sepolia", "a fork"]
)
def test_an_rpc_of_another_chain_is_an_error_and_changes_nothing(
    ledger: Ledger, fake_chain: FakeChain, look: Any, lies: Lies
) -> None:
    fake_chain.advance_past(ONE.deadline)
    fake_chain.lies = lies
    with pytest.raises(ChainError, match=r"is not one of base \(chain 8453\)"):
        look()
    assert ledger.money(ONE.hash) is P


@pytest.mark.parametrize("ahead", [3_600, 7_200])
def test_a_clock_that_is_ahead_expires_nothing_and_finds_the_payment(
    ledger: Ledger, fake_chain: FakeChain, look: Any, ahead: int
) -> None:
    wrong = signed(2, created=ONE.created + ahead, deadline=ONE.deadline + ahead)
    ledger.authorize(wrong)
    look()
    assert ledger.money(wrong.hash) is P, "the chain has not reached its deadline, whatever this machine's clock says"
    fake_chain.pay(wrong)
    look()
    assert ledger.money(wrong.hash) is S
    fake_chain.head += 20
    ledger.authorize(replace(wrong, hash="0x3", nonce=3 << 8))
    look()
    assert ledger.money("0x3") is P


def test_a_payment_that_is_found_later_corrects_what_counted_as_expired(
    ledger: Ledger, fake_chain: FakeChain, look: Any
) -> None:
    ledger.expire(ONE.hash, Block(1, "0x1", ONE.deadline + 1_000))
    fake_chain.pay(ONE)
    fake_chain.lies = Lies(no_logs=True)
    look()
    assert ledger.money(ONE.hash) is U
    fake_chain.lies = Lies()
    look()
    assert ledger.money(ONE.hash) is S


@pytest.mark.parametrize(
    "lies",
    [Lies(behind=10), Lies(no_logs=True, no_receipts=True), Lies(stale_latest=400, no_logs=True, no_receipts=True)],
    ids=["behind", "pruned", "stale"],
)
def test_a_settled_payment_is_not_taken_back_by_less(
    ledger: Ledger, fake_chain: FakeChain, look: Any, lies: Lies
) -> None:
    paid = fake_chain.pay(ONE)
    look(confirmations=100)
    assert ledger.money(ONE.hash) is S
    fake_chain.head += 300
    fake_chain.lies = lies
    look(confirmations=100)
    settlement = ledger.settlement(ONE.hash)
    assert settlement is not None
    assert settlement.payment_hash == paid.transaction


def test_a_payment_that_the_chain_undid_is_pending_again_only_when_that_is_deep(
    ledger: Ledger, fake_chain: FakeChain, look: Any
) -> None:
    paid = fake_chain.pay(ONE)
    look()
    fake_chain.undo(paid)
    look()
    assert ledger.money(ONE.hash) is S
    fake_chain.head += DEPTH
    look()
    assert ledger.money(ONE.hash) is P
    again = fake_chain.pay(ONE)
    look()
    settlement = ledger.settlement(ONE.hash)
    assert settlement is not None
    assert settlement.payment_hash == again.transaction


def test_a_payment_that_moved_to_another_block_is_noted_there(ledger: Ledger, fake_chain: FakeChain, look: Any) -> None:
    fake_chain.undo(fake_chain.pay(ONE))
    first = fake_chain.pay(ONE)
    look()
    fake_chain.undo(first)
    moved = fake_chain.pay(ONE)
    look()
    settlement = ledger.settlement(ONE.hash)
    assert settlement is not None
    assert (settlement.payment_hash, settlement.block_number) == (moved.transaction, moved.block)


def test_the_reason_stands_in_the_ledger_with_the_block(ledger: Ledger, fake_chain: FakeChain, look: Any) -> None:
    import sqlite3

    fake_chain.advance_past(ONE.deadline)
    look()
    with sqlite3.connect(ledger.path) as file:
        (evidence,) = file.execute("SELECT evidence FROM authorizations").fetchone()
    assert f'"block":{fake_chain.head - DEPTH}' in evidence
    assert "has its nonce as unused" in evidence
    assert ledger.audit().ok


def test_whoever_signed_is_looked_at(ledger: Ledger, fake_chain: FakeChain, look: Any) -> None:
    other = signed(7, payer="0x70997970C51812dc3A010C7d01b50e0d17dc79C8")
    ledger.authorize(other)
    fake_chain.pay(other)
    look()
    assert ledger.money(other.hash) is S


def test_a_node_that_refused_logs_for_a_while_is_asked_for_wide_ranges_again(
    ledger: Ledger, fake_chain: FakeChain, look: Any
) -> None:
    fake_chain.pay(ONE)
    fake_chain.lies = Lies(refuses_logs=True)
    look()
    fake_chain.lies, fake_chain.asked[:] = Lies(), []
    look()
    assert ledger.money(ONE.hash) is S
    assert fake_chain.asked.count("eth_getLogs") < 5
