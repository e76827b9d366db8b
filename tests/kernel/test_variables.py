"""{variables} in prompts: what is replaced, what stays byte for byte, and what is refused before anything is paid."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from og_magics.cli import main

from ..conftest import examples

if TYPE_CHECKING:
    from .conftest import Kernel

SETUP = """
import pandas as pd, numpy as np
class Thing:
    def __init__(self): self.attr = [0, 1, {"k": "deep"}]; self._hidden = "hidden"
    @property
    def broken(self): raise RuntimeError("it is broken")
    def method(self): return "called"
x, n, flag, nothing = "X{n}", 42, True, None
rows = [{"a": 1, "b": "é"}, {"a": 2, "b": None}]
config = {"key": "value", "other": [1, 2]}
obj = Thing()
_own = "own"
df = pd.DataFrame({"city": ["Rome", "Oslo"] * 500, "t": [31.5, 12.25] * 500})
small = pd.DataFrame({"city": ["Rome", "Oslo"]}, index=["a", "b"])
big = np.arange(100_000).reshape(1000, 100)
def double(a):
    return 2 * a
"""


@pytest.fixture(scope="module")
def ready(shared: Kernel) -> Kernel:
    shared.ask(SETUP, store_history=False)
    return shared


@pytest.fixture
def kernel(ready: Kernel, kernel: Kernel) -> Kernel:
    ready.ask(SETUP, store_history=False)
    return kernel


def _names_one(prompt: str, names: set[str]) -> bool:
    """Whether a name of the notebook stands in braces, with or without a path behind it."""
    return any(found in names for found in re.findall(r"\{(\w+)(?:\.\w+|\[[^\]{}]*\])*\}", prompt))


def sent(kernel: Kernel, prompt: str, flags: str = "") -> str:
    return kernel.ask(f"%%ogchat -n 1 --no-stream {flags}\n{prompt}").prompt


class TestWhatIsReplaced:
    @pytest.mark.parametrize(
        ("typed", "told"),
        [
            ("Say {x}.", "Say X{n}."),
            ("{n} {flag} {nothing}", "42 True None"),
            ("{rows[0]} and {rows[-1]['a']}", '{"a": 1, "b": "é"} and 2'),
            ('{config["key"]} of {config}', 'value of {"key": "value", "other": [1, 2]}'),
            ("{obj.attr[2]['k']}", "deep"),
            ("{df.shape}", "[1000, 2]"),
            ("{x}{x}{n}", "X{n}X{n}42"),
            ('{"a": {n}}', '{"a": 42}'),
            ("{{x}} and {{{n}}} and {{{{n}}}}", "{x} and {42} and {{n}}"),
            ("Explain {double}", "Explain def double(a):\n    return 2 * a\n"),
            ("{np}", "numpy"),
        ],
    )
    def test_a_name_or_a_path_of_one_is_its_value_once(self, kernel: Kernel, typed: str, told: str) -> None:
        assert sent(kernel, typed) == told

    def test_a_line_does_it_too(self, kernel: Kernel) -> None:
        assert kernel.ask("%ogchat -n 1 What is {n} of {rows[0]['a']}?").prompt == "What is 42 of 1?"

    def test_a_loop_asks_with_its_variable(self, kernel: Kernel) -> None:
        kernel.ask(
            "prompts = []\nfor i in range(3):\n    %ogchat -n 1 -o got Number {i}\n    prompts.append(got.messages[0])"
        )
        assert kernel.eval("[p['content'] for p in prompts]") == ["Number 0", "Number 1", "Number 2"]

    def test_every_model_of_a_comparison_gets_it(self, kernel: Kernel) -> None:
        cell = kernel.ask("%%ogcompare -m gpt-5 -m o4-mini -n 1\nSay {n}")
        assert cell.ok
        assert set(kernel.eval("[r.request['messages'][-1]['content'] for r in _.receipts]")) == {"Say 42"}

    def test_the_last_answer_goes_on(self, kernel: Kernel) -> None:
        first = kernel.ask("%ogchat -n 3 one")
        assert kernel.ask("%ogchat -n 1 Shorter: {_}").prompt == f"Shorter: {first.answer}"

    def test_a_kept_answer_is_its_text(self, kernel: Kernel) -> None:
        first = kernel.ask("%ogchat -n 3 -o kept one")
        assert sent(kernel, "{kept} has {kept.usage['completion_tokens']}") == f"{first.answer} has 3"

    def test_a_large_table_is_short_and_says_so(self, kernel: Kernel) -> None:
        cell = kernel.ask("%%ogchat -n 1\nSummarize:\n{df}")
        assert (
            cell.prompt.startswith(
                "Summarize:\nDataFrame with 1,000 rows and 2 columns. Columns: city str, t float64.\ncity,t\nRome,31.5\n"
            )
            or "city object" in cell.prompt
        )
        assert "(the first 50 and the last 50 of 1,000 rows; the rest is left out)" in cell.prompt
        assert len(cell.prompt) < 4_200
        assert cell.text == "{df} is sent in part: the first 50 and the last 50 of 1,000 rows.\n"

    def test_a_small_table_is_whole(self, kernel: Kernel) -> None:
        cell = kernel.ask("%%ogchat -n 1\n{small}")
        assert cell.prompt.endswith(",city\na,Rome\nb,Oslo\n")
        assert cell.text == ""

    def test_an_array_is_its_shape_and_edges(self, kernel: Kernel) -> None:
        prompt = sent(kernel, "{big}")
        assert prompt.startswith("array of shape (1000, 100), int64, from 0 to 99999, mean 49999.5:")
        assert len(prompt) < 2_000


class TestWhatStays:
    @pytest.mark.parametrize(
        "typed",
        [
            "{missing} {} {0} {n!r} {n:>3} { n } {n } {n+1} {n.__class__} {obj._hidden} {_own}",
            "{double(2)} {rows[i]} {rows[0:1]} {In} {Out} {_i} {__name__} {get_ipython} {exit} {print} {len}",
            '{"json": {"n": [1, 2]}}',
            "\\frac{1}{2} x_{i+1} \\mathrm{d}",
            "{{missing}} {{{missing}}}",
            "${missing} %(n)s {n",
            "f'{n!s}' and n}",
            "a set {1, 2} {n, x}",
        ],
    )
    def test_what_is_no_plain_name_of_the_notebook(self, kernel: Kernel, typed: str) -> None:
        assert sent(kernel, typed) == typed

    @pytest.mark.parametrize("typed", ["Say {x}", "{{x}}", "{obj.broken}"])
    def test_everything_after_no_vars(self, kernel: Kernel, typed: str) -> None:
        assert sent(kernel, typed, "--no-vars") == typed

    def test_a_prompt_from_code_is_a_prompt_as_any(self, kernel: Kernel) -> None:
        assert kernel.ask("get_ipython().run_cell_magic('ogchat', '-n 1', '{n} {{n}}')").prompt == "42 {n}"

    def test_any_text_without_a_name_in_single_braces_arrives_byte_for_byte(self, kernel: Kernel) -> None:
        names = set(kernel.eval("[k for k in get_ipython().user_ns if k.isidentifier()]"))
        pieces = st.one_of(
            st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
            st.sampled_from(
                ["{", "}", "{{", "}}", "{x", "x}", "{x!r}", "{x:}", "{ x}", "{x()}", "{x.}", "{x[}", "{x[a]b}", "{1x}"]
            ),
            st.sampled_from(
                ['{"a": [1]}', "\\frac{1}{2}", "{no_such_name}", "{{no}}", "$x", "%s", "\n", "\r\n", "\\", "'", '"']
            ),
        )

        @settings(max_examples=examples(60), deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.lists(pieces, min_size=1, max_size=12).map("".join))
        def arrives(prompt: str) -> None:
            assume(prompt.strip())
            assume(not _names_one(prompt, names))
            typed = prompt.replace("\r\n", "\n").removesuffix("\r")  # the line ends of any system are the same
            assert sent(kernel, prompt) == typed.removesuffix("\n")

        arrives()

    def test_the_terminal_does_the_same(self, typed: Callable[..., Any]) -> None:
        done = typed(
            "n = 6 * 7",
            "%ogchat -n 1 -o a Say {n} and {missing} and {{n}}",
            "print('was', a.messages[0]['content'])",
            "%ogchat {n.missing}",
        )
        told = done.stdout + done.stderr
        assert "was Say 42 and {missing} and {n}" in told
        assert "UsageError: {n.missing} in the prompt leads nowhere" in told

    def test_under_time_and_silent(self, kernel: Kernel) -> None:
        cell = kernel.ask("%%time\n%%ogchat -n 1\nSay {n}")
        assert cell.prompt == "Say 42"
        assert "Wall time" in cell.text


class TestNamesThatThereAreNot:
    def test_a_slip_is_told_with_what_is_meant_before_anything_is_sent(self, kernel: Kernel) -> None:
        before = kernel.eval("len(og_receipts)")
        message = kernel.run("%%ogchat\nSay {confg}").error()
        assert [part for part in ("{confg}", "{config}", "Nothing was sent", "--no-vars") if part not in message] == []
        assert kernel.eval("len(og_receipts)") == before
        assert sent(kernel, "Say {confg}", "--no-vars") == "Say {confg}"

    def test_another_one_is_pointed_out_and_sent(self, kernel: Kernel) -> None:
        cell = kernel.ask("%%ogchat -n 1\nSay {article} and {n}")
        assert cell.prompt == "Say {article} and 42"
        kinds = [message["msg_type"] for message in cell.messages if message["msg_type"] in ("stream", "display_data")]
        assert kinds[0] == "stream"
        assert cell.text.startswith("{article} is sent as it stands")


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("typed", "told"),
        [
            ("{x.missing}", ["{x.missing} in the prompt leads nowhere", "AttributeError", "{{ and }}", "--no-vars"]),
            ("{rows[9]}", ["IndexError"]),
            ("{config['none']}", ["KeyError"]),
            ("{obj.broken}", ["RuntimeError: it is broken"]),
            ("{obj.method}", ["is a method", "no function is called"]),
            ("{obj}", ["type Thing", "no text of its own"]),
            ("{data}", ["bytes", ".decode()"]),
            ("{figure}", ["a picture", "data"]),
        ],
    )
    def test_it_fails_before_anything_is_paid_with_the_remedy(
        self, kernel: Kernel, typed: str, told: list[str]
    ) -> None:
        kernel.ask(
            "data = b'1'\nfrom IPython.display import Image\nfigure = Image(data=b'\\x89PNG\\r\\n\\x1a\\n' + b'0' * 40)"
        )
        before = kernel.eval("len(og_receipts)")
        message = kernel.run(f"%%ogchat\n{typed}").error()
        assert [part for part in told if part not in message] == []
        assert kernel.eval("len(og_receipts)") == before

    def test_a_key_in_a_value_is_not_sent(self, kernel: Kernel) -> None:
        kernel.ask("parts = 'c0ffee' + '5e' * 29\nprivate_key = '0x' + parts\nnote = 'my private key is ' + parts")
        before = kernel.eval("len(og_receipts)")
        for typed in ("{private_key}", "look: {note}", "private key: {parts}"):
            assert "private key" in kernel.run(f"%%ogchat\n{typed}").error()
        assert kernel.eval("len(og_receipts)") == before
        assert sent(kernel, "What is the hash {parts}?").startswith("What is the hash c0ffee")

    def test_the_wallets_own_key_in_a_value_is_not_sent(self, new_kernel: Callable[..., Kernel]) -> None:
        key = "c0ffee" + "5e" * 29
        kernel = new_kernel(OG_PRIVATE_KEY=key, OG_NETWORK="devnet")
        kernel.ask("import os\nfound = [os.environ['OG_PRIVATE_KEY']]")
        assert "private key" in kernel.run("%%ogchat\nIs {found} a good one?").error()
        assert kernel.eval("len(og_receipts)") == 0


class TestTheSavedNotebook:
    @pytest.mark.ci
    def test_its_audit_holds_with_variables_context_and_answers_as_values(
        self, execute: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        execute(
            "%load_ext og_magics\nimport og_magics as og\nx = 'a receipt'",
            "%%ogchat -o kept\nWhat is {x}, and {this}?",
            "kept",
            "%%ogchat --context last\nGo on about {x}",
            "og.ask('And from Python: {x}?')",
            "%%ogcompare -m gpt-5 -m o4-mini\nCompare {x}",
        )
        saved = tmp_path / "executed.ipynb"
        assert main(["verify", str(saved), "--json"]) == 0, capsys.readouterr().out
        rows = json.loads(capsys.readouterr().out)
        assert [row["cell"] for row in rows] == [2, 3, 4, 5, 6, 6]
        changed = json.loads(saved.read_text())
        source = "".join(changed["cells"][1]["source"])
        changed["cells"][1]["source"] = source.replace("What is {x}", "Who is {x}")
        saved.write_text(json.dumps(changed))
        assert main(["verify", str(saved), "--json"]) == 1
        told = json.loads(capsys.readouterr().out)
        assert [row["verdicts"]["enclave"]["ok"] for row in told] == [False, True, True, True, True, True]
        assert "another one than was answered" in told[0]["verdicts"]["enclave"]["reason"]
