"""The audit of a saved comparison: each of its columns, and what the output shows as a whole."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from og_magics.core.receipt import MIME, Column, Receipt
from og_magics.devnet.gateway.enclave import Enclave
from og_magics.display import columns_bundle

from .conftest import answered

if TYPE_CHECKING:
    from .conftest import Verifier

PROMPT = "What is a receipt?"
FAILED = Column("openai/nope", None, "The gateway does not serve openai/nope. Nothing was paid.")


@pytest.fixture(scope="module")
def pair(enclave: Enclave) -> list[Column]:
    first = answered(enclave, PROMPT, "A **signed** answer.")
    second = replace(answered(enclave, PROMPT, "| a |\n|---|\n| another |"), receipt_id="02")
    return [Column(first.model, first), FAILED, Column(second.model, second)]


def notebook(columns: list[Column], **how: Any) -> dict[str, Any]:
    bundle = columns_bundle(columns, lambda network, transaction: f"https://e.example/{transaction}", **how)
    output = {"output_type": "display_data", "data": json.loads(json.dumps(bundle)), "metadata": {}}
    source = f"%%ogcompare -m gpt-5 -m openai/nope -m gpt-5\n{PROMPT}"
    return {"cells": [{"cell_type": "code", "source": source, "outputs": [output]}]}


class TestWhatHolds:
    def test_an_untouched_comparison_ends_with_0(self, verify: Verifier, pair: list[Column]) -> None:
        found = verify(notebook(pair))
        assert (found.status, found.ok()) == (0, [True, True])
        assert [(row["receipt_id"], row["cell"]) for row in found.rows] == [("01", 1), ("02", 1)]

    def test_text_in_lines_and_payments_found_since_change_nothing(self, verify: Verifier, pair: list[Column]) -> None:
        paid = [
            replace(one, receipt=one.receipt and replace(one.receipt, payment_hash="0x" + "cd" * 32, status="settled"))
            for one in pair
        ]
        content = notebook(paid, head=(7, "ab" * 32))
        data = verify.data(content)
        assert "https://e.example/0xcd" in data["text/html"]
        for kind in ("text/plain", "text/html"):
            data[kind] = data[kind].splitlines(keepends=True)
        assert verify(content).status == 0

    def test_its_receipts_can_be_listed(self, verify: Verifier, pair: list[Column], tmp_path: Any) -> None:
        from og_magics.notebook.file import receipts_in

        verify(notebook(pair))
        assert [receipt.receipt_id for receipt in receipts_in(verify.path)] == ["01", "02"]


class TestWhatWasChanged:
    @pytest.mark.parametrize("kind", ["text/plain", "text/html"])
    def test_an_edited_column_is_named(self, verify: Verifier, pair: list[Column], kind: str) -> None:
        content = notebook(pair)
        verify.data(content)[kind] = verify.data(content)[kind].replace("another", "a better")
        found = verify(content)
        assert (found.status, found.ok()) == (1, [None, False])
        assert "Another column" in found.reason()

    def test_an_edited_receipt_is_named(self, verify: Verifier, pair: list[Column]) -> None:
        forged = replace(pair[0].receipt or pair, text="A forged answer.")
        found = verify(notebook([Column("openai/gpt-5", forged), *pair[1:]]))
        assert (found.status, found.ok()) == (1, [False, True])
        assert "signed another answer" in found.reason()

    def test_another_prompt_in_the_cell(self, verify: Verifier, pair: list[Column]) -> None:
        content = notebook(pair)
        content["cells"][0]["source"] += "!"
        found = verify(content)
        assert found.ok() == [False, False]
        assert "prompt" in found.reason()

    def test_what_failed_cannot_be_shown_as_an_answer(self, verify: Verifier, pair: list[Column]) -> None:
        content = notebook(pair)
        data = verify.data(content)
        for kind in ("text/plain", "text/html"):
            data[kind] = data[kind].replace(FAILED.error, "42").replace("no answer", "0.10 s").replace("✗", "✓")
        assert verify(content).status == 1

    def test_an_answer_that_broke_off_is_not_accused(self, verify: Verifier, pair: list[Column]) -> None:
        broken = replace(pair[0].receipt or pair, tee_signature=None, error="interrupted", status="failed")
        columns = [Column("openai/gpt-5", broken, "Interrupted: the answer is not complete."), *pair[1:]]
        assert verify(notebook(columns)).ok() == [None, True]

    def test_a_column_that_was_taken_away_is_found(self, verify: Verifier, pair: list[Column]) -> None:
        content = notebook(pair)
        verify.data(content)[MIME]["columns"].pop()
        assert verify(content).ok() == [False]


class TestHostileFiles:
    @pytest.mark.parametrize("columns", [None, 5, "x", [], {}, [1, None], [{"receipt": None}], [{"error": 5}]])
    def test_a_comparison_without_receipts_cannot_be_read(
        self, verify: Verifier, pair: list[Column], columns: Any
    ) -> None:
        content = notebook(pair)
        verify.data(content)[MIME]["columns"] = columns
        found = verify(content)
        assert (found.status, found.ok()) == (1, [False])
        assert "cannot be read" in found.reason()

    @pytest.mark.parametrize("receipt", [5, [], {}, {"version": 1}])
    def test_a_receipt_that_cannot_be_read_hides_no_other(
        self, verify: Verifier, pair: list[Column], receipt: Any
    ) -> None:
        content = notebook(pair)
        verify.data(content)[MIME]["columns"][0]["receipt"] = receipt
        found = verify(content)
        assert (found.status, found.ok()) == (1, [False, None])

    @pytest.mark.parametrize("version", [2, None, "2.0", "one"])
    def test_another_version_cannot_be_read(self, verify: Verifier, pair: list[Column], version: Any) -> None:
        content = notebook(pair)
        verify.data(content)[MIME]["version"] = version
        found = verify(content)
        assert (found.status, found.ok()) == (1, [False])
        assert "version" in found.reason()

    @pytest.mark.ci
    def test_many_columns_are_looked_at_once(self, verify: Verifier, pair: list[Column]) -> None:
        content = notebook([replace(pair[0])] * 300)
        content["cells"][0]["source"] = f"%%ogcompare {'-m gpt-5 ' * 300}\n{PROMPT}"
        assert verify(content).ok() == [True] * 300


def test_a_plain_receipt_with_columns_beside_it_is_a_comparison(verify: Verifier, receipt: Receipt) -> None:
    content = verify.notebook(receipt)
    verify.data(content)[MIME]["columns"] = []
    assert verify(content).ok() == [False]
