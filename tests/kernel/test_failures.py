"""Gateways that fail, and notebooks that must fail with them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from nbclient.exceptions import CellExecutionError

from og_magics.notebook.outputs import account_outputs

if TYPE_CHECKING:
    from og_magics.devnet import Devnet

    from .conftest import Kernel

MIME = "application/vnd.og.receipt+json"


class TestAGatewayThatFails:
    @pytest.mark.parametrize(
        ("word", "error", "told"),
        [
            ("500", "StreamError", "ask again, or try another model"),
            ("503", "GatewayError", "Pricing unavailable"),
            ("html", "GatewayProtocolError", "with an HTML page"),
        ],
    )
    def test_before_the_first_token_it_raises_and_leaves_no_answer(
        self, kernel: Kernel, word: str, error: str, told: str
    ) -> None:
        cell = kernel.run(f"%%ogchat\n[[fail:{word}]]")
        assert told in cell.error(error)
        assert MIME not in cell.last
        assert "…" not in str(cell.last)
        assert error in kernel.eval("og_receipts.error.iloc[-1]")
        assert kernel.eval("og_receipts.status.iloc[-1]") == "failed"

    @pytest.mark.parametrize("word", ["stream", "cut", "nofinal", "badjson"])
    def test_midway_it_raises_and_the_partial_answer_stays_with_its_receipt(self, kernel: Kernel, word: str) -> None:
        cell = kernel.run(f"%%ogchat\nhello [[fail:{word}]]")
        assert cell.reply["status"] == "error"
        assert cell.reply["ename"] in ("StreamError", "GatewayProtocolError", "GatewayUnreachable")
        assert cell.answer.startswith("Here is a direct answer")
        assert cell.last["text/plain"].startswith(cell.answer)
        assert cell.reply["evalue"].split(".")[0] in cell.last["text/plain"]
        assert cell.receipt["error"].startswith(cell.reply["ename"])
        assert "no proof" in cell.last["text/plain"]
        assert kernel.eval("og_receipts.receipt_id.iloc[-1]") == cell.receipt["receipt_id"]

    @pytest.mark.parametrize("word", ["500", "503", "html", "stream", "cut", "badjson"])
    def test_without_streaming_it_raises_too(self, kernel: Kernel, word: str) -> None:
        assert not kernel.run(f"%%ogchat --no-stream\n[[fail:{word}]]").ok

    def test_a_model_that_it_does_not_serve_is_told(self, kernel: Kernel) -> None:
        told = kernel.run("%ogchat -m openai/gpt-99 hello").error("ModelNotSupported")
        assert "gpt-99" in told
        assert "%og models" in told

    def test_the_next_cell_asks_as_if_nothing_had_been(self, kernel: Kernel) -> None:
        kernel.run("%ogchat [[fail:cut]]")
        assert kernel.ask("%ogchat hello").receipt["enclave_ok"] is True

    def test_a_failed_cell_leaves_the_result_of_the_last_good_one(self, kernel: Kernel) -> None:
        good = kernel.ask("%ogchat -o kept hello")
        kernel.run("%ogchat -o kept [[fail:stream]]")
        assert kernel.eval("kept.text") == good.answer

    def test_a_gateway_that_is_down_is_told(self, new_kernel: Callable[..., Kernel]) -> None:
        kernel = new_kernel(OG_GATEWAY_URL="http://127.0.0.1:9")
        cell = kernel.run("%ogchat hello")
        said = cell.error("GatewayUnreachable")
        assert "127.0.0.1:9 cannot be reached: nothing answers there." in said
        assert "%og network devnet" in said
        assert "Errno" not in said
        assert cell.of("error")[0]["traceback"] == [said]
        assert "(GatewayUnreachable; line 1 of the cell; [Errno 111]" in cell.technical_part

    @pytest.mark.ci
    def test_a_failed_cell_that_is_audited_is_no_addition(self, execute: Callable[..., Any], tmp_path: Path) -> None:
        with pytest.raises(CellExecutionError):
            execute("%load_ext og_magics", "%ogchat hello [[fail:503]]")
        findings = account_outputs(tmp_path / "executed.ipynb")
        assert [(one.problem, one.note, "technical details" in one.text) for one in findings] == [(False, True, True)]

    @pytest.mark.ci
    def test_a_chain_that_is_down_is_told(self, new_kernel: Callable[..., Kernel], devnet: Devnet) -> None:
        kernel = new_kernel(OG_DEVNET=json.dumps({**devnet.info, "rpc_url": "http://127.0.0.1:9"}))
        assert "127.0.0.1:9" in kernel.run("%ogchat hello").error("ChainError")

    @pytest.mark.parametrize("told", ["/nowhere/devnet.json", "[]", "{broken"])
    def test_a_devnet_that_is_none_is_told(self, kernel: Kernel, told: str) -> None:
        kernel.ask("import og_magics as og")
        code = (
            f"og.LLM(settings=og.Settings(devnet={told!r})).chat_sync('gpt-5', [{{'role': 'user', 'content': 'hi'}}])"
        )
        assert "og-magics devnet --json" in kernel.run(code).error("ConfigError")

    def test_a_ledger_that_cannot_be_written_is_told_before_anything_is_paid(
        self, new_kernel: Callable[..., Kernel], tmp_path: Path
    ) -> None:
        (tmp_path / "file").write_text("")
        kernel = new_kernel(OG_LEDGER=str(tmp_path / "file" / "ledger.db"))
        assert "ledger.db" in kernel.run("%ogchat hello").error("LedgerError")


class TestAHeadlessRun:
    @pytest.mark.parametrize(
        ("cell", "error"),
        [
            ("%%ogchat\nhello [[fail:stream]]", "StreamError"),
            ("%og pay", "UsageError"),
        ],
    )
    def test_it_fails_at_the_cell_that_failed(
        self, execute: Callable[..., Any], cell: str, error: str, tmp_path: Path
    ) -> None:
        with pytest.raises(CellExecutionError) as raised:
            execute("%load_ext og_magics", cell, "ran = True")
        assert raised.value.ename == error
        saved = json.loads((tmp_path / "executed.ipynb").read_text())["cells"]
        assert saved[2]["execution_count"] is None
        if error == "StreamError":
            bundles = [output["data"] for output in saved[1]["outputs"] if "data" in output]
            assert [MIME in bundle for bundle in bundles] == [True, False]
            assert "".join(bundles[1]["text/plain"]).startswith("(StreamError; line 1 of the cell")
