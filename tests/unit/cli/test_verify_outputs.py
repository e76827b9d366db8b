"""The audit of a saved notebook: outputs that no receipt covers, and those that need none."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from og_magics.core.estimate import Estimate, ModelEstimate
from og_magics.core.receipt import MIME
from og_magics.display import answer_bundle
from og_magics.display.details import folded_bundle
from og_magics.notebook.outputs import OutputFinding, account_outputs

if TYPE_CHECKING:
    from og_magics.core.receipt import Receipt

    from .conftest import Notebook, Verifier

EMPTY = {"output_type": "display_data", "data": {"text/plain": ""}, "metadata": {}}
WARNING = {
    "output_type": "stream",
    "name": "stderr",
    "text": "UserWarning: the budget is nearly spent.\n\nSee %og budget.",
}
NOTE = {"output_type": "stream", "name": "stdout", "text": "{rows} is sent in part: the first 5 of 20 rows.\n"}
FAILED = {"output_type": "error", "ename": "KeyboardInterrupt", "evalue": "", "traceback": []}


def findings(verify: Verifier, content: Notebook) -> list[OutputFinding]:
    verify.path.write_text(json.dumps(content))
    return account_outputs(verify.path)


class TestOutputsThatNeedNoReceipt:
    @pytest.mark.parametrize("extra", [EMPTY, WARNING, NOTE, FAILED])
    def test_what_a_run_leaves_beside_an_answer_is_no_tampering(
        self, verify: Verifier, receipt: Receipt, extra: dict[str, Any]
    ) -> None:
        content = verify.notebook(receipt)
        content["cells"][0]["outputs"].insert(0, extra)
        assert [one for one in findings(verify, content) if one.problem] == []
        assert verify(content).status == 0

    def test_what_is_printed_beside_an_answer_is_noted(self, verify: Verifier, receipt: Receipt) -> None:
        content = verify.notebook(receipt)
        content["cells"][0]["outputs"].append(NOTE)
        assert [(one.cell, one.problem) for one in findings(verify, content)] == [(1, False)]
        assert "Cell 1, for your information" in verify(content).errors

    def test_a_context_that_was_sent_is_explained_by_the_request(self, verify: Verifier, receipt: Receipt) -> None:
        messages = [{"role": "user", "content": "Cells.\n\nIn [1]: x"}, *receipt.request["messages"]]
        content = verify.notebook(replace(receipt, request={**receipt.request, "messages": messages}))
        sent = folded_bundle("Sent with the prompt: cell 1, 9 characters.", "Cells.\n\nIn [1]: x")
        output = {"output_type": "display_data", "data": sent, "metadata": {}}
        content["cells"][0]["outputs"].insert(0, output)
        assert findings(verify, content) == []
        other = folded_bundle("Sent with the prompt: cell 1, 9 characters.", "Pay 5 OPG to me.")
        output["data"] = other
        assert [one.problem for one in findings(verify, content)] == [True]

    def test_a_cell_of_python_may_show_what_it_likes(self, verify: Verifier, receipt: Receipt) -> None:
        content = verify.notebook(receipt)
        content["cells"][0]["source"] = "answer = og.ask('x')\nprint(answer.text)\nframe"
        content["cells"][0]["outputs"] += [
            {"output_type": "stream", "name": "stdout", "text": "A signed answer,\n\nwith `proof`."},
            {"output_type": "execute_result", "data": {"text/html": "<table><tr><td>1</td></tr></table>"}},
        ]
        assert findings(verify, content) == []

    def test_a_cell_that_was_not_run_has_no_answer_to_lose(self, verify: Verifier) -> None:
        assert findings(verify, {"cells": [{"source": "%%ogchat\nx", "outputs": [], "execution_count": None}]}) == []

    def test_a_function_may_print_in_a_turn(self, verify: Verifier, receipt: Receipt) -> None:
        call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        content = verify.notebook(replace(receipt, tool_calls=(call,)))
        printed = {"output_type": "stream", "name": "stdout", "text": "one\n\ntwo"}
        content["cells"][0]["outputs"].append(printed)
        assert [one.problem for one in findings(verify, content)] == [False]


class TestOutputsThatShouldHaveOne:
    def test_a_second_answer_fails_the_audit(self, verify: Verifier, receipt: Receipt) -> None:
        content = verify.notebook(receipt)
        fake = {"output_type": "display_data", "data": {"text/markdown": "No, it is 42."}, "metadata": {}}
        content["cells"][0]["outputs"].append(fake)
        found = verify(content)
        assert (found.status, found.ok()) == (1, [True, False])
        assert found.rows[-1]["cell"] == 1

    def test_an_answer_without_its_receipt_fails_the_audit(self, verify: Verifier, receipt: Receipt) -> None:
        content = verify.notebook(receipt)
        content["cells"].append(json.loads(json.dumps(content["cells"][0])))
        del content["cells"][1]["outputs"][0]["data"][MIME]
        found = verify(content)
        assert (found.status, [row["cell"] for row in found.rows]) == (1, [1, 2])

    @pytest.mark.parametrize("source", ["%%ogchat\nWhat is a receipt?", "answer = og.ask('What is a receipt?')"])
    def test_an_answer_that_is_printed_with_its_line_has_no_receipt(
        self, verify: Verifier, receipt: Receipt, source: str
    ) -> None:
        text = answer_bundle(receipt, "It is 42.", lambda _: "")["text/plain"]
        output = {"output_type": "stream", "name": "stdout", "text": text}
        content = {"cells": [{"cell_type": "code", "source": source, "outputs": [output]}]}
        assert [one.problem for one in findings(verify, content)] == [True]

    def test_a_line_with_another_prompt_fails_the_audit(self, verify: Verifier, receipt: Receipt) -> None:
        content = verify.notebook(receipt)
        for source, status in (("%ogchat -n 5 What is a receipt?", 0), ("%ogchat -n 5 What is a ledger?", 1)):
            content["cells"][0]["source"] = source
            assert verify(content).status == status

    @pytest.mark.parametrize("value", [5, None, [1], {"a": 1}])
    def test_outputs_of_no_form_are_looked_at_without_an_error(
        self, verify: Verifier, receipt: Receipt, value: Any
    ) -> None:
        content = verify.notebook(receipt)
        for data in (
            {"text/plain": value},
            {"text/markdown": value},
            {"text/html": value},
            {"image/png": value, "x": value},
        ):
            content["cells"][0]["outputs"].append({"output_type": value, "data": data, "text": value, "name": value})
        findings(verify, content)


ESTIMATE = Estimate(
    (ModelEstimate("openai/gpt-5", 1, 0, 1, 1, 7, 27, 500, 1000, Decimal("0.005"), Decimal("0.01"), None, None, 10**19),),
    network="base", price=None, as_of="2026-09-21",
)  # fmt: skip
SHOWN = {"output_type": "display_data", "data": ESTIMATE.bundle(), "metadata": {}}


class TestEstimates:
    def cell(self, source: str, *outputs: dict[str, Any]) -> Notebook:
        return {"cells": [{"cell_type": "code", "source": source, "execution_count": 1, "outputs": list(outputs)}]}

    @pytest.mark.parametrize(
        "source", ["%%ogchat --dry-run\nhello", "%ogchat --dry-run hello", "%%ogcompare -m a/b -m c/d --dry-run\nhello"]
    )
    def test_a_dry_run_shows_no_answer_and_hides_none(self, verify: Verifier, source: str) -> None:
        found = findings(verify, self.cell(source, SHOWN))
        assert [(one.problem, "estimate of a cost" in one.text) for one in found] == [(False, True)]
        printed = {"output_type": "stream", "name": "stdout", "text": repr(ESTIMATE) + "\n"}
        assert [one.problem for one in findings(verify, self.cell(source, printed))] == [False]

    def test_an_estimate_in_the_place_of_an_answer_is_no_answer(self, verify: Verifier) -> None:
        found = findings(verify, self.cell("%%ogchat\nhello", SHOWN))
        assert any(one.problem and "its output was removed" in one.text for one in found)

    def test_it_may_stand_before_the_answer_that_was_agreed_to(self, verify: Verifier, receipt: Receipt) -> None:
        content = verify.notebook(receipt)
        content["cells"][0]["outputs"].insert(0, SHOWN)
        assert [one.problem for one in findings(verify, content)] == [False]
        assert verify(content).status == 0

    @pytest.mark.parametrize("more", ["\nThe answer is 42.", "\n\ncalls 3", " openai/gpt-5 42 tokens $1 enclave"])
    def test_an_answer_that_is_dressed_as_one_is_found(self, verify: Verifier, more: str) -> None:
        text = repr(ESTIMATE) + more
        dressed = SHOWN | {"data": {"text/plain": text, "text/html": f"<pre>{text}</pre>"}}
        assert any(one.problem for one in findings(verify, self.cell("%%ogchat --dry-run\nhello", dressed)))
        other = SHOWN | {"data": {"text/plain": repr(ESTIMATE), "text/html": "<pre>The answer is 42.</pre>"}}
        assert any(one.problem for one in findings(verify, self.cell("%%ogchat --dry-run\nhello", other)))
