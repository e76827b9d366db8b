"""From where it may be called: any loop, any thread, many at once; and what is left when a caller goes away."""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from og_magics import LLM, Settings
from og_magics.core.receipt import Receipt
from og_magics.devnet import Devnet

if TYPE_CHECKING:
    from .conftest import LLMOf

ASK = [{"role": "user", "content": "What is x402?"}]
LONG = [{"role": "user", "content": "[[words:4000]] Tell me all."}]
Signed = Callable[[LLM], list[tuple[str, str]]]


def one_receipt(llm: LLM) -> Receipt:
    (receipt,) = llm.journal.receipts()
    return receipt


class TestLoops:
    def test_one_llm_serves_several_asyncio_runs_with_one_session(self, unhurried: LLM, signed: Signed) -> None:
        async def ask() -> str | None:
            result = await unhurried.chat("openai/gpt-5", ASK, max_tokens=5)
            assert result.receipt is not None
            return result.receipt.session_id

        assert len({asyncio.run(ask()) for _ in range(3)}) == 1
        assert len(signed(unhurried)) == 1

    def test_a_stream_may_be_read_on_another_loop_than_it_was_asked_on(self, llm: LLM) -> None:
        async def ask() -> Any:
            return await llm.chat("openai/gpt-5", ASK, stream=True)

        async def read(stream: Any) -> int:
            return len([chunk async for chunk in stream])

        assert asyncio.run(read(asyncio.run(ask()))) > 10

    def test_threads_share_one_session(self, unhurried: LLM, signed: Signed) -> None:
        with ThreadPoolExecutor(8) as pool:
            results = list(pool.map(lambda n: unhurried.chat_sync("openai/gpt-5", ASK, max_tokens=n), range(1, 9)))
        assert [result.usage["completion_tokens"] for result in results] == list(range(1, 9))
        assert len(signed(unhurried)) == 1

    async def test_the_sync_twin_works_inside_a_running_loop(self, llm: LLM) -> None:
        assert llm.chat_sync("openai/gpt-5", ASK).text
        assert len(list(llm.chat_sync("openai/gpt-5", ASK, stream=True))) > 10
        assert (await asyncio.to_thread(llm.completion_sync, "openai/gpt-5", "Hello")).completion_output
        assert (await llm.chat("openai/gpt-5", ASK)).text

    async def test_streams_interleave(self, llm: LLM) -> None:
        first, second = [await llm.chat("openai/gpt-5", ASK, stream=True) for _ in range(2)]
        pieces = [(await anext(first), await anext(second)) for _ in range(5)]
        assert len(pieces) == 5
        await first.aclose()
        assert len([chunk async for chunk in second]) > 5


class TestStampede:
    @pytest.mark.ci
    @pytest.mark.parametrize("stream", [False, True])
    def test_twenty_first_calls_share_one_authorization_and_one_session(
        self,
        llm_of: LLMOf,
        devnet_with: Callable[..., Devnet],
        signed: Signed,
        transfers: Callable[[Devnet], list[int]],
        stream: bool,
    ) -> None:
        own = devnet_with(settle_after=3)  # no session ends before the twentieth call has begun
        llm = llm_of(own)

        async def ask(n: int) -> Any:
            answer = await llm.chat("openai/gpt-5", ASK, max_tokens=n, stream=stream)
            return [chunk async for chunk in answer][-1].output if stream else answer

        async def stampede() -> list[Any]:
            return await asyncio.gather(*(ask(n) for n in range(1, 21)))

        results = asyncio.run(stampede())
        assert [result.usage["completion_tokens"] for result in results] == list(range(1, 21))
        assert [reason for _, reason in signed(llm)] == ["first"]
        assert len({result.receipt.session_id for result in results} - {None}) == 1
        assert llm.settle(20) == 0
        (paid,) = transfers(own)
        assert sum(result.receipt.cost for result in results) == paid
        assert {result.receipt.status for result in results} == {"settled"}


class TestLeaving:
    async def test_a_stream_that_is_closed_early_keeps_its_partial_answer(
        self, llm: LLM, devnet: Devnet, eventually: Callable[..., Any]
    ) -> None:
        stream = await llm.chat("openai/gpt-5", LONG, max_tokens=5000, stream=True)
        text = ""
        for _ in range(7):
            text += (await anext(stream)).choices[0].delta.content or ""
        await stream.aclose()
        receipt = one_receipt(llm)
        assert (receipt.status, receipt.error) == ("failed", "interrupted")
        assert receipt.text.startswith(text)
        assert len(receipt.text.split()) < 4000
        assert receipt.authorization_hash is not None
        # The connection is closed too: the gateway settles what was served before, as no call is under way any more.
        assert (await llm.chat("openai/gpt-5", ASK)).text

    async def test_leaving_a_loop_over_a_stream_closes_it(self, llm: LLM, eventually: Callable[..., Any]) -> None:
        async for _ in await llm.chat("openai/gpt-5", LONG, max_tokens=5000, stream=True):
            break
        gc.collect()

        def failed() -> bool:
            return one_receipt(llm).status == "failed"

        assert await asyncio.to_thread(eventually, failed)
        assert one_receipt(llm).error == "interrupted"

    def test_a_sync_stream_that_is_left_is_closed(self, llm: LLM) -> None:
        stream = llm.chat_sync("openai/gpt-5", LONG, max_tokens=5000, stream=True)
        next(stream)
        stream.close()
        assert one_receipt(llm).error == "interrupted"

    async def test_a_cancelled_task_leaves_a_receipt_that_says_interrupted(
        self, llm: LLM, eventually: Callable[..., Any]
    ) -> None:
        slow = [{"role": "user", "content": "[[slow:30]] Hello"}]
        task = asyncio.create_task(llm.chat("openai/gpt-5", slow))
        await asyncio.to_thread(eventually, lambda: any(r.authorization_hash for r in llm.journal.receipts()))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        receipt = one_receipt(llm)
        assert (receipt.status, receipt.error) == ("failed", "interrupted")
        assert receipt.authorization_hash is not None
        assert (await llm.chat("openai/gpt-5", ASK)).text

    async def test_a_cancelled_reader_leaves_a_receipt_that_says_interrupted(self, llm: LLM) -> None:
        async def read() -> None:
            async for _ in await llm.chat("openai/gpt-5", LONG, max_tokens=5000, stream=True):
                begun.set()

        begun = asyncio.Event()
        task = asyncio.create_task(read())
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        receipt = one_receipt(llm)
        assert (receipt.status, receipt.error) == ("failed", "interrupted")
        assert receipt.text

    async def test_a_cancelled_first_call_does_not_stop_those_that_wait_for_its_payment(
        self, llm: LLM, signed: Signed, eventually: Callable[..., Any]
    ) -> None:
        slow = [{"role": "user", "content": "[[slow:5]] Hello"}]
        first = asyncio.create_task(llm.chat("openai/gpt-5", slow))
        others = [asyncio.create_task(llm.chat("openai/gpt-5", ASK, max_tokens=3)) for _ in range(4)]
        await asyncio.to_thread(eventually, lambda: any(r.authorization_hash for r in llm.journal.receipts()))
        first.cancel()
        assert [bool(result.text) for result in await asyncio.gather(*others)] == [True] * 4
        assert len(signed(llm)) == 1

    @pytest.mark.ci
    @pytest.mark.parametrize("how", ["async", "sync"])
    def test_a_process_that_ends_with_a_stream_open_leaves_its_receipt_and_no_complaint(
        self, llm_of: LLMOf, devnet: Devnet, tmp_path: Path, how: str
    ) -> None:
        script = f"""
import asyncio, sys
import og_magics as og
llm = og.LLM({devnet.accounts[0]["private_key"]!r})
ask = {LONG!r}
if {how!r} == "sync":
    stream = llm.chat_sync("openai/gpt-5", ask, max_tokens=5000, stream=True)
    print(next(stream).choices[0].delta.content)
else:
    loop = asyncio.new_event_loop()
    stream = loop.run_until_complete(llm.chat("openai/gpt-5", ask, max_tokens=5000, stream=True))
    print(loop.run_until_complete(anext(stream)).choices[0].delta.content)
"""
        ledger = str(tmp_path / "exit.db")
        env = {
            "OG_DEVNET": json.dumps(devnet.info), "OG_NETWORK": "devnet", "OG_LEDGER": ledger,
            "PYTHONWARNINGS": "error::RuntimeWarning",
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", script], env=env, capture_output=True, text=True, timeout=60, check=False
        )
        assert (done.returncode, done.stdout.strip(), done.stderr) == (0, "Here", "")
        receipt = one_receipt(llm_of(devnet, ledger=ledger))
        assert (receipt.status, receipt.error) == ("failed", "interrupted")

    @pytest.mark.ci
    def test_two_llms_pay_apart(self, llm_of: LLMOf, devnet: Devnet, signed: Signed) -> None:
        llms = [llm_of(devnet), llm_of(devnet)]
        sessions = {llm.chat_sync("openai/gpt-5", ASK).receipt.session_id for llm in llms}
        assert len(sessions) == 2
        assert [len(signed(llm)) for llm in llms] == [1, 1]
        assert [llm.settle(20) for llm in llms] == [0, 0]

    def test_an_llm_can_be_used_after_it_was_closed(self, llm: LLM, signed: Signed) -> None:
        llm.chat_sync("openai/gpt-5", ASK)
        asyncio.run(llm.close())
        assert llm.chat_sync("openai/gpt-5", ASK).text
        assert len(signed(llm)) == 1

    def test_first_calls_of_many_threads_prepare_once(self, devnet: Devnet, tmp_path: Path) -> None:
        llm = LLM(settings=Settings(devnet=json.dumps(devnet.info), ledger=str(tmp_path / "l.db"), network="devnet"))
        barrier = threading.Barrier(6)

        def ask(_: int) -> str:
            barrier.wait()
            return str(llm.chat_sync("openai/gpt-5", ASK).receipt.session_id)

        with ThreadPoolExecutor(6) as pool:
            sessions = set(pool.map(ask, range(6)))
        assert len(sessions - {"None"}) == 1
        asyncio.run(llm.close())
