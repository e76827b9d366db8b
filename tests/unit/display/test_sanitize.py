"""Answers are untrusted text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from og_magics.display.markdown import harmless, to_html
from og_magics.display.sanitize import one_line, safe_markdown


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
    assert "![" not in safe_markdown(payload)


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
    assert safe_markdown("use `a < b` here") == "use `a < b` here"


def test_code_in_a_line_that_a_parser_might_take_for_html_is_a_code_element():
    assert safe_markdown("use `<b>` here") == "use <code>&#60;b&#62;</code> here"
    assert safe_markdown("`` `![x](y) ``") == "<code>&#96;&#33;&#91;x&#93;(y)</code>"


def test_a_code_block_stands_apart_and_keeps_its_place_in_a_list():
    assert safe_markdown("a\n```\n<b>\n```\nc") == "a\n```\n<b>\n```\nc"
    assert safe_markdown("a\n~~~\n<b>\n~~~\nc") == "a\n\n```\n<b>\n```\n\nc"
    assert safe_markdown("1. a\n   ~~~sh\n   ls\n   ~~~\n2. b") == "1. a\n   ```sh\n   ls\n   ```\n2. b"
    assert safe_markdown("> ```\n> <b>\n> x\n> ```") == "> <pre><code>&#60;b&#62;&#10;x</code></pre>"


def test_a_code_block_in_which_a_formula_may_end_is_an_element():
    assert safe_markdown("\\[\n\n```php\n<?php $$\n```") == "\\[\n\n<pre><code>&#60;?php &#36;&#36;</code></pre>"
    assert safe_markdown("```sh\necho $HOME\n```") == "```sh\necho $HOME\n```"


def test_a_code_block_is_not_drawn_by_a_program():
    assert safe_markdown("```mermaid\ngraph TD\n```") == "```\ngraph TD\n```"


def test_a_formula_brings_no_quotes_into_a_link():
    assert '"' not in safe_markdown('[x](https://e.example/$"onmouseover="f()$)')


def test_a_code_block_that_the_answer_left_open_is_closed():
    assert safe_markdown("```py\nx = 1").endswith("\n```")
    assert safe_markdown("~~~~\nx\n~~~") == "```\nx\n~~~\n```"
    assert safe_markdown("```\nx\n```") == "```\nx\n```"


@given(st.text(alphabet="<>`~![]()&ab:/\n \\", max_size=80))
def test_no_tag_but_ours_can_begin(text):
    assert harmless(safe_markdown(text))


@given(st.text(max_size=400))
def test_a_line_of_ours_stays_one_line(text):
    line = one_line(text)
    assert "\n" not in line
    assert not any(f"{c}" in line.replace("\\" + c, "") for c in "<>[]`")


AMOUNT = "<span>&#36;</span>"


@pytest.mark.parametrize(
    "text",
    [
        "A latte costs $5 and a cake $10.", "| item | price |\n|---|---|\n| a | $5 |\n| b | $10 |", "$5-$10", "5$ or 6$",
        r"\$5 and \$6", "$5 to $10, even $30", "US$ 20 or US$ 30", "$1.5M and more, 2M$", "$HOME/$USER", "$5 million or 6 million$", "US$5, C$7", "$", "$$", "$ 5 $ 6", "$5\n\nand 6$", "from $1,000 to 2$",
    ],
)  # fmt: skip
def test_an_amount_of_dollars_begins_no_formula(text: str) -> None:
    shown = safe_markdown(text)
    assert "$" not in shown
    assert shown.replace(AMOUNT, "$") == text.replace(r"\$", "$")
    html = to_html(text)
    assert "$" not in html
    assert html.count(AMOUNT) == text.count("$")


@pytest.mark.parametrize(
    "text", ["$x^2$", "$$y = 1$$", "$a$, $b$", "$5x + 1$", r"$2 \text{ if } x$", r"the $n$th $x\,y\;z$"]
)
def test_a_formula_stays_one(text: str) -> None:
    assert safe_markdown(text) == text
    assert to_html(text) == f"<p>{text}</p>\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (r"Inline \(x^2\), and", "Inline $x^2$, and"),
        ("\\[\ny = 1\n\\]", "$$y = 1$$"),
        ("$$\na\n- b\n+ c\n= d\n$$", "$$a - b + c = d$$"),
        (
            r"\[ \begin{matrix} a &b \\[2pt] c &d \end{matrix} \]",
            r"$$\begin{matrix} a & b \\[2pt] c & d \end{matrix}$$",
        ),
        ("\\begin{align}\na &= b % why\n\\end{align}", r"$$\begin{align} a &= b \end{align}$$"),
        (r"\(a<b\), \(f[x](t)\)", r"$a \lt b$, $f[x]{}(t)$"),
        (r'\(\text{"a"}\)', r"$\text{''a''}$"),
    ],
)
def test_a_formula_is_written_so_that_every_front_end_draws_it(text: str, shown: str) -> None:
    assert safe_markdown(text) == shown
    assert to_html(text) == f"<p>{shown}</p>\n"


def test_what_is_no_whole_formula_stays_as_it_is() -> None:
    for text in (r"\(open", r"a\)", r"\(a\]", "\\(a\n\nb\\)", r"\[\\\]"):
        assert "$" not in safe_markdown(text)


@pytest.mark.parametrize("text", [r"$\href{javascript:x}{y}$", r"\(\require{html} x\)", "$a`b$"])
def test_a_formula_that_is_more_than_one_is_shown_as_code(text: str) -> None:
    assert safe_markdown(text).startswith("<code>") or safe_markdown(text).startswith("<p>")
    assert "$" not in safe_markdown(text)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (r"\<b> and \` here", "&#60;b> and &#96; here"),
        ("&copy; &lt;b&gt; &amp;amp;", "© &#60;b&#62; &#38;amp;"),
        ("<https://e.example/a?b=c> <me@e.example>", "<https://e.example/a?b=c> <me@e.example>"),
        ("<tel:+49123> [call](tel:+49123)", "[tel:+49123](tel:+49123) [call](tel:+49123)"),
        ("[next](02_receipts.ipynb) [top](/tree) [here](#a)", "[next](02_receipts.ipynb) [top](/tree) [here](#a)"),
    ],
)
def test_links_entities_and_escapes_mean_what_they_mean_in_commonmark(text: str, shown: str) -> None:
    assert safe_markdown(text) == shown


def test_a_block_that_parsers_read_in_several_ways_becomes_html() -> None:
    assert safe_markdown('a\n\n[x](https://e.example "a title")\n\n- b') == (
        'a\n\n<p><a href="https&#58;//e.example" title="a title" target="_blank" rel="noopener noreferrer nofollow">x</a></p>\n\n- b'
    )
    assert (
        safe_markdown("[a]: https://e.example\n\nSee [a].").strip().startswith('<p>See <a href="https&#58;//e.example"')
    )
    assert (
        safe_markdown("    if a <b>:\n        c()") == "<pre><code>if a &#60;b&#62;&#58;&#10;    c()&#10;</code></pre>"
    )
    assert safe_markdown("    if a < b:\n        c()") == "    if a < b:\n        c()"


def test_an_address_and_indented_code_keep_their_dollars() -> None:
    for text in ("[a](https://e.example/?q=$5)", "https://e.example/$5/$6", "    echo $HOME $USER"):
        assert safe_markdown(text).replace("&quot;", '"') == text
