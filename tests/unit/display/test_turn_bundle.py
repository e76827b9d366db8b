"""What a cell keeps of a turn of several calls, and what an audit makes of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from og_magics.core.progress import INTERRUPTED, Call, RepairRequest
from og_magics.core.receipt import MIME, Receipt
from og_magics.display import turn_bundle
from og_magics.display.tool_calls import LONGEST, part_markdown, part_plain
from og_magics.display.turn_bundle import turn_footer
from og_magics.verification.output_check import shown_problem
from og_magics.verification.turn_check import turn_problems, unlinked


def nowhere(_: str) -> str:
    return ""


def call(name: str, arguments: str, place: int = 0) -> dict[str, Any]:
    return {"id": f"c{place}", "type": "function", "function": {"name": name, "arguments": arguments}}


def receipt(number: int, messages: list[dict[str, Any]], text: str, *calls: dict[str, Any], **more: Any) -> Receipt:
    values: dict[str, Any] = {
        "prompt_tokens": 10, "completion_tokens": 2, "cost_usd": "0.0001", "enclave_ok": True, "tee_signature": "c2ln",
        "authorization_hash": "0x" + "ab" * 32, "turn": "01",
    }  # fmt: skip
    return Receipt(
        receipt_id=f"{number:02d}", time=1795343449.0 + number, cell="3", notebook="n.ipynb", network="base",
        provider="openai", model="openai/gpt-5", settlement="batch", status="served", text=text, tool_calls=calls,
        request={"model": "gpt-5", "messages": messages}, finish_reason="tool_calls" if calls else "stop", **values | more,
    )  # fmt: skip


ASKED: list[dict[str, Any]] = [{"role": "user", "content": "how much?"}]
CALLS = (call("add", '{"a": 1}'), call("look", "{}", 1))
SAID: list[dict[str, Any]] = [
    *ASKED,
    {"role": "assistant", "content": "Let me see.", "tool_calls": list(CALLS)},
    {"role": "tool", "tool_call_id": "c0", "content": "3"},
    {"role": "tool", "tool_call_id": "c1", "content": '{"error": "no"}'},
]
TURN = [receipt(1, ASKED, "Let me see.", *CALLS), receipt(2, SAID, "It is **3**.")]
REPAIRED = [
    receipt(1, ASKED, "three"),
    receipt(
        2, [*ASKED, {"role": "assistant", "content": "three"}, {"role": "user", "content": "No JSON."}], '{"n": 3}'
    ),
]


def shown(receipts: list[Receipt], format: str = "md", note: str = "") -> dict[str, Any]:
    bundle = turn_bundle(receipts, receipts[-1].text, nowhere, note, (7, "ab" * 32), format)
    return {kind: content for kind, content in bundle.items() if kind != MIME}


class TestBundles:
    def test_the_calls_stand_above_the_answer_with_their_results(self) -> None:
        plain = shown(TURN)["text/plain"]
        assert plain.startswith(
            'Let me see.\n\n✓ add({"a": 1})\n  → 3\n\n✗ look()\n  → {"error": "no"}\n\nIt is **3**.\n\n2 calls · openai/gpt-5'
        )

    def test_they_are_folded_where_that_is_possible(self) -> None:
        markdown = shown(TURN)["text/markdown"]
        assert markdown.count("<details><summary><code>") == markdown.count("</details>") - 1 == 2  # and the footer
        assert "\n\n```\n3\n```\n\n</details>\n\n" in markdown

    def test_all_receipts_travel_with_it(self) -> None:
        form = json.loads(json.dumps(turn_bundle(TURN, "It is **3**.", nowhere, head=(7, "ab" * 32))[MIME]))
        assert [Receipt.from_json(one) for one in form["receipts"]] == TURN
        assert form["ledger"] == {"length": 7, "head": "ab" * 32}

    def test_an_answer_alone_is_shown_as_ever(self) -> None:
        alone = turn_bundle([REPAIRED[0]], "three", nowhere)
        assert alone[MIME] == REPAIRED[0].to_json()
        assert "calls" not in alone["text/plain"]

    def test_a_repaired_answer_shows_the_first_one_folded(self) -> None:
        assert "\nthree\nNo JSON." in shown(REPAIRED, "json")["text/plain"]
        assert shown(REPAIRED, "json")["text/plain"].count('{\n  "n": 3\n}') == 1

    def test_the_line_below_adds_up(self) -> None:
        line = turn_footer(TURN, nowhere)
        assert line.startswith("2 calls · openai/gpt-5 · 20 + 4 tokens · ~$0.0002")
        assert "DOES NOT HOLD" in turn_footer([replace(TURN[0], enclave_ok=False), TURN[1]], nowhere)
        assert "no proof" in turn_footer([replace(TURN[0], enclave_ok=None), TURN[1]], nowhere)
        assert "tokens not reported" in turn_footer([replace(TURN[0], prompt_tokens=None), TURN[1]], nowhere)

    @pytest.mark.parametrize(
        "hostile", ["</summary><script>x</script>", "a\n\n# b", "`$x$` \\(y\\)", "![x](http://e.example)", "\x1b[2J"]
    )
    def test_nothing_that_others_wrote_leaves_its_place(self, hostile: str) -> None:
        for part in (Call(hostile, hostile, "done", hostile), RepairRequest(hostile, hostile)):
            first, _, rest = part_markdown(part).partition("\n")
            assert first.count("<") == 5
            assert "$" not in first
            assert "`" not in first
            blocks = rest.split("```")
            assert "<" not in "".join(blocks[::2]).replace("</details>", "")
            assert "\x1b" not in part_plain(part) + first + rest

    def test_what_is_long_is_cut_where_it_is_shown(self) -> None:
        told = part_plain(Call("f", "{}", "done", "x" * 9_000))
        assert f"x\n[{9_000 - LONGEST:,} more characters]" in told


class TestAudits:
    @pytest.mark.parametrize("format", ["md", "json", "text", "code", "html", "math"])
    @pytest.mark.parametrize("receipts", [TURN, REPAIRED, TURN[:1]], ids=["calls", "repaired", "one call"])
    @pytest.mark.parametrize("note", ["", INTERRUPTED])
    def test_what_is_as_it_was_made_holds(self, receipts: list[Receipt], format: str, note: str) -> None:
        if len(receipts) > 1 or format != "md":
            assert turn_problems(receipts, shown(receipts, format, note), format) == [None] * len(receipts)

    def test_calls_that_were_not_made_hold_with_a_remark_on_that(self) -> None:
        interrupted = shown([TURN[0]], note=INTERRUPTED)
        assert shown_problem(TURN[0], interrupted) is None
        edited = interrupted | {"text/plain": interrupted["text/plain"].replace("Interrupted", "Finished")}
        assert shown_problem(TURN[0], edited) is not None

    def test_a_link_to_the_payment_is_no_difference(self) -> None:
        paid = [replace(one, payment_hash="0x" + "cd" * 32, status="settled", cost=1) for one in TURN]
        bundle = turn_bundle(paid, paid[-1].text, lambda transaction: f"https://e.example/{transaction}")
        assert turn_problems(paid, {kind: bundle[kind] for kind in bundle if kind != MIME}, "md") == [None, None]

    @pytest.mark.parametrize(
        ("change", "verdicts"),
        [
            (lambda text: text.replace("Let me see", "Let me be"), [True, False]),
            (lambda text: text.replace("add(", "sub("), [True, False]),
            (lambda text: text.replace("\n3\n", "\n4\n").replace("→ 3", "→ 4"), [True, False]),
            (lambda text: text.replace("It is", "It was"), [False, True]),
            (
                lambda text: text.replace("\n\n2 calls", "\n\nNo, it is 4.\n\n2 calls").replace(
                    "<details><summary><sub>", "No, it is 4.\n\n<details><summary><sub>"
                ),
                [False, True],
            ),
            (lambda text: text.replace("20 + 4", "20 + 5"), [False, False]),
            (lambda text: "", [True, False]),
        ],
    )
    @pytest.mark.parametrize("kind", ["text/plain", "text/markdown"])
    def test_an_edit_is_found_at_its_place(self, change: Callable[[str], str], verdicts: list[bool], kind: str) -> None:
        edited = shown(TURN)
        edited[kind] = change(edited[kind])
        found = turn_problems(TURN, edited, "md")
        assert [problem and problem[0] for problem in found] == verdicts

    @pytest.mark.parametrize("extra", [{"text/html": "<b>other</b>"}, {"image/png": "AAAA"}, {"text/plain": 3}])
    def test_what_such_answers_are_not_shown_as_is_found(self, extra: dict[str, Any]) -> None:
        assert all(problem and problem[0] for problem in turn_problems(TURN, shown(TURN) | extra, "md"))

    @pytest.mark.parametrize("format", ["html", "math", "code"])
    def test_another_text_in_another_form_is_found(self, format: str) -> None:
        one = [receipt(1, ASKED, "$$x$$")]
        for kind, content in shown(one, format).items():
            edited = shown(one, format) | {kind: content.replace("x", "y")}
            problem = turn_problems(one, edited, format)[0]
            assert problem is not None

    def test_calls_that_do_not_follow_from_one_another_are_found(self) -> None:
        other = receipt(2, [{"role": "user", "content": "another"}, *SAID[1:]], "It is **3**.")
        forged = receipt(2, [*SAID[:2], {"role": "tool", "tool_call_id": "c9", "content": "3"}], "It is **3**.")
        for second in (other, forged, TURN[0], replace(TURN[1], request={})):
            assert unlinked([TURN[0], second]) == 1
            found = turn_problems([TURN[0], second], shown([TURN[0], second]), "md")
            assert [problem and problem[0] for problem in found] == [False, True]

    @pytest.mark.parametrize("messages", [None, 3, [None], [3, "x"], [{"role": []}]])
    def test_receipts_of_no_form_are_looked_at_without_an_error(self, messages: Any) -> None:
        odd = [replace(one, request={"messages": messages}, tool_calls=({"function": 3},)) for one in TURN]
        assert turn_problems(odd, {"text/plain": "x"}, "md")[0] is not None
