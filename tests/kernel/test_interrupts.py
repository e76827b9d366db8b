"""The stop button: it stops, keeps what there is, and the notebook goes on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Kernel

MIME = "application/vnd.og.receipt+json"
LONG = "[[words:20000]]"
SLOW = "[[slow:90]]"
"""Longer than a test may wait: what ends sooner was stopped."""
FIRST_SHOWN = """
from og_magics.display import live
show = live._Rich.show
def stopped(self):
    live._Rich.show = show
    show(self)
    raise KeyboardInterrupt
live._Rich.show = stopped
"""
"""An interrupt that comes when the first status line of the next answer has just been shown."""


class TestWhileItStreams:
    def test_the_partial_answer_stays_with_its_receipt(self, kernel: Kernel) -> None:
        asked = kernel.send(f"%%ogchat -n 20000 -o part\n{LONG}")
        shown = kernel.until(asked, lambda text: "tokens," in text).rpartition("\n\n*")[0]
        kernel.interrupt()
        cell = kernel.result(asked)
        cell.error("KeyboardInterrupt")
        assert cell.answer.startswith(shown.rstrip())
        assert len(cell.answer.split()) < 20_000
        assert "Interrupted: the answer is not complete." in cell.last["text/plain"]
        assert cell.last["text/plain"].startswith(cell.answer)
        row = kernel.eval("og_receipts.iloc[-1].to_dict()")
        assert (row["receipt_id"], row["error"]) == (cell.receipt["receipt_id"], "interrupted")
        assert row["authorization_hash"] == cell.receipt["authorization_hash"]
        left = kernel.eval("[part.text, part.note, part.receipt.receipt_id, part.messages[-1]['content'] == part.text]")
        assert left == [cell.answer, "Interrupted: the answer is not complete.", row["receipt_id"], True]

    def test_the_next_cell_runs_and_asks(self, kernel: Kernel) -> None:
        asked = kernel.send(f"%%ogchat -n 20000\n{LONG}")
        kernel.until(asked, lambda text: "tokens," in text)
        kernel.interrupt()
        assert kernel.result(asked).reply["status"] == "error"
        assert kernel.ask("1 + 1").value == "2"
        assert kernel.ask("%ogchat hello").receipt["enclave_ok"] is True

    def test_what_is_interrupted_is_paid_for_at_most_once(self, new_kernel: Callable[..., Kernel]) -> None:
        kernel = new_kernel()
        asked = kernel.send(f"%%ogchat -n 20000\n{LONG}")
        kernel.until(asked, lambda text: "tokens," in text)
        kernel.interrupt()
        kernel.result(asked)
        assert kernel.eval("len(set(og_receipts.authorization_hash.dropna()))") == 1
        assert kernel.eval("len(og_receipts)") == 1


class TestWhileItWaits:
    @pytest.mark.timeout(60)
    def test_it_stops_before_the_first_token_and_the_status_is_taken_away(self, kernel: Kernel) -> None:
        kernel.ask("%ogchat -n 1 hello")
        asked = kernel.send(f"%%ogchat\n{SLOW}")
        kernel.until(asked, lambda text: "waiting" in text)
        kernel.interrupt()
        cell = kernel.result(asked)
        cell.error("KeyboardInterrupt")
        assert cell.last == {}
        assert kernel.eval("og_receipts.error.iloc[-1]") == "interrupted"
        assert kernel.ask("%ogchat hello").ok

    @pytest.mark.timeout(60)
    def test_it_stops_while_the_first_status_is_shown(self, kernel: Kernel) -> None:
        kernel.ask("%ogchat -n 1 hello")
        kernel.ask(FIRST_SHOWN)
        cell = kernel.run(f"%%ogchat\n{SLOW}")
        cell.error("KeyboardInterrupt")
        assert cell.last == {}
        assert kernel.ask("%ogchat hello").ok
        assert kernel.eval("og_receipts.error.iloc[-2]") in (None, "interrupted")  # where it had a receipt already
        assert kernel.eval("og_receipts.status.iloc[-2]") != "authorized"  # it is not on its way any more

    @pytest.mark.timeout(60)
    @pytest.mark.parametrize("code", [f"%%ogchat --no-stream\n{SLOW}", f"%%time\n%%ogchat\n{SLOW}"])
    def test_it_stops_in_other_forms_too(self, kernel: Kernel, code: str) -> None:
        kernel.ask("%ogchat -n 1 hello")
        asked = kernel.send(code)
        kernel.until(asked, lambda text: "waiting" in text)
        kernel.interrupt()
        kernel.result(asked).error("KeyboardInterrupt")

    @pytest.mark.timeout(60)
    def test_a_plain_call_stops_too(self, kernel: Kernel) -> None:
        kernel.ask("import og_magics as og\nllm = og.LLM()")
        message = [{"role": "user", "content": SLOW}]
        asked = kernel.send(f"print('asking')\nllm.chat_sync('gpt-5', {message})")
        while kernel.read()[1]["msg_type"] != "stream":
            pass
        kernel.interrupt()
        kernel.result(asked).error("KeyboardInterrupt")
        assert kernel.ask("%ogchat hello").ok
