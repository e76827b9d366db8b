"""What one transaction knows serves the next, and only while nobody else wrote and nothing was undone."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from og_magics.core.front_end import RunningNotebook
from og_magics.ledger import Ledger
from og_magics.ledger.notebook_index import NotebookIdentity
from og_magics.ledger.packing import PLAIN

from .conftest import journal_of

TEXT = "Some words of an answer, again and again. " * 20


class Gone(Exception):
    pass


def undone(ledger: Ledger, make: Any) -> None:
    """Open a receipt in a group of writes that fails then."""
    group = ledger.together()
    assert group is not None
    with group:
        ledger.open(make.question(), "devnet", 1.0)
        raise Gone


def packed(ledger: Ledger, make: Any, payer: Any, count: int = PLAIN) -> list[str]:
    """Write so many receipts that entries and texts are packed, and return their ids."""
    receipts = []
    for _ in range(count):
        receipts.append(make.attached(ledger, payer))
        ledger.serve(receipts[-1], make.outcome(text=TEXT), cost_usd=None, weight=1, enclave=make.verdict)
    return receipts


def whole(ledger: Ledger, receipts: list[str]) -> bool:
    """Read it by a connection of its own: every text is there, and the chain holds."""
    with Ledger(ledger.path) as again:
        return again.audit().ok and {again.receipt(one).text for one in receipts} == {TEXT}


def test_two_that_write_in_turn_continue_one_chain(ledger: Ledger, make: Any) -> None:
    payer = make.authorization()
    ledger.authorize(payer)
    receipts = packed(ledger, make, payer)
    with Ledger(ledger.path) as other:
        for number in range(40):
            receipts += packed(other if number % 2 else ledger, make, payer, 1)
    assert whole(ledger, receipts)


def test_a_dictionary_that_was_undone_is_not_used_afterwards(ledger: Ledger, make: Any) -> None:
    payer = make.authorization()
    ledger.authorize(payer)
    receipts = []
    while len(journal_of(ledger)) < PLAIN:  # the next entry makes the first dictionary
        receipts.append(ledger.open(make.question(), "devnet", 1.0))
    with pytest.raises(Gone):
        undone(ledger, make)
    assert whole(ledger, packed(ledger, make, payer, 5))


def test_a_note_of_the_notebook_that_was_undone_is_made_again(ledger: Ledger, make: Any, tmp_path: Path) -> None:
    path = tmp_path / "tour.ipynb"
    path.write_text("{}")
    ledger.notebook = NotebookIdentity(ledger.path, "id-of-it", RunningNotebook(path, kernel="k"), shared=True)
    ledger.open(make.question(), "devnet", 1.0)
    path.write_text('{"cells": []}')
    with pytest.raises(Gone):
        undone(ledger, make)
    ledger.open(make.question(), "devnet", 1.0)
    with ledger._file.reading() as connection:
        (noted,) = connection.execute("SELECT modified FROM notebooks").fetchall()
    assert noted["modified"] == path.stat().st_mtime_ns


def test_memory_does_not_keep_all_that_ever_paid(ledger: Ledger, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("og_magics.ledger.database._FACTS", 3)
    connection: Any = None
    for number in range(1, 12):
        make.served(ledger, make.authorization(number))
        connection = ledger._file.connection
        assert len(connection.paying) <= 3
    again = make.opened(ledger)
    ledger.attach(again, make.authorization(1).hash, "session-1")  # which memory has forgotten
    make.serve(ledger, again)
    assert not ledger._running
    assert ledger.receipt(again).session_id == ledger.receipts()[0].session_id
    assert ledger.audit().ok


def test_a_hand_that_changes_the_last_entry_is_seen_by_the_next(ledger: Ledger, make: Any) -> None:
    payer = make.authorization()
    ledger.authorize(payer)
    packed(ledger, make, payer)
    with sqlite3.connect(ledger.path) as hand:
        hand.execute("UPDATE journal SET hash = ? WHERE seq = (SELECT max(seq) FROM journal)", (b"\x07" * 32,))
    ledger.open(make.question(), "devnet", 1.0)
    assert hand.execute("SELECT previous FROM journal ORDER BY seq DESC").fetchone()[0] == b"\x07" * 32
    hand.close()
    assert not ledger.audit().ok


def test_a_receipt_is_opened_without_reading_the_file(ledger: Ledger, make: Any) -> None:
    payer = make.authorization()
    ledger.authorize(payer)
    packed(ledger, make, payer)
    statements: list[str] = []
    connection: Any = ledger._file.connection  # type: ignore[union-attr]
    connection.set_trace_callback(statements.append)
    ledger.open(make.question(), "devnet", 1.0)
    connection.set_trace_callback(None)
    assert statements
    assert not [one for one in statements if one.startswith("SELECT")]
