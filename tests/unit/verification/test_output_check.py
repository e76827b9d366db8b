"""The audit of what an output shows: any answer as it was shown holds, in whatever words its facts are told."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from html import escape
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from og_magics.core.endings import ending_note
from og_magics.core.receipt import MIME, Column, Receipt
from og_magics.display import answer_bundle, columns_bundle, turn_bundle
from og_magics.verification.output_check import columns_problems, shown_problem
from og_magics.verification.turn_check import turn_problems

from ...conftest import examples

ONE = Receipt(
    receipt_id="01", time=1795343449.0, cell="3", notebook="n.ipynb", network="devnet", provider="openai",
    model="openai/gpt-5", settlement="batch", status="settled", authorization_hash="0x" + "ab" * 32, cap=10**17,
    payment_hash="0x" + "cd" * 32, cost=123456789 * 10**8, cost_usd="0.000289", prompt_tokens=7, completion_tokens=28,
    enclave_ok=True, text="It is **3**, and -5 is less.", latency_s=1.5, ttft_s=0.25, tee_signature="c2ln",
)  # fmt: skip
PIECES = st.sampled_from(
    [
        "a", "B", "3", "-5", " ", "\n", "\n\n", "*", "**", "`", "```", "```py\n", "~~~", "~~", "#", "# ", "- ", "> ", "1. ",
        "<b>", "</td>", "<!-- x -->", "&amp;", "&copy;", "&#60;", "[x](y)", "![x](https://e.example)", "[a]: https://b",
        "|", "|---|\n", "\\", "\\(", "$", "$$x$$", "\x00", "\x1b", "\u200b", "\u2060", "\r\n", "https://e.example", "_",
        "[x](javascript:y)", '"', "'", "0xab", "✓", "!", "<https://e.example>", "data:x",
    ]
)  # fmt: skip

_INVISIBLE_BEFORE_A_FENCE = re.compile("[\u200b\u2060\x00\x1b]+(```|~~~)")


def nowhere(_: str) -> str:
    return ""


def page(transaction: str) -> str:
    return f"https://e.example/tx/{transaction}"


def shown(receipt: Receipt, explorer: Callable[[str], str] = page) -> dict[str, Any]:
    return {kind: one for kind, one in answer_bundle(receipt, receipt.text, explorer).items() if kind != MIME}


def assert_change_is_found(receipt: Receipt, kind: str, old: str, new: str) -> None:
    """Change the line below an answer; an audit accuses the line, and not the answer."""
    changed = shown(receipt)
    assert old in changed[kind]
    changed[kind] = changed[kind].replace(old, new)
    problem = shown_problem(receipt, changed)
    assert problem is not None
    assert problem[0] is False


class TestWhatHolds:
    @given(st.lists(PIECES, max_size=14).map("".join))
    @settings(max_examples=examples(300), deadline=None, derandomize=True)
    @example("[a]: https://b\n\n[a]")
    @example("```\n  indented\n```")
    @example("")
    @example("\\[y = 1\\]\n\nIt costs $5, not $10: \\(x\\), and\n\n\\[")
    @example("- \\(\\[x\\] and `\\(x\\)`")
    def test_any_answer_holds_as_it_was_shown(self, text: str) -> None:
        assume(not _INVISIBLE_BEFORE_A_FENCE.search(text))  # known to be accused: what opens a fence is not seen
        assert shown_problem(replace(ONE, text=text), shown(replace(ONE, text=text))) is None

    @given(st.lists(PIECES, max_size=10).map("".join), st.sampled_from(["json", "text", "html"]))
    @settings(max_examples=examples(200), deadline=None, derandomize=True)
    def test_any_answer_holds_in_any_format(self, text: str, format: str) -> None:
        one = replace(ONE, text=text)
        bundle = turn_bundle([one], text, page, format=format)
        assert turn_problems([one], {kind: bundle[kind] for kind in bundle if kind != MIME}, format) == [None]

    @pytest.mark.parametrize(
        "text",
        [
            "```py\nx = 1\n```",
            "Here:\n\n```py\nx = 1\n    y\n```\n\nDone.",
            "x = 1",
            "# a\n\n```\na\n\nb\n```",
            "a < b & c",
        ],
    )
    def test_code_holds_as_it_was_shown(self, text: str) -> None:
        one = replace(ONE, text=text)
        bundle = turn_bundle([one], text, page, format="code")
        assert turn_problems([one], {kind: bundle[kind] for kind in bundle if kind != MIME}, "code") == [None]

    @pytest.mark.parametrize(
        "text", ["$$x$$", r"\[x < y\]", r"\(a_1\)", "x^2", "```latex\n\\frac{1}{2}\n```", "The sum is $x$ as we know.", "$\\href{x}{y}$"]
    )  # fmt: skip
    def test_a_formula_holds_as_it_was_shown(self, text: str) -> None:
        one = replace(ONE, text=text)
        bundle = turn_bundle([one], text, page, format="math")
        assert turn_problems([one], {kind: bundle[kind] for kind in bundle if kind != MIME}, "math") == [None]

    @pytest.mark.parametrize(
        "change",
        [
            {"enclave_ok": None}, {"enclave_ok": False}, {"replayed": True}, {"prompt_tokens": None}, {"cost": None},
            {"payment_hash": None, "cost": None, "status": "expired"},
            {"payment_hash": None, "cost": None, "status": "paid"}, {"payment_hash": None, "authorization_hash": None},
            {"settlement": "private"}, {"settlement": "individual"}, {"network": "base"}, {"cost": None, "cost_usd": None},
            {"payment_hash": None}, {"cost": 1}, {"cost": 0}, {"cost": 10**24}, {"prompt_tokens": 0}, {"replayed": True, "payment_hash": None},
        ],
    )  # fmt: skip
    def test_any_state_of_a_receipt_holds_as_it_was_shown(self, change: dict[str, Any]) -> None:
        one = replace(ONE, **change)
        assert shown_problem(one, shown(one)) is None
        columns = [Column(one.model, one)] * 2
        bundle = columns_bundle(columns, lambda network, transaction: page(transaction))
        assert columns_problems(columns, {k: bundle[k] for k in bundle if k != MIME}) == [None, None]

    def test_a_payment_that_was_pending_when_it_was_shown_is_no_problem(self) -> None:
        pending = replace(ONE, payment_hash=None, status="served", cost=None)
        assert shown_problem(ONE, shown(pending)) is None
        sought = replace(pending, status="paid")
        assert shown_problem(ONE, shown(sought)) is None
        assert shown_problem(pending, shown(sought)) is not None


ENDINGS = [
    {"finish_reason": "length"}, {"finish_reason": "stop", "request": {"max_tokens": 28}},
    {"finish_reason": "length", "text": ""}, {"finish_reason": "content_filter"},
    {"finish_reason": "stop", "gateway_notes": {"refused": True}}, {"finish_reason": "stop", "text": ""},
]  # fmt: skip


class TestHowItEnded:
    @pytest.mark.parametrize("change", ENDINGS)
    def test_a_line_that_says_so_holds(self, change: dict[str, Any]) -> None:
        one = replace(ONE, **change)
        bundle = answer_bundle(one, one.text, page, ending_note(one))
        assert ending_note(one) in bundle["text/plain"]
        assert shown_problem(one, {k: bundle[k] for k in bundle if k != MIME}) is None
        columns = [Column(one.model, one)] * 2
        beside = columns_bundle(columns, lambda network, transaction: page(transaction))
        assert beside["text/plain"].count(ending_note(one)) == beside["text/html"].count(escape(ending_note(one))) == 2
        assert columns_problems(columns, {k: beside[k] for k in beside if k != MIME}) == [None, None]

    @pytest.mark.parametrize(("old", "new"), [("cut", "wrong"), ("(28)", "(29)"), ("Ask", "Send your key, and ask")])
    def test_a_line_that_says_something_else_is_found(self, old: str, new: str) -> None:
        one = replace(ONE, **ENDINGS[1])
        note = ending_note(one)
        assert old in note
        bundle = answer_bundle(one, one.text, page, note.replace(old, new))
        assert shown_problem(one, {k: bundle[k] for k in bundle if k != MIME}) is not None

    def test_a_complete_answer_with_such_a_line_is_found(self) -> None:
        bundle = answer_bundle(ONE, ONE.text, page, ending_note(replace(ONE, finish_reason="length")))
        assert shown_problem(ONE, {k: bundle[k] for k in bundle if k != MIME}) is not None


class TestOtherWords:
    WORDS = (
        ("proof ✓", "attestation: verified"), ("tokens", "tok"), ("payment: paid", "settled in transaction"),
        ("practice network", "local devnet"), (" · ", " | "), (" + ", " in, "), ("batch", "BATCH_HASHED"), ("OPG", "OPG total"),
    )  # fmt: skip

    @pytest.mark.parametrize(("old", "new"), WORDS)
    def test_a_footer_in_other_words_holds(self, monkeypatch: pytest.MonkeyPatch, old: str, new: str) -> None:
        module = sys.modules[answer_bundle.__module__]
        for name in ("footer", "folded_footer"):
            made = getattr(module, name)

            def reworded(*args: Any, made: Callable[..., str] = made, **how: Any) -> str:
                return re.sub(re.escape(old), lambda _: new, made(*args, **how))

            monkeypatch.setattr(module, name, reworded)
        assert new in module.footer(ONE, nowhere)
        assert shown_problem(ONE, shown(ONE)) is None

    def test_the_audit_imports_no_display(self) -> None:
        code = (
            "import sys, og_magics.verification.output_check, og_magics.verification.turn_check\n"
            "print([name for name in sys.modules if name.startswith('og_magics.display')])"
        )
        assert (
            subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()
            == "[]"
        )


class TestWhatWasChanged:
    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("7 + 28", "28 + 7"), ("7 + 28", "7 + 29"), ("openai/gpt-5", "openai/gpt-6"), ("openai/gpt-5", "x/openai/gpt-5"),
            ("0.012346 OPG", "0.012345 OPG"), ("0.012346 OPG", "0.012346 USD"), ("0xcdcdcdcd", "0xcdcdcdce"),
            ("batch", "private"), ("✓", "✗"), ("proof ✓", "no proof"), ("practice network", "base"),
            (" · practice network", ""), ("practice network", "practice network, verified by our bank"), ("✓", "✓ ✅ 🔒"),
            ("paid", "nothing paid"), ("practice", "practice · replayed"), ("practice", "pract\u200bice"),
            ("practice", "practice, see https://evil.example"), ("proof ✓ · ", ""), ("paid", "p\u202eaid"),
        ],
    )  # fmt: skip
    @pytest.mark.parametrize("kind", ["text/plain", "text/markdown"])
    def test_a_changed_fact_is_found_and_the_answer_is_not_accused(self, kind: str, old: str, new: str) -> None:
        assert_change_is_found(ONE, kind, old, new)

    @pytest.mark.parametrize(
        ("old", "new"),
        [
            ("**3**", "**4**"), ("-5", "5"), ("It is", "It is not"), ("less.", "less.\n\nSend your key."),
            ("less.", "less. <!-- x -->"), ("less.", 'less. <span hidden>x</span>'), ("less", "le\u200bss"),
            ("less.", "less.\n\n<script>x</script>"), ("It", "[It](https://evil.example)"), ("less.", "less.\n\n[x]: https://e.example 'y'"),
            ("less.", "less. ![x](https://e.example/x.png)"),
        ],
    )  # fmt: skip
    def test_a_changed_answer_is_found(self, old: str, new: str) -> None:
        changed = shown(ONE)
        changed["text/markdown"] = changed["text/markdown"].replace(old, new)
        problem = shown_problem(ONE, changed)
        assert problem is not None
        assert problem[0] is True

    @pytest.mark.parametrize("style", ["display:none", "color:#fff", "font-size:0", "opacity:0", "position:absolute"])
    def test_a_style_that_may_hide_something_is_found(self, style: str) -> None:
        changed = shown(ONE)
        changed["text/markdown"] = changed["text/markdown"].replace("<sub>", f'<sub style="{style}">')
        assert shown_problem(ONE, changed) is not None

    @pytest.mark.parametrize(
        "target",
        [
            "https://e.example/tx/0x" + "ce" * 32, "https://e.example/", "javascript:alert(1)//0x" + "cd" * 32,
            "https://base.example@evil.example/0x" + "cd" * 32, "https://evil.example/?q=x0x" + "cd" * 32,
        ],
    )  # fmt: skip
    def test_a_link_that_leads_elsewhere_is_found(self, target: str) -> None:
        changed = shown(ONE)
        changed["text/markdown"] = changed["text/markdown"].replace(page("0x" + "cd" * 32), target)
        assert shown_problem(ONE, changed) is not None
