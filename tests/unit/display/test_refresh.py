"""Answers that come up to date in their place."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from og_magics.core.errors import LedgerError
from og_magics.core.receipt import Receipt
from og_magics.display.refresh import DisplayTracker

OPEN = Receipt(
    receipt_id="01", time=1795343449.0, cell="", notebook="", network="devnet", provider="", model="", settlement="",
    status="served", authorization_hash="0x" + "ab" * 32,
)  # fmt: skip
SETTLED = replace(OPEN, status="settled", payment_hash="0x" + "cd" * 32)


class Rows:
    """A journal of a few receipts."""

    def __init__(self, *receipts: Receipt) -> None:
        self.rows = {receipt.receipt_id: receipt for receipt in receipts}

    def receipt(self, receipt_id: str) -> Receipt:
        if receipt_id not in self.rows:
            raise LedgerError("gone")
        return self.rows[receipt_id]

    def head(self):
        return (7, "head")


@pytest.fixture
def seen():
    return []


def note(seen):
    return lambda receipts, head: seen.extend((receipt, head) for receipt in receipts)


@pytest.mark.parametrize("end", [SETTLED, replace(OPEN, status="expired"), replace(SETTLED, status="failed")])
def test_an_answer_is_shown_again_once_when_its_payment_is_known(seen, end):
    answers, rows = DisplayTracker(), Rows(OPEN)
    answers.add(rows, [OPEN], note(seen))
    answers.refresh()
    assert seen == []
    rows.rows["01"] = end
    answers.refresh()
    answers.refresh()
    assert seen == [(end, (7, "head"))]


def test_what_was_settled_while_it_was_being_shown_is_shown_again_at_once(seen):
    DisplayTracker().add(Rows(SETTLED), [OPEN], note(seen))
    assert [receipt for receipt, _ in seen] == [SETTLED]


@pytest.mark.parametrize("receipt", [SETTLED, replace(OPEN, authorization_hash=None, status="failed")])
def test_what_cannot_change_is_not_remembered(seen, receipt):
    answers = DisplayTracker()
    answers.add(Rows(SETTLED), [receipt], note(seen))
    answers.refresh()
    assert seen == []


def test_a_display_or_a_ledger_that_fails_stops_no_other(seen):
    def broken(receipts, head):
        raise RuntimeError("no front end")

    answers, rows = DisplayTracker(), Rows(*(replace(OPEN, receipt_id=name) for name in ("1", "2", "3")))
    for name, refresh in (("1", broken), ("2", note(seen)), ("3", note(seen))):
        answers.add(rows, [rows.rows[name]], refresh)
    rows.rows = {name: replace(SETTLED, receipt_id=name) for name in ("1", "3")}
    answers.refresh()
    assert [receipt.receipt_id for receipt, _ in seen] == ["3"]


def test_a_display_of_several_receipts_is_sent_once_where_their_payments_are_found_together(seen):
    names = ("1", "2", "3", "4")
    answers, rows = DisplayTracker(), Rows(*(replace(OPEN, receipt_id=name) for name in names))
    answers.add(
        rows, list(rows.rows.values()), lambda receipts, head: seen.append([one.receipt_id for one in receipts])
    )
    rows.rows |= {name: replace(SETTLED, receipt_id=name) for name in names[:3]}
    answers.refresh()
    rows.rows["4"] = replace(SETTLED, receipt_id="4")
    answers.refresh()
    assert seen == [["1", "2", "3"], ["4"]]


def test_the_oldest_are_forgotten_where_there_are_many(seen):
    answers, rows = DisplayTracker(), Rows()
    for number in range(250):
        rows.rows[str(number)] = replace(OPEN, receipt_id=str(number))
        answers.add(rows, [rows.rows[str(number)]], note(seen))
    rows.rows = {name: replace(SETTLED, receipt_id=name) for name in rows.rows}
    answers.refresh()
    assert [receipt.receipt_id for receipt, _ in seen] == [str(number) for number in range(50, 250)]


def test_soon_is_on_another_thread():
    answers, rows, told = DisplayTracker(), Rows(OPEN), threading.Event()
    threads = []

    def refresh(receipts, head):
        threads.append(threading.current_thread())
        told.set()

    answers.add(rows, [OPEN], refresh)
    rows.rows["01"] = SETTLED
    answers.refresh_soon()
    assert told.wait(20)
    assert threads != [threading.main_thread()]
