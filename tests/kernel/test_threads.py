"""Conversations that go on: what is sent, what is kept, and what a cell that is run again does."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ipykernel
import nbformat
import pytest

from og_magics.cli import main

if TYPE_CHECKING:
    from .conftest import Cell, Kernel


def run(kernel: Kernel, code: str, cell: str = "") -> Cell:
    """Run a cell as a front end does that sends the cells' ids."""
    return kernel.result(send(kernel, code, cell))


def send(kernel: Kernel, code: str, cell: str = "") -> str:
    make = kernel.client.session.msg

    def with_id(kind: str, content: Any = None, *args: Any, **kwargs: Any) -> Any:
        return make(kind, content, *args, **kwargs) | ({"metadata": {"cellId": cell}} if cell else {})

    kernel.client.session.msg = with_id
    try:
        return kernel.send(code)
    finally:
        kernel.client.session.msg = make


def sent(cell: Cell) -> list[tuple[str, str]]:
    """The messages of the last call of a cell."""
    return [(message["role"], message["content"]) for message in cell.receipt["request"]["messages"]]


def asked(cell: Cell) -> list[str]:
    return [content for role, content in sent(cell) if role == "user"]


def turns(kernel: Kernel, name: str) -> list[str]:
    """What was asked in a thread, in its order."""
    found: list[str] = kernel.eval(f"[t.messages[0]['content'] for t in here.current().threads.show({name!r})]")
    return found


IMPORTS = "import og_magics as og\nimport og_magics.session as here"
ANEW = f"{IMPORTS}\nfor name in here.current().threads.names():\n    here.current().threads.delete(name)"


@pytest.fixture
def talk(kernel: Kernel) -> Kernel:
    """A kernel whose ledger has no threads."""
    kernel.ask(ANEW, store_history=False)
    return kernel


def restart(kernel: Kernel) -> None:
    kernel.restart()
    kernel.ask(IMPORTS, store_history=False)


def receipts(kernel: Kernel) -> int:
    found: int = kernel.eval("len(og.receipts())")
    return found


def ask(kernel: Kernel, prompt: str, cell: str = "", flags: str = "--thread t") -> Cell:
    done = run(kernel, f"%%ogchat -n 4 --no-stream {flags}\n{prompt}", cell)
    assert done.ok, done.reply
    return done


class TestATurn:
    def test_it_sends_the_system_prompt_of_now_the_turns_before_it_and_its_question(self, talk: Kernel) -> None:
        first = ask(talk, "one", "a", "--thread t --system 'Be brief.'")
        assert sent(first) == [("system", "Be brief."), ("user", "one")]
        second = ask(talk, "two", "b", "--thread t --system 'Be kind.'")
        assert sent(second) == [("system", "Be kind."), ("user", "one"), ("assistant", first.answer), ("user", "two")]
        assert asked(ask(talk, "three", "c")) == ["one", "two", "three"]

    def test_without_a_thread_it_knows_nothing_and_is_not_kept(self, talk: Kernel) -> None:
        ask(talk, "one", "a")
        assert asked(ask(talk, "alone", "b", "")) == ["alone"]
        assert asked(ask(talk, "other", "c", "--thread other")) == ["other"]
        assert turns(talk, "t") == ["one"]

    def test_a_thread_in_use_holds_for_all_cells_but_those_that_say_otherwise(self, talk: Kernel) -> None:
        assert "thread      my thread" in talk.ask("%og use --thread 'my thread'").text
        ask(talk, "one", "a", "")
        assert asked(ask(talk, "two", "b", "")) == ["one", "two"]
        assert asked(ask(talk, "alone", "c", "--no-thread")) == ["alone"]
        assert "thread  " not in talk.ask("%og use --no-thread").text
        assert asked(ask(talk, "alone", "d", "")) == ["alone"]
        assert turns(talk, "my thread") == ["one", "two"]

    def test_one_that_failed_or_was_interrupted_is_not_kept_and_its_receipt_is(self, talk: Kernel) -> None:
        before = receipts(talk)
        ask(talk, "one", "a")
        assert not run(talk, "%%ogchat --thread t\ntwo [[fail:stream]]", "b").ok
        slow = send(talk, "%%ogchat -n 20000 --thread t\nthree [[words:20000]]", "c")
        talk.until(slow, lambda shown: "tokens," in shown)
        talk.interrupt()
        assert talk.result(slow).reply["ename"] == "KeyboardInterrupt"
        assert turns(talk, "t") == ["one"]
        assert receipts(talk) == before + 3
        assert asked(ask(talk, "four", "d")) == ["one", "four"]

    def test_it_is_there_after_a_restart(self, talk: Kernel) -> None:
        ask(talk, "one", "a")
        restart(talk)
        assert asked(ask(talk, "two", "b")) == ["one", "two"]

    def test_the_result_holds_what_was_sent_and_the_thread(self, talk: Kernel) -> None:
        ask(talk, "one", "a")
        ask(talk, "two", "b", "--thread t -o result")
        assert talk.eval("[result.thread, result.left_out]") == ["t", 0]
        roles = talk.eval("[m['role'] for m in result.messages]")
        assert roles == ["user", "assistant", "user", "assistant"]


class TestACellThatIsRunAgain:
    def test_its_turn_is_replaced_in_its_place(self, talk: Kernel) -> None:
        for prompt, cell in [("one", "a"), ("two", "b"), ("three", "c")]:
            ask(talk, prompt, cell)
        assert asked(ask(talk, "two again", "b")) == ["one", "two again"]
        assert turns(talk, "t") == ["one", "two again", "three"]
        assert asked(ask(talk, "four", "d")) == ["one", "two again", "three", "four"]

    def test_it_is_the_same_cell_after_a_restart(self, talk: Kernel) -> None:
        ask(talk, "one", "a")
        ask(talk, "two", "b")
        restart(talk)
        assert asked(ask(talk, "one again", "a")) == ["one again"]
        assert turns(talk, "t") == ["one again", "two"]

    def test_one_that_fails_this_time_leaves_the_turn_as_it_was(self, talk: Kernel) -> None:
        ask(talk, "one", "a")
        assert not run(talk, "%%ogchat --thread t\none [[fail:stream]]", "a").ok
        assert turns(talk, "t") == ["one"]

    def test_a_loop_replaces_all_its_turns_and_those_that_it_asks_no_more_go(self, talk: Kernel) -> None:
        loop = "for n in range({}): get_ipython().run_line_magic('ogchat', f'-n 2 --thread t {} {{n}}')"
        assert run(talk, loop.format(3, "loop"), "a").ok
        ask(talk, "after", "b")
        assert turns(talk, "t") == ["loop 0", "loop 1", "loop 2", "after"]
        assert run(talk, loop.format(2, "again"), "a").ok
        assert turns(talk, "t") == ["again 0", "again 1", "after"]
        assert run(talk, loop.format(4, "more"), "a").ok
        assert turns(talk, "t") == ["more 0", "more 1", "more 2", "more 3", "after"]

    def test_an_id_that_holds_for_a_session_only_is_not_believed_in_the_next(self, talk: Kernel) -> None:
        uri = "vscode-notebook-cell:/home/me/a.ipynb#W{}sZmlsZQ%3D%3D"
        ask(talk, "one", uri.format(0))
        ask(talk, "two", uri.format(1))
        assert asked(ask(talk, "two again", uri.format(1))) == ["one", "two again"]
        restart(talk)
        ask(talk, "two again", uri.format(5))  # a cell was put in above it, and the notebook opened anew
        assert turns(talk, "t") == ["one", "two again"]
        ask(talk, "new", uri.format(1))
        assert turns(talk, "t") == ["one", "two again", "new"]

    def test_without_ids_a_cell_is_known_by_its_text_and_how_often_that_ran(self, talk: Kernel) -> None:
        for prompt in ("go on", "and on", "go on"):
            ask(talk, prompt)
        assert turns(talk, "t") == ["go on", "and on", "go on"]
        restart(talk)
        for prompt in ("go on", "and on", "go on"):
            ask(talk, prompt)
        assert turns(talk, "t") == ["go on", "and on", "go on"]

    @pytest.mark.ci
    def test_each_headless_run_whose_notebook_nobody_tells_has_a_thread_of_its_own(
        self, execute: Callable[..., nbformat.NotebookNode], tmp_path: Path
    ) -> None:
        cells = ["%load_ext og_magics", *(f"%%ogchat -n 3 --thread talk\n{text}" for text in ("one", "two", "one"))]
        ledger = tmp_path / ".og" / "ledger.db"
        for run in (1, 2):
            done = execute(*cells)
            last = done.cells[-1].outputs[-1]["data"]["application/vnd.og.receipt+json"]
            found = [m["content"] for m in last["request"]["messages"] if m["role"] == "user"]
            assert found == ["one", "two", "one"]
            with sqlite3.connect(ledger) as connection:
                kept = connection.execute("SELECT messages FROM turns ORDER BY thread, position").fetchall()
            assert [json.loads(messages)[0]["content"] for (messages,) in kept] == ["one", "two", "one"] * run


class TestTheBudget:
    def test_the_oldest_turns_are_left_out_whole_and_the_output_says_so(self, talk: Kernel) -> None:
        talk.ask("%og use --thread-tokens 300")
        for number in range(3):
            ask(talk, f"{number} " + "x" * 400, f"cell {number}")
        last = ask(talk, "last", "z")
        assert [content[:2] for content in asked(last)] == ["1 ", "2 ", "la"]
        assert "1 earlier turn of thread 't' was left out" in last.text
        huge = ask(talk, "y" * 4000, "huge", "--thread t -o result")
        assert [content[0] for content in asked(huge)] == ["y"]
        assert "4 earlier turns of thread 't' were left out" in huge.text
        assert talk.eval("result.left_out") == 4

    def test_an_answer_with_a_note_still_verifies_offline(
        self, execute: Callable[..., nbformat.NotebookNode], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        executed = execute(
            "%load_ext og_magics\n%og use --thread t --thread-tokens 100",
            f"%%ogchat -n 3\n{'x' * 400}", "%%ogchat -n 3\nlast",
        )  # fmt: skip
        assert "1 earlier turn of thread 't' was left out" in executed.cells[2].outputs[0].text
        assert main(["verify", str(tmp_path / "executed.ipynb")]) == 0
        assert "2 of 2 receipts hold: enclave, attestation." in capsys.readouterr().out


class TestTwoKernels:
    @pytest.mark.ci
    def test_both_go_on_with_one_thread(self, new_kernel: Callable[..., Kernel], tmp_path: Path) -> None:
        one, other = (new_kernel(JPY_SESSION_NAME=str(tmp_path / "study.ipynb")) for _ in range(2))
        for number in range(3):
            first = send(one, f"%ogchat -n 2 --thread t one {number}", f"one {number}")
            second = send(other, f"%ogchat -n 2 --thread t other {number}", f"other {number}")
            assert one.result(first).ok
            assert other.result(second).ok
        one.ask(IMPORTS, store_history=False)
        found = turns(one, "t")
        assert sorted(found) == sorted(f"{who} {number}" for who in ("one", "other") for number in range(3))
        assert [text for text in found if text.startswith("one")] == ["one 0", "one 1", "one 2"]

    @pytest.mark.ci
    def test_a_kernel_that_is_killed_in_a_turn_leaves_the_thread_as_it_was(
        self, new_kernel: Callable[..., Kernel], tmp_path: Path
    ) -> None:
        one, other = (new_kernel(JPY_SESSION_NAME=str(tmp_path / "study.ipynb")) for _ in range(2))
        ask(one, "one", "a")
        slow = send(one, "%%ogchat -n 20000 --thread t\ntwo [[words:20000]]", "b")
        one.until(slow, lambda shown: "tokens," in shown)
        one.close(now=True)
        assert asked(ask(other, "three", "c")) == ["one", "three"]
        assert (
            other.ask("print(__import__('og_magics.session', fromlist=['x']).current().ledger.audit().ok)").text
            == "True\n"
        )


class TestTheVerbs:
    def test_all_threads_are_listed_and_one_is_shown(self, talk: Kernel) -> None:
        assert "None is in use" in talk.ask("%og threads").value
        ask(talk, "one <b>", "a")
        ask(talk, "two", "b")
        ask(talk, "zzz", "c", "--thread 'a <b> thread'")
        listed = talk.ask("%og threads").of("execute_result")[0]["data"]
        assert listed["text/plain"].splitlines()[1].startswith("a <b> thread  1")
        assert listed["text/plain"].splitlines()[2].startswith("t             2")
        assert "a &lt;b&gt; thread" in listed["text/html"]
        shown = talk.ask("%og threads show t")
        assert "one <b>" in shown.value
        assert "2 turns of thread 't'" in shown.value
        assert talk.eval("list(_.columns)") == ["turn", "time", "asked", "answered", "calls", "tokens", "receipts"]

    def test_a_fork_goes_its_own_way(self, talk: Kernel) -> None:
        for prompt, cell in [("one", "a"), ("two", "b")]:
            ask(talk, prompt, cell)
        assert "begins with 1 turns" in talk.ask("%og threads fork t 'my fork' --at 1").text
        assert asked(ask(talk, "three", "c", "--thread 'my fork'")) == ["one", "three"]
        assert turns(talk, "t") == ["one", "two"]

    def test_renaming_resetting_and_deleting(self, talk: Kernel) -> None:
        before = receipts(talk)
        ask(talk, "one", "a")
        talk.ask("%og use --thread t")
        talk.ask("%og threads rename t u")
        assert asked(ask(talk, "two", "b", "")) == ["one", "two"]
        assert "2 turns were taken out" in talk.ask("%og threads reset u").text
        assert asked(ask(talk, "three", "c", "")) == ["three"]
        talk.ask("%og threads delete u")
        assert talk.eval("here.current().threads.names()") == []
        assert "There is no thread 'u'" in talk.run("%og threads show u").error()
        assert receipts(talk) == before + 3

    def test_an_export_holds_all_of_it(self, talk: Kernel) -> None:
        ask(talk, "one <script>", "a")
        talk.ask("%og threads export t talk.json\n%og threads export t talk.md")
        form = json.loads((talk.cwd / "talk.json").read_text())
        assert form["thread"] == "t"
        assert [m["role"] for m in form["turns"][0]["messages"]] == ["user", "assistant"]
        assert form["turns"][0]["receipts"] == talk.eval("list(og.receipts().receipt_id)[-1:]")
        text = (talk.cwd / "talk.md").read_text()
        assert "one &lt;script>" in text
        assert "end in .json or .md" in talk.run("%og threads export t talk.txt").error()

    @pytest.mark.parametrize(
        ("line", "told"),
        [
            ("threads shwo t", "has no verb 'shwo'"),
            ("threads show", "required: NAME"),
            ("threads show nope", "There is no thread 'nope'."),
            ("threads fork t", "required: NEW"),
            ("threads show 'open", "a quote is not closed"),
            ("use --thread ' '", "A thread's name is empty."),
            (f"use --thread {'x' * 81}", "has 81 characters"),
            ("use --thread-tokens 0", "thread_tokens is 0"),
        ],
    )
    def test_a_mistake_is_told(self, kernel: Kernel, line: str, told: str) -> None:
        assert told in kernel.run(f"%og {line}").error()


class TestElsewhere:
    def test_from_python_and_in_functions_loops_and_tasks(self, talk: Kernel) -> None:
        code = """
def talk(text):
    return og.ask(text, thread="t", max_tokens=3).text
for word in ("one", "two"):
    talk(word)
get_ipython().run_line_magic("ogchat", "-n 3 --thread t three")
answer = await og.aask("four", thread="t", max_tokens=3)
"""
        for _ in range(2):
            assert run(talk, code, "a").ok
            assert turns(talk, "t") == ["one", "two", "three", "four"]
        assert talk.eval("[m['content'] for m in answer.messages if m['role'] == 'user']") == [
            "one", "two", "three", "four",
        ]  # fmt: skip

    @pytest.mark.skipif(ipykernel.version_info[0] < 7, reason="ipykernel 6 tells a task the cell that runs by then")
    def test_a_task_that_outlives_its_cell_belongs_to_it(self, talk: Kernel) -> None:
        later = (
            "import asyncio\nasync def later():\n    await asyncio.sleep(0.3)\n    await og.aask('late', thread='t')\n"
        )
        assert run(talk, f"{later}task = asyncio.create_task(later())", "a").ok
        assert run(talk, "og.ask('early', thread='t')\nawait task", "b").ok
        assert run(talk, f"{later}await later()", "a").ok
        assert sorted(turns(talk, "t")) == ["early", "late"]

    def test_what_several_models_are_asked_at_once_is_no_turn(self, talk: Kernel) -> None:
        talk.ask("%og use --thread t")
        assert run(talk, "%%ogcompare -m gpt-5 -m gpt-5-mini -n 3\nhello", "a").ok
        assert run(talk, "og.ask_many(['a', 'b'], max_tokens=3)", "b").ok
        assert talk.eval("list(here.current().threads.names())") == []

    def test_function_calls_are_part_of_the_turn(self, talk: Kernel) -> None:
        talk.ask("@og.tool\ndef lookup(city: str) -> str:\n    'The weather of a city.'\n    return 'sunny'")
        done = ask(talk, "How is the weather in Bern?", "a", "--thread t --tools lookup -n 200")
        roles = talk.eval("[m['role'] for m in here.current().threads.show('t')[0].messages]")
        assert roles[0] == "user"
        assert roles[-1] == "assistant"
        linked = talk.eval("list(og.receipts().query('turn == turn.iloc[-1]').receipt_id)")
        assert talk.eval("here.current().threads.show('t')[0].receipts") == linked
        if "tool" in roles:
            ask(talk, "And now?", "b")
            sent_roles = talk.eval("[m['role'] for m in _.messages]")
            assert sent_roles[: len(roles)] == roles
        assert done.ok

    @pytest.mark.ci
    def test_in_a_terminal_each_line_is_a_turn_of_its_own_also_in_the_next_session(
        self, typed: Callable[..., Any]
    ) -> None:
        lines = ["%og use --thread 'a b'", "%ogchat -n 3 go on", "%ogchat -n 3 go on"]
        for session in (1, 2):
            done = typed(*lines, "%og threads", "%og threads show 'a b'")
            assert f"a b     {2 * session} " in done.stdout
            assert f"{2 * session} turns of thread 'a b'" in done.stdout
            assert done.stdout.count("go on") >= 2 * session
