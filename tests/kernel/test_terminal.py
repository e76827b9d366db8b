"""IPython in a terminal: plain text as it comes, and the footer."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from og_magics.devnet import Devnet

pytestmark = pytest.mark.ci


Typed = Callable[..., "subprocess.CompletedProcess[str]"]


class TestTheTerminal:
    def test_an_answer_is_plain_text_with_its_footer(self, typed: Typed) -> None:
        lines = typed("%ogchat -n 6 What's {this}?").stdout.splitlines()
        answer = next(number for number, line in enumerate(lines) if "Here is a direct answer" in line)
        assert lines[answer + 1].startswith("The answer is cut: it reached max_tokens (6).")
        footer = lines[answer + 2].split(" · ")
        assert (footer[0], footer[2], footer[4]) == ("openai/gpt-5", "2 + 6 tokens", "proof ✓")
        assert footer[-2:] == ["batch", "practice network, prepared answer"]
        assert "<sub>" not in "".join(lines)

    def test_nothing_in_an_answer_can_drive_it(self, typed: Typed) -> None:
        prompt = "\x1b[31mred\x1b]0;title\x07 \x08\x08 \x9b2J \u202eback \u2028 \x85 a\u00a0b 日本 end"
        done = typed(f"get_ipython().run_cell_magic('ogchat', '', {prompt!r} + chr(13) + 'over')")
        shown = done.stdout
        assert "red" in shown
        assert "a b 日本 end" in shown
        assert not {c for c in shown if not c.isprintable() and c != "\n"}

    def test_a_cell_may_have_several_lines(self, typed: Typed) -> None:
        done = typed(
            "%%ogchat -n 200 -o result",
            "first {line}",
            "second $line",
            "",
            "",
            "result.receipt.request['messages'][0]['content']",
        )
        assert r"Out[3]: 'first {line}\nsecond $line" in done.stdout

    def test_a_mistake_and_a_failure_are_told_and_the_shell_goes_on(self, typed: Typed) -> None:
        done = typed("%ogchat -m nope hello", "%ogchat hello [[fail:stream]]", "%og pay", "print(len(og_receipts))")
        told = done.stdout + done.stderr
        assert "UsageError: There is no model 'nope'." in told
        assert "StreamError" in told
        assert "Here is a direct answer" in told
        assert "%og has no verb 'pay'" in told
        assert "In [5]: 1\n" in done.stdout

    def test_a_key_is_refused_there_too(self, typed: Typed, tmp_path: Path) -> None:
        key = "c0ffee" + "5e" * 29
        done = typed(f"private_key = '0x{key}'", "In, _i", "%history")
        assert "This cell holds a private key." in done.stdout + done.stderr
        assert key not in done.stdout + done.stderr

    def test_a_program_fails_where_a_call_fails(
        self, environment: Callable[..., dict[str, str]], devnet: Devnet, tmp_path: Path
    ) -> None:
        (tmp_path / "program.ipy").write_text(
            "%load_ext og_magics\n%ogchat -n 3 hello\n%ogchat [[fail:500]]\nprint('on')\n"
        )
        done = subprocess.run(
            [sys.executable, "-m", "IPython", "program.ipy"],
            env=environment(devnet), cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode != 0
        assert "proof ✓" in done.stdout
        assert "StreamError" in done.stdout + done.stderr
        assert "went on" not in done.stdout

    def test_functions_are_called_and_shown_there_too(self, typed: Typed) -> None:
        done = typed(
            "import og_magics as og",
            "def add(a: int): return a + 2",
            "",
            '%ogchat --tools add [[say:Let me see. ]][[call:add({"a": 40})]] how much?',
            "%ogchat --tools add --tools-show [[call:add]] how much?",
            "%ogchat --tools add --tools-confirm [[call:add]] how much?",
            "y",
            "%ogchat -f code -n 3 hello",
        )
        shown = done.stdout
        assert 'Let me see. \n✓ add({"a": 40})\n  → 42\nThe tool add returned 42.' in shown
        assert '\nadd({"a": 1})\nopenai/gpt-5' in shown.replace("In [5]: ", "\n")
        assert "The model wants to call add(" in shown
        assert shown.count("2 calls · openai/gpt-5") == 2
        assert "returned 3." in shown
