"""The control panel, as one uses it in JupyterLab."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from nbconvert import HTMLExporter
from playwright.sync_api import expect

from .hand import LOAD, PANEL, Hand

pytestmark = pytest.mark.ci

if TYPE_CHECKING:
    from .lab import Lab

BEAT = """
import asyncio, json, threading, time
import og_magics as og
from og_magics.session import current

beats = []

async def beat():
    while True:
        beats.append((time.time(), time.thread_time()))
        await asyncio.sleep(0.002)

heart = asyncio.get_running_loop().create_task(beat())

def gaps(began, ended):
    '''The longest time between two beats, and the most that the main thread did in it, in ms.'''
    inside = [one for one in beats if began <= one[0] <= ended]
    pairs = list(zip(inside, inside[1:]))
    return [round(1000 * max(after[part] - before[part] for before, after in pairs), 1) for part in (0, 1)]

def answer():
    return current().ledger.receipts()[-1].text
"""
"""The kernel's heart beats on its main thread."""
ASKED = "[[words:1000]]"
STREAM = f"""
def stream():
    global streamed
    began = time.time()
    for chunk in og.LLM().chat_sync("openai/gpt-5", [{{"role": "user", "content": "{ASKED}"}}], max_tokens=2000, stream=True):
        pass
    streamed = began, time.time()

def waited(thread, handle):
    thread.join()
    handle.update({{"text/plain": "done"}}, raw=True)

first = threading.Thread(target=stream)
first.start()
threading.Thread(target=waited, args=(first, display({{"text/plain": "streaming"}}, raw=True, display_id=True))).start()
"""
"""The same answer, with nobody to show it to."""

PRINTED = 270
"""Bytes that `print()` of a token brings to the front end."""

PAID = re.compile(r"paid 0x[0-9a-f]{8}")


@pytest.fixture
def panel(lab: Lab) -> Hand:
    """A panel in the second cell of a notebook; two cells are left for what else is to be run."""
    lab.open(LOAD, PANEL, "%og", "%og use -p google -s private").run(0).run(1).finished(0, 1)
    return Hand(lab, 1)


class TestSettings:
    def test_a_click_chooses_provider_and_mode_also_for_cells(self, panel: Hand) -> None:
        panel.click("Anthropic")
        panel.click("Individual")
        expect(panel["about"]).to_contain_text("everyone can read")
        panel.lab.run(2).finished(2)
        expect(panel.lab.output(2)).to_contain_text("anthropic/claude-sonnet-4-6")
        expect(panel.lab.output(2)).to_contain_text("individual", ignore_case=True)
        panel.lab.screenshot("panel-chosen")
        panel.ask("hello")
        expect(panel.answer).to_contain_text("anthropic/claude-sonnet-4-6 ·")
        expect(panel.answer).to_contain_text("· individual ·")

    def test_two_panels_and_og_use_are_in_step(self, lab: Lab) -> None:
        lab.open(LOAD, PANEL, PANEL, "%og use -p google -s private").run(0).run(1).run(2).finished(0, 1, 2)
        one, two = Hand(lab, 1), Hand(lab, 2)
        one.click("xAI")
        expect(two.chosen("provider")).to_have_text("xAI")
        two.click("Individual")
        expect(one.chosen("mode")).to_have_text("Individual")
        lab.run(3).finished(3)
        for hand in (one, two):
            expect(hand.chosen("provider")).to_have_text("Google")
            expect(hand.chosen("mode")).to_have_text("Private")
        one.ask("hello")
        expect(two.rows).to_have_count(1)
        lab.screenshot("panel-two")


class TestAsking:
    def test_tokens_are_read_before_the_end(self, panel: Hand) -> None:
        panel.ask("[[words:1000]]")
        expect(panel.answer).to_contain_text(re.compile(r"\d+ tokens, \d+/s"))
        early = panel.words()
        assert panel["stop"].is_enabled()
        panel.lab.screenshot("panel-streaming")
        expect(panel.answer).to_contain_text("1,000 tokens ·")
        assert 0 < len(early) < len(panel.words())

    def test_stop_keeps_what_had_arrived_with_its_receipt(self, panel: Hand) -> None:
        panel.ask("[[words:5000]]")
        expect(panel.answer).to_contain_text(re.compile(r"\d+ tokens, \d+/s"))
        panel.click("Stop")
        expect(panel.answer).to_contain_text("Stopped: the answer is not complete")
        expect(panel.answer).to_contain_text("practice network")
        expect(panel.rows).to_have_count(1)
        expect(panel["send"]).to_be_enabled()
        panel.lab.screenshot("panel-stopped")

    def test_the_receipts_badge_and_the_line_below_the_answer_turn_to_settled(self, panel: Hand) -> None:
        panel.ask("hello")
        expect(panel.answer).to_contain_text("payment: pending")
        badge = panel.rows.first.locator(".og-badge")
        expect(badge).to_have_text("to be settled")
        expect(badge).to_have_text("settled")
        expect(panel.answer).to_contain_text(PAID)
        panel.click("Verify")
        expect(panel["proofs"]).to_contain_text("1 receipt")
        expect(badge).to_have_text("verified")
        panel.lab.screenshot("panel-verified")

    def test_retry_asks_again_and_a_cell_asks_the_same(self, panel: Hand) -> None:
        panel.ask("the same again")
        expect(panel.answer).to_contain_text("payment: pending")
        panel.click("Retry")
        expect(panel.rows).to_have_count(2)
        panel.click("As a cell")
        expect(panel.turns.last.locator(".og-source")).to_contain_text("%%ogchat -m openai/gpt-5 -s batch")

    def test_three_models_are_compared_and_one_fails(self, panel: Hand) -> None:
        panel.type("hello [[words:60]]")
        panel.tab("Compare")
        for number, model in enumerate(("openai/gpt-5", "openai/nope", "google/gemini-2.5-flash"), 1):
            panel[f"model-{number}"].locator("input").fill(model)
            panel[f"model-{number}"].locator("input").press("Tab")
        panel.click("Ask all")
        columns = panel["columns"].locator(".og-column")
        expect(columns).to_have_count(3)
        expect(columns.nth(1)).to_contain_text("does not serve the model")
        for place in (0, 2):
            expect(columns.nth(place)).to_contain_text("proof ✓")
        expect(panel["ask-all"]).to_be_enabled()
        panel["columns"].scroll_into_view_if_needed()
        panel.lab.screenshot("panel-compared")


class TestTheWire:
    def test_a_thousand_tokens_arrive_whole_in_the_bytes_of_print_and_the_kernel_stays_free(
        self, lab: Lab, report: Callable[[str], None]
    ) -> None:
        lab.open(LOAD, BEAT, STREAM, PANEL, "").run(0).run(1).run(2).finished(0, 1, 2)
        expect(lab.output(2)).to_contain_text("done")
        lab.run(3).finished(3)
        panel = Hand(lab, 3)
        expect(panel["receipts"]).not_to_contain_text("Reading")
        spans, received = [], 0
        for count in (2, 3, 4):  # the machine may be busy with others; what the panel does, it does each time
            lab.received.clear()
            began = time.time()
            panel.ask(ASKED)
            expect(panel["stop"]).to_be_enabled()
            expect(panel["send"]).to_be_enabled()
            expect(panel.answer).to_contain_text("1,000 tokens ·")
            expect(panel.rows).to_have_count(count)
            spans.append((began, time.time()))
            received = max(received, sum(lab.received))
        shown = panel.words()
        lab.write(4, f"print(json.dumps([gaps(*streamed), [gaps(*span) for span in {spans}], answer()]))")
        lab.run(4).finished(4)
        without, with_panel, text = json.loads(lab.output(4).inner_text())
        size = len(text.encode())
        report(f"1000 tokens, {size} bytes of text: {received} bytes on the wire, {received / size:.1f} times it")
        report(f"the main thread's longest [wall, cpu] ms: {without} without the panel, {with_panel} with it")
        assert shown == text.split()
        assert received <= 1.5 * 1000 * PRINTED
        assert max(cpu for _, cpu in with_panel) <= 50
        assert min(wall for wall, _ in with_panel) <= max(50, 2 * without[0])


class TestMoney:
    def test_a_wallet_without_allowance_approves_and_pays(self, lab: Lab, kernel_without_allowance: str) -> None:
        lab.open(LOAD, PANEL, kernel=kernel_without_allowance).run(0).run(1).finished(0, 1)
        panel = Hand(lab, 1)
        panel.tab("Wallet")
        expect(panel["account"]).to_contain_text("approve it below")
        panel.ask("hello")
        expect(panel.answer.locator(".og-error")).to_contain_text("allow", ignore_case=True)
        panel["amount"].locator("input").fill("7")
        panel.click("Approve")
        expect(panel["outcome"]).to_contain_text("Approved: 7 OPG may be moved")
        expect(panel["account"]).to_contain_text("7 OPG may be paid")
        lab.screenshot("panel-approved")
        panel.click("Retry")
        expect(panel.answer).to_contain_text(PAID)


class TestLater:
    def test_after_a_restart_the_receipts_are_there_again(self, panel: Hand) -> None:
        panel.ask("hello")
        expect(panel.rows.first.locator(".og-badge")).to_have_text("settled")
        payment = panel.rows.first.locator("code").get_attribute("title")
        panel.lab.restart().run(0).run(1).finished(0, 1)
        again = Hand(panel.lab, 1)
        expect(again.rows).to_have_count(1)
        assert again.rows.first.locator("code").get_attribute("title") == payment
        panel.lab.screenshot("panel-restarted")

    def test_saved_and_opened_without_a_kernel_a_summary_stands_in_its_place(self, panel: Hand) -> None:
        lab = panel.lab
        panel.ask("hello")
        expect(panel.rows.first.locator(".og-badge")).to_have_text("settled")
        summary = lab.output(1).get_by_text("control panel, as it last was")
        expect(summary).to_be_hidden()
        saved = lab.until_saved(lambda notebook: ">settled<" in str(notebook.cells[1].outputs))
        lab.server.end_kernels()
        lab.show_without_kernel(saved)
        expect(lab.output(1).get_by_text("control panel, as it last was")).to_be_visible()
        expect(lab.output(1)).to_contain_text("openai/gpt-5")
        expect(lab.output(1)).to_contain_text("settled")
        expect(lab.output(1).get_by_text("Error displaying widget")).not_to_be_visible()
        lab.screenshot("panel-without-kernel")
        page, _ = HTMLExporter().from_notebook_node(saved)
        lab.file("exported.html").write_text(page, encoding="utf-8")
        lab.page.goto(lab.file("exported.html").as_uri())
        expect(lab.page.get_by_text("control panel, as it last was")).to_be_visible()
        expect(lab.page.locator("td", has_text="settled").first).to_be_visible()
        lab.screenshot("panel-exported")


class TestLooks:
    @pytest.mark.parametrize("theme", ["Light", "Dark"])
    def test_all_text_stands_out_from_its_ground(self, lab: Lab, theme: str) -> None:
        lab.open(LOAD, PANEL, theme=theme).run(0).run(1).finished(0, 1)
        panel = Hand(lab, 1)
        assert lab.page.evaluate("document.body.dataset.jpThemeLight") == str(theme == "Light").lower()
        panel.ask("**bold** `code` [link](https://example.com)")
        expect(panel.answer).to_contain_text(PAID)
        lab.width(1200, 1500)
        for tab in ("Receipts", "Wallet", "Parameters", "Compare", "Health"):
            panel.tab(tab)
            if tab == "Wallet":
                expect(panel["account"]).to_contain_text("0x")
            if tab == "Health":
                expect(panel["check"]).to_be_enabled()
            lab.screenshot(f"panel-{theme}-{tab}".lower())
            assert panel.faint() == []

    def test_every_control_has_a_name(self, panel: Hand) -> None:
        for tab in ("Receipts", "Wallet", "Parameters", "Compare", "Health"):
            panel.tab(tab)
            assert panel.nameless() == []

    def test_the_chat_grows_up_to_a_height_and_nothing_above_it_moves(self, panel: Hand) -> None:
        panel.lab.width(1200, 1500)
        places, heights = [panel.place("turns", "mode")], [panel.height("turns")]
        for prompt in ("hello", "[[words:1500]]", "[[words:1500]]"):
            panel.ask(prompt)
            expect(panel["send"]).to_be_enabled()
            expect(panel.answer).to_contain_text("proof ✓")
            places.append(panel.place("turns", "mode"))
            heights.append(panel.height("turns"))
        assert places[0] == places[1] == places[2] == places[3]
        assert heights[0] < heights[1] < heights[2] == heights[3] <= 562
