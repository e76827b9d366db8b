"""%%ogchat, as one sees it in JupyterLab."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect

from benchmarks.typist import MODEL, Typist, prompt

from .server import HANG

if TYPE_CHECKING:
    from .conftest import Lab
    from .server import Server

pytestmark = pytest.mark.ci

_FRAMES = """
number => {
  const area = document.querySelectorAll('.jp-Notebook .jp-CodeCell')[number].querySelector('.jp-Cell-outputArea');
  const seen = window.frames_ = {most: 0, lost: 0, outputs: 0};
  let height = 0;
  const frame = () => {
    const now = area.scrollHeight, heads = [...area.querySelectorAll('h2')].filter(head => head.offsetParent);
    const one = heads.filter(head => /^Part 6(?!\\d)/.test(head.textContent));
    seen.most = Math.max(seen.most, one.length);
    seen.outputs = Math.max(seen.outputs, area.querySelectorAll('.jp-OutputArea-child').length);
    seen.lost += Math.max(0, height - now);
    height = now;
    requestAnimationFrame(frame);
  };
  frame();
}
"""


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


def test_pieces_that_become_one_are_never_seen_twice_and_move_nothing(lab: Lab, server: Server) -> None:
    with Typist() as typist:
        server.kernel("typist", {"OG_GATEWAY_URL": typist.url})
        slow = "%load_ext og_magics\nimport og_magics.display.pieces as pieces\npieces._SLOW = 10_000"
        asked = f"%%ogchat -m {MODEL} -n 9000\n{prompt('prose', 4000, 400)}"
        lab.open(slow, asked, kernel="typist").run(0).finished(0)
        lab.page.evaluate(_FRAMES, 1)
        lab.run(1).finished(1, within=HANG)
    seen = lab.page.evaluate("window.frames_")
    assert 40 <= seen["outputs"] <= 50
    assert seen["most"] == 1
    assert seen["lost"] <= 60
