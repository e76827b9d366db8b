"""The Python surface in cells: with await, without, and as scripts are written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Kernel

SETUP = "import asyncio, og_magics as og\nllm = og.LLM()\nmessages = [{'role': 'user', 'content': 'hello'}]"
SCRIPT = """
async def main():
    result = await llm.chat('gpt-5', messages)
    text = ''
    async for chunk in await llm.chat('gpt-5', messages, stream=True):
        text += chunk.choices[0].delta.content or ''
    return [result.text, text]
"""


@pytest.fixture
def kernel(kernel: Kernel) -> Kernel:
    kernel.ask(SETUP + SCRIPT)
    return kernel


class TestAwait:
    def test_an_answer_can_be_awaited_in_a_cell(self, kernel: Kernel) -> None:
        assert "in the place of gpt-5" in kernel.ask("(await llm.chat('gpt-5', messages)).text").value

    def test_a_stream_can_be_read_in_a_cell(self, kernel: Kernel) -> None:
        kernel.ask("both = await main()")
        assert kernel.eval("both[0] == both[1] != ''")

    def test_many_calls_at_once_share_one_authorization(self, kernel: Kernel) -> None:
        kernel.ask("results = await asyncio.gather(*(llm.chat('gpt-5', messages) for _ in range(20)))")
        assert kernel.eval(
            "[len({r.authorization_hash for r in results}), len({r.receipt.receipt_id for r in results})]"
        ) == [
            1,
            20,
        ]

    def test_cells_that_were_queued_behind_it_run(self, kernel: Kernel) -> None:
        queued = [kernel.send(f"x{i} = (await llm.chat('gpt-5', messages)).text; print({i})") for i in range(4)]
        assert [kernel.result(cell).text for cell in queued] == ["0\n", "1\n", "2\n", "3\n"]


class TestWithoutAwait:
    def test_an_answer_comes_from_a_plain_call(self, kernel: Kernel) -> None:
        assert "in the place of gpt-5" in kernel.ask("llm.chat_sync('gpt-5', messages).text").value
        assert "in the place of gpt-5" in kernel.ask("llm.completion_sync('gpt-5', 'hello').completion_output").value

    def test_a_stream_is_a_plain_iterator(self, kernel: Kernel) -> None:
        kernel.ask("chunks = list(llm.chat_sync('gpt-5', messages, stream=True))")
        assert kernel.eval("[len(chunks) > 3, chunks[-1].is_final, chunks[-1].output.finish_reason]") == [
            True,
            True,
            "stop",
        ]

    def test_it_works_inside_a_coroutine_of_the_kernels_loop(self, kernel: Kernel) -> None:
        cell = kernel.ask("await asyncio.sleep(0)\nllm.chat_sync('gpt-5', messages).text")
        assert "in the place of gpt-5" in cell.value


class TestOtherMagics:
    def test_a_timed_cell_shows_its_answer_and_its_time(self, kernel: Kernel) -> None:
        cell = kernel.ask("%%time\n%%ogchat -n 4\nWhat {is} $this?")
        assert cell.prompt == "What {is} $this?"
        assert "Wall time" in cell.text

    def test_a_captured_cell_shows_nothing_and_keeps_its_result(self, kernel: Kernel) -> None:
        cell = kernel.ask("%%capture seen\n%ogchat -o kept hello")
        assert not cell.displays
        assert kernel.eval("kept.text in seen.outputs[-1].data['text/plain']")


class TestScripts:
    @pytest.mark.ci
    def test_asyncio_run_is_refused_by_python_until_it_is_asked_for(self, new_kernel: Callable[..., Kernel]) -> None:
        kernel = new_kernel()
        kernel.ask(SETUP + SCRIPT)
        kernel.run("asyncio.run(main())").error("RuntimeError")
        kernel.ask("%og use --nest-asyncio")
        queued = [kernel.send(f"r{i} = asyncio.run(main()); print({i})") for i in range(3)]
        queued += [kernel.send("%ogchat -n 2 hello"), kernel.send("print('last')")]
        cells = [kernel.result(cell) for cell in queued]
        assert [cell.ok for cell in cells] == [True] * 5
        assert [cell.text for cell in cells] == ["0\n", "1\n", "2\n", "", "last\n"]
        assert kernel.eval("r0 == r1 == r2 and r0[0] == r0[1]")
        assert kernel.ask("(await main())[0]").value
        assert kernel.eval("len(og_receipts)") == 9

    def test_it_is_never_applied_unasked(self, kernel: Kernel) -> None:
        kernel.ask("%og use -n 50")
        kernel.ask("%ogchat hello")
        assert not kernel.eval("'nest_asyncio2' in __import__('sys').modules and hasattr(asyncio, '_nest_patched')")
        kernel.run("asyncio.run(main())").error("RuntimeError")
