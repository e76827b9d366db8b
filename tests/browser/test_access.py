"""The panel for everybody: screen readers, high contrast, a large page, and widths from a telephone's on.

axe-core finds what screen readers stumble over: `npm i axe-core` in a folder, and the path of its `axe.min.js` in
OG_AXE. Without it those tests are skipped; CI has it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from .hand import LOAD, PANEL, Hand

pytestmark = pytest.mark.ci

if TYPE_CHECKING:
    from .lab import Lab

TABS = ("Receipts", "Wallet", "Parameters", "Compare", "Health")
VIOLATIONS = """
async within => (await axe.run({ include: within, exclude: ".jp-RenderedMarkdown > pre" }, { resultTypes: ["violations"] })).violations.map(
  one => [one.id, one.help, one.nodes.map(node => [node.html.slice(0, 200), ...node.target])])
"""
"""Without JupyterLab's own blocks of code, which it makes of any Markdown; Chromium scrolls them by keys."""
SIZES = ((400, 1), (1400, 1), (1200, 1.5))
"""Widths of the page, and its zoom."""


def sized(lab: Lab, pixels: int, zoom: float) -> None:
    lab.width(pixels, 1700)
    lab.page.evaluate("zoom => { document.documentElement.style.zoom = zoom }", zoom)


def violations(lab: Lab, within: str) -> list[object]:
    """What axe finds, once the page has taken its new size."""
    found: list[object] = []
    for _ in range(6):
        found = lab.page.evaluate(VIOLATIONS, within)
        if not found:
            break
        lab.page.wait_for_timeout(500)
    return found


@pytest.fixture(scope="module")
def axe() -> str:
    path = Path(os.environ.get("OG_AXE") or "axe.min.js")
    if not path.is_file():
        message = "OG_AXE names no axe.min.js: npm i axe-core"
        pytest.fail(message) if os.environ.get("CI") == "true" else pytest.skip(message)
    return path.read_text(encoding="utf-8")


def opened(lab: Lab, theme: str = "Light") -> Hand:
    lab.open(LOAD, PANEL, theme=theme).run(0).run(1).finished(0, 1)
    panel = Hand(lab, 1)
    panel.ask("**bold** `code` [link](https://example.com)")
    expect(panel.answer).to_contain_text("paid 0x")
    return panel


def filled(panel: Hand, tab: str) -> None:
    """Open a tab, and wait until it shows what it has."""
    panel.tab(tab)
    if tab == "Wallet":
        expect(panel["account"]).to_contain_text("0x")
    if tab == "Health":
        expect(panel["check"]).to_be_enabled()


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_axe_finds_nothing_in_any_tab(lab: Lab, axe: str, theme: str) -> None:
    panel = opened(lab, theme)
    panel.type("hello [[words:60]]")
    panel.tab("Compare")
    panel.click("Ask all")
    expect(panel["columns"].locator(".og-column").last).to_contain_text("practice network")
    expect(panel["ask-all"]).to_be_enabled()
    lab.page.evaluate(axe)
    for tab in TABS:
        filled(panel, tab)
        assert violations(lab, ".og-panel") == [], tab
    for pixels, zoom in SIZES:
        sized(lab, pixels, zoom)
        assert violations(lab, ".og-panel") == [], (pixels, zoom)


@pytest.mark.parametrize("theme", ["Light", "Dark"])
def test_axe_finds_nothing_in_an_answer_a_comparison_and_an_error(lab: Lab, axe: str, theme: str) -> None:
    compare = "%%ogcompare --diff --rate -p openai -p anthropic -n 60\nWhat makes a good question?"
    cells = (LOAD, "%%ogchat -n 300\nWhat is the x402 payment protocol?", compare, "%ogchat [[fail:503]]")
    lab.open(*cells, theme=theme)
    for index in range(len(cells)):
        lab.run(index).finished(index)
    for index in (1, 2):
        expect(lab.output(index)).to_contain_text("payment: paid")
    lab.page.locator(".jp-Cell-outputArea details").evaluate_all("all => all.forEach(one => one.open = true)")
    lab.page.evaluate(axe)
    for pixels, zoom in SIZES:
        sized(lab, pixels, zoom)
        assert violations(lab, ".jp-Cell-outputArea") == [], (pixels, zoom)
    lab.screenshot(f"outputs-{theme}")


def test_from_400_to_1400_pixels_and_at_150_percent_nothing_is_cut_off(lab: Lab) -> None:
    panel = opened(lab)
    for width in (400, 800, 1400):
        lab.width(width, 1700)
        for tab in TABS:
            filled(panel, tab)
            assert panel.cut_off() == [], (width, tab)
        panel.tab("Receipts")
        lab.screenshot(f"panel-{width}")
    lab.page.evaluate("document.documentElement.style.zoom = 1.5")
    lab.width(1200, 1700)
    for tab in TABS:
        filled(panel, tab)
        assert panel.cut_off() == [], tab
    lab.screenshot("panel-zoomed")


def test_in_high_contrast_what_is_chosen_and_what_has_the_focus_is_seen(lab: Lab) -> None:
    panel = opened(lab)
    lab.page.emulate_media(forced_colors="active")
    chosen = panel.chosen("provider")
    style = "(one, name) => getComputedStyle(one)[name]"
    other = panel["provider"].locator("button:not(.mod-active)").first
    assert chosen.evaluate(style, "backgroundColor") != other.evaluate(style, "backgroundColor")
    panel["send"].focus()
    lab.page.keyboard.press("Tab")
    lab.page.keyboard.press("Shift+Tab")
    assert panel["send"].evaluate(style, "outlineStyle") != "none"
    assert panel["turns"].evaluate(style, "borderTopStyle") == "solid"
    lab.screenshot("panel-high-contrast")
