"""The control panel, as one uses it in JupyterLab."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, expect

from .lab import Lab

LOAD = "%load_ext og_magics"
PANEL = "%og panel"


class Hand:
    """What a person does with a panel: the one that a cell shows."""

    def __init__(self, lab: Lab, cell: int) -> None:
        self.lab, self.box = lab, lab.output(cell).locator(".og-panel")
        expect(self.box).to_be_visible()

    def __getitem__(self, name: str) -> Locator:
        """The part with this name."""
        return self.box.locator(f".og-{name}")

    def click(self, label: str) -> None:
        self.box.get_by_role("button", name=label, exact=True).click()

    def tab(self, label: str) -> None:
        self.box.get_by_role("tab", name=label).click()

    def type(self, prompt: str) -> None:
        self["prompt"].locator("textarea").fill(prompt)

    def ask(self, prompt: str) -> None:
        self.type(prompt)
        self.click("Send")

    @property
    def answer(self) -> Locator:
        """Of the question above; comparisons have their own."""
        return self.box.locator(".og-answer").first

    @property
    def rows(self) -> Locator:
        """Of the receipts."""
        return self["receipts"].locator("tbody tr")


@pytest.fixture
def panel(lab: Lab) -> Hand:
    """A panel in the second cell of a notebook; a cell is left for what else is to be run."""
    lab.open(LOAD, PANEL, "", "").run(0).run(1).finished(0, 1)
    return Hand(lab, 1)


def test_look(panel: Hand) -> None:
    panel.lab.screenshot("panel-new")
    print(panel.box.evaluate("e => e.outerHTML")[:6000])
    panel.ask("[[words:80]] tell me")
    expect(panel.answer).to_contain_text("settles later")
    panel.lab.screenshot("panel-answered")
    print(panel.box.inner_text())
    expect(panel.answer).to_contain_text("paid 0x")
    panel.lab.screenshot("panel-paid")
    print([m for m in panel.lab.console])
