"""Steps that wait for a shared ledger together are written together, and each has its own outcome."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from og_magics.core.errors import LedgerError
from og_magics.ledger import Ledger
from og_magics.ledger.postgres import ServerConnection
from og_magics.ledger.server_line import Line, Outcome
from og_magics.ledger.server_steps import OPEN, Step

from ...postgres import Server
from .conftest import by_hand


def step(number: int) -> Step:
    return Step(OPEN, {"receipt_id": str(number)}, None)


def numbers(steps: Sequence[Step]) -> list[int]:
    return [int(one.row["receipt_id"]) for one in steps]


class Writer:
    """Writes groups, each of which waits until it may."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.may = threading.Semaphore(0)
        self.began = threading.Semaphore(0)

    def __call__(self, steps: Sequence[Step]) -> list[Outcome]:
        self.groups.append(numbers(steps))
        self.began.release()
        assert self.may.acquire(timeout=30)
        return [one % 2 == 0 for one in numbers(steps)]


def waiting(line: Line, count: int) -> None:
    """Wait until so many stand in the line behind the group that is written."""
    while len(line._waiting) < count:
        pass


def test_what_comes_while_a_group_is_written_is_the_next_group() -> None:
    line, write = Line(), Writer()
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(line.write, step(0), write)
        assert write.began.acquire(timeout=30)
        others = []
        for number in range(1, 6):
            others.append(pool.submit(line.write, step(number), write))
            waiting(line, number)
        for _ in range(2):
            write.may.release()
        assert first.result(30) is True
        assert [one.result(30) for one in others] == [False, True, False, True, False]
    assert write.groups == [[0], [1, 2, 3, 4, 5]]


def test_one_whose_write_fails_says_why_and_the_next_goes_on() -> None:
    line = Line()

    def write(steps: Sequence[Step]) -> list[Outcome]:
        return [OSError("full") if one == 1 else True for one in numbers(steps)]

    with pytest.raises(OSError, match="full"):
        line.write(step(1), write)
    assert line.write(step(2), write) is True


class Interrupted(BaseException):
    """As a KeyboardInterrupt, which pytest would take for its own."""


def test_who_is_interrupted_while_it_writes_for_all_leaves_the_others_to_the_next() -> None:
    line, write = Line(), Writer()

    def interrupted(steps: Sequence[Step]) -> list[Outcome]:
        write(steps)
        raise Interrupted

    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(line.write, step(0), write)
        assert write.began.acquire(timeout=30)
        second = pool.submit(line.write, step(2), interrupted)
        waiting(line, 1)
        third = pool.submit(line.write, step(4), write)
        waiting(line, 2)
        for _ in range(3):
            write.may.release()
        assert first.result(30) is True
        assert isinstance(second.exception(30), Interrupted)
        assert third.result(30) is True
    assert write.groups == [[0], [2, 4], [4]]
    write.may.release()
    assert line.write(step(6), write) is True


@pytest.mark.ci
class TestOnAServer:
    @pytest.fixture
    def groups(self, monkeypatch: pytest.MonkeyPatch) -> list[int]:
        """Steps that each transaction wrote."""
        sizes: list[int] = []
        write = ServerConnection.at_once

        def noted(connection: ServerConnection, statements: Any) -> bool:
            sizes.append(sum(given[1] for _, given in statements if isinstance(given[-1], int)))
            return write(connection, statements)

        monkeypatch.setattr(ServerConnection, "at_once", noted)
        return sizes

    def test_many_that_ask_at_once_write_one_sound_chain_in_fewer_transactions(
        self, postgres: Server, make: Any, groups: list[int]
    ) -> None:
        with Ledger(postgres.url()) as ledger, ThreadPoolExecutor(16) as pool:
            ledger.authorize(make.authorization())

            def ask(number: int) -> str:
                receipt = ledger.open(make.question(f"{number}?"), "devnet", 1_800_000_000.0)
                ledger.attach(receipt, make.authorization().hash, None)
                if number % 4:
                    make.serve(ledger, receipt)
                else:
                    ledger.fail(receipt, "gone", None, weight=1)
                return receipt

            asked = list(pool.map(ask, range(200)))
            found = {one.receipt_id: one for one in ledger.receipts()}
            assert len(set(asked)) == len(found) == 200
            assert [found[one].request["messages"][0]["content"] for one in asked] == [f"{n}?" for n in range(200)]
            assert [found[one].status for one in asked[:4]] == ["failed", "served", "served", "served"]
            assert ledger.audit().ok
            assert ledger.head()[0] == 1 + 3 * 200
            assert not ledger.foreign().answers
            ledger.check_money()
        assert sum(groups) == 3 * 200
        assert max(groups) > 1

    def test_one_in_a_group_that_cannot_be_written_keeps_nobody_else_from_it(self, postgres: Server, make: Any) -> None:
        with Ledger(postgres.url()) as ledger, Ledger(ledger.path) as other:
            ledger.authorize(make.authorization())
            receipts = [make.opened(ledger) for _ in range(8)]
            for one in receipts:
                ledger.attach(one, make.authorization().hash, None)
            other.fail(receipts[3], "ended elsewhere", None)
            too_large = make.outcome(prompt_tokens=2**70)

            def end(place: int) -> Exception | None:
                try:
                    outcome = too_large if place == 5 else make.outcome()
                    ledger.serve(receipts[place], outcome, cost_usd=None, weight=1, enclave=make.verdict)
                except LedgerError as error:
                    return error
                return None

            with by_hand(ledger) as hand:  # all of them wait for it, so they are one group
                hand.execute("BEGIN IMMEDIATE")
                with ThreadPoolExecutor(8) as pool:
                    ends = [pool.submit(end, place) for place in range(8)]
                    while not (line := ledger._file._line)._is_led or len(line._waiting) < 7:  # type: ignore[attr-defined]
                        if any(one.done() for one in ends):
                            break
                    hand.execute("ROLLBACK")
                    failures = [one.result(60) for one in ends]
            statuses = [one.status for one in ledger.receipts()]
            assert [place for place, one in enumerate(failures) if one is not None] == [5]
            assert statuses == ["served"] * 3 + ["failed", "served", "authorized", "served", "served"]
            assert ledger.audit().ok
