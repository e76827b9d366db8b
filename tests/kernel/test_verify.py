"""%og verify, receipts that come up to date by themselves, and the audit of the saved file, in real kernels."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from og_magics.devnet import Devnet

if TYPE_CHECKING:
    from .conftest import Cell, Kernel

MIME = "application/vnd.og.receipt+json"
COLUMNS = ("enclave", "attestation", "registry", "payment", "data", "ledger")
HELD = [[True] * len(COLUMNS)]


def proven(kernel: Kernel, eventually: Callable[..., Any]) -> None:
    """Wait until all that was asked is settled and its data on chain, as far as the modes promise it."""
    kernel.ask("%og receipts --wait 30\nimport og_magics as og")
    eventually(lambda: kernel.eval("bool((og.verify()[['payment', 'data']] == True).all(axis=None))"))


def updates(kernel: Kernel, shown: Cell, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The next update of a cell's display that is as wanted. Nothing is sent to the kernel."""
    display_id = shown.displays[-1]["transient"]["display_id"]
    while True:
        _, message = kernel.read()
        content = message["content"]
        if message["msg_type"] == "update_display_data" and content["transient"]["display_id"] == display_id:
            if wanted(content["data"]):
                return dict(content["data"])
        else:
            assert message["msg_type"] == "status", message["msg_type"]


@pytest.fixture(scope="module")
def late_devnet() -> Iterator[Devnet]:
    """Settles so late that the cell is over by then, on a busy machine too."""
    with Devnet(settle_after=4, batch_after=0.5, token_delay=0) as running:
        yield running


class TestInPlace:
    def test_the_footer_shows_its_payment_when_it_settles_and_no_cell_has_to_run(
        self, new_kernel: Callable[..., Kernel], late_devnet: Devnet, is_payment: Callable[..., bool]
    ) -> None:
        kernel = new_kernel(late_devnet)
        cell = kernel.ask("%%ogchat\nWhat is x402?")
        first = cell.last  # the cell takes what comes later for its own
        assert first[MIME]["payment_hash"] is None
        assert "payment: pending" in first["text/plain"]
        later = updates(kernel, cell, lambda data: data[MIME]["payment_hash"] is not None)
        assert is_payment(late_devnet, later[MIME]["payment_hash"])
        assert [later[MIME][name] for name in ("receipt_id", "text")] == [
            first[MIME][name] for name in ("receipt_id", "text")
        ]
        assert later["text/plain"].startswith(first[MIME]["text"] + "\n\n")
        for kind in ("text/plain", "text/markdown"):
            assert later[MIME]["payment_hash"][:10] in later[kind]
            assert "paid" in later[kind]
            assert "payment: pending" not in later[kind]
        assert later[MIME]["status"] == "settled"
        assert later[MIME]["ledger"]["length"] > first[MIME]["ledger"]["length"]

    @pytest.mark.ci
    def test_each_of_several_answers_is_updated_in_its_own_place(self, new_kernel: Callable[..., Kernel]) -> None:
        kernel = new_kernel()
        cells = {c.displays[-1]["transient"]["display_id"]: c for c in (kernel.ask(f"%ogchat q{i}") for i in range(3))}
        left = {name for name, cell in cells.items() if not _paid(cell)}
        while left:
            _, message = kernel.read()
            content = message["content"]
            if message["msg_type"] == "update_display_data" and content["data"][MIME]["payment_hash"]:
                shown = cells[content["transient"]["display_id"]]
                assert content["data"][MIME]["receipt_id"] == shown.receipt["receipt_id"]
                left.discard(content["transient"]["display_id"])

    @pytest.mark.ci
    def test_an_update_is_not_captured_by_a_cell_that_captures_its_own_output(
        self, new_kernel: Callable[..., Kernel], late_devnet: Devnet
    ) -> None:
        kernel = new_kernel(late_devnet)
        cell = kernel.ask("%ogchat hello")
        kernel.ask("%%capture captured\n%og receipts --wait 30\nimport time; time.sleep(1)")
        assert kernel.eval("len(captured.outputs)") == 0
        display_id = cell.displays[-1]["transient"]["display_id"]
        sent = [m["content"] for c in kernel._cells.values() for m in c.messages if m["msg_type"].startswith("update_")]
        updated = [u["data"].get(MIME, {}) for u in sent if u["transient"]["display_id"] == display_id]
        assert updated[-1]["payment_hash"]

    @pytest.mark.ci
    def test_a_captured_answer_goes_on_without_a_place(
        self, new_kernel: Callable[..., Kernel], late_devnet: Devnet
    ) -> None:
        kernel = new_kernel(late_devnet)
        kernel.ask("%%capture captured\n%ogchat hello")
        before = kernel.eval("len(captured.outputs)")
        kernel.ask("%og receipts --wait 30\nimport time; time.sleep(0.5)")
        assert kernel.eval("len(captured.outputs)") == before
        assert kernel.eval("og_receipts.status[0]") == "settled"


def _paid(cell: Cell) -> bool:
    return any(d["data"].get(MIME, {}).get("payment_hash") for d in cell.displays)


class TestOgVerify:
    def test_every_proof_of_every_mode_holds_and_is_shown_as_a_table(
        self, new_kernel: Callable[..., Kernel], eventually: Callable[..., Any]
    ) -> None:
        kernel = new_kernel()
        for mode in ("private", "batch", "individual"):
            kernel.ask(f"%ogchat -s {mode} What is {mode} settlement?")
        proven(kernel, eventually)
        cell = kernel.ask("%og verify")
        assert cell.text == "3 receipts, 3 with every proof, none failed.\n"
        assert kernel.eval(f"_[{list(COLUMNS)}].values.tolist()") == HELD * 3
        shown = cell.of("execute_result")[0]["data"]
        assert shown["text/html"].count("✓") == shown["text/plain"].count("✓") == 18
        assert "openai/gpt-5, individual" in shown["text/plain"]
        assert kernel.eval("[*og_receipts.status]") == ["verified"] * 3

    def test_receipts_of_another_notebook_are_not_passed_over(self, kernel: Kernel) -> None:
        kernel.ask("import og_magics as og\n%ogchat -n 3 hello")
        kernel.ask("mine = og.receipts().tail(1)\nothers = mine.assign(receipt_id='01OTHER')")
        assert kernel.eval("[*og.verify(mine, online=False).receipt_id] == [*mine.receipt_id]")
        told = kernel.run("og.verify(others, online=False)").error("ConfigError")
        assert "1 of 1 receipts are not this notebook's" in told

    def test_offline_the_chain_is_not_asked(self, kernel: Kernel) -> None:
        kernel.ask("%ogchat hello")
        cell = kernel.ask("%og verify --offline")
        assert "with proofs that are not known, none failed." in cell.text
        assert kernel.eval("[_.enclave.iloc[-1], _.registry.iloc[-1], _.ledger.iloc[-1]]") == [True, None, True]
        assert "offline" in cell.of("execute_result")[0]["data"]["text/plain"]

    def test_another_pcr_fails_without_an_exception_and_says_how_many(self, kernel: Kernel) -> None:
        kernel.ask("%ogchat hello")
        count = kernel.eval("len(og_receipts)")
        cell = kernel.ask(f"%og verify --pcr {'00' * 48}")
        assert f"{count} FAILED" in cell.text
        assert "✗" in cell.of("execute_result")[0]["data"]["text/html"]
        assert kernel.eval("set(_.registry)") == "{False}" or kernel.eval("[*_.registry]") == [False] * count

    def test_a_row_that_was_changed_by_hand_is_named(self, new_kernel: Callable[..., Kernel]) -> None:
        kernel = new_kernel()
        kernel.ask("%ogchat hello")
        path = Path(kernel.eval("str(__import__('og_magics.session').session.current().ledger.path)"))
        with sqlite3.connect(path) as file:
            file.execute("UPDATE receipts SET text = 'Buy!'")
            file.execute("DELETE FROM journal WHERE seq = 2")
        file.close()
        cell = kernel.ask("%og verify --offline")
        assert "The ledger: Entry 2 is missing" in cell.text
        assert "1 FAILED, THE LEDGER WAS EDITED." in cell.text
        assert kernel.eval("[*_.enclave, *_.ledger]") == [False, False]

    @pytest.mark.parametrize("flags", ["--nope", "nope", "--pcr", "--offline --pcr 00"])
    def test_a_mistake_is_told(self, kernel: Kernel, flags: str) -> None:
        assert "%og verify" in kernel.run(f"%og verify {flags}").error()


class TestOgReceipts:
    def test_it_shows_few_columns_and_holds_all(self, kernel: Kernel) -> None:
        kernel.ask("%ogchat <b>hello</b>")
        shown = kernel.ask("%og receipts").of("execute_result")[0]["data"]
        assert "<td" in shown["text/html"]
        assert "openai/gpt-5" in shown["text/plain"]
        assert "tee_signature" not in shown["text/html"]
        # Another frame than og_receipts where the payment was settled in between.
        assert kernel.eval("[type(_).__name__, len(_.columns), [*_.columns] == [*og_receipts.columns]]") == [
            "DataFrame", 36, True,
        ]  # fmt: skip
        plain = kernel.ask("og_receipts[['tee_signature']]").of("execute_result")[0]["data"]
        assert "tee_signature" in plain["text/html"]

    @pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
    def test_what_is_exported_can_be_imported(self, kernel: Kernel, kind: str) -> None:
        if kind == "parquet":
            pytest.importorskip("pyarrow")
        kernel.ask("%ogchat hello")
        assert kernel.ask(f"%og receipts --{kind} out.{kind}").text.endswith(f"out.{kind}\n")
        kernel.ask(f"%og receipts --import out.{kind}")
        assert kernel.eval("_.receipt_id.tolist() == og_receipts.receipt_id.tolist()")
        assert kernel.eval("[*_.columns] == [*og_receipts.columns]")

    @pytest.mark.parametrize("flags", ["--csv out.json", "--json", "--import a.json --wait 1"])
    def test_a_mistake_is_told(self, kernel: Kernel, flags: str) -> None:
        assert "%og receipts" in kernel.run(f"%og receipts {flags}").error()


class TestTheSavedFile:
    @pytest.fixture(autouse=True)
    def og_magics(self, run_module: Callable[..., Any]) -> None:
        self.run_module = run_module

    def verify(self, folder: Path, env: dict[str, str], *flags: str) -> tuple[int, Any]:
        done = self.run_module("og_magics", "verify", folder / "executed.ipynb", "--json", *flags, env=env)
        assert "Traceback" not in done.stderr
        return done.returncode, json.loads(done.stdout or "[]")

    @pytest.mark.ci
    def test_alone_it_proves_every_call_online_and_against_the_ledger(
        self, execute: Callable[..., Any], environment: Callable[..., dict[str, str]], devnet: Devnet, tmp_path: Path,
        eventually: Callable[..., Any],
    ) -> None:  # fmt: skip
        modes = ("private", "batch", "individual")
        execute("%load_ext og_magics", *(f"%%ogchat -s {mode}\nWhat is {mode}?" for mode in modes))
        ledger = tmp_path / "aside.db"
        eventually((tmp_path / ".og" / "ledger.db").is_file)
        shutil.copy(tmp_path / ".og" / "ledger.db", ledger)
        shutil.rmtree(tmp_path / ".og")
        env = environment(devnet)

        status, rows = self.verify(tmp_path, env)
        assert (status, [row["cell"] for row in rows]) == (0, [2, 3, 4])
        assert [row["verdicts"]["enclave"]["ok"] for row in rows] == [True] * 3

        eventually(lambda: self.verify(tmp_path, env, "--online")[0] == 0)
        status, rows = self.verify(tmp_path, env, "--online", "--ledger", str(ledger))
        assert status == 0
        assert {tuple(row["verdicts"]) for row in rows} == {COLUMNS}

        with sqlite3.connect(ledger) as file:  # the end of the ledger is cut off, and every row with it
            for table in ("receipts", "authorizations", "settlements", "journal"):
                file.execute(f"DELETE FROM {table}")
        file.close()
        status, rows = self.verify(tmp_path, env, "--ledger", str(ledger))
        assert status == 1
        assert "the last of them were removed" in rows[-1]["verdicts"]["ledger"]["reason"]
        assert [row["verdicts"]["ledger"]["ok"] for row in rows] == [False] * 4
