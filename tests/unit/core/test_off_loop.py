"""Calls beside the loop: in order, and at the same time only as many as are wanted."""

from __future__ import annotations

import threading

import pytest

from og_magics.core.off_loop import OrderedThread


@pytest.mark.parametrize("at_once", [1, 3])
def test_calls_begin_in_order_and_no_more_are_made_at_once_than_are_wanted(at_once: int) -> None:
    line, lock, begun = OrderedThread("test", at_once), threading.Lock(), list[int]()
    running = most = 0
    full, go_on = threading.Barrier(at_once + 1), threading.Event()

    def call(number: int) -> int:
        nonlocal running, most
        with lock:
            begun.append(number)
            running += 1
            most = max(most, running)
        if number < at_once:
            full.wait(30)
            assert go_on.wait(30)
        with lock:
            running -= 1
        return number

    given = [line.give(lambda number=number: call(number)) for number in range(12)]
    full.wait(30)  # as many as are wanted are being made
    assert sorted(begun) == list(range(at_once))
    go_on.set()
    assert [one.result(30) for one in given] == list(range(12))
    assert most == at_once
    assert sorted(begun[:at_once]) == list(range(at_once))


def test_a_call_that_fails_says_so_and_the_others_are_made() -> None:
    line = OrderedThread("test", 2)

    def fail() -> None:
        raise OSError("full")

    failing, fine = line.give(fail), line.give(lambda: 5)
    with pytest.raises(OSError, match="full"):
        failing.result(30)
    assert fine.result(30) == 5
