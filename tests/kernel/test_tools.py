"""Functions that a model calls, in cells: shown, confirmed, interrupted, and proven in the saved file."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import nbformat
import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from og_magics.devnet import Devnet

    from .conftest import Cell, Kernel

MIME = "application/vnd.og.receipt+json"
TOOLS = """
import asyncio, time
import og_magics as og

@og.tool
def add(a: int, b: int = 2) -> int:
    "Add two numbers."
    print("adding")
    return a + b

@og.tool(writes=True)
def erase(name: str) -> str:
    "Erase it."
    erased.append(name)
    return "gone"

def plain(text: str) -> str:
    return text[::-1]

async def shout(text: str) -> str:
    await asyncio.sleep(0)
    return text.upper()

def fails(x: int):
    raise ValueError("<b>no</b>")

async def wait():
    began.append(1)
    await asyncio.sleep(3600)

erased, began = [], []
price = {"type": "function", "function": {"name": "price", "parameters": {"type": "object"}}}
"""


@pytest.fixture
def kernel(kernel: Kernel) -> Kernel:
    kernel.ask(TOOLS)
    return kernel


def turn(cell: Cell) -> list[dict[str, Any]]:
    """The receipts that the cell's output carries."""
    form = cell.last[MIME]
    return list(form.get("receipts", [form]))


class TestInACell:
    def test_calls_are_folded_above_the_answer_and_every_round_has_its_receipt(self, kernel: Kernel) -> None:
        cell = kernel.ask(
            '%%ogchat --tools add,plain,shout\n[[call:add({"a": 40})]][[call:shout({"text": "hi"})]] how much?'
        )
        assert cell.text == "adding\n"
        assert '<summary><code>✓ add(&#123;"a"&#58; 40&#125;)</code></summary>' in cell.last["text/markdown"]
        assert '✓ add({"a": 40})\n  → 42\n\n✓ shout' in cell.last["text/plain"]
        assert "The tool add returned 42. The tool shout returned HI." in cell.last["text/plain"]
        assert "2 calls · openai/gpt-5" in cell.last["text/plain"]
        receipts = turn(cell)
        assert [receipt["enclave_ok"] for receipt in receipts] == [True, True]
        assert {receipt["turn"] for receipt in receipts} == {receipts[0]["receipt_id"]}
        assert kernel.eval("og_receipts.turn.tolist()[-2:]") == [receipts[0]["receipt_id"]] * 2
        assert kernel.eval("[len(_.rounds), len(_.messages), _.tool_calls]") == [2, 5, []]

    def test_a_call_is_shown_while_it_runs(self, kernel: Kernel) -> None:
        flag = kernel.cwd / "go"
        kernel.ask(
            f"import pathlib\ndef slow() -> str:\n    while not pathlib.Path({str(flag)!r}).exists(): time.sleep(0.02)"
        )
        asked = kernel.send("%%ogchat --tools slow\nask it")
        kernel.until(asked, lambda text: "<summary><code>… slow()" in text)
        flag.touch()
        assert "✓ slow()" in kernel.result(asked).last["text/plain"]

    def test_what_fails_is_shown_as_text_and_told_to_the_model(self, kernel: Kernel) -> None:
        cell = kernel.ask("%%ogchat --tools fails\n[[call:fails]][[call:nothing]] go")
        markdown = cell.last["text/markdown"]
        assert "<summary><code>✗ fails(" in markdown
        assert '```\n{"error": "ValueError: <b>no</b>"}\n```' in markdown
        assert "There is no function 'nothing'. There is: fails." in cell.last["text/plain"]
        assert "<b>" not in markdown.replace('"ValueError: <b>no</b>"', "")

    def test_a_types_own_validator_may_raise_anything(self, kernel: Kernel) -> None:
        kernel.ask(
            "from pydantic import BaseModel, field_validator\n"
            "class Odd(BaseModel):\n    n: int\n    @field_validator('n')\n    @classmethod\n"
            "    def look(cls, n):\n        raise (SystemExit(3) if n else ZeroDivisionError('none'))\n"
            "def odd(of: Odd): return 'odd'"
        )
        cell = kernel.ask('%%ogchat --tools odd\n[[call:odd({"of": {"n": 0}})]][[call:odd({"of": {"n": 1}})]] go')
        assert "ZeroDivisionError: none" in cell.last["text/plain"]
        assert "SystemExit: 3" in cell.last["text/plain"]

    def test_what_use_names_holds_for_every_cell_until_none_is_named_but_not_for_comparisons(
        self, kernel: Kernel
    ) -> None:
        assert "tools       add" in kernel.ask("%og use --tools add").text
        assert len(kernel.ask("%%ogchat -o t\nPlease add 2 and 3.").of("display_data")) == 1
        assert kernel.eval("[r.finish_reason for r in t.receipts]") == ["tool_calls", "stop"]
        kernel.ask("%%ogcompare -m gpt-5 -m grok-4 -o c\nPlease add 2 and 3.")
        assert kernel.eval("[len(one.result.receipts) for one in c]") == [1, 1]
        assert "tools" not in kernel.ask("%og use --tools none").text
        kernel.ask("%%ogchat -o t\nPlease add 2 and 3.")
        assert kernel.eval("len(t.receipts)") == 1

    def test_all_means_what_was_registered(self, kernel: Kernel) -> None:
        cell = kernel.ask("%%ogchat --tools all --tools-show\nadd or erase?")
        assert {one["function"]["name"] for one in turn(cell)[0]["request"]["tools"]} >= {"add", "erase"}
        told = kernel.ask("%og tools").text
        assert "add(a: integer, b: integer = 2)\n    Add two numbers." in told
        assert "erase(name: string) [writes: each call is confirmed]" in told

    def test_calls_that_are_only_shown_are_in_the_result(self, kernel: Kernel) -> None:
        cell = kernel.ask('%%ogchat --tools add --tools-show -o shown\n[[call:add({"a": 1})]] go')
        assert 'add({"a": 1})' in cell.last["text/plain"]
        assert cell.text == ""
        assert kernel.eval("[c['function'] for c in shown.tool_calls]") == [{"name": "add", "arguments": '{"a": 1}'}]
        cell = kernel.ask("%%ogchat --tools price\ngo")
        assert kernel.eval("[c['function']['name'] for c in _.tool_calls]") == ["price"]

    def test_the_rounds_have_an_end_that_is_told(self, kernel: Kernel) -> None:
        cell = kernel.ask("%%ogchat --tools add --rounds 2\n[[rounds:9]][[say:Wait. ]][[call:add]] go")
        assert "Not complete: the model asked for more functions" in cell.last["text/plain"]
        assert len(turn(cell)) == 2
        cell = kernel.run("%%ogchat --tools add --rounds 2\n[[rounds:9]][[call:add]] go")
        assert "after 2 rounds, and has answered nothing" in cell.error("ToolRoundsExceeded")
        assert len(turn(cell)) == 2

    @pytest.mark.parametrize(
        ("flags", "told"),
        [
            ("--tools nothing", "There is no tool 'nothing'"),
            ("--tools MIME_", "There is no tool"),
            ("--rounds 3", "There are no tools"),
            ("--tools add --rounds 0", "0 rounds are too few"),
            ("--tools-confirm", "There are no tools"),
        ],
    )
    def test_a_mistake_is_told_and_nothing_is_sent(self, kernel: Kernel, flags: str, told: str) -> None:
        before = kernel.eval("len(og.receipts())")
        assert told in kernel.run(f"%%ogchat {flags}\nhello").error()
        assert kernel.eval("len(og.receipts())") == before

    def test_python_has_the_same(self, kernel: Kernel) -> None:
        kernel.ask('r = og.ask("[[call:price]][[call:add]] go", tools=[add, "plain", price])')
        assert kernel.eval("[len(r.tool_calls), len(r.receipts)]") == [2, 1]  # price has no function here
        kernel.ask('r = og.ask("[[call:add({\\"a\\": 5})]] go", tools=[add, "plain"])')
        assert kernel.eval("[r.text.count('returned 7'), len(r.receipts)]") == [1, 2]


class TestConfirmation:
    def reply(self, kernel: Kernel, code: str, word: str) -> tuple[str, Cell]:
        asked = kernel.send(code, allow_stdin=True)
        prompt = kernel.client.get_stdin_msg(timeout=60)["content"]["prompt"]
        kernel.client.input(word)
        return prompt, kernel.result(asked)

    @pytest.mark.parametrize(("word", "erased"), [("y", ["name"]), ("no", []), ("", [])])
    def test_what_writes_asks_the_person(self, kernel: Kernel, word: str, erased: list[str]) -> None:
        prompt, cell = self.reply(kernel, "%%ogchat --tools erase\nerase it", word)
        assert prompt == 'The model wants to call erase({"name": "name"}), which writes or spends. Allow it? [y/N] '
        assert cell.ok
        assert kernel.eval("erased") == erased
        assert ("did not allow" in cell.last["text/plain"]) is not bool(erased)

    def test_all_calls_ask_when_that_is_asked_for(self, kernel: Kernel) -> None:
        prompt, cell = self.reply(kernel, "%%ogchat --tools add --tools-confirm\nadd", "yes")
        assert "call add(" in prompt
        assert "returned 3" in cell.last["text/plain"]

    def test_python_asks_too_where_it_waits(self, kernel: Kernel) -> None:
        prompt, cell = self.reply(kernel, "r = og.ask('erase it', tools=[erase])", "y")
        assert "call erase(" in prompt
        assert cell.ok
        assert kernel.eval("erased") == ["name"]
        kernel.ask("r = await og.aask('erase it', tools=[erase])")  # nobody waits there for a question
        assert kernel.eval("[len(erased), 'nobody to ask' in r.text]") == [1, True]

    def test_without_a_person_it_is_refused(self, kernel: Kernel) -> None:
        cell = kernel.ask(
            "%%ogchat --tools erase,add --tools-confirm\n[[call:erase]][[call:add]] go", allow_stdin=False
        )
        assert kernel.eval("erased") == []
        assert cell.text == ""
        assert cell.last["text/plain"].count("there is nobody to ask") >= 2


class TestInterrupts:
    @pytest.mark.timeout(60)
    def test_one_in_a_function_keeps_what_there_is_and_asks_nothing_more(self, kernel: Kernel) -> None:
        before = kernel.eval("len(og.receipts())")
        asked = kernel.send("%%ogchat --tools wait\nwait for it")
        kernel.until(asked, lambda text: "<summary><code>… wait()" in text)
        kernel.interrupt()
        cell = kernel.result(asked)
        cell.error("KeyboardInterrupt")
        assert "wait({})" in cell.last["text/plain"]
        assert "Interrupted: the answer is not complete." in cell.last["text/plain"]
        assert kernel.eval("[len(og.receipts()), og_receipts.status.iloc[-1] in ('served', 'settled')]") == [
            before + 1,
            True,
        ]
        assert kernel.ask("%ogchat hello").ok

    @pytest.mark.timeout(60)
    def test_one_while_it_is_asked_calls_nothing(self, kernel: Kernel) -> None:
        asked = kernel.send("%%ogchat --tools erase\nerase it", allow_stdin=True)
        kernel.client.get_stdin_msg(timeout=60)
        kernel.interrupt()
        kernel.result(asked).error("KeyboardInterrupt")
        assert kernel.eval("erased") == []


class TestTheSavedFile:
    CELLS = (
        '%%ogchat --tools add,fails\n[[call:add({"a": 40})]][[call:fails]] how much?',
        "%%ogchat --tools add --rounds 3\n[[rounds:2]][[say:Let me see. ]][[call:add]] go on",
        "%%ogchat --tools add --rounds 2\n[[rounds:9]][[call:add]][[say:Wait. ]] go",
        "%%ogchat --tools erase\nerase it",
        "%%ogchat --schema City\n[[words:4]] a city",
        "%%ogchat --tools price\nwhat does it cost?",
    )
    CITY = "from pydantic import BaseModel\nclass City(BaseModel):\n    name: str\n    people: int = 0"

    @pytest.fixture(autouse=True)
    def og_magics(self, run_module: Callable[..., Any]) -> None:
        self.run_module = run_module

    def verify(self, path: Path, env: dict[str, str]) -> list[tuple[int, bool | None, str]]:
        done = self.run_module("og_magics", "verify", path, "--json", env=env)
        assert "Traceback" not in done.stderr, done.stderr
        # The others are of what the functions printed, which no receipt covers.
        rows = [(row["cell"], row["verdicts"]["enclave"]) for row in json.loads(done.stdout) if row.get("receipt_id")]
        return [(cell, verdict["ok"], verdict["reason"]) for cell, verdict in rows]

    @pytest.mark.ci
    def test_it_proves_every_round_and_finds_what_was_edited(
        self, execute: Callable[..., Any], environment: Callable[..., dict[str, str]], devnet: Devnet, tmp_path: Path
    ) -> None:
        notebook = execute("%load_ext og_magics", TOOLS, self.CITY, *self.CELLS)
        env = environment(devnet)
        path = tmp_path / "executed.ipynb"
        rows = self.verify(path, env)
        assert [cell for cell, _, _ in rows] == [4, 4, 5, 5, 5, 6, 6, 7, 7, 8, 8, 9]
        # The text beside calls that were not made is in no question that would be signed.
        assert [row for row in rows if row[1] is not True] == [
            (6, None, "The enclave signed the function calls; the text beside them is covered by nothing.")
        ]

        edits = [
            (3, "→ 42", "→ 43", [False, None]),
            (3, '{"a": 40}', '{"a": 41}', [False, None]),
            (3, "The tool add returned 42", "The tool add returned 44", [None, False]),
            (4, "Let me see. ", "Let me be. ", [False, None, None]),
            (7, "It is not JSON", "It is fine", [False, None]),
            (7, '"people": 1', '"people": 2', [None, False]),
            (7, "proof ✓", "proof ✓✓", [None, None]),
        ]
        for place, old, new, verdicts in edits:
            for kind in ("text/plain", "text/markdown"):
                edited = nbformat.from_dict(json.loads(json.dumps(notebook)))
                output = next(one for one in edited.cells[place].outputs if MIME in one.get("data", {}))
                shown = (
                    output["data"][kind].replace("&#123;", "{").replace("&#125;", "}").replace("&#58;", ":")
                    if old[0] == "{"
                    else output["data"][kind]
                )
                if old not in shown:
                    assert (kind, old[0]) == ("text/markdown", "→")
                    continue
                output["data"][kind] = shown.replace(old, new)
                nbformat.write(edited, path)
                found = [ok for cell, ok, _ in self.verify(path, env) if cell == place + 1]
                assert found == verdicts, (old, kind)
