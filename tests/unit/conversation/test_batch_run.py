"""Many rows on the loop: none fails while the gateway is away, none is lost, and limits hold."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from og_magics.conversation import Answer, BatchRun, Row, Throttle
from og_magics.conversation import throttle as pace
from og_magics.core.errors import GatewayError, GatewayUnreachable, LedgerError, OGError, PaymentRefused, StreamError
from og_magics.core.progress import Progress


class Asked(Row):
    """A row that remembers what became of it."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.at, self.kept, self.error, self.tries = at, False, None, 0
        self.unwritable = False

    def turn(self) -> Any:
        self.tries += 1
        return self

    async def keep(self, answer: Answer) -> None:
        if self.unwritable:
            raise LedgerError("The disk is full.", remedy="Make room.")
        self.kept = True

    async def fail(self, error: Exception) -> None:
        self.error = error


def run(
    rows: list[Asked], take: Callable[[Asked], None], most: int = 8, *, patience: float = 60.0, **options: Any
) -> BatchRun:
    async def taken(turn: Any, progress: Progress) -> Any:
        progress.opened("id")
        take(turn)
        return Answer()

    going = BatchRun(iter(rows), taken, Throttle(most, patience=patience), lambda: None, **options)
    going.job.future.result(60)
    return going


def unreachable() -> GatewayUnreachable:
    error = GatewayUnreachable("It cannot be reached.")
    error.__cause__ = httpx.ConnectError("refused")
    return error


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "_FIRST_PAUSE", 0.01)
    monkeypatch.setattr(pace, "_LONGEST_PAUSE", 0.05)


def test_a_gateway_that_goes_away_and_comes_back_fails_no_row() -> None:
    calls = Counter[str]()

    def take(row: Asked) -> None:
        calls["all"] += 1
        if 50 <= calls["all"] < 70:
            raise unreachable()

    rows = [Asked(at) for at in range(200)]
    done = run(rows, take, 16)
    assert all(row.kept for row in rows)
    assert (done.failures, done.stopped_by) == (Counter(), None)
    assert calls["all"] == 220


def test_one_that_stays_away_stops_the_run_and_leaves_the_rows_as_they_were() -> None:
    rows = [Asked(at) for at in range(50)]

    def take(row: Asked) -> None:
        if row.at >= 10:
            raise unreachable()

    done = run(rows, take, 4, patience=0.2)
    assert isinstance(done.stopped_by, GatewayUnreachable)
    assert [row.kept for row in rows] == [True] * 10 + [False] * 40
    assert not any(row.error for row in rows)


def test_a_row_that_is_one_too_many_is_asked_again() -> None:
    def take(row: Asked) -> None:
        if row.tries % 2:
            raise GatewayError("Too many.", status=429)

    rows = [Asked(at) for at in range(100)]
    done = run(rows, take)
    assert all(row.kept and row.tries == 2 for row in rows)
    assert not done.failures


def test_a_row_that_is_refused_for_ever_fails_at_last() -> None:
    def take(row: Asked) -> None:
        if row.at == 3:
            raise GatewayError("Too many.", status=429)

    rows = [Asked(at) for at in range(20)]
    done = run(rows, take)
    assert done.failures == {"GatewayError": 1}
    assert rows[3].error is not None
    assert sum(row.kept for row in rows) == 19


def test_a_row_whose_answer_was_cut_is_paid_and_not_asked_again() -> None:
    def take(row: Asked) -> None:
        if row.at == 0:
            raise StreamError("It was cut.", cut=True)

    rows = [Asked(at) for at in range(5)]
    done = run(rows, take)
    assert [row.tries for row in rows] == [1] * 5
    assert sum(row.kept for row in rows) == 4
    assert done.failures == {"StreamError": 1}


def test_a_row_whose_connection_breaks_before_an_answer_is_asked_again_twice_at_most() -> None:
    def take(row: Asked) -> None:
        if row.at == 0 or (row.at == 1 and row.tries < 3):
            raise GatewayUnreachable("The connection was lost.", lost=True)

    rows = [Asked(at) for at in range(5)]
    done = run(rows, take)
    assert (rows[0].tries, rows[1].tries, rows[1].kept) == (3, 3, True)
    assert done.failures == {"GatewayUnreachable": 1}


def test_after_so_many_failures_nothing_more_is_asked() -> None:
    def take(row: Asked) -> None:
        raise GatewayError("A bad request.", status=400)

    rows = [Asked(at) for at in range(50)]
    done = run(rows, take, 1, max_failures=5)
    assert sum(row.error is not None for row in rows) == 5
    assert "5 prompts failed, and max_failures is 5. The last: A bad request." in str(done.stopped_by)
    assert isinstance(done.stopped_by, OGError)


@pytest.mark.parametrize("unwritable", [False, True])
def test_what_every_row_would_meet_ends_it(unwritable: bool) -> None:
    rows = [Asked(at) for at in range(50)]
    rows[4].unwritable = unwritable

    def take(row: Asked) -> None:
        if row.at == 4 and not unwritable:
            raise PaymentRefused("The budget is used up.")

    done = run(rows, take, 1)
    assert isinstance(done.stopped_by, LedgerError if unwritable else PaymentRefused)
    assert sum(row.kept for row in rows) == 4


def test_a_pause_lets_what_is_on_its_way_end() -> None:
    began, goes_on = threading.Event(), threading.Event()

    async def taken(turn: Any, progress: Progress) -> Any:
        began.set()
        await asyncio.to_thread(goes_on.wait)
        return Answer()

    rows = [Asked(at) for at in range(10)]
    going = BatchRun(iter(rows), taken, Throttle(2), lambda: None)
    assert began.wait(30)
    threading.Timer(0.2, goes_on.set).start()
    going.pause(30.0)
    assert going.job.future.done()
    assert sum(row.kept for row in rows) == 2
    assert not any(row.tries for row in rows[2:])
