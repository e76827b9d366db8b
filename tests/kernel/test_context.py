"""Earlier cells as context, %og explain and %og fix: what is sent, what is not, and that it is shown."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from og_magics.devnet import Devnet

if TYPE_CHECKING:
    from .conftest import Cell, Kernel

FIXED = "Here it is.\n\n```python\ntotal = 1 + 2\nprint(total)\n```\n\nA name was missing. ~~~ not `code`\n"


def sent(cell: Cell) -> str:
    """The context of the question that a cell asked."""
    context, prompt = cell.receipt["request"]["messages"][-2:]
    assert (context["role"], prompt["role"]) == ("user", "user")
    return str(context["content"])


def numbers(context: str) -> list[str]:
    return [line for line in context.splitlines() if line.startswith("In [")]


class TestContext:
    def test_the_last_cell_goes_along_with_its_output_and_the_prompt_stays_as_typed(self, kernel: Kernel) -> None:
        kernel.ask("first = 1")
        count = kernel.ask("print('printed', 6)\nfirst + 41").reply["execution_count"]
        cell = kernel.ask("%%ogchat -n 1 --context last\nWhat {is} this?")
        assert cell.prompt == "What {is} this?"
        assert sent(cell) == (
            "Cells of my notebook with their outputs, oldest first.\n\n"
            f"In [{count}]:\n```python\nprint('printed', 6)\nfirst + 41\n```\nOutput:\n```\nprinted 6\n42\n```"
        )

    def test_what_is_sent_is_shown_folded(self, kernel: Kernel) -> None:
        count = kernel.ask("print('<b>one</b>')").reply["execution_count"]
        cell = kernel.ask("%ogchat -n 1 --context last what?")
        shown = cell.displays[0]["data"]
        assert shown["text/plain"] == f"Sent with the prompt: cell {count}, {len(sent(cell))} characters."
        assert shown["text/html"].startswith(f"<details><summary>{shown['text/plain']}</summary><pre>Cells of my")
        assert "<b>" not in shown["text/html"]
        assert "&lt;b&gt;one&lt;/b&gt;" in shown["text/html"]

    def test_a_number_of_cells_and_displays_and_answers_among_them(self, kernel: Kernel) -> None:
        kernel.ask("from IPython.display import Markdown, display\ndisplay(Markdown('# shown'))\ndisplay({'a': 1})")
        answer = kernel.ask("%ogchat -n 3 hello").answer
        kernel.ask("import sys\nprint('to stderr', file=sys.stderr)\n'value';")
        context = sent(kernel.ask("%ogchat -n 1 --context 3 what?"))
        assert len(numbers(context)) == 3
        for part in ("# shown", "{'a': 1}", "%ogchat -n 3 hello", answer, "to stderr"):
            assert part in context
        assert "'value'\n```\nOutput" not in context

    def test_without_the_flag_nothing_goes_along(self, kernel: Kernel) -> None:
        assert len(kernel.ask("%ogchat -n 1 hello").receipt["request"]["messages"]) == 1

    def test_it_is_bounded_and_the_oldest_are_left_out_with_a_note(self, kernel: Kernel) -> None:
        for n in range(4):
            kernel.ask(f"print('{n}' * 3000)")
        cell = kernel.ask("%ogchat -n 1 --context all what?")
        context = sent(cell)
        assert len(context) <= 8_100
        assert "3" * 3000 in context
        assert "0" * 100 not in context
        assert "older, over the limit of 8,000 characters." in cell.displays[0]["data"]["text/plain"]
        assert "older ones are left out.)" in context.splitlines()[0]

    def test_a_cell_that_prints_without_end_is_cut(self, kernel: Kernel) -> None:
        kernel.ask("for n in range(20_000):\n    print('line', n)")
        context = sent(kernel.ask("%ogchat -n 1 --context last what?"))
        assert "line 0\n" in context
        assert "line 19999" in context
        assert "\n…\n" in context
        assert len(context) < 4_500

    def test_a_display_of_another_cell_that_changes_meanwhile_is_not_this_cells(self, kernel: Kernel) -> None:
        kernel.ask("shown = display('of the first', display_id=True)")
        kernel.ask("print('printed'); shown.update('changed later'); display('own', display_id='own')")
        context = sent(kernel.ask("%ogchat -n 1 --context last what?"))
        assert "printed" in context
        assert "'own'" in context
        assert context.count("changed later") == 1  # in the cell's source

    def test_colours_and_drawn_over_lines_are_not_sent(self, kernel: Kernel) -> None:
        kernel.ask("print('\\x1b[31mred\\x1b[0m')\nprint('10%\\r50%\\r100%')")
        context = sent(kernel.ask("%ogchat -n 1 --context last what?"))
        assert "red\n100%" in context
        assert "\x1b" not in context
        assert "10%\r" not in context

    def test_what_a_cell_captured_was_not_shown_and_is_not_sent(self, kernel: Kernel) -> None:
        kernel.ask("%%capture kept\nprint('hidden words')")
        assert "hidden words\n```\nOutput" not in sent(kernel.ask("%ogchat -n 1 --context last what?"))

    def test_cells_that_a_front_end_runs_for_itself_are_not_sent(self, kernel: Kernel) -> None:
        kernel.ask("visible = 1")
        kernel.ask("secretly = 2", store_history=False)
        assert "visible = 1" in sent(kernel.ask("%ogchat -n 1 --context last what?"))

    @pytest.mark.parametrize(
        "code",
        ["api_key = 'sk-1234567890abcdef'", "import os\nos.environ['MY_TOKEN'] = 'abcdefgh'", "%env SECRET_KEY=12"],
    )
    def test_cells_that_set_secrets_are_left_out_and_named(self, kernel: Kernel, code: str) -> None:
        kernel.ask("harmless = 1")
        kernel.ask(code)
        cell = kernel.ask("%ogchat -n 1 --context 2 what?")
        assert code.splitlines()[-1] not in sent(cell)
        assert "harmless = 1" in sent(cell)
        assert "seems to set a password or a key" in cell.displays[0]["data"]["text/plain"]

    def test_a_private_key_is_never_remembered(self, kernel: Kernel) -> None:
        key = "c0ffee" + "5e" * 29
        kernel.ask("before = 1")
        kernel.run(f"private_key = '0x{key}'").error()
        kernel.ask(f"print('private' + ' key: ' + '{key[:32]}' + '{key[32:]}')")
        cell = kernel.ask("%ogchat -n 1 --context 2 what?")
        assert key not in json.dumps(cell.messages, default=str)
        assert "before = 1" in sent(cell)

    @pytest.mark.parametrize(
        ("which", "told"), [("some", "last, a number of cells, all or errors"), ("0", "no context '0'")]
    )
    def test_a_mistake_is_told(self, kernel: Kernel, which: str, told: str) -> None:
        assert told in kernel.run(f"%ogchat --context {which} x").error()

    def test_from_python_too(self, kernel: Kernel) -> None:
        kernel.ask("import og_magics as og\nmarker = 5")
        kernel.ask("a = og.ask('what?', context='last', max_tokens=1)")
        assert "marker = 5" in kernel.eval("a.messages[0]['content']")

    def test_in_a_thread_it_is_part_of_the_conversation(self, kernel: Kernel) -> None:
        kernel.ask("marker = 77")
        kernel.ask("%ogchat -n 1 --thread told --context last what?")
        messages = kernel.ask("%ogchat -n 1 --thread told and?").receipt["request"]["messages"]
        assert [m["role"] for m in messages] == ["user", "user", "assistant", "user"]
        assert "marker = 77" in messages[0]["content"]

    def test_a_comparison_sends_it_to_each(self, kernel: Kernel) -> None:
        kernel.ask("marker = 78")
        kernel.ask("%%ogcompare -m gpt-5 -m o4-mini -n 1 --context last\nwhat?")
        assert kernel.eval("[('marker = 78' in r.request['messages'][0]['content']) for r in _.receipts]") == [
            True,
            True,
        ]


class TestErrors:
    def test_the_last_exception_goes_along_without_paths_of_the_machine(self, kernel: Kernel) -> None:
        kernel.ask("import json\ndef load(text):\n    return json.loads(text)")
        kernel.run("load('{broken')").error("JSONDecodeError")
        kernel.ask("fine = 1")
        context = sent(kernel.ask("%ogchat -n 1 --context errors why?"))
        assert "load('{broken')" in context
        assert "a cell, line 3, in load\n    return json.loads(text)" in context
        assert "json/__init__.py, line" in context
        assert "JSONDecodeError: Expecting property name" in context
        assert "fine = 1" not in context
        assert str(kernel.cwd) not in context
        assert "/lib/python" not in context
        assert "ipykernel" not in context

    def test_paths_in_messages_are_cut_and_causes_are_told(self, kernel: Kernel) -> None:
        kernel.run(
            "try:\n    open('/home/somebody/private/place/file.txt')\n"
            "except OSError as error:\n    raise ValueError('no data') from error"
        ).error("ValueError")
        context = sent(kernel.ask("%og explain -n 1"))
        assert "FileNotFoundError: [Errno 2] No such file or directory: '…/file.txt'" in context
        assert "which led to:" in context
        assert "ValueError: no data" in context

    def test_explain_asks_about_it_and_says_what_it_sends(self, kernel: Kernel) -> None:
        count = kernel.run("1 / 0").reply["execution_count"]
        cell = kernel.ask("%og explain -n 5 -m o4-mini -o why Is it {x}?")
        assert cell.prompt.startswith("Explain the error of my notebook's cell")
        assert cell.prompt.endswith("\n\nIs it expanded?")
        assert "ZeroDivisionError: division by zero" in sent(cell)
        assert f"Sent with the prompt: cell {count}," in cell.displays[0]["data"]["text/plain"]
        assert cell.receipt["model"] == "openai/o4-mini"
        assert kernel.eval("why.text") == cell.answer

    def test_a_failed_question_is_not_the_notebooks_error(self, kernel: Kernel) -> None:
        kernel.run("1 / 0")
        kernel.run("%ogchat -m nope hello").error()
        assert "1 / 0" in sent(kernel.ask("%og explain -n 1"))

    def test_a_syntax_error_is_one(self, kernel: Kernel) -> None:
        kernel.run("def broken(:")
        context = sent(kernel.ask("%og explain -n 1"))
        assert "def broken(:" in context
        assert "SyntaxError" in context

    def test_without_an_exception_it_says_so_and_asks_nothing(self, new_kernel: Callable[..., Kernel]) -> None:
        kernel = new_kernel()
        for verb in ("explain", "fix"):
            assert "No cell of this notebook has failed since" in kernel.run(f"%og {verb}").error()
        assert kernel.eval("len(og_receipts)") == 0

    def test_fix_puts_a_cell_below_and_does_not_run_it(self, new_kernel: Callable[..., Kernel], coder: Devnet) -> None:
        kernel = new_kernel(coder)
        kernel.run("total = one + 2\nprint(total)").error("NameError")
        cell = kernel.ask("%og fix")
        assert "NameError: name 'one' is not defined" in sent(cell)
        payload = [one for one in cell.reply["payload"] if one["source"] == "set_next_input"]
        assert [(one["text"], one["replace"]) for one in payload] == [("total = 1 + 2\nprint(total)", False)]
        assert kernel.eval("'total' in globals()") is False

    def test_fix_says_so_where_the_answer_has_no_code(self, kernel: Kernel) -> None:
        kernel.run("1 / 0")
        cell = kernel.ask("%og fix -n 3")
        assert "no cell was put below" in cell.text
        assert not [one for one in cell.reply["payload"] if one["source"] == "set_next_input"]


class _Coder(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        events = [
            {"choices": [{"index": 0, "delta": {"role": "assistant", "content": FIXED}}]},
            {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        ]
        body = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def coder() -> Iterator[Devnet]:
    """A devnet whose model answers with a block of code."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Coder)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        with Devnet(upstream=f"http://127.0.0.1:{server.server_port}", settle_after=1) as running:
            yield running
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_the_terminal_has_it_too(typed: Callable[..., Any]) -> None:
    done = typed(
        "value = 6 * 7",
        "print('seen', value)",
        "%ogchat -n 1 -o first --context 2 what?",
        "1 / 0",
        "%og explain -n 1 -o second",
        "print(first.messages[0]['content']); print(second.messages[0]['content'])",
    )
    told = done.stdout + done.stderr
    assert "Sent with the prompt: cells 2, 3, " in told
    assert "Sent with the prompt: cell 5, " in told
    context = told[told.rindex("Cells of my notebook with their outputs, oldest first.\n\nIn [5]") :]
    assert "ZeroDivisionError: division by zero" in context
    assert "--------" not in context
