"""og_receipts, the ledger beside the notebook, and the proofs that travel in the notebook itself."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import nbformat
import pytest

from og_magics.core.receipt import COLUMNS, Receipt
from og_magics.verification import check_enclave, evidence_of

if TYPE_CHECKING:
    from og_magics.devnet import Devnet

    from .conftest import Kernel

MIME = "application/vnd.og.receipt+json"


class TestTheFrame:
    def test_it_is_current_after_each_call(self, kernel: Kernel) -> None:
        for count in (1, 2, 3):
            receipt = kernel.ask("%ogchat -n 3 hello").receipt
            # Looked at in the namespace, so that no cell that names it can have brought it up to date.
            assert kernel.eval("len(vars()['og_' + 'receipts'])") == count
            assert kernel.eval("vars()['og_' + 'receipts'].receipt_id.iloc[-1]") == receipt["receipt_id"]

    def test_its_columns_are_exactly_these(self, kernel: Kernel) -> None:
        assert kernel.eval("[*og_receipts.columns]") == list(COLUMNS)
        assert kernel.eval("og_receipts.index.tolist() == [*range(len(og_receipts))]")

    def test_it_says_what_the_cells_output_says(self, kernel: Kernel) -> None:
        cell = kernel.ask("%%ogchat -s individual -p google\nhello")
        row = kernel.eval("og_receipts.iloc[-1].to_dict()")
        same = set(COLUMNS) - {"time", "cost_opg", "cap_opg", "status", "payment_hash"}
        assert {name: row[name] for name in same} == {name: cell.receipt.get(name) for name in same}
        assert row["cell"] == str(cell.reply["execution_count"])
        assert (row["network"], row["provider"], row["settlement"]) == ("devnet", "google", "individual")
        assert row["data_settlement_hash"].startswith("0x")

    @pytest.mark.ci
    def test_it_shows_a_settlement_that_came_in_the_meantime(
        self, kernel: Kernel, devnet: Devnet, eventually: Callable[..., Any], is_payment: Callable[..., bool]
    ) -> None:
        asked = kernel.ask("%ogchat -o late hello").receipt
        assert asked["payment_hash"] is None
        payment = eventually(lambda: kernel.eval("og_receipts.payment_hash.iloc[-1]"))
        assert is_payment(devnet, payment)
        assert kernel.eval("[late.payment_hash, og_receipts.status.iloc[-1]]") == [payment, "settled"]

    def test_calls_from_python_are_in_it(self, kernel: Kernel) -> None:
        before = kernel.eval("len(og_receipts)")
        kernel.ask("import og_magics as og\nr = await og.LLM().chat('gpt-5', [{'role': 'user', 'content': 'hi'}])")
        assert kernel.eval("[len(og_receipts), og_receipts.receipt_id.iloc[-1]]") == [
            before + 1,
            kernel.eval("r.receipt.receipt_id"),
        ]
        assert kernel.eval("og.receipts().equals(og_receipts)")


class TestAfterARestart:
    def test_the_receipts_are_there_again_grow_and_are_settled(
        self, new_kernel: Callable[..., Kernel], devnet: Devnet, is_payment: Callable[..., bool]
    ) -> None:
        kernel = new_kernel(OG_WATCH="0")
        first = kernel.ask("%ogchat hello").receipt["receipt_id"]
        kernel.restart()
        assert kernel.eval("[*og_receipts.receipt_id]") == [first]
        assert kernel.eval("[*og_receipts.columns]") == list(COLUMNS)
        assert kernel.eval("og_receipts.payment_hash[0]") is None
        second = kernel.ask("%ogchat hello again").receipt["receipt_id"]
        assert kernel.eval("[*og_receipts.receipt_id]") == [first, second]
        kernel.ask("%og receipts --wait 30")
        assert all(is_payment(devnet, payment) for payment in kernel.eval("[*og_receipts.payment_hash]"))


class TestTheNotebooksName:
    @pytest.mark.ci
    def test_the_ledger_stands_beside_it_and_can_be_read_from_another(
        self, new_kernel: Callable[..., Kernel], tmp_path: Path
    ) -> None:
        (tmp_path / "deep").mkdir()
        kernel = new_kernel(JPY_SESSION_NAME=str(tmp_path / "deep" / "my notes.ipynb"))
        receipt = kernel.ask("%ogchat hello").receipt
        assert receipt["notebook"] == "my notes.ipynb"
        assert (tmp_path / "deep" / ".og" / "my notes.db").is_file()
        assert not (tmp_path / ".og").exists()
        assert kernel.eval("og_receipts.notebook[0]") == "my notes.ipynb"

        another = new_kernel(JPY_SESSION_NAME=str(tmp_path / "another.ipynb"))
        another.ask("import og_magics as og")
        assert another.eval("[*og.receipts('deep/my notes.ipynb').receipt_id]") == [receipt["receipt_id"]]
        assert another.eval("len(og.receipts())") == 0
        assert "nowhere.ipynb" in another.run("og.receipts('nowhere.ipynb')").error("LedgerError")

    def test_a_front_end_may_tell_it_in_the_namespace(self, new_kernel: Callable[..., Kernel], tmp_path: Path) -> None:
        kernel = new_kernel()
        kernel.ask(f"__vsc_ipynb_file__ = {str(tmp_path / 'code.ipynb')!r}")
        assert kernel.ask("%ogchat hello").receipt["notebook"] == "code.ipynb"
        assert (tmp_path / ".og" / "code.db").is_file()

    def test_without_one_there_is_a_ledger_for_the_folder_empty_at_first(
        self, new_kernel: Callable[..., Kernel]
    ) -> None:
        kernel = new_kernel(JPY_SESSION_NAME="6ec1f0ce-console")
        assert kernel.eval("[len(og_receipts), [*og_receipts.columns]]") == [0, list(COLUMNS)]
        assert kernel.ask("%ogchat hello").receipt["notebook"] == ""
        assert (kernel.cwd / ".og" / "ledger.db").is_file()


class TestTwoKernelsOnOneNotebook:
    @pytest.mark.ci
    def test_both_ask_at_once_and_both_see_everything(self, new_kernel: Callable[..., Kernel], tmp_path: Path) -> None:
        name = str(tmp_path / "shared.ipynb")
        kernels = [new_kernel(JPY_SESSION_NAME=name) for _ in range(2)]
        queued = [(kernel, kernel.send(f"%ogchat question {i}")) for i in range(4) for kernel in kernels]
        asked = {kernel.result(cell).receipt["receipt_id"] for kernel, cell in queued}
        assert len(asked) == 8
        for kernel in kernels:
            assert set(kernel.eval("[*og_receipts.receipt_id]")) == asked
            assert kernel.eval("og_receipts.receipt_id.is_unique")
        kernels[0].ask("%og receipts --wait 30")
        assert kernels[1].eval("[*og_receipts.status]") == ["settled"] * 8


class TestTheExecutedNotebook:
    def test_its_file_carries_proofs_that_hold_without_a_network(
        self, execute: Callable[..., Any], tmp_path: Path
    ) -> None:
        execute("%load_ext og_magics", "%%ogchat -p anthropic\nWhat is a TEE?", "%ogchat -s private {and} $this?")
        saved = nbformat.read(tmp_path / "executed.ipynb", as_version=4)
        nbformat.validate(saved)
        receipts = [
            Receipt.from_json(output.data[MIME])
            for cell in saved.cells
            for output in cell.outputs
            if MIME in output.get("data", {})
        ]
        assert [receipt.settlement for receipt in receipts] == ["batch", "private"]
        assert [check_enclave(evidence_of(receipt)).ok for receipt in receipts] == [True, True]
        changed = dataclasses.replace(receipts[0], text=receipts[0].text + "!")
        assert check_enclave(evidence_of(changed)).ok is False


class TestADevnetOfItsOwn:
    @pytest.mark.ci
    def test_with_no_environment_at_all_one_is_started_said_and_ended(
        self, new_kernel: Callable[..., Kernel], eventually: Callable[..., Any]
    ) -> None:
        kernel = new_kernel(None)
        cell = kernel.ask("%%ogchat\nWhat is x402?")
        assert any("starting the practice network" in d["data"].get("text/markdown", "") for d in cell.displays)
        assert cell.last["text/plain"].endswith("practice network, prepared answer")
        assert "402 Payment Required" in cell.answer
        rpc = kernel.eval("__import__('og_magics.session').session.current().network.rpc_url")
        assert httpx.post(rpc, json={"jsonrpc": "2.0", "id": 1, "method": "eth_chainId"}).status_code == 200
        kernel.close()

        def gone() -> bool:
            with contextlib.suppress(httpx.TransportError):
                httpx.get(rpc)
                return False
            return True

        eventually(gone)
