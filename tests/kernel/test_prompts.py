"""Flags, and prompts that arrive as they were typed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Kernel

NASTY = [
    "Why {nothing}?",
    "{{double}} {0} {} {x!r:>10} {",
    "$HOME $x ${HOME} $$ $(ls) `ls`",
    "a backslash \\ and \\n and \\\\ and \\",
    "C:\\new\\table \\x41 \\u0041",
    "He said \"it's\" 'fine' and left the quote \" open",
    "three \"\"\" and three ''' of them",
    "50% of %s and %d, %(name)s %%",
    "What is this?",
    "What is this??",
    "?",
    "print?",
    "!ls",
    "a; b; c;",
    "ends in a semicolon;",
    "# a comment?",
    "f(x = [1, 2",
    ")]}",
    "it is 100°, 日本語, emoji 👩‍👩‍👧, é, \u202eright to left",
    "tab\there, nul\x00, escape \x1b[31m, bell \x07",
    "no-break\u00a0space and line\u2028separator and form\x0cfeed",
    "-1 + 1",
    "--no-stream",
    "- a list",
    "--",
    "-m gpt-5",
    "= 5",
    "lambda: 0",
    "%ogchat again",
    "<b>&amp;</b>",
    "[[not a directive]]",
    "x" * 5000,
]
NOT_ONE_LINE = [p for p in NASTY if p.endswith("\\") or len(p.splitlines()) > 1]
"""A backslash at the end joins the next line to this one, and IPython ends a line at a form feed too."""
LINES = [
    "first\nsecond",
    "\n\nafter empty lines",
    "  indented\n\tand tabbed\n",
    "trailing spaces   ",
    "ends in a backslash \\\nand goes on",
    ">>> 1 + 1\n2\n>>> x",
    "a session:\n>>> print('x')\nx\n... more",
    "In [1]: x = 1\n   ...: y\nOut[1]: 3",
    "%%time\nnot a magic here\n%og\n!ls\n?x",
    "%%ogchat\nnested",
    '```python\ndef f(x):\n    return {"a": f"{x!r}"}  # $x\n```',
    "if x:\n        deep\n",
]


class TestPrompts:
    def test_line_ends_of_windows_are_no_part_of_a_prompt(self, kernel: Kernel) -> None:
        kernel.ask("%%ogchat -n 1 --no-stream\r\nwindows\r\n\r\nlines\r\n")
        assert kernel.eval("_.messages[0]['content']") == "windows\n\nlines"

    @pytest.mark.parametrize("prompt", NASTY + LINES)
    def test_a_cell_is_sent_as_typed(self, kernel: Kernel, prompt: str) -> None:
        cell = kernel.ask(f"%%ogchat -n 1 --no-stream\n{prompt}")
        assert cell.prompt == prompt.replace("\r\n", "\n").removesuffix("\n")

    @pytest.mark.parametrize("prompt", [p for p in NASTY if p[0] != "-" and p not in NOT_ONE_LINE])
    def test_the_rest_of_a_line_is_sent_as_typed(self, kernel: Kernel, prompt: str) -> None:
        assert kernel.ask(f"%ogchat -n 1 --no-stream {prompt}").prompt == prompt

    @pytest.mark.parametrize("prompt", [p for p in NASTY if p[0] == "-"])
    def test_after_two_dashes_the_prompt_may_start_with_a_dash(self, kernel: Kernel, prompt: str) -> None:
        assert kernel.ask(f"%ogchat -n 1 --no-stream -- {prompt}").prompt == prompt

    def test_a_dash_alone_begins_a_prompt(self, kernel: Kernel) -> None:
        assert kernel.ask("%ogchat -n 1 - one point").prompt == "- one point"

    def test_a_dash_that_begins_no_flag_is_told_with_the_remedy(self, kernel: Kernel) -> None:
        told = kernel.run("%ogchat -5 + 3 is?").error()
        assert "-5" in told
        assert "--" in told.replace("-5", "")

    def test_a_line_in_an_indented_block_may_ask_too(self, kernel: Kernel) -> None:
        cell = kernel.ask("for i in range(2):\n    if i:\n        %ogchat -n 1 What is {i}?\n")
        assert cell.prompt == "What is 1?"

    def test_lines_around_it_run_as_python(self, kernel: Kernel) -> None:
        cell = kernel.ask("a = 'it'\n%ogchat -n 1 What's (this?\nprint(a)")
        assert cell.prompt == "What's (this?"
        assert cell.text == "it\n"

    def test_a_prompt_may_come_from_code(self, kernel: Kernel) -> None:
        cell = kernel.ask("get_ipython().run_cell_magic('ogchat', '-n 1', 'from {code}')")
        assert cell.prompt == "from {code}"


class TestFlags:
    def test_the_short_ones(self, kernel: Kernel) -> None:
        cell = kernel.ask("%%ogchat -m o4-mini -s private -t 0.7 -n 5 -o answer\nhello")
        request = cell.receipt["request"]
        assert (request["model"], request["temperature"], request["max_tokens"]) == ("o4-mini", 0.7, 5)
        assert (cell.receipt["model"], cell.receipt["settlement"]) == ("openai/o4-mini", "private")
        assert cell.receipt["completion_tokens"] == 5  # gateways do not tell that an answer was cut
        assert kernel.eval("[answer.text, _.text]") == [cell.answer, cell.answer]

    def test_the_long_ones(self, kernel: Kernel) -> None:
        flags = "--model=anthropic/claude-haiku-4-5 --settlement INDIVIDUAL_FULL --temperature=1 --max-tokens 7"
        cell = kernel.ask(f"%ogchat {flags} --output second hello")
        request = cell.receipt["request"]
        assert (request["model"], request["temperature"], request["max_tokens"]) == ("claude-haiku-4-5", 1.0, 7)
        assert cell.receipt["settlement"] == "individual"
        assert kernel.eval("second.data_settlement_transaction_hash") == cell.receipt["data_settlement_hash"]

    @pytest.mark.parametrize("value", ["-n5", "-n=5", "-n 5", "--max-tokens=5"])
    def test_a_value_may_be_joined_to_its_flag(self, kernel: Kernel, value: str) -> None:
        assert kernel.ask(f"%ogchat {value} hello").receipt["request"]["max_tokens"] == 5

    @pytest.mark.parametrize(
        ("provider", "model"),
        [
            ("anthropic", "anthropic/claude-sonnet-4-6"),
            ("Google", "google/gemini-2.5-flash"),
            ("xai", "x-ai/grok-4.3"),
            ("openai", "openai/gpt-5"),
        ],
    )
    def test_a_provider_alone_stands_for_its_model(self, kernel: Kernel, provider: str, model: str) -> None:
        assert kernel.ask(f"%ogchat -p {provider} -n 1 hello").receipt["model"] == model

    def test_a_retired_name_is_said_to_be_one_once(self, kernel: Kernel) -> None:
        first, second = (kernel.ask("%ogchat -m x-ai/grok-3-mini -n 1 hello").text for _ in range(2))
        assert "retired on 2026-05-15: grok-4.3 answers in its name" in first
        assert "retired" not in second

    @pytest.mark.parametrize(
        ("typed", "system"),
        [
            ('"You are terse."', "You are terse."),
            ("'Say \"yes\" {only}, $HOME'", 'Say "yes" {only}, $HOME'),
            ("Terse", "Terse"),
            ('"a \\"quoted\\" word"', 'a "quoted" word'),
            ('"-n 5"', "-n 5"),
        ],
    )
    def test_a_system_prompt_is_one_word_or_quoted(self, kernel: Kernel, typed: str, system: str) -> None:
        cell = kernel.ask(f"%%ogchat --system {typed} -n 1\nhello")
        assert cell.receipt["request"]["messages"] == [
            {"role": "system", "content": system},
            {"role": "user", "content": "hello"},
        ]

    def test_a_flag_holds_for_its_cell_only(self, kernel: Kernel) -> None:
        kernel.ask("%ogchat -p anthropic -n 1 --system S hello")
        cell = kernel.ask("%ogchat -n 1 hello")
        assert cell.receipt["model"] == "openai/gpt-5"
        assert len(cell.receipt["request"]["messages"]) == 1

    @pytest.mark.parametrize("asked", ["%ogchat?", "%%ogchat?", "?%ogchat"])
    def test_a_question_mark_after_the_name_shows_the_flags(self, kernel: Kernel, asked: str) -> None:
        page = kernel.ask(asked).reply["payload"][0]["data"]["text/plain"]
        for flag in ("-m MODEL", "-p PROVIDER", "-s MODE", "-t TEMP", "-n N", "--system TEXT", "-o VAR", "--no-stream"):
            assert flag in page


class TestMistakes:
    @pytest.mark.parametrize(
        ("code", "told"),
        [
            ("%%ogchat\n   ", ["prompt is empty", "Write it below"]),
            ("%ogchat", ["prompt is empty", "after %ogchat"]),
            ("%ogchat -n 5", ["prompt is empty"]),
            ("%%ogchat -m nope\nx", ["no model 'nope'", "%og models", "provider/model"]),
            ("%%ogchat -m gpt-55\nx", ["Did you mean gpt-5"]),
            ("%%ogchat -m /x\nx", ["'/x' is not a model", "openai/gpt-5"]),
            ("%%ogchat -p nope\nx", ["no provider 'nope'", "openai, anthropic, google, x-ai"]),
            ("%%ogchat -s nope\nx", ["no settlement mode 'nope'", "private", "batch", "individual"]),
            ("%%ogchat -t hot\nx", ["-t/--temperature", "'hot'", "%og help"]),
            ("%%ogchat -t 9\nx", ["temperature is 9.0", "0 to 2"]),
            ("%%ogchat -t nan\nx", ["temperature is nan", "0 to 2"]),
            ("%%ogchat -n many\nx", ["-n/--max-tokens", "'many'"]),
            ("%%ogchat -n 0\nx", ["max_tokens is 0", "1 or more"]),
            ("%%ogchat -n -5\nx", ["max_tokens is -5", "1 or more"]),
            ("%%ogchat -n\nx", ["-n/--max-tokens", "expected one argument"]),
            ("%%ogchat -z\nx", ["-z", "%og help"]),
            ("%%ogchat --mod gpt-5\nx", ["--mod", "%og help"]),
            ("%%ogchat stray\nx", ["'stray' is not a flag", "%og help"]),
            ('%%ogchat --system "open\nx', ["quote is not closed"]),
            ("%%ogchat -o 1x\nx", ["-o 1x", "variable"]),
            ("%%ogchat -o class\nx", ["-o class", "variable"]),
        ],
    )
    def test_a_mistake_fails_the_cell_with_its_remedy(self, kernel: Kernel, code: str, told: list[str]) -> None:
        before = kernel.eval("len(og_receipts)")
        cell = kernel.run(code)
        message = cell.error()
        assert [part for part in told if part not in message] == []
        assert message in cell.text
        assert not cell.displays
        assert kernel.eval("len(og_receipts)") == before

    def test_nothing_of_the_help_is_about_argparse(self, kernel: Kernel) -> None:
        assert "usage:" not in kernel.run("%%ogchat -z\nx").text


class TestTheResult:
    def test_it_is_the_last_result_and_the_output_of_its_cell(self, kernel: Kernel) -> None:
        cell = kernel.ask("%ogchat hello")
        count = cell.reply["execution_count"]
        assert kernel.eval(f"[_.text, Out[{count}].text, _{count}.text]") == [cell.answer] * 3

    def test_a_later_value_takes_its_place(self, kernel: Kernel) -> None:
        kernel.ask("%ogchat hello")
        kernel.ask("6 * 7")
        assert kernel.eval("_") == 42
        assert kernel.eval("type(__).__name__") == "Answer"

    def test_a_name_of_the_users_own_is_left_alone(self, kernel: Kernel) -> None:
        kernel.ask("_ = 'mine'")
        kernel.ask("%ogchat hello")
        assert kernel.eval("_") == "mine"
        kernel.ask("del _")
