"""The chat of the panel, as one types in it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from .hand import LOAD, PANEL, Hand

pytestmark = pytest.mark.ci

if TYPE_CHECKING:
    from playwright.sync_api import Locator

    from .front import Front
    from .lab import Lab

RATE = re.compile(r"\d+ tokens, \d+/s")
MARKDOWN = """A root is $e^{i\\pi} = -1$, and costs \\$5 to \\$10.

```python
def root(): pass
```
"""
LONG = "".join(f"Paragraph {n} says **a few** words.\n\n" for n in range(150))
PLACE = "box => [box.scrollTop, box.scrollHeight - box.clientHeight]"


@pytest.fixture
def panel(lab: Lab, front: Front) -> Hand:
    front.answers |= {"show": MARKDOWN, "long": LONG, "one\ntwo": "Two lines came."}
    lab.open(f"{LOAD}\n%og use -n 20000", PANEL, "import time; time.sleep(4)", kernel="front")
    lab.run(0).run(1).finished(0, 1)
    return Hand(lab, 1)


@pytest.fixture
def box(panel: Hand) -> Locator:
    """The box in which the prompt is written, with the focus in it."""
    area = panel["prompt"].locator("textarea")
    area.click()
    return area


def said(panel: Hand) -> list[str]:
    """The prompts that stand in the chat."""
    return panel["turns"].locator(".og-said").all_inner_texts()


def test_enter_sends_shift_enter_breaks_and_the_box_is_empty_after(panel: Hand, box: Locator) -> None:
    keys = panel.lab.page.keyboard
    keys.type("one")
    keys.press("Shift+Enter")
    keys.type("two")
    expect(box).to_have_value("one\ntwo")
    assert panel.turns.count() == 0
    keys.press("Enter")
    expect(panel.answer).to_contain_text("Two lines came.")
    expect(box).to_have_value("")
    expect(box).to_be_focused()
    expect(panel["send"]).to_be_in_viewport()
    keys.press("Enter")  # nothing is typed
    keys.type("show")
    keys.press("Enter")
    expect(panel.turns).to_have_count(2)
    assert said(panel) == ["one\ntwo", "show"]
    assert panel.lab.cell(1).locator(".jp-InputPrompt").inner_text() == "[2]:"  # no cell ran


def test_enter_breaks_where_that_is_chosen_and_control_enter_sends(panel: Hand, box: Locator) -> None:
    keys = panel.lab.page.keyboard
    panel["enter"].locator("input").uncheck()
    expect(box).to_have_attribute("placeholder", re.compile("Ctrl-Enter sends"))
    box.click()
    keys.type("one")
    keys.press("Enter")
    keys.type("two")
    expect(box).to_have_value("one\ntwo")
    keys.press("Control+Enter")
    expect(panel.answer).to_contain_text("Two lines came.")


def test_a_prompt_that_is_sent_while_a_cell_runs_is_whole_and_comes_later(panel: Hand, box: Locator) -> None:
    panel.lab.run(2)
    box.click()
    panel.lab.page.keyboard.type("show")
    panel.lab.page.keyboard.press("Enter")
    expect(panel.answer).to_contain_text("def root")
    assert said(panel) == ["show"]


def test_an_answer_is_drawn_as_the_front_end_draws_a_cells(panel: Hand) -> None:
    panel.ask("show")
    expect(panel.answer).to_contain_text("def root")
    expect(panel.answer.locator("mjx-container").first).to_be_visible()
    expect(panel.answer.locator(".jp-RenderedMarkdown pre span").first).to_be_visible()
    expect(panel.answer).to_contain_text("$5 to $10")


def test_stop_retry_edit_and_a_cell(panel: Hand, box: Locator) -> None:
    panel.ask("[[words:20000]]")
    expect(panel.answer).to_contain_text(RATE)
    panel.click("Stop")
    expect(panel.answer).to_contain_text("Stopped: the answer is not complete")
    panel.ask("show")
    expect(panel.answer).to_contain_text("payment: pending")
    panel.click("Retry")
    expect(panel.turns).to_have_count(3)
    expect(panel.answer).to_contain_text("payment: pending")
    assert said(panel) == ["[[words:20000]]", "show", "show"]
    panel.turns.first.locator(".og-edit").click()
    expect(box).to_have_value("[[words:20000]]")
    expect(box).to_be_focused()
    panel.click("As a cell")
    expect(panel.turns.last.locator(".og-source pre")).to_have_text(re.compile(r"^%%ogchat -m openai/gpt-5 .*\nshow$"))


def test_copy_takes_the_answers_own_text(panel: Hand) -> None:
    panel.lab.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    panel.ask("show")
    expect(panel.answer).to_contain_text("payment: pending")
    copied = "navigator.clipboard.readText()"
    panel.click("Copy")
    expect(panel.turns.last.locator(".og-copy-answer")).to_have_text("Copied")
    assert panel.lab.page.evaluate(copied) == MARKDOWN
    panel.click("As a cell")
    panel.turns.last.locator(".og-source pre").click()
    panel.lab.page.wait_for_function(f"async () => (await {copied}).startsWith('%%ogchat')")


def test_the_chat_follows_an_answer_and_stays_where_a_reader_has_scrolled(panel: Hand) -> None:
    panel.lab.width(1200, 1200)
    panel.ask("long")
    expect(panel["send"]).to_be_enabled()
    expect(panel.answer).to_contain_text("Paragraph 149")
    expect(panel.answer).to_contain_text("payment: pending")
    expect(panel.turns.last.locator(".og-actions")).to_be_in_viewport()
    panel["turns"].evaluate("box => box.scrollBy(0, -900)")
    seen = panel.answer.locator("p", has_text=re.compile(r"^Paragraph 120 "))
    before = seen.bounding_box()
    panel.ask("[[words:800]]")
    expect(panel.answer).to_contain_text(RATE)
    expect(panel.answer).to_contain_text("800 tokens ·")
    after = panel["turns"].locator("p", has_text=re.compile(r"^Paragraph 120 ")).bounding_box()
    assert before is not None
    assert after is not None
    assert abs(before["y"] - after["y"]) <= 2


def test_by_the_keyboard_alone(panel: Hand, box: Locator) -> None:
    keys = panel.lab.page.keyboard
    keys.type("[[words:20000]]")
    keys.press("Enter")
    expect(panel.answer).to_contain_text(RATE)
    for _ in range(4):
        keys.press("Tab")
        if panel["stop"].evaluate("one => one === document.activeElement"):
            break
    keys.press("Enter")
    expect(panel.answer).to_contain_text("Stopped")
    panel["turns"].focus()
    for wanted in ("og-copy-answer", "og-retry", "og-edit"):
        keys.press("Tab")
        expect(panel.turns.last.locator(f".{wanted}")).to_be_focused()
    keys.press("Enter")
    expect(box).to_have_value("[[words:20000]]")
    expect(box).to_be_focused()
