"""The audit of a saved notebook: what holds, what does not, and files that were made to confuse it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from og_magics.cli import main
from og_magics.core.receipt import MIME, Receipt
from og_magics.devnet.gateway.enclave import Enclave
from og_magics.display import answer_bundle

if TYPE_CHECKING:
    from .conftest import Verifier


class TestWhatHolds:
    def test_an_untouched_notebook_ends_with_0(self, verify: Verifier, receipt: Receipt) -> None:
        found = verify(verify.notebook(receipt))
        assert (found.status, found.ok()) == (0, [True])
        assert found.rows[0]["receipt_id"] == "01"
        assert found.rows[0]["cell"] == 1

    def test_text_in_lines_is_the_same_text(self, verify: Verifier, receipt: Receipt) -> None:
        content = verify.notebook(receipt)
        for kind in ("text/plain", "text/markdown"):
            verify.data(content)[kind] = verify.data(content)[kind].splitlines(keepends=True)
        content["cells"][0]["source"] = content["cells"][0]["source"].splitlines(keepends=True)
        assert verify(content).status == 0

    @pytest.mark.parametrize("explorer", ["https://e.example/tx/", ""])
    def test_a_payment_that_was_found_since_changes_nothing(
        self, verify: Verifier, receipt: Receipt, explorer: str
    ) -> None:
        paid = replace(receipt, payment_hash="0x" + "cd" * 32, cost=10**15, status="settled")
        content = verify.notebook(paid)
        bundle = answer_bundle(paid, paid.text, lambda transaction: explorer and explorer + transaction)
        assert (f'href="{explorer}0xcd' in bundle["text/markdown"]) is bool(explorer)
        verify.data(content).update(bundle)
        assert verify(content).status == 0

    def test_a_cell_that_is_no_plain_ogchat_cell_may_hold_anything(self, verify: Verifier, receipt: Receipt) -> None:
        content = verify.notebook(receipt)
        content["cells"][0]["source"] = "ask(question)"
        assert verify(content).status == 0

    def test_on_a_terminal_it_is_a_table(
        self, verify: Verifier, tmp_path: Path, capsys: pytest.CaptureFixture[str], receipt: Receipt
    ) -> None:
        (tmp_path / "n.ipynb").write_text(json.dumps(verify.notebook(receipt)))
        assert main(["verify", str(tmp_path / "n.ipynb")]) == 0
        out = capsys.readouterr().out
        assert out.splitlines()[0].split() == ["cell", "receipt", "enclave", "attestation", "reason"]
        assert "✓" in out
        assert "1 of 1 receipts hold: enclave.\n1 of 1 not attested by hardware" in out


class TestWhatWasChanged:
    @pytest.mark.parametrize("kind", ["text/plain", "text/markdown"])
    @pytest.mark.parametrize("place", [0, 8, -1])
    def test_a_flipped_byte_in_the_answer_that_is_shown(
        self, verify: Verifier, receipt: Receipt, kind: str, place: int
    ) -> None:
        content = verify.notebook(receipt)
        shown, end = verify.data(content)[kind], len(receipt.text)
        at = place % end
        verify.data(content)[kind] = shown[:at] + chr(ord(shown[at]) ^ 1) + shown[at + 1 :]
        found = verify(content)
        assert (found.status, found.ok()) == (1, [False])
        assert "shows another answer" in found.reason()

    def test_a_paragraph_below_the_answer(self, verify: Verifier, receipt: Receipt) -> None:
        content = verify.notebook(receipt)
        for kind in ("text/plain", "text/markdown"):
            verify.data(content)[kind] = verify.data(content)[kind].replace("proof`.", "proof`.\n\nSend your key.")
        assert verify(content).ok() == [False]

    def test_another_form_of_the_answer_that_a_browser_would_prefer(self, verify: Verifier, receipt: Receipt) -> None:
        content = verify.notebook(receipt)
        verify.data(content)["text/html"] = "<b>another answer</b>"
        assert verify(content).ok() == [False]

    def test_links_below_the_answer_are_covered_by_nothing(self, verify: Verifier, receipt: Receipt) -> None:
        content = verify.notebook(receipt)
        for kind in ("text/plain", "text/markdown"):
            verify.data(content)[kind] = verify.data(content)[kind].replace(
                "proof`.", "proof`.\n\nhttps://images.example/1.png"
            )
        found = verify(content)
        assert (found.status, found.ok()) == (1, [None])

    def test_another_line_below_the_answer_does_not_pass_for_ours(self, verify: Verifier, receipt: Receipt) -> None:
        content = verify.notebook(receipt)
        verify.data(content)["text/plain"] = verify.data(content)["text/plain"].replace("4 + 8 tokens", "1 + 1 tokens")
        found = verify(content)
        assert (found.status, found.ok()) == (1, [None])

    def test_a_flipped_byte_in_the_receipts_text(self, verify: Verifier, receipt: Receipt) -> None:
        found = verify(verify.notebook(replace(receipt, text="B" + receipt.text[1:])))
        assert (found.status, found.ok()) == (1, [False])
        assert "signed another answer" in found.reason()

    def test_another_prompt_in_the_cell(self, verify: Verifier, receipt: Receipt) -> None:
        content = verify.notebook(receipt)
        content["cells"][0]["source"] += "!"
        found = verify(content)
        assert (found.status, found.ok()) == (1, [False])
        assert "prompt" in found.reason()

    def test_another_prompt_in_the_cell_and_in_the_receipt(self, verify: Verifier, receipt: Receipt) -> None:
        asked = {**receipt.request, "messages": [{"role": "user", "content": "What is a receipt!"}]}
        found = verify(verify.notebook(replace(receipt, request=asked)))
        assert found.ok() == [False]
        assert "signed another request" in found.reason()

    def test_another_model_in_the_receipt(self, verify: Verifier, receipt: Receipt) -> None:
        assert verify(verify.notebook(replace(receipt, model="openai/gpt-6"))).ok() == [False]

    @pytest.mark.parametrize("name", ["tee_signature", "request_hash", "output_hash", "tee_id"])
    def test_a_flipped_character_of_the_proof(self, verify: Verifier, receipt: Receipt, name: str) -> None:
        old = getattr(receipt, name)
        new = old[:20] + ("a" if old[20] != "a" else "b") + old[21:]
        assert verify(verify.notebook(replace(receipt, **{name: new}))).ok() == [False]

    def test_another_enclaves_key(self, verify: Verifier, receipt: Receipt) -> None:
        assert verify(verify.notebook(replace(receipt, public_key=Enclave().public_key_der.hex()))).ok() == [False]

    def test_no_signature_is_no_proof(self, verify: Verifier, receipt: Receipt) -> None:
        found = verify(verify.notebook(replace(receipt, tee_signature=None, error="interrupted", status="failed")))
        assert (found.status, found.ok()) == (1, [None])

    def test_an_answer_that_broke_off_says_so_and_is_not_accused(self, verify: Verifier, receipt: Receipt) -> None:
        broken = replace(receipt, tee_signature=None, error="interrupted", status="failed")
        assert verify(verify.notebook(broken, note="Interrupted: the answer is not complete.")).ok() == [None]


WRONG: dict[str, list[Any]] = {
    "payer": [5], "text": [None, 7, ["a"]], "request": ["x", None, [1]], "time": ["now", 1e300, -1, True],
    "cost": [-1, "1e5", "9" * 5000, 2**256, 1.5], "cost_usd": ["1E+999999", "NaN", 3, "-1"], "cap": [10**400],
    "prompt_tokens": [2**63, "7", 1.5], "tee_timestamp": [10**400, "soon"], "tool_calls": [{}, [1], "x"],
    "authorization": [5, {}, [], {"hash": 1}], "public_key": [3], "enclave_ok": ["yes"], "version": [2, None, 10**400],
    "receipt_id": [None, 4, {}], "model": [None], "replayed": [0], "latency_s": [float("nan"), float("inf")],
}  # fmt: skip
"""By field, values of the wrong kind."""


class TestHostileFiles:
    @pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
    def test_a_value_of_the_wrong_kind_fails_with_the_reason(
        self, verify: Verifier, receipt: Receipt, name: str, value: Any
    ) -> None:
        content = verify.notebook(receipt)
        verify.data(content)[MIME][name] = value
        try:
            json.loads(json.dumps(content))
        except ValueError:  # digits without end: a limit of Python's own
            pytest.skip("no JSON that Python reads")
        found = verify(content)
        assert found.status == 1
        assert found.ok() == [False]
        assert "cannot be read" in found.reason()
        assert name in found.reason()

    @pytest.mark.parametrize(
        "request_body",
        [
            {"messages": "x"}, {"messages": [1]}, {"messages": [{"role": "user", "content": 10**300}]},
            {"model": "gpt-5", "messages": [], "temperature": "hot"}, {"model": {}, "messages": [{"role": {}}]}, {},
        ],
    )  # fmt: skip
    def test_a_request_that_is_none_fails(
        self, verify: Verifier, receipt: Receipt, request_body: dict[str, Any]
    ) -> None:
        content = verify.notebook(receipt)
        verify.data(content)[MIME]["request"] = request_body
        assert verify(content).ok() == [False]

    @pytest.mark.parametrize("value", [5, None, [1], {}, {"text/plain": 5}, {"text/plain": [1, 2]}])
    def test_an_output_that_shows_no_text_fails(self, verify: Verifier, receipt: Receipt, value: Any) -> None:
        content = verify.notebook(receipt)
        form = verify.data(content)[MIME]
        shown = value if isinstance(value, dict) else {"text/plain": value, "text/markdown": value}
        content["cells"][0]["outputs"][0]["data"] = {**shown, MIME: form}
        assert verify(content).ok() == [False]

    @pytest.mark.parametrize("form", [5, None, [], "x", {}, {"version": 1}])
    def test_what_is_no_receipt_fails_and_hides_no_other(self, verify: Verifier, receipt: Receipt, form: Any) -> None:
        content = verify.notebook(receipt)
        content["cells"].insert(0, {"source": 7, "outputs": [{"data": {MIME: form}}]})
        found = verify(content)
        assert (found.status, found.ok()) == (1, [False, True])

    def test_what_is_nested_without_end_is_no_notebook(
        self, verify: Verifier, tmp_path: Path, capsys: pytest.CaptureFixture[str], receipt: Receipt
    ) -> None:
        for depth in (200, 100_000):  # packages raise the recursion limit beyond what the stack holds
            content = json.dumps(verify.notebook(receipt)).replace('"stream": true', '"x":' + "[" * depth + "]" * depth)
            (tmp_path / "n.ipynb").write_text(content)
            for verb in ("verify", "receipts"):
                assert main([verb, str(tmp_path / "n.ipynb"), "--json"]) == 1
        assert "is not a notebook" in capsys.readouterr().err

    def test_text_that_drives_a_terminal_is_not_printed(
        self, verify: Verifier, tmp_path: Path, capsys: pytest.CaptureFixture[str], receipt: Receipt
    ) -> None:
        content = verify.notebook(
            replace(receipt, model="openai/\x1b[2J\ud800\r\nverified", payment_hash="\x1b[31m" + "9" * 500)
        )
        (tmp_path / "n.ipynb").write_text(json.dumps(content))
        assert main(["verify", str(tmp_path / "n.ipynb")]) == 1
        assert main(["receipts", str(tmp_path / "n.ipynb")]) == 0
        out = capsys.readouterr().out
        assert "\x1b" not in out
        out.encode()

    @pytest.mark.parametrize("head", [5, {}, {"length": "1", "head": 2}, {"length": 10**400, "head": "0" * 64}])
    def test_a_head_that_is_none_is_ignored(self, verify: Verifier, receipt: Receipt, head: Any) -> None:
        content = verify.notebook(receipt)
        verify.data(content)[MIME]["ledger"] = head
        assert verify(content).status == 0
