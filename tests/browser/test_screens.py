"""The main screens, in light and dark, for a person to look at: `python -m tests.pictures FOLDER` takes them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Locator, expect

from .hand import LOAD, PANEL, Hand

if TYPE_CHECKING:
    from .lab import Lab

FOLDER = Path(os.environ.get("OG_SCREENS") or ".")
THEMES = [pytest.param("Light", id="light"), pytest.param("Dark", id="dark")]
TABS = ("Receipts", "Wallet", "Compare", "Health")
CELLS = (
    LOAD,
    "%%ogchat -n 300\nWhat is the x402 payment protocol?",
    "%%ogcompare --diff --rate -p openai -p anthropic -p google -n 60\n"
    "Explain what a Trusted Execution Environment is in two sentences.",
    "%ogchat hello [[fail:503]]",
    "%%ogchat -n 6\nWhat is the x402 payment protocol?",
    '@og_magics.tool\ndef get_token_price(symbol: str) -> dict:\n    """Get the price of a token."""\n'
    '    return {"symbol": symbol, "usd": 3000}',
    "%%ogchat -p google --tools get_token_price\nWhat is the price of ETH?",
    "import og_magics as og\nmany = og.ask_many([f'Hello {number}' for number in range(12)], concurrency=4, max_tokens=20)",
    "%og receipts --wait 30",
    "%og verify",
    "%og",
    PANEL,
)
CHAT, COMPARISON, FAILED, CUT, TOOLS, MANY, RECEIPTS, VERIFIED, STATUS, LAST = 1, 2, 3, 4, 6, 7, 8, 9, 10, 11

pytestmark = pytest.mark.skipif(not os.environ.get("OG_SCREENS"), reason="OG_SCREENS=FOLDER takes them")


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("theme", THEMES)
def test_the_main_screens(lab: Lab, theme: str) -> None:
    lab.open(*(cell.replace("@og_magics.", "import og_magics\n@og_magics.") for cell in CELLS), theme=theme)
    lab.width(1100, 3000)  # higher than the highest of them
    expect.set_options(timeout=240_000)  # nothing is measured here
    lab.page.set_default_timeout(240_000)
    FOLDER.mkdir(parents=True, exist_ok=True)
    took: list[str] = []

    def take(name: str, shown: Locator) -> None:
        shown.scroll_into_view_if_needed()
        shown.screenshot(path=FOLDER / f"{len(took) + 1:02}-{name}-{theme.lower()}.png")
        took.append(name)

    for index in range(len(CELLS)):
        lab.run(index).finished(index, within=180)
    expect(lab.output(CHAT)).to_contain_text("payment: paid")
    lab.output(CHAT).locator("summary").last.click()
    take("answer", lab.cell(CHAT))
    take("comparison", lab.cell(COMPARISON))
    lab.output(FAILED).locator("summary").click()
    take("error", lab.cell(FAILED))
    take("cut", lab.cell(CUT))
    take("tools", lab.cell(TOOLS))
    take("many", lab.cell(MANY))
    take("receipts", lab.cell(RECEIPTS))
    take("verified", lab.cell(VERIFIED))
    take("status", lab.cell(STATUS))
    panel = Hand(lab, LAST)
    panel.ask("What is the x402 payment protocol?")
    expect(panel["footer"].first).to_contain_text("payment: paid")
    for tab in TABS:
        panel.tab(tab)
        if tab == "Compare":
            panel.type("Explain what a Trusted Execution Environment is in two sentences.")
            panel.click("Ask all")
            expect(panel["columns"].locator(".og-column").last).to_contain_text("payment: paid")
        if tab == "Health":
            panel.click("Check")
            expect(panel["check"]).to_be_enabled()
        take(f"panel-{tab.lower()}", panel.box)
    lab.width(500, 3000)
    take("comparison-narrow", lab.cell(COMPARISON))
    take("panel-narrow", panel.box)
