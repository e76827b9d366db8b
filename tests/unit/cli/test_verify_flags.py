"""The audit of a saved notebook: against its ledger, online, and used wrongly."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from og_magics.cli import main
from og_magics.core.receipt import Authorization, Receipt
from og_magics.core.types import ChatRequest, Outcome, x402SettlementMode
from og_magics.ledger import Ledger

if TYPE_CHECKING:
    from .conftest import Verifier


class TestWithALedger:
    @pytest.fixture
    def kept(self, tmp_path: Path, receipt: Receipt) -> tuple[Path, Receipt]:
        """A ledger with the answer, and its receipt."""
        path = tmp_path / "l.db"
        with Ledger(path) as ledger:
            question = ChatRequest(receipt.path, receipt.model, receipt.request, x402SettlementMode.BATCH_HASHED)
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

    def test_the_same_receipt_in_both_holds(self, verify: Verifier, kept: tuple[Path, Receipt]) -> None:
        path, row = kept
        with Ledger(path) as ledger:
            head = ledger.head()
        found = verify(verify.notebook(row, head=head), "--ledger", str(path), "--proofs", "ledger")
        assert (found.status, found.ok("ledger")) == (0, [True]), found.rows

    def test_a_receipt_that_the_ledger_does_not_have(
        self, verify: Verifier, kept: tuple[Path, Receipt], receipt: Receipt
    ) -> None:
        found = verify(verify.notebook(receipt), "--ledger", str(kept[0]), "--proofs", "ledger")
        assert (found.status, found.ok("ledger")) == (1, [False])
        assert "no such receipt" in found.reason("ledger")

    def test_a_receipt_that_the_ledger_has_otherwise(self, verify: Verifier, kept: tuple[Path, Receipt]) -> None:
        found = verify(
            verify.notebook(replace(kept[1], text="Another.")), "--ledger", str(kept[0]), "--proofs", "ledger"
        )
        assert "differs in text" in found.reason("ledger")

    def test_a_ledger_whose_end_was_cut_off_is_told_by_the_notebook(
        self, verify: Verifier, kept: tuple[Path, Receipt]
    ) -> None:
        path, row = kept
        found = verify(verify.notebook(row, head=(99, "a" * 64)), "--ledger", str(path), "--proofs", "ledger")
        assert found.status == 1
        assert "had 99 entries" in found.rows[-1]["verdicts"]["ledger"]["reason"]

    def test_a_ledger_that_is_not_there_is_an_error_and_is_not_made(
        self, verify: Verifier, receipt: Receipt, tmp_path: Path
    ) -> None:
        found = verify(verify.notebook(receipt), "--ledger", str(tmp_path / "no.db"))
        assert (found.status, found.rows) == (1, [])
        assert "There is no file of receipts" in found.errors
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
        self, verify: Verifier, tmp_path: Path, capsys: pytest.CaptureFixture[str], receipt: Receipt, flags: list[str]
    ) -> None:
        (tmp_path / "n.ipynb").write_text(json.dumps(verify.notebook(receipt)))
        with pytest.raises(SystemExit) as ended:
            main(["verify", str(tmp_path / "n.ipynb"), *flags])
        assert ended.value.code == 2
        assert "og-magics verify: error" in capsys.readouterr().err

    def test_a_notebook_without_receipts_ends_with_1_and_says_so(self, verify: Verifier) -> None:
        found = verify({"cells": []})
        assert (found.status, found.rows) == (1, [])
        assert "carries no receipts" in found.errors

    def test_online_without_a_devnet_is_not_known_and_not_0(
        self, verify: Verifier, receipt: Receipt, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("OG_DEVNET", raising=False)
        found = verify(verify.notebook(receipt), "--online")
        assert (found.status, found.ok("registry"), found.ok()) == (1, [None], [True])
        assert "OG_DEVNET" in found.reason("registry")
        assert verify(verify.notebook(receipt), "--online", "--proofs", "enclave").status == 0
