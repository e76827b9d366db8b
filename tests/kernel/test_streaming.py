"""%%ogchat while it streams, and what it leaves."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from og_magics.core.receipt import Receipt

if TYPE_CHECKING:
    from .conftest import Cell, Kernel

MIME = "application/vnd.og.receipt+json"


def texts(cell: Cell) -> list[str]:
    """The answer's text in each update, without its status line."""
    shown = [display["data"].get("text/markdown", "") for display in cell.displays]
    return [text.rpartition("\n\n*")[0] for text in shown if "\n\n*" in text]


class TestTheDisplay:
    def test_updates_with_growing_text_come_before_the_end(self, kernel: Kernel) -> None:
        cell = kernel.ask("%%ogchat\n[[words:600]]")
        grown = texts(cell)
        assert len(grown) > 2
        assert all(later.startswith(earlier.rstrip()) for earlier, later in itertools.pairwise(grown))
        assert len(grown[0]) < len(cell.answer)

    def test_a_short_answer_is_one_display_that_is_updated(self, kernel: Kernel) -> None:
        cell = kernel.ask("%%ogchat\n[[words:60]]")
        kinds = [m["msg_type"] for m in cell.messages if "display" in m["msg_type"]]
        assert kinds == ["display_data"] + ["update_display_data"] * (len(kinds) - 1)
        assert len({display["transient"]["display_id"] for display in cell.displays}) == 1

    def test_two_answers_are_two_displays(self, kernel: Kernel) -> None:
        ids = {kernel.ask("%ogchat hello").displays[0]["transient"]["display_id"] for _ in range(2)}
        assert len(ids) == 2

    def test_at_the_end_there_are_markdown_plain_text_and_the_receipt(self, kernel: Kernel) -> None:
        cell = kernel.ask("%%ogchat\nWhat is x402?")
        assert set(cell.last) == {"text/markdown", "text/plain", MIME}
        assert cell.answer
        assert cell.last["text/plain"].startswith(cell.answer)
        assert cell.last["text/markdown"].startswith(cell.answer)
        form = {name: value for name, value in cell.receipt.items() if name != "ledger"}
        assert Receipt.from_json(cell.receipt).to_json() == form

    def test_the_status_goes_through_its_states_in_order(self, new_kernel: Callable[..., Kernel]) -> None:
        cell = new_kernel().ask("%%ogchat\nslowly [[slow:0.5]]")
        states = [d["data"].get("text/markdown", "") for d in cell.displays]
        states = [state for state in states if state.startswith("*openai/gpt-5: ") and state.endswith("…*")]
        order = ["starting the practice network", "paying", "waiting for the first token", "answering"]
        told = [state.removeprefix("*openai/gpt-5: ").removesuffix("…*") for state in states]
        seen = [order.index(state) for state in told if state != "connecting"]
        assert seen == sorted(set(seen))
        assert order.index("waiting for the first token") in seen

    @pytest.mark.parametrize(
        ("state", "told"),
        [("paying", "paying"), ("waiting", "waiting for the first token"), ("starting", "practice network")],
    )
    def test_each_state_is_told_while_it_lasts(self, kernel: Kernel, state: str, told: str) -> None:
        kernel.ask("from og_magics.display import live_for\nfrom og_magics.core.progress import Progress")
        cell = kernel.ask(f"live_for(get_ipython(), Progress({state!r}), 'openai/gpt-5').show()")
        assert cell.last["text/markdown"].startswith("*openai/gpt-5: ")
        assert cell.last["text/markdown"].endswith(f"{told}…*")

    def test_the_status_counts_tokens_while_they_come(self, kernel: Kernel) -> None:
        asked = kernel.send("%%ogchat\n[[words:400]]")
        shown = kernel.until(asked, lambda text: "tokens," in text)
        assert shown.endswith("/s*")
        assert kernel.result(asked).ok

    def test_without_streaming_the_answer_comes_whole(self, kernel: Kernel) -> None:
        cell = kernel.ask("%%ogchat --no-stream\nWhole, please [[words:50]]")
        assert "stream" not in cell.receipt["request"]
        assert not texts(cell)
        assert len(cell.answer.split()) == 50


class TestTheFooter:
    def test_it_names_model_tokens_cost_mode_proof_and_payment(self, kernel: Kernel) -> None:
        cell = kernel.ask("%%ogchat -s individual\none two three")
        footer = cell.last["text/plain"].splitlines()[-1].split(" · ")
        receipt = cell.receipt
        assert footer[0] == "openai/gpt-5"
        assert re.fullmatch(r"\d+\.\d s", footer[1])
        assert footer[2] == f"3 + {receipt['completion_tokens']} tokens"
        assert footer[3].startswith("~$0.00")
        assert footer[4] == "proof ✓"
        assert footer[5:] == [
            f"payment: pending {receipt['authorization_hash'][:10]}…",
            "individual",
            "practice network, prepared answer",
        ]

    def test_it_is_the_last_line_of_the_markdown_too_with_its_details_folded(self, kernel: Kernel) -> None:
        cell = kernel.ask("%%ogchat\nHello")
        line, _, details = cell.last["text/markdown"].splitlines()[-1].partition("</summary>")
        parts = cell.last["text/plain"].splitlines()[-1].split(" · ")
        assert line.startswith(f"<details><summary><sub>{' · '.join(parts[:5])} · payment: pending · practice network")
        assert "mode batch" in details
        assert f"authorization {cell.receipt['authorization_hash'][:10]}…" in details

    def test_it_names_the_transaction_and_the_cost_once_there_are_any(
        self, new_kernel: Callable[..., Kernel], prompt_devnet: Any, is_payment: Callable[..., bool]
    ) -> None:
        cell = new_kernel(prompt_devnet).ask("%%ogchat --no-stream\nHello")
        receipt = cell.receipt
        assert receipt["status"] in ("settled", "verified")
        assert is_payment(prompt_devnet, receipt["payment_hash"])
        footer = cell.last["text/plain"].splitlines()[-1].split(" · ")
        assert footer[3].endswith(" OPG)")
        assert footer[5] == f"payment: paid {receipt['payment_hash'][:10]}…"


class TestTheBytes:
    @pytest.mark.ci
    def test_an_answer_takes_at_most_one_and_a_half_of_what_its_tokens_would_if_they_were_printed(
        self, kernel: Kernel
    ) -> None:
        printed = kernel.ask("for token in range(1000):\n    print('word', end=' ', flush=True)")
        cell = kernel.ask("%%ogchat -n 1200\n[[words:1000]]")
        assert cell.receipt["completion_tokens"] == 1000
        assert len(texts(cell)) > 5
        assert sum(cell.sizes) <= 1.5 * sum(printed.sizes)

    @pytest.mark.ci
    def test_saved_it_takes_at_most_three_times_its_text_and_its_receipt(self, execute: Callable[..., Any]) -> None:
        notebook = execute("%load_ext og_magics", "%%ogchat -n 1200\n[[words:1000]]")
        output = notebook.cells[1].outputs
        assert len(output) == 1
        receipt = output[0]["data"][MIME]
        saved = len(json.dumps(output, ensure_ascii=False).encode())
        assert saved <= 3 * len(receipt["text"].encode()) + len(json.dumps(receipt, ensure_ascii=False).encode())


class TestUntrustedText:
    def test_html_and_images_in_an_answer_are_shown_as_text(self, kernel: Kernel) -> None:
        prompt = "<img src=x onerror=alert(1)> ![x](https://evil.example/p.png) [l](javascript:alert(1))"
        cell = kernel.ask(f"%%ogchat\n{prompt}")
        markdown = cell.last["text/markdown"]
        assert prompt in cell.answer
        assert "<img" not in markdown
        assert "&#60;img" in markdown
        assert "![x]" not in markdown
        assert "(javascript:" not in markdown
