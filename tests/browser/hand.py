"""What a person does with a control panel, and sees of it."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import Locator, expect

from .lab import Lab

LOAD = "%load_ext og_magics"
PANEL = "%og panel"

_FAINT = """
box => {
  const numbers = color => (color.match(/[\\d.]+/g) || [0, 0, 0, 0]).map(Number);
  const over = (top, ground) => {
    const alpha = top[3] === undefined ? 1 : top[3];
    return [0, 1, 2].map(part => top[part] * alpha + ground[part] * (1 - alpha));
  };
  const ground = element => {
    const layers = [];
    for (let at = element; at; at = at.parentElement) layers.push(numbers(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255]);
  };
  const light = color => {
    const [r, g, b] = color.map(part => part / 255).map(x => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = [];
  for (const element of box.querySelectorAll("*")) {
    const text = [...element.childNodes].filter(node => node.nodeType === 3).map(node => node.data).join("").trim();
    if (!text || !element.checkVisibility() || element.closest(":disabled, style, option")) continue;
    const below = ground(element), color = over(numbers(getComputedStyle(element).color), below);
    const [a, b] = [light(color), light(below)].sort((one, two) => two - one);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < 4.5) found.push(`${text.slice(0, 40)}: ${contrast.toFixed(2)}`);
  }
  return found;
}
"""

_CUT_OFF = """
box => {
  const found = [], page = document.documentElement.clientWidth, inner = box.getBoundingClientRect();
  if (inner.right > page) found.push(`the panel ends at ${inner.right}`);
  for (const element of box.querySelectorAll("button, input, select, textarea, p, td, dd, li, pre, label, .lm-TabBar-tabLabel")) {
    if (!element.checkVisibility() || element.closest(".og-scroll, pre *")) continue;
    const { left, right, width } = element.getBoundingClientRect();
    if (width && (right > inner.right + 1 || left < inner.left - 1))
      found.push(`${element.localName} ${element.textContent.trim().slice(0, 30)} ${left}-${right}`);
    if (element.matches("button, label, .lm-TabBar-tabLabel") && element.clientWidth > 1 && element.scrollWidth > element.clientWidth + 1)
      found.push(`${element.localName} ${element.textContent.trim().slice(0, 30)} is shortened`);
  }
  return found;
}
"""

_NAMELESS = """
box => [...box.querySelectorAll("button, input, select, textarea, [role=tab]")]
  .filter(one => one.checkVisibility())
  .filter(one => !one.textContent.trim() && !one.ariaLabel && ![...(one.labels || [])].some(l => l.textContent.trim()))
  .map(one => one.outerHTML)
"""


class Hand:
    """The panel that a cell shows."""

    def __init__(self, lab: Lab, cell: int) -> None:
        self.lab, self.box = lab, lab.output(cell).locator(".og-panel")
        expect(self.box).to_be_visible()
        expect(self.chosen("provider")).to_have_count(1)

    def __getitem__(self, name: str) -> Locator:
        """A part of it, by its name."""
        return self.box.locator(f".og-{name}")

    def click(self, label: str) -> None:
        """Click a button; of several with this label, the last: the newest turn's."""
        self.box.locator("button", has_text=re.compile(rf"^\s*{label}\s*$")).last.click()

    def tab(self, label: str) -> None:
        self.box.get_by_role("tab", name=label).click()

    def type(self, prompt: str) -> None:
        self["prompt"].locator("textarea").fill(prompt)

    def ask(self, prompt: str) -> None:
        """Send a prompt, and wait until its turn stands in the chat."""
        before = self.turns.count()
        self.type(prompt)
        self.click("Send")
        expect(self.turns).to_have_count(before + 1)

    def chosen(self, group: str) -> Locator:
        """The button of a group that is pressed."""
        return self[group].locator("button.mod-active")

    @property
    def answer(self) -> Locator:
        """To the last prompt, or what stands there before the first; comparisons have their own."""
        return self.turns.last.or_(self["older"]).last

    @property
    def turns(self) -> Locator:
        return self["turns"].locator(".og-turn")

    @property
    def rows(self) -> Locator:
        """Of the receipts."""
        return self["receipts"].locator("tbody tr")

    def words(self) -> list[str]:
        """Of the answer, without the line below it."""
        return self.turns.last.locator(".og-text").inner_text().split()

    def place(self, *names: str) -> list[tuple[float, float]]:
        """Where these parts begin, in pixels."""
        boxes = [self[name].first.bounding_box() for name in names]
        return [(box["x"], box["y"]) for box in boxes if box]

    def height(self, name: str) -> float:
        """How high a part is, in pixels."""
        box = self[name].first.bounding_box()
        assert box is not None
        return float(box["height"])

    def faint(self) -> list[Any]:
        """Texts whose contrast with what they stand on is less than 4.5."""
        return list(self.box.evaluate(_FAINT))

    def cut_off(self) -> list[Any]:
        """What reaches beyond the panel, or the panel beyond the page."""
        return list(self.box.evaluate(_CUT_OFF))

    def nameless(self) -> list[Any]:
        """Controls that say nothing to who cannot see them."""
        return list(self.box.evaluate(_NAMELESS))
