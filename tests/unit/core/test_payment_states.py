"""The table of money states: what leads where, walked in every order."""

from __future__ import annotations

from itertools import product

from og_magics.core.payment_states import EVIDENCE, PAID, TABLE, Block, MoneyEvent, MoneyState, is_past, transition


def reachable(start: MoneyState, without: set[MoneyEvent]) -> set[MoneyState]:
    """The states that events lead to, in any order and number."""
    found, left = {start}, [start]
    while left:
        state = left.pop()
        for event in set(MoneyEvent) - without:
            after = transition(state, event)
            if after is not None and after not in found:
                found.add(after)
                left.append(after)
    return found


def test_each_pair_of_state_and_event_has_one_row_at_most_and_each_event_its_evidence() -> None:
    pairs = [(row.state, row.event) for row in TABLE]
    assert len(set(pairs)) == len(pairs)
    assert set(EVIDENCE) == set(MoneyEvent)
    assert all(row.evidence for row in TABLE)


def test_no_event_takes_what_was_paid_to_nothing_was_paid() -> None:
    assert not [row for row in TABLE if row.state in PAID and row.next is MoneyState.EXPIRED]


def test_no_order_of_events_does_unless_the_chain_itself_undid_the_payment() -> None:
    for state in PAID:
        assert MoneyState.EXPIRED not in reachable(state, without={MoneyEvent.UNDONE})


def test_what_is_final_stays_paid_whatever_comes() -> None:
    assert reachable(MoneyState.FINAL, without=set()) == {MoneyState.FINAL}


def test_whatever_stands_a_payment_that_is_found_is_noted() -> None:
    for state, event in product(MoneyState, (MoneyEvent.FOUND, MoneyEvent.CONFIRMED)):
        if state is not MoneyState.FINAL:
            assert transition(state, event) in (MoneyState.SETTLED, MoneyState.FINAL)


def test_only_one_row_says_that_nothing_was_paid() -> None:
    (row,) = [row for row in TABLE if row.next is MoneyState.EXPIRED]
    assert (row.state, row.event) == (MoneyState.PENDING, MoneyEvent.UNUSED)


def test_a_block_is_past_a_deadline_only_by_the_margin() -> None:
    assert [is_past(1000, Block(1, "0x1", time)) for time in (999, 1000, 1060, 1061)] == [False, False, False, True]
