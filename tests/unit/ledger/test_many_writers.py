"""A shared ledger with many processes that write at once."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from og_magics.core.accounts import Committed
from og_magics.core.errors import PaymentRefused
from og_magics.ledger import Ledger

from ...many_writers import write
from ...postgres import Server
from .conftest import by_hand

pytestmark = pytest.mark.ci
ROOT = Path(__file__).parents[3]


def test_processes_that_begin_a_ledger_together_write_one_sound_chain(postgres: Server) -> None:
    found = write(postgres.url(), writers=8, receipts=5)
    assert (found.receipts, found.sound) == (40, True)
    assert found.entries == 8 + 3 * 40


def test_processes_in_which_many_ask_at_once_write_one_sound_chain(postgres: Server) -> None:
    found = write(postgres.url(), writers=3, receipts=60, askers=20)
    assert (found.receipts, found.sound) == (180, True)
    assert found.entries == 3 + 3 * 180


def test_writers_at_the_limit_stay_within_one_budget(postgres: Server, make: Any) -> None:
    url = postgres.url()

    def check(committed: Committed) -> None:
        if committed(None).total >= 5 * 10**17:
            raise PaymentRefused("The budget is used up.")

    def ask(number: int) -> bool:
        with Ledger(url) as ledger:
            try:
                ledger.authorize(make.authorization(number), check)
            except PaymentRefused:
                return False
            return True

    with ThreadPoolExecutor(12) as pool:
        assert sum(pool.map(ask, range(1, 13))) == 5
    with Ledger(url) as ledger:
        assert ledger.committed("eip155:84532") == 5 * 10**17
        assert ledger.audit().ok


_MACHINE = """
import sys, time
from og_magics.core.accounts import WalletAccount, WalletCheck
from og_magics.core.errors import PaymentRefused
from og_magics.ledger import Ledger
from tests.unit.ledger.conftest import Make

def check(committed):
    total = committed(None).total
    time.sleep(0.2)  # the others look meanwhile
    if total >= 5 * 10**17:
        raise PaymentRefused("The budget is used up.")

wallet = WalletCheck(WalletAccount("0xPayer", "eip155:84532", "eip155:84532"), check)
make, first, signed = Make(), int(sys.argv[2]), 0
with Ledger(sys.argv[1]) as ledger:
    print("ready", flush=True)
    sys.stdin.readline()
    for number in range(first, first + 5):
        try:
            ledger.authorize(make.authorization(number), wallet=wallet)
            signed += 1
        except PaymentRefused:
            pass
print(signed)
"""


def test_machines_with_one_wallet_and_files_of_their_own_stay_within_its_budget(
    postgres: Server, tmp_path: Path
) -> None:
    url, started = postgres.url(), []
    for number in range(4):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(tmp_path / str(number))}
        command = [sys.executable, "-c", _MACHINE, url, str(10 * number + 1)]
        started.append(
            subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        )
    for one in started:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    for one in started:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    signed = [int(one.communicate()[0]) for one in started]
    assert sum(signed) == 5
    with Ledger(url) as ledger:
        assert ledger.committed("eip155:84532") == 5 * 10**17


def test_a_forked_child_and_its_parent_go_on_by_connections_of_their_own(postgres: Server, make: Any) -> None:
    url = postgres.url()
    script = (
        "import os, sys; from og_magics.ledger import Ledger; from tests.unit.ledger.conftest import Make\n"
        "make = Make(); ledger = Ledger(sys.argv[1]); make.opened(ledger); ledger.receipts()\n"
        "child = os.fork()\n"
        "for _ in range(5): make.opened(ledger); ledger.receipts()\n"
        "if child: assert os.waitpid(child, 0)[1] == 0; make.opened(ledger); print(ledger.audit().ok)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, url], env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert (done.stdout, done.returncode) == ("True\n", 0), done.stderr
    with Ledger(url) as ledger:
        assert len(ledger.receipts()) == 12


def test_a_writer_that_is_killed_in_the_middle_leaves_nothing_and_holds_nobody_up(postgres: Server, make: Any) -> None:
    with Ledger(postgres.url()) as ledger:
        make.opened(ledger)
        before = ledger.head()
        with by_hand(ledger) as other:
            other.execute("BEGIN IMMEDIATE")
            other.execute("UPDATE receipts SET text = 'half'")
            other._raw.pgconn.finish()  # as the system does with a process that was killed
        make.served(ledger, make.authorization())
        assert ledger.head()[0] == before[0] + 4
        assert ledger.audit(expected_head=before).ok


def test_a_connection_that_the_server_ended_is_made_anew(postgres: Server, make: Any) -> None:
    with Ledger(postgres.url()) as ledger:
        make.opened(ledger)
        for use in (lambda: make.opened(ledger), ledger.receipts, ledger.head, ledger.version):
            ledger.receipts()
            with by_hand(ledger) as other:
                other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid != pg_backend_pid() "
                              "AND application_name = 'og_magics'")  # fmt: skip
            use()
        assert len(ledger.receipts()) == 2
        assert ledger.audit().ok


def test_a_number_that_changes_when_anybody_wrote_and_not_when_somebody_read(postgres: Server, make: Any) -> None:
    url = postgres.url()
    with Ledger(url) as ledger, Ledger(url) as other:
        make.opened(ledger)
        other.receipts()
        seen = {ledger.version()}
        make.opened(other)
        seen.add(ledger.version())
        make.opened(ledger)
        seen.add(ledger.version())
        ledger.threads.find("x")
        assert len(seen) == 3
