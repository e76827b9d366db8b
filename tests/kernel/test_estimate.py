"""--dry-run, and the question before much is spent, in a kernel."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError

from og_magics.notebook.outputs import account_outputs

if TYPE_CHECKING:
    from pathlib import Path

    from .conftest import Cell, Kernel


@pytest.fixture(scope="module")
def dry(start: Callable[..., Kernel], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A kernel on a network with real money, without a key, in which no socket leads to another machine or process."""
    kernel = start(tmp_path_factory.mktemp("dry"), None, OG_NETWORK="base", OG_RPC_URL="http://127.0.0.1:9")
    kernel.ask("import og_magics as og, subprocess, socket\ndef refuse(*_, **__): raise RuntimeError('sent')")
    kernel.ask("socket.create_connection = socket.socket.connect_ex = subprocess.Popen.__init__ = refuse")
    yield kernel
    kernel.close(now=True)


class TestDryRun:
    def test_it_shows_the_cost_and_leaves_nothing_else(self, dry: Kernel) -> None:
        dry.ask("answer = 'what was paid for before'")
        cells = [
            dry.ask("%%ogchat --dry-run -n 400 -o answer\nExplain a hash."),
            dry.ask("%%ogcompare --dry-run -m gpt-5 -m acme/new\nExplain a hash."),
            dry.ask("%ogchat --dry-run Explain a hash."),
        ]
        for cell in cells:
            assert cell.last["text/plain"].startswith("Estimate. Nothing was sent, signed or paid.")
            assert set(cell.last) == {"text/plain", "text/html"}
        assert "acme/new  not known" in cells[1].last["text/plain"]
        assert dry.eval("[answer, len(og.receipts()), type(_).__name__]") == ["what was paid for before", 0, "Estimate"]
        dry.ask("e = %ogchat --dry-run x")
        assert dry.eval("[e.calls, e.most_opg, og.estimate('x').most_calls]") == [1, None, 1]
        assert "no wallet to pay with" in dry.run("%ogchat x").error()

    def test_a_notebook_of_it_is_audited_without_a_problem(self, dry: Kernel, tmp_path: Path) -> None:
        cell = dry.ask("%%ogchat --dry-run\nExplain a hash.")
        output = {"output_type": "display_data", "data": cell.last, "metadata": {}}
        source = {"cell_type": "code", "source": "%%ogchat --dry-run\nExplain a hash.", "execution_count": 1}
        (tmp_path / "n.ipynb").write_text(json.dumps({"cells": [source | {"outputs": [output]}]}))
        assert [one.problem for one in account_outputs(tmp_path / "n.ipynb")] == [False]


class TestApproval:
    def reply(self, kernel: Kernel, code: str, word: str) -> tuple[str, Cell]:
        asked = kernel.send(code, allow_stdin=True)
        prompt = kernel.client.get_stdin_msg(timeout=60)["content"]["prompt"]
        kernel.client.input(word)
        return prompt, kernel.result(asked)

    @pytest.fixture
    def priced(self, shared: Kernel) -> Kernel:
        """The module's kernel once a payment is settled, so that the price of an OPG is known."""
        shared.ask("import og_magics as og\n%og budget --approve-above 1000")
        if not shared.eval("int(og.receipts().payment_hash.count())"):
            shared.ask("og.ask('hello', max_tokens=5); og.settle(30)")
        return shared

    def test_one_question_for_a_cell_and_one_for_a_batch(self, new_kernel: Callable[..., Kernel]) -> None:
        fresh = new_kernel()
        fresh.ask("import og_magics as og\n%og budget --approve-above 1")
        prompt, cell = self.reply(fresh, "%%ogchat -n 5\nhello", "no")
        assert prompt == (
            "This could cost up to 10 OPG (1 call), over the limit of 1 OPG. Its price in OPG is not known, so all that "
            "may be signed for it counts. Go on? [y/N] "
        )
        assert "Nothing was sent, nothing was signed" in cell.error("PaymentRefused")
        assert fresh.eval("len(og.receipts())") == 0
        prompt, cell = self.reply(fresh, "many = og.ask_many(['a', 'b', 'c'], max_tokens=5, progress=False)", "y")
        assert "up to 30 OPG (3 calls)" in prompt
        assert cell.ok
        assert cell.displays[0]["data"]["text/plain"].startswith("Estimate.")
        fresh.ask("%og budget --approve-above 0")  # asked for whatever it costs, settled or not
        prompt, _ = self.reply(fresh, "%%ogcompare -n 5 -m gpt-5 -m gpt-5-mini\nhello", "yes")
        assert "(2 calls), over the limit of 0 OPG" in prompt
        assert fresh.eval("[len(many.done), len(og.receipts())]") == [3, 5]

    def test_once_a_payment_is_settled_list_prices_say_what_is_much(self, priced: Kernel) -> None:
        priced.ask("%og budget --approve-above 1")
        priced.ask("%%ogchat -n 5\nhello", allow_stdin=False)  # far below 1 OPG: nobody is asked
        priced.ask("%og budget --approve-above 0.000001")
        refused = priced.run("%%ogchat -n 5\nhello", allow_stdin=False).error("PaymentRefused")
        assert "Nobody could be asked" in refused
        assert "Set OG_APPROVE_ABOVE=0." in refused

    def test_a_round_that_costs_more_than_was_agreed_asks_again(self, priced: Kernel) -> None:
        priced.ask("%og budget --approve-above 0.000001")
        priced.ask("def big() -> str:\n    'A long text.'\n    return 'z' * 18000")
        before = priced.eval("len(og.receipts())")
        asked = priced.send("og.ask('[[call:big]] go', tools=[big], max_tokens=20, rounds=2)", allow_stdin=True)
        prompts = []
        for word in ("y", "n"):
            prompts.append(priced.client.get_stdin_msg(timeout=60)["content"]["prompt"])
            priced.client.input(word)
        refused = priced.result(asked).error("PaymentRefused")
        assert "(2 calls), over the limit of 0.000001 OPG" in prompts[0]
        assert prompts[1].startswith("A call to openai/gpt-5 could cost up to 0.1")
        assert "You did not allow it. Nothing was signed and nothing was paid for this call; earlier" in refused
        assert priced.eval("len(og.receipts())") == before + 1

    def test_an_llm_of_ones_own_is_held_to_it(self, priced: Kernel) -> None:
        priced.ask("%og budget --approve-above 0.000001")
        before = priced.eval("len(og.receipts())")
        refused = priced.run("og.LLM().completion_sync('openai/gpt-5', 'hello')").error("PaymentRefused")
        assert "Nobody could be asked" in refused
        assert priced.eval("len(og.receipts())") == before


def test_headless_it_is_refused_before_anything_is_signed(execute: Callable[..., object], tmp_path: Path) -> None:
    with pytest.raises(CellExecutionError, match="Nobody could be asked"):
        execute("%load_ext og_magics", "%%ogchat -n 5\nhello", OG_APPROVE_ABOVE="1", OG_LEDGER=str(tmp_path / "l.db"))
    assert not (tmp_path / "l.db").exists()
    outputs = nbformat.read(tmp_path / "executed.ipynb", 4).cells[1].outputs
    assert [one.output_type for one in outputs] == ["error", "display_data"]
    assert "Technical details" in outputs[1].data["text/html"]
    assert "OG_APPROVE_ABOVE=10 or more" in outputs[0].evalue
