"""The bridge between the background loop and whoever waits for it."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncGenerator, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from og_magics.core.runtime import Runtime


class Boom(Exception):
    pass


@pytest.fixture(scope="module")
def runtime() -> Iterator[Runtime]:
    own = Runtime()
    yield own
    own.close()


async def counted(n: int, *, gaps: list[float] | None = None, fails: bool = False) -> AsyncGenerator[int, None]:
    for i in range(n):
        if gaps:
            await asyncio.sleep(gaps[i % len(gaps)])
        yield i
    if fails:
        raise Boom(n)


class Source:
    """Numbers without end; notes that it was closed, a moment after it was asked to."""

    def __init__(self) -> None:
        self.closed = False

    async def numbers(self, pause: float = 0.0) -> AsyncGenerator[int, None]:
        i = 0
        try:
            while True:
                yield i
                i += 1
                await asyncio.sleep(pause)
        finally:
            await asyncio.sleep(0.05)
            self.closed = True


def read_async(runtime: Runtime, source: AsyncGenerator[int, None]) -> tuple[list[int], bool]:
    async def read() -> tuple[list[int], bool]:
        got: list[int] = []
        try:
            async for item in runtime.stream(source):
                got.append(item)  # noqa: PERF401 - what came before an error counts
        except Boom:
            return got, True
        return got, False

    return asyncio.run(read())


def read_sync(runtime: Runtime, source: AsyncGenerator[int, None]) -> tuple[list[int], bool]:
    got: list[int] = []
    try:
        for item in runtime.iterate(source):
            got.append(item)  # noqa: PERF402 - likewise
    except Boom:
        return got, True
    return got, False


GAPS = st.lists(st.sampled_from([0.0, 0.0, 0.001]), min_size=1, max_size=5)


class TestExits:
    @pytest.mark.parametrize("exit_", [SystemExit, KeyboardInterrupt])
    def test_a_task_that_exits_tells_who_waits_and_the_loop_goes_on(
        self, runtime: Runtime, exit_: type[BaseException]
    ) -> None:
        async def leave() -> None:
            raise exit_

        async def stay() -> int:
            await asyncio.sleep(0.05)
            return 1

        other = runtime.submit(stay())
        with pytest.raises(exit_):
            runtime.wait(leave())
        assert other.result(10) == 1
        assert runtime.wait(stay(), 10) == 1


class TestStreams:
    @given(n=st.integers(0, 30), gaps=GAPS, fails=st.booleans(), sync=st.booleans())
    def test_all_items_come_in_order_and_then_what_the_source_raised(
        self, runtime: Runtime, n: int, gaps: list[float], fails: bool, sync: bool
    ) -> None:
        read = read_sync if sync else read_async
        assert read(runtime, counted(n, gaps=gaps, fails=fails)) == (list(range(n)), fails)

    def test_a_stream_that_is_closed_early_has_closed_its_source_when_it_returns(self, runtime: Runtime) -> None:
        sources = [Source(), Source()]

        async def some() -> None:
            stream = runtime.stream(sources[0].numbers())
            await anext(stream)
            await stream.aclose()

        asyncio.run(some())
        iterator = runtime.iterate(sources[1].numbers())
        next(iterator)
        iterator.close()  # type: ignore[attr-defined]  # it is a generator
        assert [source.closed for source in sources] == [True, True]

    def test_a_stream_that_was_never_read_never_began(self, runtime: Runtime) -> None:
        source = Source()

        async def nothing() -> None:
            await runtime.stream(source.numbers()).aclose()

        asyncio.run(nothing())
        assert not source.closed

    def test_a_reader_that_is_cancelled_closes_the_source(self, runtime: Runtime) -> None:
        source = Source()

        async def main() -> None:
            async def read() -> None:
                async for _ in runtime.stream(source.numbers(pause=3600)):
                    begun.set()

            begun = asyncio.Event()
            task = asyncio.create_task(read())
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(main())
        assert source.closed

    def test_a_heartbeat_comes_while_nothing_else_does(self, runtime: Runtime) -> None:
        gate = threading.Event()

        async def late() -> AsyncGenerator[str, None]:
            await asyncio.to_thread(gate.wait)
            yield "late"

        items = runtime.iterate(late(), 0.01)
        assert next(items) is None
        assert next(items) is None
        gate.set()
        assert [item for item in items if item is not None] == ["late"]

    def test_a_stream_on_the_background_loop_itself_is_read_there(self, runtime: Runtime) -> None:
        async def read() -> list[int]:
            return [item async for item in runtime.stream(counted(3))]

        assert runtime.wait(read()) == [0, 1, 2]

    def test_many_streams_at_once_lose_nothing(self, runtime: Runtime) -> None:
        async def read() -> list[list[int]]:
            async def one() -> list[int]:
                return [item async for item in runtime.stream(counted(200))]

            return await asyncio.gather(*(one() for _ in range(20)))

        assert asyncio.run(read()) == [list(range(200))] * 20


class TestWork:
    def test_a_result_and_an_error_come_back_to_any_caller(self, runtime: Runtime) -> None:
        async def fail() -> None:
            raise Boom

        async def one() -> int:
            return 1

        async def ask() -> int:
            with pytest.raises(Boom):
                await runtime.run(fail())
            return await runtime.run(one())

        assert [asyncio.run(ask()), asyncio.run(ask()), runtime.wait(one()), runtime.wait(ask())] == [1] * 4
        with pytest.raises(Boom):
            runtime.wait(fail())

    def test_a_wait_that_takes_too_long_is_cancelled_and_has_ended(self, runtime: Runtime) -> None:
        ended = []

        async def long() -> None:
            try:
                await asyncio.sleep(3600)
            finally:
                await asyncio.sleep(0.05)
                ended.append(True)

        with pytest.raises(TimeoutError):
            runtime.wait(long(), timeout=0.01)
        assert ended == [True]

    def test_cancelling_the_caller_cancels_the_work_and_waits_for_its_end(self, runtime: Runtime) -> None:
        ended = []

        async def long() -> None:
            try:
                await asyncio.sleep(3600)
            finally:
                await asyncio.sleep(0.05)
                ended.append(True)

        async def main() -> None:
            task = asyncio.create_task(runtime.run(long()))
            await asyncio.sleep(0.02)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(main())
        assert ended == [True]

    def test_a_blocking_call_on_the_background_loop_is_refused(self, runtime: Runtime) -> None:
        async def one() -> int:
            return 1

        async def block() -> int:
            return runtime.wait(one())

        with pytest.raises(RuntimeError, match="background loop"):
            runtime.wait(block())

    def test_it_starts_again_after_it_was_closed(self) -> None:
        own = Runtime()

        async def one() -> int:
            return 1

        assert own.wait(one()) == 1
        own.close()
        own.close()
        assert own.wait(one()) == 1
        own.close()

    def test_closing_it_lets_open_work_say_its_last_words(self) -> None:
        own, source = Runtime(), Source()
        items = own.iterate(source.numbers())
        next(items)
        own.close()
        assert source.closed


class TestProcess:
    SCRIPT = """
import asyncio, sys, time
from og_magics.core.runtime import runtime

async def numbers():
    try:
        for i in range(10**9):
            yield i
            await asyncio.sleep(0.01)
    finally:
        await asyncio.sleep(0.02)
        print("closed", flush=True)

items = runtime.iterate(numbers())
print(next(items), flush=True)
"""

    def test_the_interpreter_ends_with_a_stream_open(self) -> None:
        done = subprocess.run(
            [sys.executable, "-c", self.SCRIPT], capture_output=True, text=True, timeout=30, check=False
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, "0\nclosed\n", "")

    def test_an_interrupt_closes_the_source_before_it_is_raised(self) -> None:
        script = self.SCRIPT + (
            "try:\n    print(next(items), flush=True)\n    list(items)\n"
            "except KeyboardInterrupt:\n    print('interrupted', flush=True)\n"
        )
        with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "0\n"
            assert process.stdout.readline() == "1\n"
            time.sleep(0.1)
            process.send_signal(signal.SIGINT)
            try:
                assert process.communicate(timeout=60)[0] == "closed\ninterrupted\n"
            finally:
                process.kill()
            assert process.returncode == 0
