"""Answers side by side."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from og_magics.core.column_style import MARKED, stacking
from og_magics.core.progress import Progress
from og_magics.core.receipt import MIME, Column, Receipt
from og_magics.display import columns_bundle, live_columns_for
from og_magics.verification.output_check import columns_problems

ONE = Receipt(
    receipt_id="01", time=1795343449.0, cell="3", notebook="n.ipynb", network="base", provider="openai",
    model="openai/gpt-5", settlement="batch", status="served", authorization_hash="0x" + "ab" * 32, cap=10**17,
    cost_usd="0.000289", prompt_tokens=7, completion_tokens=28, enclave_ok=True, text="**One** answer",
    latency_s=1.5, ttft_s=0.25,
)  # fmt: skip
TWO = replace(ONE, receipt_id="02", model="x/y", text="| a | b |\n|---|---|\n| 1 | 2 |", latency_s=0.5, cost_usd="0.1")
PAID = replace(ONE, status="settled", payment_hash="0x" + "cd" * 32, cost=10**15)
COLUMNS = [Column("openai/gpt-5", ONE), Column("x/y", TWO), Column("x/nope", None, "There is no <such> model.")]
PAYLOADS = [
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "![x](https://e.example/p.png)", "</td></tr></table>",
    "[x](javascript:alert(1))", "<small>paid</small>", "<!-- x", "<style>*{display:none}</style>", "&lt;b&gt;<b>",
    "```\n</pre><script>\n", "[x](https://e.example \"onmouseover=alert(1)\")", "x\" onload=\"y", "<svg/onload=alert(1)>",
]  # fmt: skip


def nowhere(network: str, transaction: str) -> str:
    return ""


def page(network: str, transaction: str) -> str:
    return f"https://{network}.example/tx/{transaction}"


class Tags(HTMLParser):
    """The tags of a page, with their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open = 0
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.open += tag in ("table", "td", "th", "tr", "div")

    def handle_endtag(self, tag):
        self.open -= tag in ("table", "td", "th", "tr", "div")


class TestTheBundle:
    def test_it_has_html_plain_text_and_the_receipts(self):
        bundle = columns_bundle(COLUMNS, nowhere, (7, "ab" * 32))
        assert set(bundle) == {"text/html", "text/plain", MIME}
        form = json.loads(json.dumps(bundle[MIME]))
        assert form["ledger"] == {"length": 7, "head": "ab" * 32}
        assert [one["model"] for one in form["columns"]] == ["openai/gpt-5", "x/y", "x/nope"]
        assert [one["receipt"] and Receipt.from_json(one["receipt"]) for one in form["columns"]] == [ONE, TWO, None]

    def test_without_any_receipt_it_carries_none(self):
        assert MIME not in columns_bundle(COLUMNS[2:], nowhere)

    def test_plain_text_has_the_columns_one_under_another(self):
        assert columns_bundle(COLUMNS, nowhere)["text/plain"].split("\n\n") == [
            "── openai/gpt-5 · ✓ 1.50 s · first token 0.25 s · 22 tokens/s",
            "**One** answer",
            "7 + 28 tokens · ~$0.000289 · proof ✓ · payment: pending 0xabababab… · batch",
            "── x/y · ✓ 0.50 s · first token 0.25 s · 112 tokens/s",
            TWO.text,
            "7 + 28 tokens · ~$0.100000 · proof ✓ · payment: pending 0xabababab… · batch",
            "── x/nope · ✗ no answer",
            "There is no <such> model.",
            "2 of 3 models answered · the slowest in 1.50 s (one after another: 2.00 s) · ~$0.100289 in all",
        ]

    def test_html_is_one_table_of_columns_of_one_width(self):
        html = columns_bundle(COLUMNS, nowhere)["text/html"]
        assert "table-layout:fixed" in html
        assert "<strong>One</strong> answer" in html
        assert "There is no &lt;such&gt; model." in html
        tags = Tags(html)
        assert tags.open == 0
        assert sum(tag == "th" and "style" in attrs for tag, attrs in tags.tags) == 3

    def test_code_scrolls_and_narrow_columns_stack(self):
        html = columns_bundle([Column("x/y", replace(TWO, text="```python\na_long_line = 1\n```"))] * 2, nowhere)[
            "text/html"
        ]
        assert html.startswith("<style>.og-columns-2{container-type:inline-size}")
        assert '<pre style="white-space:pre;overflow-x:auto;overflow-wrap:normal"><code' in html

    @pytest.mark.parametrize(
        "more", ["body{display:none}", ".og-columns-2{display:none}", "@import 'https://e.example'"]
    )
    def test_another_style_is_found(self, more):
        columns = [Column(ONE.model, ONE)] * 2
        bundle = {kind: one for kind, one in columns_bundle(columns, nowhere).items() if kind != MIME}
        assert columns_problems(columns, bundle) == [None, None]
        html = bundle["text/html"]
        for changed in (
            html.replace("</style>", f"{more}</style>", 1),
            f"{html}<style>{more}</style>",
            html.replace("og-columns-2", "jp-hidden"),
        ):
            assert None not in columns_problems(columns, bundle | {"text/html": changed})

    @pytest.mark.parametrize("language", ["python", "js", "nothing-known", "html", "c++"])
    def test_code_has_colours_and_the_same_text(self, language):
        code = 'def f(x):  # <b>&amp;\n\n    return "</code></pre><script>" + 1\n'
        columns = [Column(TWO.model, replace(TWO, text=f"```{language}\n{code}```\n\nIt is $1."))] * 2
        bundle = {kind: one for kind, one in columns_bundle(columns, nowhere).items() if kind != MIME}
        assert ("--jp-mirror-editor-" in bundle["text/html"]) is (language != "nothing-known")
        assert columns_problems(columns, bundle) == [None, None]
        forged = bundle | {"text/html": bundle["text/html"].replace("return", "yield ")}
        assert columns_problems(columns, forged)[0] is not None

    def test_a_payment_links_to_its_page(self):
        html = columns_bundle([Column("openai/gpt-5", PAID)] * 2, page)["text/html"]
        assert (
            html.count(f'payment: <a href="https://base.example/tx/0x{"cd" * 32}" target="_blank" rel="noopener') == 2
        )

    def test_a_page_that_is_none_is_not_linked(self):
        for target in ("javascript:alert(1)", 'https://e.example/"onclick="x', ""):
            html = columns_bundle([Column("x/y", PAID)], lambda *_, target=target: target)["text/html"]
            assert "<a" not in html

    def test_a_function_call_is_shown_as_it_is(self):
        call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"a": "<b>"}'}}
        bundle = columns_bundle([Column("x/y", replace(TWO, text="", tool_calls=(call,)))], nowhere)
        assert "<pre>f({&quot;a&quot;: &quot;&lt;b&gt;&quot;})</pre>" in bundle["text/html"]

    @pytest.mark.parametrize("payload", PAYLOADS)
    @pytest.mark.parametrize("field", ["text", "model", "settlement", "payment_hash", "network"])
    def test_nothing_untrusted_becomes_markup(self, payload, field):
        columns = [Column("x/y", replace(PAID, **{field: payload})), Column(payload, None, payload)]
        for where in (nowhere, page):
            html = columns_bundle(columns, where)["text/html"]
            tags = Tags(html.removeprefix(stacking(len(columns))))
            assert tags.open == 0
            for tag, attrs in tags.tags:
                assert tag not in ("script", "img", "style", "svg", "iframe", "b")
                assert not [name for name in attrs if name.startswith("on")]
                assert (attrs.get("href") or "https://").startswith(("https://", "http://", "mailto:", "#"))

    def test_what_drives_a_terminal_is_left_out_of_the_plain_text(self):
        columns = [Column("x/\x1b[2Jy", replace(TWO, text="a\x1b[31m\rb")), Column("x", None, "\x1b]0;t\x07")]
        assert not {c for c in columns_bundle(columns, nowhere)["text/plain"] if not c.isprintable() and c != "\n"}


class TestTheAudit:
    def bundle(self, *columns, where=page):
        bundle = columns_bundle(columns or COLUMNS, where)
        return {kind: bundle[kind] for kind in ("text/html", "text/plain")}

    @pytest.mark.parametrize("where", [page, nowhere])
    def test_what_is_shown_as_it_was_made_is_right(self, where):
        columns = [Column("x", PAID), Column("y", replace(PAID, network="devnet")), *COLUMNS]
        assert columns_problems(columns, self.bundle(*columns, where=where)) == [None] * 5

    @pytest.mark.parametrize("kind", ["text/html", "text/plain"])
    def test_an_edited_column_is_found_and_the_others_are_not_accused(self, kind):
        shown = self.bundle()
        shown[kind] = shown[kind].replace("One", "No")
        assert [problem and problem[0] for problem in columns_problems(COLUMNS, shown)] == [True, False, False]

    def test_an_answer_that_stands_in_another_column_too_is_found_all_the_same(self):
        columns = [Column("x", replace(ONE, text="Yes")), Column("y", replace(TWO, text="No"))]
        shown = self.bundle(*columns)
        shown["text/html"] = shown["text/html"].replace("Yes", "No")
        assert columns_problems(columns, shown)[0][0] is True

    def test_answers_that_changed_places_are_found(self):
        shown = self.bundle(COLUMNS[1], COLUMNS[0], COLUMNS[2])
        assert [problem[0] for problem in columns_problems(COLUMNS, shown)][:2] == [True, True]

    @pytest.mark.parametrize("kind", ["text/html", "text/plain"])
    @pytest.mark.parametrize("old", ["7 + 28", "1.50 s ·"])
    def test_another_line_of_a_receipt_does_not_pass(self, kind, old):
        shown = self.bundle()
        shown[kind] = shown[kind].replace(old, "1 + 1", 1)
        assert [problem and problem[0] for problem in columns_problems(COLUMNS, shown)] == [False, False, False]

    @pytest.mark.parametrize("kind", ["text/html", "text/plain"])
    @pytest.mark.parametrize("end", [False, True])
    def test_more_than_the_columns_is_found(self, kind, end):
        shown = self.bundle()
        shown[kind] = shown[kind] + "<p>more</p>" if end else "<p>more</p>" + shown[kind]
        assert all(problem and problem[0] for problem in columns_problems(COLUMNS, shown))

    @pytest.mark.parametrize("more", ["<!-- x -->", "<?x?>", "<![CDATA[x]]>", "<script>x</script>", "<td>x</td>"])
    def test_markup_between_is_found(self, more):
        shown = self.bundle()
        shown["text/html"] = shown["text/html"].replace("</thead>", more + "</thead>", 1)
        assert all(problem and problem[0] for problem in columns_problems(COLUMNS, shown))

    def test_another_style_does_not_pass_and_is_no_accusation(self):
        shown = self.bundle()
        shown["text/html"] = shown["text/html"].replace("text-align:left", "display:none")
        assert {problem and problem[0] for problem in columns_problems(COLUMNS, shown)} == {False}

    def test_a_link_that_leads_elsewhere_is_found(self):
        columns = [Column("x/y", replace(TWO, text="[x](https://a.example)")), *COLUMNS]
        shown = self.bundle(*columns)
        shown["text/html"] = shown["text/html"].replace("https://a.example", "https://b.example")
        assert columns_problems(columns, shown)[0][0] is True

    def test_a_payments_link_that_is_no_page_does_not_pass(self):
        columns = [Column("x", PAID), *COLUMNS]
        shown = self.bundle(*columns)
        shown["text/html"] = shown["text/html"].replace("https://base.example/tx/", "javascript:")
        assert columns_problems(columns, shown)[0] is not None

    @pytest.mark.parametrize(
        "shown", [{}, {"text/html": "x"}, {"text/plain": 5}, {"text/plain": "x", "image/png": "AAAA"}]
    )
    def test_what_shows_no_comparison_is_found(self, shown):
        assert all(problem and problem[0] for problem in columns_problems(COLUMNS, shown))

    def test_a_signed_answer_that_is_said_to_be_incomplete_is_found(self):
        columns = [Column("x", replace(ONE, tee_signature="c2ln"), "It broke off: the rest is 42."), COLUMNS[1]]
        assert columns_problems(columns, self.bundle(*columns))[0][0] is True

    @given(st.lists(st.text(max_size=60), min_size=1, max_size=4))
    def test_any_answers_are_right_as_they_were_shown(self, texts):
        columns = [Column("x/y", replace(PAID, text=text)) for text in texts]
        shown = json.loads(json.dumps(self.bundle(*columns)))
        assert columns_problems(columns, shown) == [None] * len(columns)


class TestMarkedDifferences:
    def html(self, *texts: str) -> str:
        columns = [Column("x/y", replace(TWO, text=text)) for text in texts]
        return str(columns_bundle(columns, nowhere, marks=True)["text/html"])

    def marked(self, *texts: str) -> list[str]:
        return [
            unescape(re.sub("<[^>]*>", "", one)) for one in re.findall(r"<mark[^>]*>(.*?)</mark>", self.html(*texts))
        ]

    def test_words_that_the_other_does_not_have_are_marked_and_the_line_below_says_so(self):
        assert self.marked("The sky is *blue* at noon.", "The sky is grey at noon.") == ["blue", "grey"]
        assert "marked: words that the first answer does not have" in self.html("a", "b")

    def test_of_several_each_is_held_against_the_first(self):
        assert self.marked("one two three", "one two four", "one five three") == ["four", "five"]
        assert self.marked("one two three", "one x three", "one x three") == ["two", "x", "x"]

    def test_what_is_the_same_and_a_column_without_answer_have_no_mark(self):
        assert self.marked("Same *words*, here.", "same words here") == []
        columns = [Column("x/y", TWO), Column("x/nope", None, "No.")]
        assert "<mark" not in columns_bundle(columns, nowhere, marks=True)["text/html"]

    def test_a_formula_is_marked_whole_and_code_with_its_signs(self):
        assert self.marked("It is $a + b$.", "It is $a - b$.") == ["$a + b$", "$a - b$"]
        code = "```python\nx = y {} 1\n```"
        assert self.marked(code.format("+"), code.format("-")) == ["+", "-"]

    @pytest.mark.parametrize("payload", [*PAYLOADS, "a & b < c &amp; $5 to $6", "$x<b>$", "don't \u2067x\u2069"])
    def test_a_text_stays_what_it_was_and_the_audit_agrees(self, payload):
        columns = [
            Column("x/y", replace(PAID, text=text)) for text in (f"so {payload} it is", f"{payload} no", "other")
        ]
        marked, plain = (columns_bundle(columns, page, marks=marks) for marks in (True, False))
        bare = re.sub(r"</?mark[^>]*>", "", marked["text/html"])
        assert bare.replace(MARKED, "") == plain["text/html"]
        assert columns_problems(columns, {kind: marked[kind] for kind in ("text/html", "text/plain")}) == [None] * 3

    @given(st.lists(st.text(max_size=60), min_size=1, max_size=4))
    def test_any_answers_are_right_as_they_were_marked(self, texts):
        columns = [Column("x/y", replace(PAID, text=text)) for text in texts]
        bundle = columns_bundle(columns, nowhere, marks=True)
        assert columns_problems(columns, {kind: bundle[kind] for kind in ("text/html", "text/plain")}) == [None] * len(
            texts
        )


class TestInATerminal:
    def test_each_column_is_printed_once_when_it_has_ended(self, capsys):
        live = live_columns_for(object(), ["openai/gpt-5", "x/y", "x/nope"], [Progress() for _ in range(3)])
        live.show({})
        assert capsys.readouterr().out == ""
        live.show({1: COLUMNS[1]})
        live.show({1: COLUMNS[1]})
        first = capsys.readouterr().out
        assert first.startswith("── x/y · ✓ ")
        live.finish(COLUMNS, nowhere, None, [(), ("data:image/png;base64,AAAA",), ()])
        rest = capsys.readouterr().out
        assert (first + rest).count("── ") == 3
        assert "(1 images, in the results' .images)" in rest
        assert "2 of 3 models answered" in rest.splitlines()[-1]
