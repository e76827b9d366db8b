"""A receipt's steps in a file: several in one transaction, each in few statements, leave what the long way leaves."""

from __future__ import annotations

import functools
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from og_magics.core.errors import LedgerError
from og_magics.ledger import Ledger, file_writes
from og_magics.ledger.transactions import Undone

from .conftest import journal_of

KINDS: list[dict[str, Any]] = [
    {},
    {"text": "long \x00\x1a é😀 \ud83d" * 40, "latency": 2, "ttft": 1, "tool_calls": ()},
    {"attestation": b"document", "reported_cost": 10**30, "gateway_notes": {"citations": []}},
    {"text": "", "prompt_tokens": None, "tee_timestamp": 2**40, "finish_reason": None},
]


def lives(ledger: Ledger, make: Any) -> None:
    """Write receipts of every kind of end."""
    paying = make.authorization()
    ledger.authorize(paying)
    for number in range(70):  # more than the entries that are never packed
        receipt = make.attached(ledger, paying)
        outcome = make.outcome(**KINDS[number % len(KINDS)])
        ledger.serve(receipt, outcome, cost_usd=None, weight=number, enclave=make.verdict)
    ledger.fail(make.attached(ledger, paying), 'it\'s \\ "gone" 100%s', make.outcome(text="hal"), weight=7)
    ledger.fail(ledger.open(make.question("not 'paid'", turn="t"), "devnet", 5), "no", None)
    make.serve(ledger, make.opened(ledger))
    late = make.attached(ledger, paying)
    ledger.settle(make.settlement(paying))
    make.serve(ledger, late, weight=9)


def together(ledger: Ledger) -> Any:
    group = ledger.together()
    assert group is not None
    return group


def test_the_short_way_tells_what_the_long_way_tells(
    ledger: Ledger, make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lives(ledger, make)
    short: Callable[..., bool] = file_writes._is_current
    monkeypatch.setattr(file_writes, "_is_current", lambda _: False)
    with Ledger(tmp_path / "long.db") as other:
        lives(other, make)
        assert journal_of(other) == journal_of(ledger)
        assert [one.text for one in other.receipts()] == [one.text for one in ledger.receipts()]
    monkeypatch.setattr(file_writes, "_is_current", short)
    assert ledger.audit().ok
    assert not ledger.foreign().answers, "each mark holds"
    assert len(ledger.receipts()) == 74


def test_steps_of_several_receipts_are_one_transaction(ledger: Ledger, make: Any) -> None:
    paying = make.authorization()
    ledger.authorize(paying)
    begun: list[str] = []
    assert ledger._file.connection is not None
    ledger._file.connection.set_trace_callback(lambda sql: sql.startswith(("BEGIN", "COMMIT")) and begun.append(sql))
    with together(ledger):
        receipts = [make.opened(ledger) for _ in range(3)]
        assert not ledger._running, "memory knows of none that is not written"
    with together(ledger):
        for one in receipts:
            ledger.attach(one, paying.hash, "session")
    with together(ledger):
        for one in receipts:
            make.serve(ledger, one)
            ledger.recordings.keep(one, [(0.1, "4")], ())
    assert [sql.partition(" ")[0] for sql in begun] == ["BEGIN", "COMMIT"] * 3
    assert [one.status for one in ledger.receipts()] == ["served"] * 3
    assert not ledger._running
    assert ledger.audit().ok


def test_an_error_of_one_step_undoes_all_and_is_not_taken_for_an_answer_that_could_not_be_written(
    ledger: Ledger, make: Any
) -> None:
    paying, other = make.authorization(1), make.authorization(2)
    receipt = make.attached(ledger, paying)
    ledger.authorize(other)
    before = ledger.head()

    def both() -> None:
        with together(ledger):
            make.opened(ledger)
            ledger.attach(receipt, other.hash, None)

    with pytest.raises(Undone):
        both()
    assert ledger.head() == before
    assert len(ledger.receipts()) == 1
    with pytest.raises(LedgerError, match="is paid by authorization"):
        ledger.attach(receipt, other.hash, None)
    make.serve(ledger, receipt)
    assert ledger.audit().ok


@pytest.mark.parametrize("when", ["write", "commit"])
def test_an_end_whose_group_could_not_be_written_is_kept_when_it_is_written_by_itself(
    ledger: Ledger, make: Any, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    receipt = make.attached(ledger, make.authorization())
    fails = [True]

    def full(self: Any, sql: str, *given: Any) -> Any:
        if fails and sql.startswith("COMMIT" if when == "commit" else "UPDATE receipts"):
            raise sqlite3.OperationalError("disk I/O error")
        return sqlite3.Connection.execute(self, sql, *given)

    monkeypatch.setattr("og_magics.ledger.database.FileConnection.execute", full, raising=False)
    with pytest.raises((Undone, LedgerError)), together(ledger):
        make.serve(ledger, receipt)
    assert not ledger._file.spool.find(receipt), "it is not set aside: it is to be written again"
    assert receipt in ledger._running
    make.serve(ledger, receipt)
    assert ledger._file.spool.find(receipt), "by itself, it is"
    fails.clear()
    make.opened(ledger)
    assert ledger.receipt(receipt).status == "served"
    assert ledger.audit().ok


def test_a_request_whose_payment_could_not_be_attached_is_never_taken_for_attached(
    ledger: Ledger, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    paying = make.authorization()
    make.attached(ledger, paying)
    receipt = make.opened(ledger)

    def full(self: Any, sql: str, *given: Any) -> Any:
        if sql.startswith("COMMIT"):
            raise sqlite3.OperationalError("disk I/O error")
        return sqlite3.Connection.execute(self, sql, *given)

    monkeypatch.setattr("og_magics.ledger.database.FileConnection.execute", full, raising=False)
    with pytest.raises(LedgerError), together(ledger):
        ledger.attach(receipt, paying.hash, "session")
    assert ledger._running[receipt].signed is None
    with pytest.raises(LedgerError):
        ledger.attach(receipt, paying.hash, "session")


_KILLED = """
import os, signal, sys
from og_magics.ledger import Ledger
from tests.unit.ledger.conftest import Make

ledger, make = Ledger(sys.argv[1]), Make()
paying = make.authorization()
ledger.authorize(paying)
first = make.attached(ledger, paying)
with ledger.together():
    make.serve(ledger, first)
    second = make.opened(ledger)
    if sys.argv[2] == "within":
        os.kill(os.getpid(), signal.SIGKILL)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize(("when", "left"), [("within", ["authorized"]), ("after", ["served", "unpaid"])])
def test_a_kill_leaves_all_of_a_group_or_nothing(tmp_path: Path, when: str, left: list[str]) -> None:
    path, root = tmp_path / "l.db", Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", _KILLED, path, when], cwd=root, env=os.environ, check=False)
    assert done.returncode == -signal.SIGKILL
    with Ledger(path) as ledger:
        assert [one.status for one in ledger.receipts()] == left
        assert ledger.audit().ok


def test_each_of_many_receipts_of_one_settlement_is_read_without_working_out_all_shares_anew(
    ledger: Ledger, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from og_magics.ledger import rows

    paying = make.authorization()
    receipts = [make.served(ledger, paying, weight) for weight in range(20)]
    ledger.settle(make.settlement(paying, 1900))
    worked_out: list[int] = []
    shares = rows.shares_of
    monkeypatch.setattr(rows, "shares_of", lambda *given: worked_out.append(1) or shares(*given))
    read = functools.partial(map, ledger.receipt)
    assert sum(one.cost or 0 for one in read(receipts)) == 1900
    assert len(worked_out) == 1
    with sqlite3.connect(ledger.path) as hand:
        hand.execute("UPDATE settlements SET amount = '3800'")
    assert sum(one.cost or 0 for one in read(receipts)) == 3800
    assert len(worked_out) == 2
    ledger.settle(make.settlement(paying, 190, 8))
    assert sum(one.cost or 0 for one in read(receipts)) == 190
