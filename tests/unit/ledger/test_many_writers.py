"""A shared ledger with many processes that write at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from og_magics.core.accounts import Committed
from og_magics.core.errors import PaymentRefused
from og_magics.ledger import Ledger

from ...many_writers import write
from ...postgres import Server
from .conftest import by_hand

pytestmark = pytest.mark.ci


def test_processes_that_begin_a_ledger_together_write_one_sound_chain(postgres: Server) -> None:
    found = write(postgres.url(), writers=8, receipts=5)
    assert (found.receipts, found.sound) == (40, True)
    assert found.entries == 8 + 3 * 40


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
