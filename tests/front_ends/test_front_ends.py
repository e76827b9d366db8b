"""What an answer means is what front ends show of it, and nothing in it runs in any of their parsers."""

from __future__ import annotations

import pytest
from markdown_it import MarkdownIt

from og_magics.display.markdown import to_html
from og_magics.display.sanitize import safe_markdown

from ..commonmark import as_shown, differences, examples, hostile, node_modules, running

_BARE_ADDRESSES = {602, 608, 611, 612}
"""Examples with an address without brackets: marked makes a link of it, as GitHub does."""


@pytest.mark.parametrize("kind", ["a cell", "compare and panel"])
def test_the_examples_of_commonmark_show_what_they_mean(kind: str) -> None:
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    for one in examples():
        text = one["markdown"]
        html = parser.render(safe_markdown(text)) if kind == "a cell" else to_html(text)
        assert as_shown(html) == as_shown(one["html"]), one["example"]


def test_most_of_the_specification_is_tried() -> None:
    assert len(examples()) == 576
    assert as_shown("<p>a <em>b</em></p>") != as_shown("<p>a b</p>")


@pytest.mark.ci
@pytest.mark.skipif(not node_modules(), reason="no Node.js, or no parsers in OG_NODE_MODULES")
class TestOtherParsers:
    def test_the_examples_of_commonmark_show_what_they_mean(self) -> None:
        found = differences()
        assert len(found) >= 5
        for name in ("markdown-it", "commonmark.js"):
            assert not found[name], name
        assert set(found["marked"]) <= _BARE_ADDRESSES

    def test_no_hostile_text_runs_or_loads(self) -> None:
        assert not any(running(list(hostile())).values())
