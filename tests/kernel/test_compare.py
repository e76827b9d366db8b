"""%%ogcompare: several models at once, side by side, each with its receipt."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from nbclient.exceptions import CellExecutionError

from og_magics.cli import main
from og_magics.devnet import Devnet

if TYPE_CHECKING:
    from .conftest import Cell, Kernel

MIME = "application/vnd.og.receipt+json"
THREE = "%%ogcompare -m gpt-5 -m claude-sonnet-4-6 -p google"
HALF = "%%ogcompare -m gpt-5 -m openai/nope -m gemini-2.5-flash"
NONE = "%%ogcompare -m openai/nope -m openai/neither"
FRAME = (
    "model", "text", "latency_s", "ttft_s", "prompt_tokens", "completion_tokens", "cost_opg", "cost_usd", "status",
    "finish_reason", "ending", "receipt_id", "payment_hash", "rating", "error",
)  # fmt: skip


def columns(cell: Cell) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = cell.last[MIME]["columns"]
    return found


def receipts(cell: Cell) -> list[dict[str, Any]]:
    return [column["receipt"] for column in columns(cell) if column["receipt"]]


def html_of(cell: Cell) -> list[str]:
    return [display["data"].get("text/html", "") for display in cell.displays]


def until(kernel: Kernel, asked: str, seen: Callable[[str], bool]) -> str:
    """The HTML of a queued cell's display, as soon as it is as `seen` wants it."""
    while True:
        about, message = kernel.read()
        html = message["content"].get("data", {}).get("text/html", "") if about == asked else ""
        if html and seen(html):
            return str(html)


def cells_of(html: str) -> list[str]:
    """The second row of the table: the answers as they stand."""
    return html.split("<tbody>")[1].split("</tr>", maxsplit=1)[0].split("</td>")[:-1]


class TestSideBySide:
    def test_differences_are_marked_where_they_are_asked_for(self, kernel: Kernel) -> None:
        prompt = "Explain what a Trusted Execution Environment is in two sentences."
        assert "<mark" not in kernel.ask(f"%%ogcompare -p openai -p anthropic -n 60\n{prompt}").last["text/html"]
        marked = kernel.ask(f"%%ogcompare --diff --replay auto -p openai -p anthropic -n 60\n{prompt}")
        assert marked.last["text/html"].count("<mark") > 3
        assert "replayed" in marked.last["text/plain"]

    def test_three_models_answer_at_once_in_one_display(self, kernel: Kernel) -> None:
        cell = kernel.ask(f"{THREE}\nWhat is $x {{y}} 'z'? [[words:400]]")
        assert len({display["transient"]["display_id"] for display in cell.displays}) == 1
        assert [column["model"] for column in columns(cell)] == [
            "openai/gpt-5", "anthropic/claude-sonnet-4-6", kernel.eval("_.models[2]"),
        ]  # fmt: skip
        for receipt in receipts(cell):
            assert receipt["request"]["messages"][-1]["content"] == "What is $x {y} 'z'? [[words:400]]"
            assert receipt["enclave_ok"] is True
        spans = [(one["time"], one["time"] + one["latency_s"]) for one in receipts(cell)]
        assert max(begin for begin, _ in spans) < min(end for _, end in spans)

    def test_all_of_them_stream_before_the_first_ends(self, kernel: Kernel) -> None:
        cell = kernel.ask(f"{THREE}\n[[words:600]]")
        live = [html for html in html_of(cell)[:-1] if "✓" not in html]
        assert any(all("prepared" in one for one in cells_of(html)) for html in live)
        assert any("tokens, " in html for html in live)

    def test_each_column_ends_with_its_times_tokens_cost_and_proof(self, kernel: Kernel) -> None:
        cell = kernel.ask(f"{THREE}\nhello")
        for html, receipt in zip(
            cell.last["text/html"].split("</tr>")[-2].split("</td>"), receipts(cell), strict=False
        ):
            assert f"{receipt['prompt_tokens']} + {receipt['completion_tokens']} tokens" in html
            assert "proof ✓" in html
            assert f"authorization {receipt['authorization_hash'][:10]}" in html
        for receipt in receipts(cell):
            told = f"{receipt['latency_s']:.2f} s · first token {receipt['ttft_s']:.2f} s"
            assert told in cell.last["text/html"]
            head, _, rest = cell.last["text/plain"].partition(f"── {receipt['model']} · ✓ {told} · ")[2].partition("\n")
            assert re.fullmatch(r"\d+ tokens/s", head)
            assert rest.startswith(f"\n{receipt['text']}\n\n")
        assert "3 of 3 models answered" in cell.last["text/plain"]

    def test_a_model_may_be_asked_twice(self, kernel: Kernel) -> None:
        kernel.ask("%%ogcompare -m gpt-5 -m gpt-5 -t 0.5 -n 5 --system Short. --no-stream\nhello")
        assert kernel.eval("_.models") == ["openai/gpt-5", "openai/gpt-5 #2"]
        asked = kernel.eval("[r.request for r in _.receipts]")
        assert asked[0] == asked[1]
        assert (asked[0]["temperature"], asked[0]["max_tokens"]) == (0.5, 5)
        assert asked[0]["messages"][0] == {"role": "system", "content": "Short."}

    def test_settings_apply_and_flags_beat_them(self, kernel: Kernel) -> None:
        kernel.ask("%og use -s private -n 7")
        assert {one["settlement"] for one in receipts(kernel.ask(f"{THREE}\nhello"))} == {"private"}
        found = receipts(kernel.ask(f"{THREE} -s individual\nhello [[words:50]]"))
        assert [(one["settlement"], one["completion_tokens"]) for one in found] == [("individual", 7)] * 3

    @pytest.mark.ci
    def test_the_bytes_to_the_front_end_are_bounded_by_those_of_printing(
        self, new_kernel: Callable[..., Kernel]
    ) -> None:
        cell = new_kernel().ask(f"{THREE} -n 1200\n[[words:1000]]")
        text = sum(len(receipt["text"].encode()) for receipt in receipts(cell))
        live = sum(map(len, html_of(cell)[:-1]))
        assert len(html_of(cell)) > 5
        # Half as much again as printing each token, what is free, one frame more, and all of it as each column ends.
        tokens = sum(receipt["completion_tokens"] for receipt in receipts(cell))
        assert live <= 32_000 + 800 * tokens + 4 * 1.5 * text
        # With its receipts it is sent at the end, and once for each payment that is found while the cell still runs.
        whole = [size for size in cell.sizes if size > 3 * text]
        assert len(whole) <= 1 + len({receipt["authorization_hash"] for receipt in receipts(cell)})
        assert max(whole) <= 5 * text
        assert sum(cell.sizes) - sum(whole) <= 1.1 * live + 30_000

    def test_markup_in_an_answer_is_shown_and_not_rendered(self, kernel: Kernel) -> None:
        payload = (
            "<img src=x onerror=alert(1)> ![x](https://evil.example/p.png) [l](javascript:alert(1)) </td></tr></table>"
            "<script>alert(1)</script> <small>paid</small>"
        )
        cell = kernel.ask(f"{THREE} --system '<b>x</b>'\n{payload}")
        for html in html_of(cell):
            assert not [bad for bad in ("<img", "<script", 'href="javascript', "<b>x", "<small>paid") if bad in html]
            assert html.count("</table>") == html.count("<table")
        assert "&lt;script&gt;" in cell.last["text/html"]


class TestTheResult:
    def test_it_is_in_the_variable_and_in_the_underscore(self, kernel: Kernel) -> None:
        kernel.ask(f"{THREE} -o found\nhello")
        assert kernel.eval("_ is found")
        assert kernel.eval("[len(found), [one.label for one in found] == found.models]") == [3, True]
        assert (
            kernel.eval("[found[0].text, found['gpt-5'].text, found['openai/gpt-5'].result.text]")
            == [kernel.eval("found.results['openai/gpt-5'].text")] * 3
        )
        assert kernel.eval("[one.text for one in found[1:]]") == kernel.eval("[r.text for r in found.receipts[1:]]")

    @pytest.mark.ci
    def test_its_frame_has_a_row_for_each_and_learns_the_payments(
        self, kernel: Kernel, devnet: Devnet, eventually: Callable[..., Any], is_payment: Callable[..., bool]
    ) -> None:
        kernel.ask(f"{HALF} -o found\nhello")
        assert kernel.eval("[*found.frame.columns]") == list(FRAME)
        assert kernel.eval("[*found.frame.model]") == ["openai/gpt-5", "openai/nope", "google/gemini-2.5-flash"]
        assert kernel.eval("[*found.frame.error.isna()]") == [True, False, True]
        paid = eventually(lambda: [p for p in kernel.eval("[*found.frame.payment_hash]") if p])
        assert all(is_payment(devnet, payment) for payment in paid)
        row = kernel.eval("found.frame.iloc[0].to_dict()")
        assert row["status"] == "settled"
        assert kernel.eval("type(found.frame.cost_opg[0]).__name__") == "Decimal"

    def test_alone_in_a_cell_it_is_shown_as_it_was(self, kernel: Kernel) -> None:
        shown = kernel.ask(f"{THREE} -o found\nhello").last
        value = kernel.ask("found").of("execute_result")[0]["data"]
        assert set(value) == set(shown) == {"text/html", "text/plain", MIME}
        assert [c["receipt"]["receipt_id"] for c in value[MIME]["columns"]] == kernel.eval(
            "[r.receipt_id for r in found.receipts]"
        )
        assert kernel.eval("repr(found)").startswith("<Comparison of 3 models: openai/gpt-5 answered, ")

    @pytest.mark.ci
    def test_the_display_learns_the_payments_in_its_place(self, new_kernel: Callable[..., Kernel]) -> None:
        kernel = new_kernel()
        cell = kernel.ask(f"{THREE}\nhello")
        place = cell.displays[0]["transient"]["display_id"]
        last = cell.last
        while not all(column["receipt"]["payment_hash"] for column in last[MIME]["columns"]):
            _, message = kernel.read()
            if message["msg_type"] == "update_display_data":
                assert message["content"]["transient"]["display_id"] == place
                last = message["content"]["data"]
        assert last["text/html"].count("transaction 0x") == last["text/plain"].count("paid 0x") == 3

    def test_after_a_restart_its_receipts_are_there(self, new_kernel: Callable[..., Kernel]) -> None:
        kernel = new_kernel()
        asked = {receipt["receipt_id"] for receipt in receipts(kernel.ask(f"{THREE}\nhello"))}
        kernel.restart()
        assert set(kernel.eval("[*og_receipts.receipt_id]")) == asked
        assert kernel.eval("len(set(og_receipts.authorization_hash))") == 1


class TestFailures:
    def test_one_that_fails_shows_its_error_and_the_others_finish(self, kernel: Kernel) -> None:
        cell = kernel.ask(f"{HALF} -o found\nhello")
        first, failed, last = columns(cell)
        assert failed["receipt"] is None
        assert "nope" in failed["error"]
        assert [one["receipt"]["enclave_ok"] for one in (first, last)] == [True, True]
        assert "✗" in cell.last["text/html"]
        assert "2 of 3 models answered" in cell.last["text/html"]
        assert kernel.eval("[[*found.results], [*found.errors]]") == [
            ["openai/gpt-5", "google/gemini-2.5-flash"], ["openai/nope"],
        ]  # fmt: skip
        assert kernel.eval("[type(found[1].error).__name__, found[1].result]") == ["ModelNotSupported", None]

    def test_the_cell_fails_where_all_do(self, kernel: Kernel) -> None:
        kernel.ask("%og use -n 50\nkept = 1")
        cell = kernel.run(f"{NONE} -o kept\nhello")
        told = cell.error("OGError")
        assert "None of the 2 models answered." in told
        assert "nope" in told
        assert "neither" in told
        assert cell.last["text/html"].count("✗") == 2
        assert MIME not in cell.last
        assert kernel.eval("kept") == 1

    @pytest.mark.ci
    def test_the_same_failure_of_all_is_raised_as_it_is(self, new_kernel: Callable[..., Kernel]) -> None:
        with Devnet(settle_after=600, token_delay=0) as unhurried:  # no session ends while it is asked again
            new_kernel(unhurried).run(f"{THREE}\n[[fail:503]]").error("GatewayError")

    def test_what_broke_off_stays_with_its_receipt_and_its_reason(self, kernel: Kernel) -> None:
        cell = kernel.run(f"{THREE}\nhello [[fail:stream]]")
        assert not cell.ok
        for column in columns(cell):
            assert column["receipt"]["text"]
            assert column["error"].split(".")[0] in cell.last["text/plain"]
        assert "broke off" in cell.last["text/html"]

    def test_an_interrupt_keeps_what_had_arrived_in_every_column(self, kernel: Kernel) -> None:
        asked = kernel.send(f"{THREE} -n 20000\n[[words:20000]]")
        until(kernel, asked, lambda html: html.count(" tokens, ") == 3)
        kernel.interrupt()
        cell = kernel.result(asked)
        cell.error("KeyboardInterrupt")
        assert len(receipts(cell)) == 3
        for column in columns(cell):
            assert column["error"] == "Interrupted: the answer is not complete."
            assert 1 < len(column["receipt"]["text"].split()) < 20_000
            assert column["receipt"]["text"].rstrip() in cell.last["text/plain"]
        assert kernel.eval("[*og_receipts.error[-3:]]") == ["interrupted"] * 3
        assert kernel.eval("_.frame.receipt_id.tolist()") == kernel.eval("[*og_receipts.receipt_id[-3:]]")
        assert kernel.ask("%ogchat hello").ok

    @pytest.mark.parametrize(
        ("line", "told"),
        [
            ("", "asks 2 to 8 models, and 0 are named"),
            ("-m gpt-5", "and 1 are named"),
            ("-m gpt-5 " * 9, "and 9 are named"),
            ("-m gpt-5 -m nope", "There is no model 'nope'"),
            ("-m gpt-5 -p nobody", "nobody"),
            ("-m gpt-5 -m o3 -o 1x", "that is not a variable's name"),
            ("-m gpt-5 -m o3 hello", "is not a flag"),
            ("-m gpt-5 -m o3 --max-cost much", "is not an amount"),
        ],
    )
    def test_a_mistake_is_told_and_nothing_is_asked(self, kernel: Kernel, line: str, told: str) -> None:
        before = kernel.eval("len(og_receipts)")
        assert told in kernel.run(f"%%ogcompare {line}\nhello").error()
        assert kernel.eval("len(og_receipts)") == before

    def test_an_empty_prompt_is_told(self, kernel: Kernel) -> None:
        assert "The prompt is empty" in kernel.run("%%ogcompare -m gpt-5 -m o3\n \n").error()

    def test_python_prompts_in_a_prompt_are_kept(self, kernel: Kernel) -> None:
        cell = kernel.ask("%%ogcompare -m gpt-5 -m o3 -n 9\n>>> 1\nIn [1]: 2")
        assert receipts(cell)[0]["request"]["messages"][-1]["content"] == ">>> 1\nIn [1]: 2"

    def test_unloaded_it_is_gone(self, new_kernel: Callable[..., Kernel]) -> None:
        kernel = new_kernel()
        kernel.ask("%unload_ext og_magics")
        assert "ogcompare" in kernel.run(f"{THREE}\nhello").error()


class TestSaved:
    @pytest.mark.ci
    def test_a_headless_run_fails_only_where_all_fail(self, execute: Callable[..., Any]) -> None:
        execute("%load_ext og_magics", f"{HALF}\nhello")
        with pytest.raises(CellExecutionError, match="None of the 2 models"):
            execute("%load_ext og_magics", f"{NONE}\nhello")

    def test_its_file_carries_proofs_that_hold_and_an_edited_column_is_found(
        self, execute: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        execute("%load_ext og_magics", f"{HALF}\nWhat is <b>x402</b>?\n\n| a | b |\n|---|---|\n| 1 | 2 |", "_")
        path = tmp_path / "executed.ipynb"
        ledger = next((tmp_path / ".og").glob("*.db"))
        assert main(["verify", str(path), "--json", "--ledger", str(ledger), "--proofs", "enclave"]) == 0
        rows = json.loads(capsys.readouterr().out)
        assert [row["verdicts"]["enclave"]["ok"] for row in rows if row["cell"]] == [True] * 4

        saved = json.loads(path.read_text())
        data = saved["cells"][1]["outputs"][0]["data"]
        text = max(re.findall("[a-z]+", data[MIME]["columns"][0]["receipt"]["text"]), key=len)
        data["text/html"] = "".join(data["text/html"]).replace(text, "forged", 1)
        path.write_text(json.dumps(saved))
        assert main(["verify", str(path), "--json"]) == 1
        found = [row["verdicts"]["enclave"]["ok"] for row in json.loads(capsys.readouterr().out)]
        assert found == [False, None, True, True]


class TestTheTerminal:
    def test_each_is_printed_when_it_is_complete(
        self, run_module: Callable[..., Any], environment: Callable[..., dict[str, str]], devnet: Devnet, tmp_path: Path
    ) -> None:
        (tmp_path / "program.ipy").write_text(
            f"%load_ext og_magics\nget_ipython().run_cell_magic('ogcompare', {HALF[12:]!r}, 'hello \\x1b[31m [[words:9]]')\n"
        )
        done = run_module("IPython", "--colors=NoColor", "program.ipy", env=environment(devnet), cwd=tmp_path)
        shown = done.stdout
        assert shown.count("\n\nHere is a direct answer") == shown.count("\n\nHere is a prepared ") == 1
        assert "── openai/nope · ✗ no answer" in shown
        assert "── openai/gpt-5 · ✓ " in shown
        assert shown.count("proof ✓") == 2
        assert "2 of 3 models answered" in shown
        assert "\x1b" not in shown
        assert "<td" not in shown
