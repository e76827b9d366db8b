"""%%ogchat, as one sees it in JupyterLab."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

if TYPE_CHECKING:
    from .conftest import Lab

pytestmark = pytest.mark.ci


def test_an_answer_is_read_before_it_is_complete(lab: Lab) -> None:
    lab.open("%load_ext og_magics", "%%ogchat -n 2000\n[[words:1500]]").run_all()
    expect(lab.output(1)).to_contain_text(re.compile(r"\d+ tokens, \d+/s"))
    assert lab.running(1)
    early = len(lab.output(1).inner_text().split())
    lab.screenshot("answer-streaming")
    lab.finished(1)
    assert early < len(lab.output(1).inner_text().split())


def test_the_line_under_an_answer_turns_to_paid_in_its_place(lab: Lab) -> None:
    lab.open("%load_ext og_magics", "%%ogchat\nWhat is x402?", "1 + 1").run_all()
    footer, details = lab.output(1).locator("summary sub"), lab.output(1).locator("details > sub")
    expect(footer).to_contain_text("payment: pending")
    lab.finished(2)
    assert footer.count() == 1
    expect(footer).to_contain_text("payment: paid")
    expect(details).to_be_hidden()
    footer.click()
    expect(details).to_be_visible()
    expect(details).to_contain_text(re.compile(r"authorization 0x[0-9a-f]{8}… · transaction 0x[0-9a-f]{8}…"))
    assert (footer.count(), lab.output(1).locator(".jp-OutputArea-child").count()) == (1, 1)
    lab.screenshot("answer-paid")
