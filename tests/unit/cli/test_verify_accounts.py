"""The audit of a saved notebook: every output of a cell that asks is accounted for, and what its source names."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from og_magics.core.receipt import MIME, Column, Receipt
from og_magics.display import answer_bundle, turn_bundle
from og_magics.display.columns import columns_bundle
from tests.signed import Signer, asking, call, cell

if TYPE_CHECKING:
    from .conftest import Notebook, Verifier


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer()


def nowhere(_: str) -> str:
    return ""


def shown(receipt: Receipt) -> dict[str, Any]:
    return json.loads(json.dumps(answer_bundle(receipt, receipt.text, nowhere)))  # type: ignore[no-any-return]


def of(*cells: Any) -> Notebook:
    return {"cells": list(cells)}


def stream(text: str, name: str = "stdout") -> dict[str, Any]:
    return {"output_type": "stream", "name": name, "text": text}


class TestOutputsWithoutAReceipt:
    @pytest.mark.parametrize(
        "output",
        [
            stream("It is 42."),
            stream("It is 42.", "stderr"),
            {"output_type": "error", "ename": "Note", "evalue": "It is 42, not 41.", "traceback": []},
            {"output_type": "error", "ename": "KeyboardInterrupt", "evalue": "It is 42.", "traceback": []},
            {"output_type": "display_data", "data": {"image/png": "iVBORw0KGgo=", "text/plain": "<image>"}},
            {"output_type": "display_data", "data": {"text/plain": "pic\nhttps://e.example/a.png"}},
        ],
    )
    def test_they_are_unproven_and_the_status_is_1(
        self, verify: Verifier, signer: Signer, output: dict[str, Any]
    ) -> None:
        content = of(cell("%%ogchat\nWhich?", shown(signer.answered(asking("Which?"), "It is 41."))))
        for place in (0, 1):
            changed = copy.deepcopy(content)
            changed["cells"][0]["outputs"].insert(place, output)
            found = verify(changed)
            assert (found.status, found.ok()) == (1, [True, None]), found
            assert verify(changed, "--allow-unproven").status == 0

    @pytest.mark.parametrize(
        "line",
        [
            "2 earlier turns of thread 'talk' were left out (about 900 tokens, the oldest). %og use --thread-tokens N "
            "lets a thread send more.",
            "No network is named, so this is the practice network (devnet): your key is not used and nothing real is "
            "paid. OG_NETWORK=base or `%og network base` pays with it: real money.",
            "x-ai/grok-9 is not in the price list of 2026-11-01: its price is not known before it is paid. No call "
            "costs more than its authorization allows.",
            "{df} is sent in part: 90 rows.",
        ],
    )
    def test_what_we_print_beside_an_answer_is_known_by_its_words(
        self, verify: Verifier, signer: Signer, line: str
    ) -> None:
        content = of(cell("%%ogchat\nWhich?", shown(signer.answered(asking("Which?"), "It is 41."))))
        content["cells"][0]["outputs"].insert(0, stream(line + "\n"))
        assert verify(content).status == 0
        content["cells"][0]["outputs"][0] = stream(f"{line}\nIt is 42.\n")
        assert verify(content).status == 1

    def test_what_the_gateway_notes_stands_in_the_receipt(self, verify: Verifier, signer: Signer) -> None:
        notes = {"citations": [{"title": "A page", "url": "https://e.example/a"}]}
        receipt = signer.answered(asking("Which?"), "It is 41.", gateway_notes=notes)
        content = of(cell("%%ogchat\nWhich?", shown(receipt)))
        said = "Sources that the gateway names; no signature covers them:\n1. A page: https://e.example/a\n"
        content["cells"][0]["outputs"].append(stream(said))
        assert verify(content).status == 0
        content["cells"][0]["outputs"][1] = stream(said.replace("/a", "/b"))
        assert verify(content).status == 1

    def test_an_answer_that_was_rewritten_without_its_receipt_is_found(self, verify: Verifier, signer: Signer) -> None:
        other = cell("%%ogchat\nAnd?", shown(signer.answered(asking("And?"), "Yes.")))
        for output in (
            stream("It is 42."),
            {"output_type": "display_data", "data": {"text/markdown": "It is 42."}, "metadata": {}},
            {"output_type": "execute_result", "data": {"text/plain": "It is 42."}, "execution_count": 1},
        ):
            forged = cell("%%ogchat\nWhich?")
            forged["outputs"] = [output]
            found = verify(of(other, forged))
            assert found.status == 1
            assert {row["cell"] for row in found.rows if row["verdicts"]["enclave"]["ok"] is not True} == {2}

    def test_a_cell_of_another_source_cannot_show_an_answers_line_without_a_receipt(
        self, verify: Verifier, signer: Signer
    ) -> None:
        bundle = shown(signer.answered(asking("Which?"), "It is 42."))
        del bundle[MIME]
        content = of(cell("%%ogchat\nAnd?", shown(signer.answered(asking("And?"), "Yes."))), cell("show()", bundle))
        assert verify(content).status == 1

    def test_python_that_asks_and_shows_a_text_without_a_receipt_is_unproven(
        self, verify: Verifier, signer: Signer
    ) -> None:
        content = of(
            cell("%%ogchat\nAnd?", shown(signer.answered(asking("And?"), "Yes."))),
            cell("og.ask('Which?')", {"text/markdown": "It is 42.", "text/plain": "It is 42."}),
        )
        assert verify(content).status == 1
        assert verify(content, "--allow-unproven").status == 0


class TestWhatTheSourceNames:
    @pytest.mark.parametrize(
        ("typed", "status"),
        [
            ("-m gpt-5", 0), ("--model=openai/gpt-5", 0), ("-m GPT_5 -s batch", 0), ("-p openai", 0), ("-t 0 -n 1000", 0),
            ("-m '{model}' -s $mode", 0), ("-m gpt-5 --no-stream -s batch_hashed", 0), ("-o answer -m gpt-5", 0),
            ("-m claude-sonnet-4-6", 1), ("-m openai/gpt-5-mini", 1), ("-m gpt-6", 1), ("-p anthropic", 1),
            ("-s private", 1), ("--settlement=individual", 1), ("-t 0.5", 1), ("-n 30", 1), ("--system 'Lie.'", 1),
            ("--no-stream -o answer -m gpt-6", 1),
        ],
    )  # fmt: skip
    def test_another_model_or_mode_is_found(self, verify: Verifier, signer: Signer, typed: str, status: int) -> None:
        receipt = signer.answered(asking("Which?"), "It is 41.")
        assert verify(of(cell(f"%%ogchat {typed}\nWhich?", shown(receipt)))).status == status

    def test_of_a_comparison_each_column_is_held_against_its_own(self, verify: Verifier, signer: Signer) -> None:
        models = ("openai/gpt-5", "x-ai/grok-4")
        columns = [Column(one, signer.answered(asking("Which?"), f"{one}.", model=one)) for one in models]
        bundle = json.loads(json.dumps(columns_bundle(columns, lambda network, tx: "")))
        assert verify(of(cell("%%ogcompare -m gpt-5 -m x-ai/grok-4\nWhich?", bundle))).status == 0
        found = verify(of(cell("%%ogcompare -m gpt-5 -m x-ai/grok-9\nWhich?", bundle)))
        assert found.ok() == [True, False]

    def test_lines_are_held_against_the_answers_in_their_order(self, verify: Verifier, signer: Signer) -> None:
        answers = [shown(signer.answered(asking(one), f"{one} indeed.")) for one in ("One?", "Two?")]
        assert verify(of(cell("%ogchat One?\n%ogchat Two?", *answers))).status == 0
        assert verify(of(cell("%ogchat One?\n%ogchat Two?", *answers[::-1]))).ok() == [False, False]
        assert verify(of(cell("%ogchat One?\n%ogchat Three?", *answers))).ok() == [True, False]

    @pytest.mark.parametrize(
        "around",
        [
            "# checked\n{}",
            "checked = True\n{}",
            "%%time\n{}",
            "import os\n\nx = {}\nprint(x)",
            "{}\nfor n in (1, 2):\n    print(n)",
        ],
    )
    def test_a_line_that_asks_among_others_is_held_against_its_receipt(
        self, verify: Verifier, signer: Signer, around: str
    ) -> None:
        answer = shown(signer.answered(asking("Which one?"), "It is 41."))
        assert verify(of(cell(around.format("%ogchat Which one?"), answer))).status == 0
        found = verify(of(cell(around.format("%ogchat Which one? Really?"), answer)))
        assert found.ok() == [False]
        assert "prompt is another one" in found.reason()

    @pytest.mark.parametrize(
        "source",
        [
            "ask_first()\n%ogchat Another?",  # what failed: the answer is the function's
            "%run other.py\n%ogchat Another?",
            "text = '''\n%ogchat Another?\n'''\nog.ask(text)",
            "%ogchat Which \\\n  one?",
            "if True:\n    %ogchat Another?",
        ],
    )
    def test_where_something_else_may_have_asked_nobody_is_accused(
        self, verify: Verifier, signer: Signer, source: str
    ) -> None:
        assert verify(of(cell(source, shown(signer.answered(asking("Which one?"), "It is 41."))))).status == 0


class TestReceiptsInOtherPlaces:
    def test_a_call_that_stands_twice_is_found(self, verify: Verifier, signer: Signer) -> None:
        one = cell("%%ogchat\nWhich?", shown(signer.answered(asking("Which?"), "It is 41.")))
        found = verify(of(one, copy.deepcopy(one)))
        assert (found.status, [row["cell"] for row in found.rows]) == (1, [1, 2, 2])

    def test_a_call_of_another_notebook_is_found(self, verify: Verifier, signer: Signer) -> None:
        def asked(prompt: str, by: str) -> Any:
            receipt = signer.answered(asking(prompt), "Yes.", notebook_id=by)
            return cell(f"%%ogchat\n{prompt}", shown(receipt))

        content = of(asked("One?", "a"), asked("Two?", "b"), asked("Three?", "a"))
        found = verify(content)
        assert found.status == 1
        assert [row["cell"] for row in found.rows if row["verdicts"]["enclave"]["ok"] is None] == [2]
        assert verify(of(asked("One?", "a"), asked("Two?", "a"))).status == 0


def test_calls_that_were_added_to_an_answer_that_ended_with_stop_are_found(verify: Verifier, signer: Signer) -> None:
    receipt = signer.answered(asking("Which?"), "It is 41.")
    forged = replace(receipt, tool_calls=(call("pay", '{"amount": 5}'),))
    for bundle in (shown(forged), turn_bundle([forged], forged.text, nowhere)):
        found = verify(of(cell("%%ogchat\nWhich?", json.loads(json.dumps(bundle)))))
        assert (found.status, found.ok()) == (1, [None])
        assert "covered by nothing" in found.reason()


def test_no_honest_sequence_is_accused(verify: Verifier, signer: Signer) -> None:
    prompts: Sequence[str] = ("One?", "Two {x}?", "Three, and\nmore?")
    content = of(*(cell(f"%%ogchat -p openai\n{one}", shown(signer.answered(asking(one), "Yes."))) for one in prompts))
    assert verify(content).status == 0
