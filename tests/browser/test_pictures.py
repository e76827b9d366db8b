"""The README's pictures, taken of the real thing: `OG_PICTURES=1 python -m pytest tests/browser/test_pictures.py`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from .hand import LOAD, PANEL, Hand

if TYPE_CHECKING:
    from .lab import Lab

PICTURES = Path(__file__).parents[2] / "docs" / "images"

pytestmark = pytest.mark.skipif(not os.environ.get("OG_PICTURES"), reason="OG_PICTURES=1 takes them")


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_the_panel(lab: Lab, theme: str) -> None:
    lab.open(LOAD, "%%ogchat -n 40\nWhat is x402?", "%ogchat -p google -n 40 What is a TEE?", PANEL, theme=theme)
    for index in (0, 1, 2, 3):
        lab.run(index).finished(index)
    lab.width(1000, 1400)
    panel = Hand(lab, 3)
    panel.click("Anthropic")
    panel.ask("Explain in two sentences what a Trusted Execution Environment is.")
    expect(panel["footer"].first).to_contain_text("payment: paid")
    expect(panel.rows.filter(has_text="settled")).to_have_count(3)
    panel.box.screenshot(path=PICTURES / f"panel-{theme.lower()}.png")


def test_an_answer_and_a_comparison(lab: Lab) -> None:
    compare = "%%ogcompare -m gpt-5 -m claude-sonnet-4-6 -m gemini-2.5-flash -n 60\nWhat is a Merkle tree?"
    lab.open(LOAD, "%%ogchat -p anthropic -s individual\nWhat is the x402 payment protocol?", compare)
    lab.width(1000, 900)
    lab.run_all().finished(0, 1, 2)
    for index in (1, 2):
        expect(lab.output(index)).to_contain_text("payment: paid")
    lab.cell(1).screenshot(path=PICTURES / "answer.png")
    lab.cell(2).screenshot(path=PICTURES / "comparison.png")
