"""Calls of a server take turns to begin, and let answers gather where there are many."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator

from og_magics.core.runtime import Runtime
from og_magics.serve.turns import Turns


def test_calls_that_come_together_begin_in_order_and_others_go_on_in_between() -> None:
    async def all_of_them() -> list[int | None]:
        turns, seen = Turns(lambda: 0.0), list[int | None]()

        async def call(number: int) -> AsyncGenerator[int, None]:
            seen.append(number)
            yield number

        async def read(number: int) -> list[int]:
            return [one async for one in turns.before_all_of(call(number))]

        async def other() -> None:
            while 19 not in seen:
                await asyncio.sleep(0)
                if seen and seen[-1] is not None:
                    seen.append(None)

        found = await asyncio.gather(*(read(number) for number in range(20)), other())
        assert found[:20] == [[number] for number in range(20)]
        return seen

    seen = asyncio.run(all_of_them())
    assert [one for one in seen if one is not None] == list(range(20))
    assert seen.count(None) >= 5, "a few at a time"


def test_a_call_that_goes_away_before_its_turn_never_begins_and_keeps_nobody_from_it() -> None:
    async def go_away() -> list[int]:
        turns, begun = Turns(lambda: 0.0), list[int]()

        async def call(number: int) -> int:
            begun.append(number)
            return number

        calls = [asyncio.create_task(turns.before(call(number))) for number in range(9)]
        await asyncio.sleep(0)
        calls[6].cancel()
        await asyncio.wait(calls)
        assert [one.cancelled() for one in calls] == [number == 6 for number in range(9)]
        return begun

    assert asyncio.run(go_away()) == [0, 1, 2, 3, 4, 5, 7, 8]


def test_what_is_at_hand_is_read_at_once_and_a_pause_follows_only_a_wait() -> None:
    async def read() -> list[str]:
        seen, more = list[str](), asyncio.Event()

        def pause() -> float:
            seen.append("pause")
            more.set()
            return 0.001

        async def answer() -> AsyncGenerator[str, None]:
            yield "a"
            yield "b"
            await asyncio.sleep(0)
            yield "c"
            yield "d"
            await more.wait()
            yield "e"

        async for one in Turns(pause).before_all_of(answer()):
            seen.append(one)
        return seen

    assert asyncio.run(read()) == ["a", "b", "c", "pause", "d", "e"]


def test_what_comes_in_a_pause_comes_together() -> None:
    runtime, paused, whole = Runtime(), threading.Event(), threading.Event()

    async def answer() -> AsyncGenerator[int, None]:
        yield 0
        await asyncio.to_thread(paused.wait, 30)
        for number in range(1, 50):
            yield number
        whole.set()

    def pause() -> float:
        paused.set()
        assert whole.wait(30)
        return 0.001

    async def read() -> list[list[int]]:
        return [batch async for batch in runtime.batches(answer(), pause)]

    batches = asyncio.run(read())
    runtime.close()
    assert batches == [[0], [*range(1, 50)]]


def test_nothing_is_missed_at_the_edge_of_a_pause() -> None:
    runtime = Runtime()

    async def answer(number: int) -> AsyncGenerator[int, None]:
        for one in range(40):
            yield one
            await asyncio.sleep(0.0005 * (number % 5))

    async def read(number: int) -> list[int]:
        batches = runtime.batches(answer(number), lambda: 0.001)
        return [one async for batch in batches for one in batch]

    async def read_all() -> list[list[int]]:
        return await asyncio.wait_for(asyncio.gather(*map(read, range(20))), 60)

    assert asyncio.run(read_all()) == [[*range(40)]] * 20
    runtime.close()
