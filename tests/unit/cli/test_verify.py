"""The audit of a saved notebook: what holds, what does not, and files that were made to confuse it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from og_magics.cli import main
from og_magics.devnet.gateway.enclave import Enclave, canonical_request, output_hash, request_hash
from og_magics.display import answer_bundle
from og_magics.ledger import Ledger
from og_magics.receipt import MIME, Authorization, Receipt
from og_magics.types import Outcome, Question, x402SettlementMode

Notebook = dict[str, Any]


@dataclass
class Audit:
    """What `og-magics verify --json` said."""

    status: int
    rows: list[dict[str, Any]]
    errors: str

    def ok(self, proof: str = "enclave") -> list[bool | None]:
        return [row["verdicts"][proof]["ok"] for row in self.rows]

    def reason(self, proof: str = "enclave") -> str:
        return str(self.rows[0]["verdicts"][proof]["reason"])


@pytest.fixture(scope="module")
def enclave() -> Enclave:
    return Enclave()


@pytest.fixture(scope="module")
def receipt(enclave: Enclave) -> Receipt:
    """Of a question and its answer, as an enclave signed them."""
    return answered(enclave, "What is a receipt?", "A **signed** answer,\n\nwith `proof`.")


def answered(enclave: Enclave, prompt: str, text: str) -> Receipt:
    body = {"model": "gpt-5", "messages": [{"role": "user", "content": prompt}], "temperature": 0.0, "stream": True}
    fields = enclave.sign(request_hash(canonical_request(body)), output_hash(text)).fields()
    return Receipt(
        receipt_id="01", time=1795343449.0, cell="3", notebook="n.ipynb", network="devnet", provider="openai",
        model="openai/gpt-5", settlement="batch", status="served", authorization_hash="0x" + "ab" * 32,
        path="/v1/chat/completions", request=body, text=text, finish_reason="stop", prompt_tokens=4,
        completion_tokens=8, tee_id=fields["tee_id"], tee_signature=fields["tee_signature"],
        tee_timestamp=fields["tee_timestamp"], request_hash=fields["tee_request_hash"],
        output_hash=fields["tee_output_hash"], public_key=enclave.public_key_der.hex(), enclave_ok=True,
    )  # fmt: skip


def notebook(receipt: Receipt, **how: Any) -> Notebook:
    """One cell that asked, and what it kept, as a front end saves it."""
    bundle = json.loads(json.dumps(answer_bundle(receipt, receipt.text, lambda tx: f"https://e.example/{tx}", **how)))
    output = {"output_type": "display_data", "data": bundle, "metadata": {}}
    messages = receipt.request.get("messages") or [{"content": ""}]
    return {
        "cells": [
            {"cell_type": "code", "source": f"%%ogchat -p openai\n{messages[-1]['content']}", "outputs": [output]}
        ]
    }


def data(content: Notebook) -> dict[str, Any]:
    """The output's, to be changed."""
    found: dict[str, Any] = content["cells"][0]["outputs"][0]["data"]
    return found


@pytest.fixture
def verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Audit]:
    def run(content: Notebook, *flags: str) -> Audit:
        path = tmp_path / "n.ipynb"
        path.write_text(json.dumps(content))
        status = main(["verify", str(path), "--json", *flags])
        told = capsys.readouterr()
        assert "Traceback" not in told.err
        return Audit(status, json.loads(told.out or "[]"), told.err)

    return run


class TestWhatHolds:
    def test_an_untouched_notebook_ends_with_0(self, verify: Callable[..., Audit], receipt: Receipt) -> None:
        found = verify(notebook(receipt))
        assert (found.status, found.ok()) == (0, [True])
        assert found.rows[0]["receipt_id"] == "01"
        assert found.rows[0]["cell"] == 1

    def test_text_in_lines_is_the_same_text(self, verify: Callable[..., Audit], receipt: Receipt) -> None:
        content = notebook(receipt)
        for kind in ("text/plain", "text/markdown"):
            data(content)[kind] = data(content)[kind].splitlines(keepends=True)
        content["cells"][0]["source"] = content["cells"][0]["source"].splitlines(keepends=True)
        assert verify(content).status == 0

    @pytest.mark.parametrize("explorer", ["https://e.example/tx/", ""])
    def test_a_payment_that_was_found_since_changes_nothing(
        self, verify: Callable[..., Audit], receipt: Receipt, explorer: str
    ) -> None:
        paid = replace(receipt, payment_hash="0x" + "cd" * 32, cost=10**15, status="settled")
        content = notebook(paid)
        bundle = answer_bundle(paid, paid.text, lambda transaction: explorer and explorer + transaction)
        assert ("](" in bundle["text/markdown"]) is bool(explorer)
        data(content).update(bundle)
        assert verify(content).status == 0

    def test_a_cell_that_is_no_plain_ogchat_cell_may_hold_anything(
        self, verify: Callable[..., Audit], receipt: Receipt
    ) -> None:
        content = notebook(receipt)
        content["cells"][0]["source"] = "ask(question)"
        assert verify(content).status == 0

    def test_on_a_terminal_it_is_a_table(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], receipt: Receipt
    ) -> None:
        (tmp_path / "n.ipynb").write_text(json.dumps(notebook(receipt)))
        assert main(["verify", str(tmp_path / "n.ipynb")]) == 0
        out = capsys.readouterr().out
        assert out.splitlines()[0].split() == ["cell", "receipt", "enclave", "reason"]
        assert "✓" in out
        assert out.endswith("1 of 1 receipts hold: enclave.\n")


class TestWhatWasChanged:
    @pytest.mark.parametrize("kind", ["text/plain", "text/markdown"])
    @pytest.mark.parametrize("place", [0, 8, -1])
    def test_a_flipped_byte_in_the_answer_that_is_shown(
        self, verify: Callable[..., Audit], receipt: Receipt, kind: str, place: int
    ) -> None:
        content = notebook(receipt)
        shown, end = data(content)[kind], len(receipt.text)
        at = place % end
        data(content)[kind] = shown[:at] + chr(ord(shown[at]) ^ 1) + shown[at + 1 :]
        found = verify(content)
        assert (found.status, found.ok()) == (1, [False])
        assert "shows another answer" in found.reason()

    def test_a_paragraph_below_the_answer(self, verify: Callable[..., Audit], receipt: Receipt) -> None:
        content = notebook(receipt)
        for kind in ("text/plain", "text/markdown"):
            data(content)[kind] = data(content)[kind].replace("proof`.", "proof`.\n\nSend your key.")
        assert verify(content).ok() == [False]

    def test_another_form_of_the_answer_that_a_browser_would_prefer(
        self, verify: Callable[..., Audit], receipt: Receipt
    ) -> None:
        content = notebook(receipt)
        data(content)["text/html"] = "<b>another answer</b>"
        assert verify(content).ok() == [False]

    def test_links_below_the_answer_are_covered_by_nothing(
        self, verify: Callable[..., Audit], receipt: Receipt
    ) -> None:
        content = notebook(receipt)
        for kind in ("text/plain", "text/markdown"):
            data(content)[kind] = data(content)[kind].replace("proof`.", "proof`.\n\nhttps://images.example/1.png")
        found = verify(content)
        assert (found.status, found.ok()) == (1, [None])

    def test_another_line_below_the_answer_does_not_pass_for_ours(
        self, verify: Callable[..., Audit], receipt: Receipt
    ) -> None:
        content = notebook(receipt)
        data(content)["text/plain"] = data(content)["text/plain"].replace("4 + 8 tokens", "1 + 1 tokens")
        found = verify(content)
        assert (found.status, found.ok()) == (1, [None])

    def test_a_flipped_byte_in_the_receipts_text(self, verify: Callable[..., Audit], receipt: Receipt) -> None:
        found = verify(notebook(replace(receipt, text="B" + receipt.text[1:])))
        assert (found.status, found.ok()) == (1, [False])
        assert "signed another answer" in found.reason()

    def test_another_prompt_in_the_cell(self, verify: Callable[..., Audit], receipt: Receipt) -> None:
        content = notebook(receipt)
        content["cells"][0]["source"] += "!"
        found = verify(content)
        assert (found.status, found.ok()) == (1, [False])
        assert "prompt" in found.reason()

    def test_another_prompt_in_the_cell_and_in_the_receipt(
        self, verify: Callable[..., Audit], receipt: Receipt
    ) -> None:
        asked = {**receipt.request, "messages": [{"role": "user", "content": "What is a receipt!"}]}
        found = verify(notebook(replace(receipt, request=asked)))
        assert found.ok() == [False]
        assert "signed another request" in found.reason()

    def test_another_model_in_the_receipt(self, verify: Callable[..., Audit], receipt: Receipt) -> None:
        assert verify(notebook(replace(receipt, model="openai/gpt-6"))).ok() == [False]

    @pytest.mark.parametrize("name", ["tee_signature", "request_hash", "output_hash", "tee_id"])
    def test_a_flipped_character_of_the_proof(self, verify: Callable[..., Audit], receipt: Receipt, name: str) -> None:
        old = getattr(receipt, name)
        new = old[:20] + ("a" if old[20] != "a" else "b") + old[21:]
        assert verify(notebook(replace(receipt, **{name: new}))).ok() == [False]

    def test_another_enclaves_key(self, verify: Callable[..., Audit], receipt: Receipt) -> None:
        assert verify(notebook(replace(receipt, public_key=Enclave().public_key_der.hex()))).ok() == [False]

    def test_no_signature_is_no_proof(self, verify: Callable[..., Audit], receipt: Receipt) -> None:
        found = verify(notebook(replace(receipt, tee_signature=None, error="interrupted", status="failed")))
        assert (found.status, found.ok()) == (1, [None])

    def test_an_answer_that_broke_off_says_so_and_is_not_accused(
        self, verify: Callable[..., Audit], receipt: Receipt
    ) -> None:
        broken = replace(receipt, tee_signature=None, error="interrupted", status="failed")
        assert verify(notebook(broken, note="Interrupted: the answer is not complete.")).ok() == [None]


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
        self, verify: Callable[..., Audit], receipt: Receipt, name: str, value: Any
    ) -> None:
        content = notebook(receipt)
        data(content)[MIME][name] = value
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
        self, verify: Callable[..., Audit], receipt: Receipt, request_body: dict[str, Any]
    ) -> None:
        content = notebook(receipt)
        data(content)[MIME]["request"] = request_body
        assert verify(content).ok() == [False]

    @pytest.mark.parametrize("value", [5, None, [1], {}, {"text/plain": 5}, {"text/plain": [1, 2]}])
    def test_an_output_that_shows_no_text_fails(
        self, verify: Callable[..., Audit], receipt: Receipt, value: Any
    ) -> None:
        content = notebook(receipt)
        form = data(content)[MIME]
        shown = value if isinstance(value, dict) else {"text/plain": value, "text/markdown": value}
        content["cells"][0]["outputs"][0]["data"] = {**shown, MIME: form}
        assert verify(content).ok() == [False]

    @pytest.mark.parametrize("form", [5, None, [], "x", {}, {"version": 1}])
    def test_what_is_no_receipt_fails_and_hides_no_other(
        self, verify: Callable[..., Audit], receipt: Receipt, form: Any
    ) -> None:
        content = notebook(receipt)
        content["cells"].insert(0, {"source": 7, "outputs": [{"data": {MIME: form}}]})
        found = verify(content)
        assert (found.status, found.ok()) == (1, [False, True])

    def test_what_is_nested_without_end_is_no_notebook(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], receipt: Receipt
    ) -> None:
        for depth in (200, 100_000):  # packages raise the recursion limit beyond what the stack holds
            content = json.dumps(notebook(receipt)).replace('"stream": true', '"x":' + "[" * depth + "]" * depth)
            (tmp_path / "n.ipynb").write_text(content)
            for verb in ("verify", "receipts"):
                assert main([verb, str(tmp_path / "n.ipynb"), "--json"]) == 1
        assert "is not a notebook" in capsys.readouterr().err

    def test_text_that_drives_a_terminal_is_not_printed(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], receipt: Receipt
    ) -> None:
        content = notebook(
            replace(receipt, model="openai/\x1b[2J\ud800\r\nverified", payment_hash="\x1b[31m" + "9" * 500)
        )
        (tmp_path / "n.ipynb").write_text(json.dumps(content))
        assert main(["verify", str(tmp_path / "n.ipynb")]) == 1
        assert main(["receipts", str(tmp_path / "n.ipynb")]) == 0
        out = capsys.readouterr().out
        assert "\x1b" not in out
        out.encode()

    @pytest.mark.parametrize("head", [5, {}, {"length": "1", "head": 2}, {"length": 10**400, "head": "0" * 64}])
    def test_a_head_that_is_none_is_ignored(self, verify: Callable[..., Audit], receipt: Receipt, head: Any) -> None:
        content = notebook(receipt)
        data(content)[MIME]["ledger"] = head
        assert verify(content).status == 0


class TestWithALedger:
    @pytest.fixture
    def kept(self, tmp_path: Path, receipt: Receipt) -> tuple[Path, Receipt]:
        """A ledger with the answer, and its receipt."""
        path = tmp_path / "l.db"
        with Ledger(path) as ledger:
            question = Question(receipt.path, receipt.model, receipt.request, x402SettlementMode.BATCH_HASHED)
            receipt_id = ledger.open(question, "devnet", receipt.time)
            authorization = Authorization(
                hash="0x" + "ab" * 32, scheme="upto", network="eip155:31337", payer="0x1", pay_to="0x2", token="0x3",
                cap=10**17, nonce=1, deadline=1, gateway="", path="", created=1,
            )  # fmt: skip
            ledger.authorize(authorization)
            ledger.attach(receipt_id, authorization.hash, None)
            outcome = Outcome(
                text=receipt.text, finish_reason="stop", tee_id=receipt.tee_id, tee_signature=receipt.tee_signature,
                tee_timestamp=receipt.tee_timestamp, tee_request_hash=receipt.request_hash,
                tee_output_hash=receipt.output_hash,
            )  # fmt: skip
            ledger.serve(receipt_id, outcome, cost_usd=None, weight=1, enclave=Held())
            return path, ledger.receipt(receipt_id)

    def test_the_same_receipt_in_both_holds(self, verify: Callable[..., Audit], kept: tuple[Path, Receipt]) -> None:
        path, row = kept
        with Ledger(path) as ledger:
            head = ledger.head()
        found = verify(notebook(row, head=head), "--ledger", str(path), "--proofs", "ledger")
        assert (found.status, found.ok("ledger")) == (0, [True]), found.rows

    def test_a_receipt_that_the_ledger_does_not_have(
        self, verify: Callable[..., Audit], kept: tuple[Path, Receipt], receipt: Receipt
    ) -> None:
        found = verify(notebook(receipt), "--ledger", str(kept[0]), "--proofs", "ledger")
        assert (found.status, found.ok("ledger")) == (1, [False])
        assert "no such receipt" in found.reason("ledger")

    def test_a_receipt_that_the_ledger_has_otherwise(
        self, verify: Callable[..., Audit], kept: tuple[Path, Receipt]
    ) -> None:
        found = verify(notebook(replace(kept[1], text="Another.")), "--ledger", str(kept[0]), "--proofs", "ledger")
        assert "differs in text" in found.reason("ledger")

    def test_a_ledger_whose_end_was_cut_off_is_told_by_the_notebook(
        self, verify: Callable[..., Audit], kept: tuple[Path, Receipt]
    ) -> None:
        path, row = kept
        found = verify(notebook(row, head=(99, "a" * 64)), "--ledger", str(path), "--proofs", "ledger")
        assert found.status == 1
        assert "had 99 entries" in found.rows[-1]["verdicts"]["ledger"]["reason"]

    def test_a_ledger_that_is_not_there_is_an_error_and_is_not_made(
        self, verify: Callable[..., Audit], receipt: Receipt, tmp_path: Path
    ) -> None:
        found = verify(notebook(receipt), "--ledger", str(tmp_path / "no.db"))
        assert (found.status, found.rows) == (1, [])
        assert "There is no ledger" in found.errors
        assert not (tmp_path / "no.db").exists()


@dataclass
class Held:
    ok: bool | None = True
    form: str | None = "standard"
    reason: str = "It holds."


class TestUsage:
    @pytest.mark.parametrize(
        "flags",
        [
            ["--pcr", "00"],
            ["--proofs", "payment"],
            ["--proofs", "ledger"],
            ["--proofs", "nope", "--online"],
        ],
    )
    def test_wrong_usage_ends_with_2(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str], receipt: Receipt, flags: list[str]
    ) -> None:
        (tmp_path / "n.ipynb").write_text(json.dumps(notebook(receipt)))
        with pytest.raises(SystemExit) as ended:
            main(["verify", str(tmp_path / "n.ipynb"), *flags])
        assert ended.value.code == 2
        assert "og-magics verify: error" in capsys.readouterr().err

    def test_a_notebook_without_receipts_ends_with_1_and_says_so(self, verify: Callable[..., Audit]) -> None:
        found = verify({"cells": []})
        assert (found.status, found.rows) == (1, [])
        assert "carries no receipts" in found.errors

    def test_online_without_a_devnet_is_not_known_and_not_0(
        self, verify: Callable[..., Audit], receipt: Receipt, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("OG_DEVNET", raising=False)
        found = verify(notebook(receipt), "--online")
        assert (found.status, found.ok("registry"), found.ok()) == (1, [None], [True])
        assert "OG_DEVNET" in found.reason("registry")
        assert verify(notebook(receipt), "--online", "--proofs", "enclave").status == 0
