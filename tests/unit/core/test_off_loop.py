"""Calls beside the loop: in order, as many at once as are wanted, and as one where they may be made together."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from og_magics.core.off_loop import OrderedThread, thread_of


class Book:
    """Writes words, several as one where it is asked to.

    Attributes:
        written: the words of each transaction.
    """

    def __init__(self) -> None:
        self.written: list[list[str]] = []
        self._open: list[str] | None = None
        self.refuses = False

    def write(self, word: str) -> str:
        if word == "wrong":
            raise ValueError(word)
        if self._open is None:
            self.written.append([word])
        else:
            self._open.append(word)
        return word.upper()

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        if self.refuses:
            raise OSError("busy")
        self._open = []
        try:
            yield
            self.written.append(self._open)
        finally:
            self._open = None


@pytest.fixture
def line() -> Iterator[Callable[..., Any]]:
    """A maker of runs of calls of which all are in line before the first is made."""
    go = threading.Event()

    async def run(thread: OrderedThread, calls: list[tuple[Callable[[], Any], bool]]) -> list[Any]:
        blocked = thread.give(go.wait)
        waiting = [asyncio.ensure_future(thread.run(call, together=together)) for call, together in calls]
        await asyncio.sleep(0)
        go.set()
        found = await asyncio.gather(*waiting, return_exceptions=True)
        blocked.result()
        return found

    yield run
    go.set()


async def test_those_that_wait_are_made_as_one_up_to_one_that_stands_alone(line: Any) -> None:
    book = Book()
    calls = [(lambda word=word: book.write(word), word != "alone") for word in ("a", "b", "alone", "c", "d", "e")]
    assert await line(thread_of(book), calls) == ["A", "B", "ALONE", "C", "D", "E"]
    assert book.written == [["a", "b"], ["alone"], ["c", "d", "e"]]


async def test_where_one_fails_the_others_are_made_by_themselves_and_its_error_is_its_own(line: Any) -> None:
    book = Book()
    calls = [(lambda word=word: book.write(word), True) for word in ("a", "wrong", "b")]
    first, error, last = await line(thread_of(book), calls)
    assert (first, str(error), last) == ("A", "wrong", "B")
    assert book.written == [["a"], ["b"]]


async def test_where_they_cannot_be_made_as_one_each_is_made(line: Any) -> None:
    book = Book()
    book.refuses = True
    calls = [(lambda word=word: book.write(word), True) for word in ("a", "b")]
    assert await line(thread_of(book), calls) == ["A", "B"]
    assert book.written == [["a"], ["b"]]


async def test_a_call_whose_caller_has_left_is_made_all_the_same() -> None:
    thread, begun, go, made = OrderedThread(), threading.Event(), threading.Event(), list[int]()

    def slow() -> None:
        begun.set()
        go.wait()
        made.append(1)

    waiting = asyncio.ensure_future(thread.run(slow))
    await asyncio.to_thread(begun.wait)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    go.set()
    assert await thread.run(lambda: made[:]) == [1]


def test_a_loop_that_is_closed_takes_nothing_with_it() -> None:
    thread, go, book = OrderedThread(), threading.Event(), Book()

    async def leave() -> None:
        asyncio.ensure_future(thread.run(go.wait)).add_done_callback(lambda one: one.cancelled())
        await asyncio.sleep(0)

    asyncio.run(leave())
    go.set()
    assert thread.give(lambda: book.write("after")).result(30) == "AFTER"


@pytest.mark.parametrize("at_once", [1, 3])
def test_calls_begin_in_order_and_no_more_are_made_at_once_than_are_wanted(at_once: int) -> None:
    line, lock, begun = OrderedThread("test", at_once=at_once), threading.Lock(), list[int]()
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
    line = OrderedThread("test", at_once=2)

    def fail() -> None:
        raise OSError("full")

    failing, fine = line.give(fail), line.give(lambda: 5)
    with pytest.raises(OSError, match="full"):
        failing.result(30)
    assert fine.result(30) == 5
