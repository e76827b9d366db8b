"""Two runs of a notebook held against each other."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from og_magics.cli import main
from og_magics.core.receipt import Column, Receipt
from og_magics.devnet.gateway.enclave import Enclave
from og_magics.display import columns_bundle, receipts_bundle
from og_magics.ledger import receipts_frame

from .conftest import answered

if TYPE_CHECKING:
    from .conftest import Verifier

Notebook = dict[str, Any]
QUESTION, ANSWER = "What is a receipt?", "A **signed** answer.\n\nIt costs 5 OPG."


@pytest.fixture(scope="module")
def again() -> Receipt:
    """The same answer to the same question, a day later, on another devnet, paid by another payment."""
    receipt = answered(Enclave(), QUESTION, ANSWER)
    return replace(
        receipt, receipt_id="02", time=receipt.time + 86400, cell="9", payment_hash="0x" + "cd" * 32, cost=10**15,
        status="settled", latency_s=2.5, ttft_s=0.25, session_id="other", cost_usd="0.000125",
    )  # fmt: skip


@pytest.fixture(scope="module")
def first(enclave: Enclave) -> Receipt:
    return replace(answered(enclave, QUESTION, ANSWER), latency_s=1.25, ttft_s=0.5, cost_usd="0.000125")


@pytest.fixture
def diff(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Runs `og-magics diff`: (status, what was printed)."""

    def run(before: Notebook, after: Notebook, *flags: str) -> tuple[int, str]:
        for name, content in (("a", before), ("b", after)):
            (tmp_path / f"{name}.ipynb").write_text(json.dumps(content))
        status = main(["diff", str(tmp_path / "a.ipynb"), str(tmp_path / "b.ipynb"), *flags])
        return status, capsys.readouterr().out

    return run


def code(source: str, *outputs: Any, name: str = "") -> Notebook:
    cell = {"cell_type": "code", "source": source, "outputs": [*outputs], "metadata": {}, "execution_count": 1}
    return cell | ({"id": name} if name else {})


def printed(text: Any) -> Notebook:
    return {"output_type": "stream", "name": "stdout", "text": text}


def shown(bundle: Notebook) -> Notebook:
    return {"output_type": "display_data", "data": json.loads(json.dumps(bundle)), "metadata": {}}


def one(*outputs: Any) -> Notebook:
    return {"cells": [code("x", *outputs)]}


class TestTheSame:
    def test_the_same_answer_paid_otherwise_is_the_same(
        self, diff: Any, verify: Verifier, first: Receipt, again: Receipt
    ) -> None:
        assert diff(verify.notebook(first), verify.notebook(again)) == (0, "")
        replayed = replace(first, replayed=True)
        assert diff(verify.notebook(first), verify.notebook(replayed)) == (0, "")

    def test_so_it_is_in_a_comparison(self, diff: Any, first: Receipt, again: Receipt) -> None:
        before, after = (one(shown(columns_bundle([Column(r.model, r)] * 2, lambda *_: ""))) for r in (first, again))
        assert diff(before, after) == (0, "")

    def test_a_table_of_receipts_is_compared_without_what_is_of_a_payment(
        self, diff: Any, first: Receipt, again: Receipt
    ) -> None:
        bundles = [receipts_bundle(receipts_frame([r]), lambda *_: "", {}) for r in (first, again)]
        html = [
            {"text/html": receipts_frame([r]).to_html(), "text/plain": "x" * n} for n, r in ((1, first), (2, again))
        ]
        assert diff(one(shown(bundles[0]), shown(html[0])), one(shown(bundles[1]), shown(html[1]))) == (0, "")
        other = receipts_frame([replace(again, model="openai/gpt-6")]).to_html()
        assert diff(one(shown(html[0])), one(shown({"text/html": other})))[0] == 1

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            ("done in 1.25 s\n", "done in 980 ms\n"),
            ("paid 0xabcdef0123…\n", "paid 0x0123456789…\n"),
            ("2026-01-01 10:00:00 UTC\n", "2027-03-04T11:12:13.5Z\n"),
            ("0.0012 OPG\n", "1.5 OPG\n"),
            ("~$0.000123 · authorized 0xabcdef01…, settles later\n", "0.1 OPG · paid 0x12345678…\n"),
            ("<Panel object at 0x7f0011223344>\n", "<Panel object at 0x7f9911223344>\n"),
            ("3f2a1b4c-0000-4000-8000-123456789abc", "3f2a1b4c-1111-4000-8000-123456789abc"),
            ("one\rtwo\rthree\n", "three\n"),
            ("\x1b[31mred\x1b[0m", "red"),
            (["a\n", "b"], "a\nb"),
        ],
    )
    def test_what_is_of_one_run_only_is_left_out(self, diff: Any, before: Any, after: Any) -> None:
        assert diff(one(printed(before)), one(printed(after))) == (0, "")

    def test_so_are_metadata_counts_widgets_and_how_a_print_was_cut_into_pieces(self, diff: Any) -> None:
        view = {"application/vnd.jupyter.widget-view+json": {"model_id": "a"}, "text/plain": "Panel()"}
        before, after = one(printed("a\n"), printed("b\n")), one(printed("a\nb\n"))
        before["metadata"], after["metadata"] = {"language_info": {"version": "3.11"}}, {"widgets": {}}
        after["cells"][0] |= {"execution_count": 7, "metadata": {"execution": {"start": "now"}}}
        before["cells"].append(code("p", shown(view)))
        after["cells"].append(code("p", shown(view | {"text/plain": "Panel(1)"})))
        assert diff(before, after) == (0, "")


class TestWhatDiffers:
    @pytest.mark.parametrize("text", [ANSWER + "!", ANSWER.replace("5 OPG", "6 OPG"), "", ANSWER + "\n"])
    def test_another_answer_is_told_to_the_letter(self, diff: Any, verify: Verifier, first: Receipt, text: str) -> None:
        status, told = diff(verify.notebook(first), verify.notebook(replace(first, text=text)))
        assert status == 1
        assert "@@ cell 1: changed @@" in told

    def test_it_is_a_unified_diff(self, diff: Any, verify: Verifier, first: Receipt) -> None:
        other = replace(first, text=ANSWER.replace("5 OPG", "6 OPG"))
        _, told = diff(verify.notebook(first), verify.notebook(other))
        lines = told.splitlines()
        assert lines[0].startswith("--- ")
        assert lines[1].startswith("+++ ")
        assert "-It costs 5 OPG." in lines
        assert "+It costs 6 OPG." in lines
        assert sum(line.startswith(("-", "+")) for line in lines) == 4

    def test_another_prompt_model_or_function_call(self, diff: Any, verify: Verifier, first: Receipt) -> None:
        base = verify.notebook(first)
        prompt = copy.deepcopy(base)
        prompt["cells"][0]["source"] += "!"
        call = {"id": "1", "function": {"name": "f", "arguments": "{}"}}
        for other in (
            prompt,
            verify.notebook(replace(first, model="openai/gpt-6")),
            verify.notebook(replace(first, tool_calls=(call,), finish_reason="tool_calls")),
        ):
            assert diff(base, other)[0] == 1

    @pytest.mark.parametrize(
        ("before", "after"),
        [
            (one(printed("a\n")), one(printed("b\n"))),
            (one(), one(printed("b\n"))),
            (one(shown({"image/png": "aa"})), one(shown({"image/png": "bb"}))),
            (one({"output_type": "error", "ename": "A", "evalue": "b"}), one()),
            (one(shown({"text/plain": "1"})), one(shown({"text/plain": "2"}))),
        ],
    )
    def test_another_output(self, diff: Any, before: Notebook, after: Notebook) -> None:
        assert diff(before, after)[0] == 1

    def test_a_cell_that_was_put_in_between_moves_no_other(self, diff: Any) -> None:
        for named in (True, False):
            cells = [code(f"x{n}", name=f"c{n}" if named else "") for n in range(4)]
            new = code("new", name="new" if named else "")
            status, told = diff({"cells": cells}, {"cells": [*cells[:2], new, *cells[2:]]})
            assert status == 1
            assert told.splitlines()[2:] == ["@@ cell 3: added @@", "+[code]", "+new"]

    def test_a_cell_with_the_same_id_and_another_source_is_changed(self, diff: Any) -> None:
        before, after = {"cells": [code("x = 1", name="a")]}, {"cells": [code("y", name="n"), code("x = 2", name="a")]}
        told = json.loads(diff(before, after, "--json")[1])
        assert [(c["kind"], c["before"], c["after"]) for c in told] == [("added", None, 1), ("changed", 1, 2)]
        assert told[1]["lines"] == [" [code]", "-x = 1", "+x = 2"]

    def test_text_that_drives_a_terminal_is_not_printed(self, diff: Any) -> None:
        _, told = diff(one(), {"cells": [code("\x1b[2J\x07evil")]})
        assert "\x1b" not in told
        assert "evil" in told


def test_as_json_the_same_is_an_empty_list(diff: Any) -> None:
    assert diff(one(), one(), "--json") == (0, "[]\n")


def test_what_is_no_notebook_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.ipynb").write_text("{}")
    assert main(["diff", str(tmp_path / "a.ipynb"), str(tmp_path / "no.ipynb")]) == 1
    assert "is not a notebook" in capsys.readouterr().err


class TestFormsThatAreNoText:
    @pytest.mark.parametrize(
        ("kind", "before", "after"),
        [
            ("application/json", {"a": [1, 2]}, {"a": [1, 3]}),
            ("application/json", ["one", "two"], ["onetwo"]),
            ("application/vnd.vegalite.v5+json", {"mark": "bar"}, {"mark": "line"}),
            ("application/geo+json", {"type": "Point"}, {"type": "Polygon"}),
            ("application/pdf", "JVBERi0x", "JVBERi0y"),
            ("application/javascript", "f(1)", "f(2)"),
            ("image/png", "iVBORw0K", "iVBORw0L"),
            ("text/html", "<p>one</p>", "<p>two</p>"),
            ("text/html", "<img src='a'>", "<img src='b'>"),
            ("text/latex", "$a$", "$b$"),
            ("text/markdown", "one", "two"),
            ("text/x-other", "one", "two"),
        ],
    )
    @pytest.mark.parametrize("plain", [{}, {"text/plain": "<Object of a display>"}])
    def test_a_change_in_one_is_seen_whatever_stands_beside_it(
        self, diff: Any, kind: str, before: Any, after: Any, plain: Notebook
    ) -> None:
        first, other = (one(shown({kind: content, **plain})) for content in (before, after))
        assert diff(first, other)[0] == 1
        assert diff(first, first) == (0, "")

    def test_json_is_shown_by_its_lines_and_beside_a_text(self, diff: Any) -> None:
        first, other = (one(shown({"application/json": {"a": n}, "text/plain": "same"})) for n in (1, 2))
        status, told = diff(first, other)
        assert (status, '- "a": 1\n+ "a": 2' in told) == (1, True)

    def test_the_order_of_its_members_and_what_is_of_a_run_are_no_change(self, diff: Any) -> None:
        first = {"b": 1, "a": "2026-01-01T10:00:00Z"}
        other = {"a": "2027-03-04T11:12:13Z", "b": 1}
        assert diff(*(one(shown({"application/json": form})) for form in (first, other))) == (0, "")

    def test_a_picture_that_is_attached_to_a_text_is_compared(self, diff: Any) -> None:
        def attached(*pictures: str) -> Notebook:
            cell = {"cell_type": "markdown", "source": "![a](attachment:a.png)", "metadata": {}}
            bundles = {f"{number}.png": {"image/png": picture} for number, picture in enumerate(pictures)}
            return {"cells": [{**cell, "attachments": bundles}]}

        assert diff(attached("AAAA"), attached("AAAA")) == (0, "")
        status, told = diff(attached("AAAA"), attached("BBBB"))
        assert (status, told.count("[attachment 0.png] image/png")) == (1, 2)
        assert diff(attached("AAAA"), attached("AAAA", "BBBB"))[0] == 1
