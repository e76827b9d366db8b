"""Answers as what they were asked to be. All of them are untrusted."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from html.parser import HTMLParser

import pytest

from og_magics.display.formats import (
    HTML,
    LATEX,
    MARKDOWN,
    PLAIN,
    code_blocks,
    first_code,
    pretty_json,
    shown_as_format,
)
from og_magics.display.markdown import harmless


class Tags(HTMLParser):
    """The tags of a page, as a browser reads them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


class TestJson:
    @pytest.mark.parametrize("text", ['{"a":[1]}', '```json\n{"a":[1]}\n```', ' {"a": [1]}\n'])
    def test_it_is_set_out_in_lines(self, text: str) -> None:
        assert pretty_json(text) == '{\n  "a": [\n    1\n  ]\n}'

    @pytest.mark.parametrize("text", ["no", "", "[" * 100_000])
    def test_what_is_none_stays_as_it_is(self, text: str) -> None:
        assert pretty_json(text) == text

    def test_nothing_in_it_is_rendered(self) -> None:
        shown = shown_as_format('{"a": "```\\n<img src=x>\\n![x](http://e.example/x)"}', "json")
        assert shown[MARKDOWN].startswith("````json\n")
        assert harmless(shown[MARKDOWN])


class TestCode:
    @pytest.mark.parametrize(
        ("text", "code", "language"),
        [
            ("Here:\n```python\nx = 1\n```\nand\n```\ny\n```", "x = 1", "python"),
            ("~~~~\na\n~~~\nb\n~~~~", "a\n~~~\nb", ""),
            ("```py\nnever closed", "never closed", "py"),
            ("x = 1\n", "x = 1", ""),
            ("```\n\n```", "", ""),
            ("```\n```", "", ""),
            ("", "", ""),
        ],
    )
    def test_the_first_block_is_taken_or_all(self, text: str, code: str, language: str) -> None:
        assert first_code(text) == (code, language)

    def test_a_language_that_draws_is_not_named(self) -> None:
        shown = shown_as_format("```mermaid\ngraph TD\n```", "code")
        assert shown == {PLAIN: "```mermaid\ngraph TD\n```", MARKDOWN: "```\ngraph TD\n```"}

    def test_nothing_of_the_answer_is_hidden(self) -> None:
        text = "But do not run this:\n```python\nx = 1\n```\n<b>Really.</b>"
        shown = shown_as_format(text, "code")
        assert shown[PLAIN] == text
        assert shown[MARKDOWN].startswith("```python\nx = 1\n```\n\n<details>")
        assert "But do not run this" in shown[MARKDOWN]
        assert "<b>" not in shown[MARKDOWN]
        two = "```\nx\n```\nnot this:\n```\ny\n```"
        assert "not this:" in shown_as_format(two, "code")[MARKDOWN]
        assert pretty_json("```json\n{}\n```\nand more") == "```json\n{}\n```\nand more"


class TestHtml:
    @pytest.mark.parametrize(
        "text",
        [
            "<h1>hi</h1>",
            '"></iframe><script>alert(1)</script>',
            "</details></pre><img src=http://e.example/x onerror=alert(1)>",
            "```html\n<body onload=alert(1)>\n```",
            "<iframe srcdoc='<script>alert(1)</script>'>",
        ],
    )
    def test_it_stands_in_one_frame_and_nowhere_else(self, text: str) -> None:
        html = shown_as_format(text, "html")[HTML]
        tags = Tags(html).tags
        assert [tag for tag, _ in tags] == ["iframe", "details", "summary", "pre"]
        assert set(tags[0][1]) == {"sandbox", "referrerpolicy", "srcdoc", "style"}
        assert tags[0][1]["sandbox"] == ""

    def test_the_frame_may_fetch_nothing(self) -> None:
        inside = Tags(
            shown_as_format('<LINK rel=preconnect href="//e.example"><base href="//e"><meta charset=x>', "html")[HTML]
        ).tags[0][1]["srcdoc"]
        assert inside is not None
        assert inside.startswith('<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; ')
        assert [tag for tag, _ in Tags(inside).tags] == ["meta", "meta", "x-link", "x-base", "x-meta"]


class TestMath:
    @pytest.mark.parametrize(
        ("text", "latex"),
        [
            (r"$$ e^{i\pi} + 1 = 0 $$", r"$$e^{i\pi} + 1 = 0$$"),
            ("\\[\n\\frac{a}{b}\n\\]", r"$$\frac{a}{b}$$"),
            ("$x$", "$$x$$"),
            (r"\( a < b \)", r"$$a \lt b$$"),
            ("```latex\na \\\\ b\n```", r"$$a \\ b$$"),
            (r"\int_0^1 x\,dx", r"$$\int_0^1 x\,dx$$"),
        ],
    )
    def test_a_formula_is_shown_as_one(self, text: str, latex: str) -> None:
        shown = shown_as_format(text, "math")
        assert (shown[LATEX], shown[MARKDOWN], shown[PLAIN]) == (latex, latex, text)

    def test_formulas_in_a_text_stand_between_dollars(self) -> None:
        shown = shown_as_format(r"The square of the sum is \(a^2\), and \[b\] is more.", "math")
        assert LATEX not in shown
        assert re.search(r"is \$a\^2\$, and \$\$b\$\$ is", shown[MARKDOWN])

    @pytest.mark.parametrize(
        "text",
        [
            r"\href{javascript:alert(1)}{x}", r"\require{html}", r"\style{position:fixed}{x}", r"\class{x}{y}", "$a$ b$",
            r"\unicode{x}", "![x](http://e.example/x)", r"\def\x{y}\x", "[a](javascript:x)", "",
        ],
    )  # fmt: skip
    def test_what_could_be_more_is_shown_as_code(self, text: str) -> None:
        shown = shown_as_format(text, "math")
        assert LATEX not in shown
        assert shown[MARKDOWN] == f"```\n{text}\n```"


class TestOthers:
    def test_text_is_plain_text_and_nothing_else(self) -> None:
        assert shown_as_format("**a**", "text") == {PLAIN: "**a**"}

    @pytest.mark.parametrize("format", ["md", "image", "unheard of"])
    def test_all_else_is_harmless_markdown(self, format: str) -> None:
        shown = shown_as_format("**a** <b> ![x](http://e.example)", format)
        assert set(shown) == {PLAIN, MARKDOWN}
        assert harmless(shown[MARKDOWN])


@pytest.mark.ci
@pytest.mark.parametrize(
    "piece",
    ["`", "~", "```\n", "``` a", "~~~~\n~~~", "a", " ", "\\[ ", "\\(a", "\\[ \\(", "$", "$$", "$5 ", "aa, ", "\n\n"],
)
@pytest.mark.parametrize("before", ["", "``````", "\\[ the words of a "])
def test_time_grows_as_the_text_does(piece: str, before: str) -> None:
    def needed(characters: int, read: Callable[[str], object]) -> float:
        text = before + piece * (characters // len(piece))
        times = []
        for _ in range(3):
            began = time.process_time()
            read(text)
            times.append(time.process_time() - began)
        return min(times)

    # Sixteen times the text takes 16 times as long, and 256 times where each part is read again for each other.
    for read, characters in ((code_blocks, 2_000), (lambda text: shown_as_format(text, "math"), 500)):
        assert needed(16 * characters, read) < 64 * max(needed(characters, read), 0.001)
