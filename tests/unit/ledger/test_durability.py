"""What is written stays, whoever else writes and however the process ends."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import og_magics
from og_magics.ledger import Ledger, open_ledger

_PROLOGUE = """
import sys
from og_magics.ledger import Ledger
from og_magics.core.receipt import Authorization
from og_magics.core.types import Outcome, ChatRequest, x402SettlementMode
def question(text):
    return ChatRequest("/v1/completions", "openai/gpt-5", {"prompt": text}, x402SettlementMode.PRIVATE)
def authorization(number):
    return Authorization(f"0x{number}", "upto", "eip155:1", "a", "b", "c", 5, number, 9, "https://g", "/p", number)
def paid(name):
    return Authorization(f"0x{name}", "upto", "eip155:1", "a", "b", "c", 5, 6, 9, "https://g", "/p", 7)
ledger = Ledger(sys.argv[1])
"""


def _child(script: str, *arguments: str) -> subprocess.Popen[str]:
    root = str(Path(og_magics.__file__).parents[1])
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", _PROLOGUE + script, *arguments],
        env={**os.environ, "PYTHONPATH": root, "PYTHONDEVMODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


class TestWriteAhead:
    def test_another_connection_sees_an_authorization_as_soon_as_authorize_returns(
        self, ledger: Ledger, make: Any
    ) -> None:
        authorization = make.authorization()
        ledger.authorize(authorization)
        other = sqlite3.connect(ledger.path)
        try:
            assert other.execute("SELECT hash, nonce FROM authorizations").fetchall() == [
                (authorization.hash, str(authorization.nonce))
            ]
        finally:
            other.close()

    def test_only_an_authorization_is_synced_before_it_is_committed(self, ledger: Ledger, make: Any) -> None:
        receipt_id = make.opened(ledger)
        statements: list[str] = []
        assert ledger._file.connection is not None
        ledger._file.connection.set_trace_callback(statements.append)
        ledger.authorize(make.authorization())
        ledger.attach(receipt_id, make.authorization().hash, None)
        ledger._file.connection.set_trace_callback(None)
        told = [s for s in statements if s.startswith(("PRAGMA sync", "BEGIN", "INSERT", "UPDATE", "COMMIT"))]
        assert [s.split(" (")[0].split(" SET")[0] for s in told] == [
            "PRAGMA synchronous = FULL", "BEGIN IMMEDIATE", "INSERT INTO authorizations", "INSERT INTO journal",
            "COMMIT",
            "PRAGMA synchronous = NORMAL", "BEGIN IMMEDIATE", "UPDATE receipts", "INSERT INTO journal", "COMMIT",
        ]  # fmt: skip

    def test_the_file_is_in_write_ahead_mode(self, ledger: Ledger, make: Any) -> None:
        make.opened(ledger)
        other = sqlite3.connect(ledger.path)
        try:
            assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        finally:
            other.close()


class TestProcesses:
    def test_a_killed_process_leaves_its_receipts_as_they_were(self, ledger: Ledger) -> None:
        script = """
unpaid = ledger.open(question("first"), "devnet", 1.0)
paid = ledger.open(question("second"), "devnet", 2.0)
ledger.authorize(authorization(1))
ledger.attach(paid, "0x1", "session")
print("attached", flush=True)
sys.stdin.read()
"""
        child = _child(script, str(ledger.path))
        assert child.stdout is not None
        assert child.stdout.readline() == "attached\n"
        child.send_signal(signal.SIGKILL)
        child.communicate()
        assert child.returncode == -signal.SIGKILL
        assert [(r.status, r.request["prompt"]) for r in ledger.receipts()] == [
            ("unpaid", "first"),
            ("authorized", "second"),
        ]
        assert [a.hash for a in ledger.pending()] == ["0x1"]

    def test_several_processes_begin_and_fill_one_file(self, ledger: Ledger) -> None:
        script = """
for number in range(40):
    receipt = ledger.open(question(sys.argv[2]), "devnet", float(number))
    ledger.authorize(authorization(number))
    ledger.attach(receipt, f"0x{number}", None)
    ledger.fail(receipt, "end", None)
"""
        children = [_child(script, str(ledger.path), name) for name in "abc"]
        for child in children:
            _, errors = child.communicate()
            assert (child.returncode, errors) == (0, "")
        receipts = ledger.receipts()
        assert len({receipt.receipt_id for receipt in receipts}) == 120
        assert len(ledger.pending()) == 40, "the same authorization is one row, whoever writes it"
        audit = ledger.audit()
        assert (audit.ok, audit.length) == (True, 3 * 40 * 3 + 40), "the chain never forks"
        for name in "abc":
            assert [r.time for r in receipts if r.request["prompt"] == name] == [float(n) for n in range(40)]

    def test_a_process_killed_between_its_writes_leaves_a_chain_that_holds(self, ledger: Ledger) -> None:
        script = """
print("begun", flush=True)
for number in range(10**6):
    receipt = ledger.open(question("q"), "devnet", 1.0)
    ledger.authorize(paid(f"{sys.argv[2]}-{number}"))
    ledger.attach(receipt, f"0x{sys.argv[2]}-{number}", None)
    ledger.fail(receipt, "end", None)
"""
        head = ledger.head()
        for run in range(5):
            child = _child(script, str(ledger.path), str(run))
            assert child.stdout is not None
            assert child.stdout.readline() == "begun\n"
            while ledger.head()[0] < head[0] + 10:
                time.sleep(0.001)
            child.send_signal(signal.SIGKILL)
            child.communicate()
            assert ledger.audit(expected_head=head).ok
            head = ledger.head()

    def test_a_process_that_never_closes_its_ledger_ends_without_a_warning(self, ledger: Ledger) -> None:
        child = _child('ledger.open(question("q"), "devnet", 1.0)', str(ledger.path))
        assert child.communicate() == ("", "")
        assert child.returncode == 0
        assert not ledger.path.with_name("tour.db-wal").exists(), "closing moves the last writes into the file"
        assert len(ledger.receipts()) == 1


class TestThreads:
    def test_threads_may_write_and_read_at_once(self, ledger: Ledger, make: Any) -> None:
        failures: list[BaseException] = []
        start = threading.Barrier(4)

        def work(number: int) -> None:
            try:
                start.wait()
                for _ in range(25):
                    make.served(ledger, make.authorization(number))
                    ledger.receipts()
                ledger.settle(make.settlement(make.authorization(number), 1000))
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        receipts = ledger.receipts()
        assert [r.receipt_id for r in receipts] == sorted({r.receipt_id for r in receipts})
        assert [(r.status, r.cost) for r in receipts] == [("settled", 40)] * 100

    def test_a_ledger_may_be_closed_on_another_thread(self, ledger: Ledger, make: Any) -> None:
        make.opened(ledger)
        thread = threading.Thread(target=ledger.close)
        thread.start()
        thread.join()
        assert len(ledger.receipts()) == 1


class TestVersion:
    def test_it_changes_with_every_write_of_ours_and_not_otherwise(self, ledger: Ledger, make: Any) -> None:
        authorization = make.authorization()
        seen = [ledger.version()]
        receipt_id = make.opened(ledger)
        seen.append(ledger.version())
        ledger.authorize(authorization)
        seen.append(ledger.version())
        ledger.attach(receipt_id, authorization.hash, None)
        seen.append(ledger.version())
        make.serve(ledger, receipt_id)
        seen.append(ledger.version())
        ledger.settle(make.settlement(authorization))
        seen.append(ledger.version())
        ledger.mark_verified(receipt_id)
        seen.append(ledger.version())
        assert seen == sorted(set(seen))
        ledger.receipts()
        ledger.authorize(authorization)
        ledger.mark_verified(receipt_id)
        assert ledger.version() == seen[-1]

    def test_it_changes_when_another_process_writes(self, ledger: Ledger, make: Any) -> None:
        make.opened(ledger)
        before = ledger.version()
        child = _child('ledger.open(question("q"), "devnet", 1.0)', str(ledger.path))
        child.communicate()
        assert ledger.version() > before

    def test_it_never_repeats_when_the_file_was_closed_between(self, ledger: Ledger, make: Any) -> None:
        seen = []
        for _ in range(3):
            make.opened(ledger)
            seen.append(ledger.version())
            ledger.close()
            seen.append(ledger.version())
        assert seen == sorted(set(seen))


class TestOneLedgerAPath:
    def test_a_path_has_one_ledger_however_it_is_written(self, tmp_path: Path) -> None:
        ledger = open_ledger(tmp_path / "a" / ".." / "one.db")
        assert open_ledger(str(tmp_path / "one.db")) is ledger
        assert open_ledger(tmp_path / "two.db") is not ledger
        assert ledger.path == tmp_path.resolve() / "one.db"

    def test_nothing_is_made_before_the_first_use(self, tmp_path: Path, make: Any) -> None:
        with Ledger(tmp_path / "deep" / ".og" / "n.db") as ledger:
            assert list(tmp_path.iterdir()) == []
            make.opened(ledger)
            assert ledger.path.exists()

    def test_a_ledger_that_nobody_holds_is_closed(self, tmp_path: Path, make: Any) -> None:
        make.opened(open_ledger(tmp_path / "one.db"))
        assert not (tmp_path / "one.db-wal").exists()
