"""Answers are untrusted text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from og_magics.display.safe import one_line, safe_markdown


@pytest.mark.parametrize(
    "payload",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "text <a href='javascript:alert(1)'>x</a>",
        "<svg/onload=alert(1)>",
        "<!-- --><iframe src=//e.example>",
        "a\n\n<details open ontoggle=alert(1)>",
    ],
)
def test_html_is_shown_and_not_rendered(payload):
    assert "<" not in safe_markdown(payload)


@pytest.mark.parametrize("payload", ["![x](https://e.example/p.png)", "![x][ref]\n\n[ref]: https://e.example/p.png"])
def test_no_image_is_fetched(payload):
    assert "\\![" in safe_markdown(payload)


@pytest.mark.parametrize(
    "payload",
    [
        "[x](javascript:alert(1))",
        "[x](<JavaScript:alert(1)>)",
        "[x]( data:text/html,hi)",
        "[r]: vbscript:x",
        "[x](file:///etc/passwd)",
    ],
)
def test_a_link_of_an_odd_scheme_leads_nowhere(payload):
    safe = safe_markdown(payload).lower()
    assert "#blocked-" in safe
    assert not any(scheme in safe for scheme in ("javascript:", "data:", "vbscript:", "file:"))


@pytest.mark.parametrize(
    "markdown",
    [
        "**bold** and `x < 1`",
        "[ok](https://example.com)",
        "1. a\n2. b",
        "| a | b |\n|---|---|\n| 1 | 2 |",
        "$a & b$".replace(" & ", " "),
    ],
)
def test_ordinary_markdown_stays_as_it_is(markdown):
    assert safe_markdown(markdown) == markdown


def test_code_keeps_its_characters():
    code = "```python\nif a < b and c > d: print('<b>')\n```"
    assert safe_markdown(code) == code
    assert safe_markdown("use `<b>` here") == "use `<b>` here"


def test_a_code_block_that_the_answer_left_open_is_closed():
    assert safe_markdown("```py\nx = 1").endswith("\n```")
    assert safe_markdown("~~~~\nx\n~~~").endswith("\n~~~~")
    assert safe_markdown("```\nx\n```") == "```\nx\n```"


@given(st.text(alphabet="<>`~![]()&ab:/\n \\", max_size=80))
def test_outside_of_code_no_angle_bracket_is_left(text):
    if "`" not in text and "~" not in text:
        assert "<" not in safe_markdown(text)


@given(st.text(max_size=400))
def test_a_line_of_ours_stays_one_line(text):
    line = one_line(text)
    assert "\n" not in line
    assert not any(f"{c}" in line.replace("\\" + c, "") for c in "<>[]`")
