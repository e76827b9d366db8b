"""The rules for seams between pieces of one block, in a browser: the halves, and nothing else, lose their space."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser

from og_magics.display.seams import Seams

_OUTPUT = '<div class="jp-OutputArea-child"><div class="jp-RenderedHTMLCommon">{}</div></div>'
_BASE = """<style>
.jp-RenderedHTMLCommon > * {margin: 20px 0; height: 10px; border-collapse: collapse}
div.scrolled .jp-OutputArea-child.jp-OutputArea-child {padding-top: 6px}
</style>"""
_BEFORE = 3
"""Outputs of the cell before the row."""


@pytest.mark.parametrize(
    ("place", "seams"),
    [
        (2, [(0, 1)]),
        (2, [(0, 1), (1, 3)]),
        (2, [(0, 1), (1, 3), (3, 4), (4, 5), (5, 6)]),
        (2, [(0, 1), (3, 4), (4, 5), (7, 8), (8, 9), (11, 12)]),
        (4, [(0, 1), (1, 2), (2, 3), (3, 5), (5, 6), (6, 7)]),
        (1, [(2, 3), (3, 4)]),
    ],
)
@pytest.mark.parametrize("block", ["<pre>x</pre>", "<table><tr><td>x</td></tr></table>"])
def test_the_rules_mean_the_halves_and_nothing_else(
    browser: Browser, place: int, seams: list[tuple[int, int]], block: str
) -> None:
    row = [_OUTPUT.format(block)] * 20
    row[place] = _OUTPUT.format(Seams(place).bundle(seams)["text/html"])
    area = "<div class=scrolled>" + _OUTPUT.format(block) * _BEFORE + "".join(row) + "</div>"
    page = browser.new_page()
    page.set_content(f"<!doctype html>{_BASE}{area}<div class=scrolled>{_OUTPUT.format(block) * 3}</div>")
    found = page.evaluate(
        """() => [...document.querySelectorAll('.jp-OutputArea-child')].map(output => {
          const style = getComputedStyle(output.querySelector('pre, table') || output);
          const space = getComputedStyle(output).paddingTop === '6px';
          return [space, style.marginTop === '20px', style.marginBottom === '20px', parseFloat(style.height) >= 44];
        })"""
    )
    page.close()
    uppers, lowers = ({_BEFORE + one for one in halves} for halves in zip(*seams, strict=True))
    for at, (space, above, below, high) in enumerate(found):
        if at != _BEFORE + place:
            upper, lower = at in uppers, at in lowers
            assert (space, above, below, high) == (not lower, not lower, not upper, lower), at


def test_an_upper_half_keeps_its_space_until_there_is_a_lower_one(browser: Browser) -> None:
    page = browser.new_page()
    row = [_OUTPUT.format("<pre>x</pre>"), _OUTPUT.format(""), _OUTPUT.format(Seams(2).bundle([(0, 1)])["text/html"])]
    page.set_content(f"<!doctype html>{_BASE}<div>{''.join(row)}</div>")
    margin = "getComputedStyle(document.querySelector('pre')).marginBottom"
    assert page.evaluate(margin) == "20px"
    page.evaluate("document.querySelectorAll('.jp-RenderedHTMLCommon')[1].innerHTML = '<pre>y</pre>'")
    assert page.evaluate(margin) == "0px"
    page.close()
