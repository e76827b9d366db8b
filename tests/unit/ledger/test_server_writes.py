"""A receipt's steps on a server take one way there each, and leave what the long way leaves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from og_magics.core.errors import LedgerError
from og_magics.core.front_end import RunningNotebook
from og_magics.ledger import FrameCache, Ledger, receipts_frame
from og_magics.ledger.notebook_index import NotebookIdentity
from og_magics.ledger.postgres import ServerConnection

from ...postgres import PASSWORD, Server
from .conftest import journal_of

pytestmark = pytest.mark.ci


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Statements that were sent to a server, each message as one."""
    sent: list[str] = []
    long, short = ServerConnection._sent, ServerConnection.at_once

    def noted(self: ServerConnection, sql: str, parameters: Any) -> Any:
        sent.append(sql)
        return long(self, sql, parameters)

    def at_once(self: ServerConnection, statements: Any) -> bool:
        sent.append("at once")
        return short(self, statements)

    monkeypatch.setattr(ServerConnection, "_sent", noted)
    monkeypatch.setattr(ServerConnection, "at_once", at_once)
    return sent


def lives(ledger: Ledger, make: Any) -> None:
    """Write receipts of every kind of end."""
    paying = make.authorization()
    ledger.authorize(paying)
    for number in range(4):
        receipt = make.attached(ledger, paying)
        changes = [
            {},
            {"text": "long \x00\x1a é😀 \ud83d" * 40, "latency": 2, "ttft": 1, "tool_calls": ()},
            {"attestation": b"document", "reported_cost": 10**30, "gateway_notes": {"citations": []}},
            {"text": "", "prompt_tokens": None, "tee_timestamp": 2**40, "finish_reason": None},
        ][number]
        ledger.serve(receipt, make.outcome(**changes), cost_usd=None, weight=number, enclave=make.verdict)
    ledger.fail(make.attached(ledger, paying), 'it\'s \\ "gone" 100%s', make.outcome(text="hal"), weight=7)
    ledger.fail(ledger.open(make.question("not 'paid'", turn="t"), "devnet", 5), "no", None)
    make.serve(ledger, make.opened(ledger))


def test_a_server_is_told_what_a_file_is_told(ledger: Ledger, make: Any, postgres: Server) -> None:
    lives(ledger, make)
    with Ledger(postgres.url()) as server:
        lives(server, make)
        assert journal_of(server) == journal_of(ledger)
        assert server.audit().ok
        assert not server.foreign().answers, "each mark holds"
        assert FrameCache(server).current().equals(receipts_frame(server.receipts()))
        server.check_money()


def test_a_receipt_is_three_ways(postgres: Server, make: Any, ways: list[str]) -> None:
    with Ledger(postgres.url()) as server:
        make.served(server, make.authorization())
        receipt = make.opened(server)
        ways.clear()
        server.attach(receipt, make.authorization().hash, "session-1")
        make.serve(server, receipt)
        make.opened(server)
        assert ways == ["at once"] * 3


def test_a_notebook_that_is_noted_opens_a_receipt_in_one_way_and_a_new_name_is_noted_first(
    postgres: Server, make: Any, ways: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "tour.ipynb"
    path.write_text("{}")
    with Ledger(postgres.url()) as server:
        server.notebook = NotebookIdentity(server.path, "id-of-it", RunningNotebook(path, kernel="k"), shared=True)
        make.opened(server)
        ways.clear()
        make.opened(server)
        assert ways == ["at once"]
        path.write_text('{"cells": []}')
        make.opened(server)
        assert len(ways) > 2, "it was saved meanwhile, so the index is brought up to date"
        ways.clear()
        make.opened(server)
        assert ways == ["at once"]
        assert {one.notebook_id for one in server.receipts()} == {"id-of-it"}
        with server._file.reading() as connection:
            (noted,) = connection.execute("SELECT id, name FROM notebooks").fetchall()
        assert tuple(noted) == ("id-of-it", "tour.ipynb")
        assert server.audit().ok


def test_an_end_after_the_settlement_weighs_nothing(postgres: Server, make: Any) -> None:
    with Ledger(postgres.url()) as server, Ledger(server.path) as other:
        first = make.served(server, make.authorization())
        late = make.opened(server)
        server.attach(late, make.authorization().hash, "session-1")
        other.settle(make.settlement(make.authorization(), 1000))
        make.serve(server, late, weight=5)
        assert {one.receipt_id: one.cost for one in server.receipts()} == {first: 1000, late: 0}
        assert server.audit().ok


def test_what_another_process_did_meanwhile_stands(postgres: Server, make: Any) -> None:
    with Ledger(postgres.url()) as server, Ledger(server.path) as other:
        make.served(server, make.authorization())
        freed, over = make.opened(server), make.opened(server)
        for one in (freed, over):
            server.attach(one, make.authorization().hash, "session-1")
        other.detach(freed, make.authorization().hash)
        other.fail(over, "ended elsewhere", None)
        for one in (freed, over):
            make.serve(server, one)
        assert (server.receipt(freed).status, server.receipt(freed).authorization) == ("served", None)
        assert (server.receipt(over).status, server.receipt(over).error) == ("failed", "ended elsewhere")
        assert server.audit().ok


def test_a_payment_that_the_ledger_does_not_have_is_no_payment(postgres: Server, make: Any) -> None:
    with Ledger(postgres.url()) as server:
        make.served(server, make.authorization())
        receipt = make.opened(server)
        with pytest.raises(LedgerError, match="has no authorization"):
            server.attach(receipt, make.authorization(2).hash, None)
        assert server.receipt(receipt).status == "unpaid"
        assert server.audit().ok


def test_memory_does_not_keep_all_that_ever_paid(postgres: Server, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("og_magics.ledger.database._FACTS", 3)
    with Ledger(postgres.url()) as server:
        for number in range(1, 9):
            receipt = make.attached(server, make.authorization(number))
            outcome = make.outcome(attestation=b"document %d" % number)
            server.serve(receipt, outcome, cost_usd=None, weight=1, enclave=make.verdict)
            connection: Any = server._file.connection
            assert max(len(server._attached), len(connection.documents)) <= 3
        make.served(server, make.authorization(1))
        assert len({one.session_id for one in server.receipts()}) == 1
        assert server.audit().ok


_WRITES = """
import sys
from og_magics.ledger import Ledger
from tests.unit.ledger.conftest import Make
make = Make()
with Ledger(sys.argv[1]) as ledger:
    for number in range(100_000):
        make.served(ledger, make.authorization(int(sys.argv[2])))
        print(number, flush=True)
"""


def test_writers_that_are_killed_leave_whole_receipts_and_a_sound_chain(
    postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    url = postgres.url()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", _WRITES, url, str(number)], env=environment, stdout=subprocess.PIPE, text=True
        )
        for number in range(1, 5)
    ]
    for number, one in enumerate(started):
        assert one.stdout is not None
        for line in one.stdout:
            if int(line) >= 5 + 3 * number:
                break
        one.send_signal(signal.SIGKILL)
    for one in started:
        one.communicate()
    with Ledger(url) as left:
        assert left.audit().ok
        left.check_money()
        served = [one for one in left.receipts() if one.status == "served"]
        assert len(served) >= sum(6 + 3 * number for number in range(4))
        assert sum(one.status != "served" for one in left.receipts()) <= 4, "one that was on its way, of each"
        assert all(one.tee_id == "0xtee" for one in served)
