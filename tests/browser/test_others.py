"""Answers and the panel in nbclassic and in Voila."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from .hand import LOAD, PANEL, Hand

if TYPE_CHECKING:
    from .others import Classic, Voila

pytestmark = pytest.mark.ci

RATE = re.compile(r"\d+ tokens, \d+/s")
ASKED = "Explain what a Trusted Execution Environment is in two sentences."


def use(panel: Hand, receipts: int) -> None:
    """Choose, ask, read while it streams, and stop the next one; so many receipts are there then."""
    panel.click("Google")
    panel.ask(ASKED)
    expect(panel.answer).to_contain_text(re.compile(r"payment: (pending|paid)"))
    expect(panel.answer).to_contain_text("google/")
    expect(panel["send"]).to_be_enabled()
    panel.ask("[[words:5000]]")
    expect(panel.answer).to_contain_text(RATE)
    panel.click("Stop")
    expect(panel.answer).to_contain_text("Stopped: the answer is not complete")
    expect(panel["send"]).to_be_enabled()
    for tab in ("Wallet", "Parameters", "Compare", "Health", "Receipts"):
        panel.tab(tab)
    expect(panel.rows).to_have_count(receipts)
    assert panel.lab.page.locator(".og-error").count() == 0


class TestNbclassic:
    def test_an_answer_is_read_before_it_is_complete_and_stands_there_once(self, classic: Classic) -> None:
        classic.open(LOAD, "%%ogchat -n 2000\n[[words:1500]]").run(0).run(1)
        expect(classic.output(1)).to_contain_text(RATE)
        classic.finished(1)
        expect(classic.output(1)).to_contain_text(re.compile("payment: (pending|paid)"))
        assert classic.output(1).inner_text().count("proof ✓") == 1
        classic.screenshot("nbclassic-answer")

    def test_the_panel_chooses_sends_stops_and_shows_receipts(self, classic: Classic) -> None:
        classic.open(LOAD, PANEL).run(0).run(1).finished(0, 1)
        panel = Hand(classic, 1)
        use(panel, receipts=2)
        classic.screenshot("nbclassic-panel")
        assert panel.cut_off() == []


class TestVoila:
    def test_an_answer_and_a_panel_are_shown_and_used(self, voila: Voila) -> None:
        voila.open(f"print('first')\n{LOAD}", f"%%ogchat -n 300\n{ASKED}", PANEL)
        body = voila.page.locator("#rendered_cells")
        expect(body).to_contain_text(re.compile("proof ✓ · payment: (pending|paid)"))
        assert body.inner_text().count("proof ✓") == 1
        assert "Error" not in body.inner_text()
        panel = Hand(voila, 2)
        use(panel, receipts=3)
        voila.screenshot("voila-panel")
        assert panel.cut_off() == []
