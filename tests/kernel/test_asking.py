"""og.ask, og.aask and og.ask_many in cells: one answer, loops, many prompts at once, and what an interrupt leaves."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from og_magics.devnet import Devnet

if TYPE_CHECKING:
    from .conftest import Kernel

MIME = "application/vnd.og.receipt+json"


@pytest.fixture
def kernel(kernel: Kernel) -> Kernel:
    kernel.ask("import og_magics as og, asyncio", store_history=False)
    return kernel


class TestOneAnswer:
    def test_it_is_an_answer_with_all_that_came(self, kernel: Kernel) -> None:
        kernel.ask("a = og.ask('Hello {braces} {x}', model='o4-mini', max_tokens=5, system='S', settlement='private')")
        request = kernel.eval("dict(a.receipt.request)")
        assert request["messages"] == [
            {"role": "system", "content": "S"}, {"role": "user", "content": "Hello {braces} {x}"},
        ]  # fmt: skip
        assert (request["model"], request["max_tokens"]) == ("o4-mini", 5)
        assert kernel.eval("[str(a) == a.text, a.usage['completion_tokens'], a.tool_calls, a.messages[-1]['role']]") == [
            True, 5, [], "assistant",
        ]  # fmt: skip
        assert kernel.eval("[a.receipt.settlement, a.receipt.enclave_ok, len(a.receipts)]") == ["private", True, 1]

    def test_as_the_value_of_a_cell_it_is_shown_as_the_magic_shows_it_with_its_receipt(self, kernel: Kernel) -> None:
        cell = kernel.ask("og.ask('Say <b>this</b>', max_tokens=4)")
        shown = cell.of("execute_result")[0]["data"]
        assert shown[MIME]["request"]["messages"][-1]["content"] == "Say <b>this</b>"
        assert shown["text/markdown"].endswith("</sub></details>")
        assert "proof ✓" in shown["text/plain"]
        assert kernel.eval("type(_).__name__") == "Answer"

    def test_the_magics_result_is_shown_again_where_it_is_named_and_not_twice_in_its_cell(self, kernel: Kernel) -> None:
        cell = kernel.ask("%ogchat -n 3 -o kept hello")
        assert not cell.of("execute_result")
        again = kernel.ask("kept").of("execute_result")[0]["data"]
        assert again["text/plain"].split(" · ")[0] == cell.last["text/plain"].split(" · ")[0]
        assert again[MIME]["receipt_id"] == cell.receipt["receipt_id"]

    def test_a_semicolon_silences_it(self, kernel: Kernel) -> None:
        assert not kernel.ask("og.ask('hello', max_tokens=2);").of("execute_result", "display_data")

    def test_a_list_of_answers_is_short(self, kernel: Kernel) -> None:
        told = kernel.ask("[og.ask('hello', max_tokens=3) for _ in range(2)]").value
        assert told.count("<Answer of gpt-5: 'Here is a'>") == 2

    def test_json_is_read_from_the_text_and_a_failure_says_why(self, kernel: Kernel) -> None:
        kernel.ask("import dataclasses\nb = dataclasses.replace(og.ask('hi', max_tokens=2))")
        kernel.ask("b.chat_output = {'content': '```json\\n{\"a\": [1, 2]}\\n```'}")
        assert kernel.eval("b.json()") == {"a": [1, 2]}
        kernel.ask(
            "b.chat_output = {'content': 'nothing'}\ntry:\n    b.json()\nexcept ValueError as error:\n    told = str(error)"
        )
        assert kernel.eval("told").startswith("The answer is not JSON: Expecting value: line 1")
        assert "begins with 'nothing'" in kernel.eval("told")

    def test_a_mistake_is_told_before_anything_is_paid(self, kernel: Kernel) -> None:
        before = kernel.eval("len(og_receipts)")
        assert "Did you mean temperature?" in kernel.run("og.ask('x', temprature=1)").error("ConfigError")
        assert "empty" in kernel.run("og.ask('  ')").error("ConfigError")
        assert "f-string" in kernel.run("og.ask(5)").error("ConfigError")
        assert "Prompt 1 is empty" in kernel.run("og.ask_many(['a', ''])").error("ConfigError")
        assert "pass a list of prompts" in kernel.run("og.ask_many('abc')").error("ConfigError")
        assert "1 to 64" in kernel.run("og.ask_many(['a'], concurrency=0)").error("ConfigError")
        assert "limit of 0.000001 OPG" in kernel.run("og.ask('x', max_cost='0.000001')").error("PaymentRefused")
        assert kernel.eval("len(og_receipts)") == before + 1  # of the last one, which was asked and not paid


class TestWhereItRuns:
    def test_in_loops_functions_and_comprehensions(self, kernel: Kernel) -> None:
        kernel.ask("def f(n):\n    return og.ask(f'number {n}', max_tokens=2).messages[0]['content']")
        assert kernel.eval("[f(n) for n in range(3)]") == ["number 0", "number 1", "number 2"]
        kernel.ask("got = []\nfor n in range(3):\n    got.append(og.ask(f'{n}', max_tokens=1).text)")
        assert kernel.eval("len(got)") == 3

    def test_a_magic_inside_a_function_reads_its_variables_and_the_notebooks(self, kernel: Kernel) -> None:
        kernel.ask("def g(x):\n    %ogchat -n 1 -o inner Say {x} and {y}\n    return x\ny = 'Y'\ng('local')")
        assert kernel.eval("inner.messages[-2]['content']") == "Say local and Y"

    def test_in_an_async_cell_blocking_and_awaited(self, kernel: Kernel) -> None:
        kernel.ask("await asyncio.sleep(0)\na = og.ask('hi', max_tokens=2)\nb = await og.aask('hi', max_tokens=2)")
        assert kernel.eval("a.text == b.text != ''")
        kernel.ask("c = await asyncio.gather(*(og.aask(f'{n}', max_tokens=2) for n in range(5)))")
        assert kernel.eval("len({a.receipt.receipt_id for a in c})") == 5

    def test_under_time_and_capture(self, kernel: Kernel) -> None:
        assert "Wall time" in kernel.ask("%%time\na = og.ask('hi', max_tokens=2)").text
        cell = kernel.ask("%%capture seen\nog.ask_many(['a', 'b'], max_tokens=2)\nprint('x')")
        assert not cell.displays
        assert kernel.eval("seen.stdout") == "x\n"

    def test_an_interrupt_keeps_the_receipt_of_one_answer(self, kernel: Kernel) -> None:
        before = paid_for(kernel)
        asked = kernel.send("og.ask('[[words:5000]]', max_tokens=5000)")
        while not paid_for(kernel) - before:
            time.sleep(0.02)
        kernel.interrupt()
        kernel.result(asked).error("KeyboardInterrupt")
        last = kernel.eval("og.receipts().iloc[-1].astype(str).to_dict()")
        assert last["error"] == "interrupted", last

    def test_a_blocking_call_on_the_background_loop_is_refused(self, kernel: Kernel) -> None:
        kernel.ask("from og_magics.core.runtime import runtime\nasync def inside():\n    return og.ask('x')")
        assert "background loop" in kernel.run("runtime.wait(inside())").error("RuntimeError")

    def test_in_a_thread(self, kernel: Kernel) -> None:
        kernel.ask("from concurrent.futures import ThreadPoolExecutor\nwith ThreadPoolExecutor(4) as pool:\n"
                   "    t = list(pool.map(lambda n: og.ask(str(n), max_tokens=2).receipt.receipt_id, range(4)))")  # fmt: skip
        assert kernel.eval("len(set(t))") == 4


def paid_for(kernel: Kernel) -> set[str]:
    """The receipts of a kernel that have a payment: their questions are on their way or further."""
    ledger = next((kernel.cwd / ".og").glob("*.db"), None)
    if ledger is None:
        return set()
    with contextlib.closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as reader:
        if not reader.execute("SELECT 1 FROM sqlite_master WHERE name = 'receipts'").fetchone():
            return set()  # the file is just being made
        return {one for (one,) in reader.execute("SELECT receipt_id FROM receipts WHERE authorization_hash NOT NULL")}


class TestMany:
    def test_each_prompt_has_its_answer_its_receipt_and_its_row(self, kernel: Kernel) -> None:
        cell = kernel.ask("many = og.ask_many([f'number {n}' for n in range(20)], max_tokens=3)")
        assert re.fullmatch(r"20 of 20 answered · \d+\.\d s · ~\$0\.\d+", cell.last["text/plain"])
        assert '<progress value="20" max="20">' in cell.last["text/html"]
        assert kernel.eval("[len(many), len({r.receipt_id for r in many.receipts}), many.errors]") == [20, 20, {}]
        assert kernel.eval("[a.messages[0]['content'] for a in many]") == [f"number {n}" for n in range(20)]
        assert kernel.eval("list(many.frame.columns)") == [
            "prompt", "text", "prompt_tokens", "completion_tokens", "cost_opg", "cost_usd", "latency_s", "status",
            "receipt_id", "replayed", "ending", "error",
        ]  # fmt: skip
        assert kernel.eval("[many.frame.completion_tokens.sum(), many.frame.receipt_id.nunique()]") == ["60", 20]
        assert kernel.eval("len({a.authorization_hash for a in many})") == 1

    @pytest.mark.ci
    def test_two_hundred_are_paid_by_one_authorization_and_run_at_once(self, new_kernel: Callable[..., Kernel]) -> None:
        kernel = new_kernel()
        kernel.ask("import og_magics as og, time\nog.ask('first', max_tokens=1)")
        kernel.ask(
            "began = time.perf_counter()\n"
            "many = og.ask_many([f'[[slow:0.2]] {n}' for n in range(200)], concurrency=8, max_tokens=1)\n"
            "wall = time.perf_counter() - began"
        )
        assert kernel.eval("[len(many.done), many.errors]") == [200, {}]
        assert kernel.eval("len({r.authorization_hash for r in many.receipts})") == 1
        complete = (
            "[len(many.receipts), sum(bool(r.tee_signature and r.enclave_ok and r.session_id) for r in many.receipts)]"
        )
        assert kernel.eval(complete) == [200, 200]
        # Eight at a time: they lasted a small part of what they would have lasted one after the other.
        assert kernel.eval("wall / sum(r.latency_s for r in many.receipts)") < 1 / 3

    def test_one_that_fails_does_not_end_the_others(self, kernel: Kernel) -> None:
        kernel.ask("%og use -n 3")
        cell = kernel.ask("many = og.ask_many(['a', 'b [[fail:stream]]', 'c'])")
        assert cell.last["text/plain"].startswith("2 of 3 answered, 1 failed · ")
        assert kernel.eval("[[type(m).__name__ for m in many], list(many.errors), many.texts[1]]") == [
            ["Answer", "StreamError", "Answer"], [1], None,
        ]  # fmt: skip
        assert "StreamError" in kernel.eval("many.frame.error[1]") or kernel.eval("many.frame.error[1]")
        assert kernel.eval("many.frame.receipt_id.notna().all()") in (True, "True")

    def test_where_all_fail_the_cell_fails(self, kernel: Kernel) -> None:
        kernel.run("og.ask_many(['a [[fail:stream]]', 'b [[fail:stream]]'])").error("StreamError")

    def test_nothing_is_shown_where_that_is_asked_for(self, kernel: Kernel) -> None:
        assert not kernel.ask("m = og.ask_many(['a'], progress=False, max_tokens=1)").displays

    def test_a_replayed_row_has_the_receipt_of_the_original_and_no_cost(self, kernel: Kernel) -> None:
        kernel.ask("first = og.ask_many(['replay this', 'and this'])")
        kernel.ask("again = og.ask_many(['replay this', 'and this'], replay='only')")
        told = kernel.eval("[one.frame.receipt_id.tolist() for one in (first, again)]")
        assert told[0] == told[1]
        assert kernel.eval("again.frame.cost_opg.tolist()") == [None, None]
        assert kernel.eval("len(again.receipts)") == 0

    def test_it_can_be_awaited(self, kernel: Kernel) -> None:
        kernel.ask("many = await og.aask_many(['a', 'b'], max_tokens=1)")
        assert kernel.eval("len(many.done)") == 2

    def test_an_interrupt_keeps_what_is_done_with_every_receipt(self, kernel: Kernel) -> None:
        before = kernel.eval("len(og_receipts)")
        asked = kernel.send("og.ask_many(['a', 'b', *['c [[slow:60]]'] * 6], concurrency=4, max_tokens=3)")
        while not any("2 of 8" in str(one["data"]) for one in kernel._cells[asked].displays):
            kernel.read()
        kernel.interrupt()
        cell = kernel.result(asked)
        assert "2 of 8 prompts were answered. They are in `_`" in cell.error("Interrupted")
        assert cell.last["text/plain"].startswith("2 of 8 answered, 6 not · ")
        done, third, receipts = kernel.eval("[len(_.done), _.texts[2], len(_.receipts)]")
        assert (done, third) == (2, None)
        assert 2 <= receipts <= 6  # four are on their way at once, and each has a receipt once it has begun
        assert set(kernel.eval("sorted({r.error for r in _.receipts if r.error})")) <= {"interrupted"}
        assert kernel.eval("len(og_receipts)") == before + receipts

    def test_a_cancelled_batch_keeps_what_is_done_too(self, kernel: Kernel) -> None:
        kernel.ask(
            "before, fresh = len(og.receipts()), []\n"
            "task = asyncio.ensure_future(og.aask_many(['a', 'b [[slow:60]]'], max_tokens=3))\n"
            "while len(fresh) < 2 or not any(fresh):  # both have begun, and one has ended\n"
            "    await asyncio.sleep(0.2)\n"
            "    fresh = list(og.receipts().completion_tokens.notna())[before:]\n"
            "await asyncio.sleep(0.5)\ntask.cancel()\n"
            "try:\n    await task\nexcept asyncio.CancelledError:\n    partial = get_ipython().user_ns['_']"
        )
        assert kernel.eval("[len(partial.done), len(partial.receipts)]") == [1, 2]

    @pytest.mark.ci
    def test_a_budget_that_is_used_up_stops_what_is_not_asked_yet(
        self, new_kernel: Callable[..., Kernel], tight: Devnet
    ) -> None:
        kernel = new_kernel(tight)
        kernel.ask("import og_magics as og\n%og budget --notebook 7.5")  # one authorization of 5, and no second
        cell = kernel.ask("many = og.ask_many(['[[slow:0.5]]'] * 40, concurrency=1, max_tokens=1)")
        done, receipts = kernel.eval("[len(many.done), len(many.receipts)]")
        assert 0 < done < 40
        assert receipts < 40
        assert "PaymentRefused" in kernel.eval("[type(error).__name__ for error in many.errors.values()]")
        assert " not: This notebook's budget does not allow it: 5 of 7.5 OPG" in cell.last["text/plain"]
        assert kernel.eval("[many[-1], many.frame.receipt_id.iloc[-1]]") == [None, None]
        before = kernel.eval("len(og_receipts)")
        kernel.run("og.ask_many(['a'] * 20, concurrency=2)").error("PaymentRefused")
        assert kernel.eval("len(og_receipts)") - before <= 2


@pytest.fixture(scope="module")
def tight() -> Iterator[Devnet]:
    with Devnet(settle_after=600, max_timeout=10, token_delay=0) as running:
        yield running


def test_the_terminal_has_it_too(typed: Callable[..., object]) -> None:
    done = typed(
        "import og_magics as og",
        "a = og.ask('hello', max_tokens=3)",
        "a",
        "m = og.ask_many(['a', 'b'], max_tokens=2)",
        "print(len(m.done), m)",
        "[og.ask(str(n), max_tokens=1).usage['completion_tokens'] for n in range(2)]",
    )
    told = done.stdout + done.stderr
    assert "Here is a" in told
    assert "proof ✓" in told
    assert "2 <BatchResult: 2 of 2 answered>" in told
    assert "[1, 1]" in told
