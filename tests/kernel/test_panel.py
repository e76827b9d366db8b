"""The panel in real kernels: what is displayed, what a saved notebook keeps, and how it ends."""

from __future__ import annotations

import pytest

VIEW = "application/vnd.jupyter.widget-view+json"


def test_the_panel_shows_a_summary_and_then_the_widget(kernel):
    cell = kernel.ask("%og panel")
    summary, view = cell.of("display_data")
    assert {"text/html", "text/plain"} == set(summary["data"])
    assert "openai/gpt-5" in summary["data"]["text/plain"]
    assert set(view["data"]) == {VIEW, "text/plain"}
    assert view["data"]["text/plain"] == ""


@pytest.mark.ci
def test_the_summary_follows_the_notebook(kernel):
    shown = kernel.ask("%og panel").of("display_data")[0]["transient"]["display_id"]
    kernel.send("%og use -m google/gemini-2.5-pro")
    while True:
        _, message = kernel.read()
        content = message["content"]
        if message["msg_type"] == "update_display_data" and content["transient"]["display_id"] == shown:
            assert "google/gemini-2.5-pro" in content["data"]["text/plain"]
            break


def test_a_saved_notebook_keeps_the_summary(execute):
    notebook = execute("%load_ext og_magics", "%ogchat Hello", "%og panel")
    summary, view = notebook.cells[2].outputs
    assert "1 call" in summary["data"]["text/plain"]
    assert VIEW in view["data"]


def test_the_cell_of_what_a_panel_asked_is_put_below(kernel, eventually):
    kernel.ask(
        "import og_magics as og; panel = og.panel(); panel.ask.prompt.value = 'What is {x}?'; panel.ask.send.click()"
    )
    eventually(lambda: not kernel.eval("panel.ask.busy"))
    cell = kernel.ask("%og cell")
    (payload,) = cell.reply["payload"]
    assert payload["source"] == "set_next_input"
    assert payload["text"] == "%%ogchat -m openai/gpt-5 -s batch -t 0 -n 1000 --no-vars\nWhat is {x}?"
    again = kernel.ask(payload["text"])
    assert again.prompt == "What is {x}?"


def test_without_a_question_there_is_no_cell(new_kernel):
    assert "No panel has asked" in new_kernel().run("%og cell").error()


def test_a_kernel_with_panels_ends_quietly(new_kernel):
    kernel = new_kernel()
    kernel.ask("%og panel")
    kernel.ask("import og_magics as og\nfor _ in range(3): og.panel()")
    kernel.close()


def test_a_front_end_without_widgets_is_told_in_text(execute):
    notebook = execute("import og_magics as og", "og.panel()")
    assert notebook.cells[1].outputs[0]["data"]["text/plain"].startswith("network     devnet")
