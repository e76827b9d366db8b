"""{variables}: braces, paths, and the audit's question whether a prompt can have become what was sent."""

from __future__ import annotations

from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from og_magics.conversation import could_expand_to, substitute, unknown_names
from og_magics.core.errors import ConfigError

NAMES = {"x": "{y}", "y": "{x}", "n": 3, "d": {"k": [1, 2]}, "brace": "}{"}
PIECES = st.lists(
    st.one_of(st.text(max_size=5), st.sampled_from(["{", "}", "x", "{x}", "{y}", "{d['k']}", "{z}", "{brace}"])),
    max_size=15,
).map("".join)


class TestFilling:
    def test_values_are_never_expanded_again(self) -> None:
        assert substitute("{x}{y}{x}", NAMES).text == "{y}{x}{y}"

    def test_values_do_not_join_with_braces_around_them(self) -> None:
        assert substitute("{{brace}n} {x}}", NAMES).text == "{}{n} {y}}"

    @pytest.mark.parametrize("count", range(1, 8))
    def test_braces_count_as_in_an_f_string(self, count: int) -> None:
        n = 3
        assert substitute("{" * count + "n" + "}" * count, NAMES).text == eval(
            "f'" + "{" * count + "n" + "}" * count + "'", {"n": n}
        )

    def test_each_path_is_resolved_once(self) -> None:
        class Counting:
            seen = 0

            @property
            def value(self) -> int:
                Counting.seen += 1
                return Counting.seen

        assert substitute("{c.value} {c.value}", {"c": Counting()}).text == "1 1"

    @given(PIECES)
    def test_without_names_nothing_changes(self, prompt: str) -> None:
        assert substitute(prompt, {}).text == prompt

    @given(PIECES)
    def test_what_was_sent_is_always_something_that_the_prompt_can_become(self, prompt: str) -> None:
        assert could_expand_to(prompt, substitute(prompt, NAMES).text)

    @given(st.text())
    def test_no_text_makes_it_fail_where_no_path_can(self, prompt: str) -> None:
        assert isinstance(substitute(prompt, NAMES | {"d": 1}).text, str)

    def test_an_attribute_with_an_underscore_is_no_path(self) -> None:
        assert substitute("{d.__class__} {d._x} {d['__k__']}", {"d": {"__k__": 1}}).text == "{d.__class__} {d._x} 1"

    def test_a_property_that_raises_is_a_mistake_that_is_told(self) -> None:
        class Bad:
            @property
            def value(self) -> int:
                raise LookupError("no\nvalue")

        with pytest.raises(ConfigError, match=r"{b.value} in the prompt leads nowhere: LookupError: no value"):
            substitute("{b.value}", {"b": Bad()})


class TestUnknownNames:
    NAMES: ClassVar = dict.fromkeys(["question", "document", "sales_total", "df"])

    @pytest.mark.parametrize(
        ("prompt", "unknown"),
        [
            ("Answer {questoin}.", {"questoin": "question"}), ("About {documnt.title}", {"documnt.title": "document.title"}),
            ('Of "{Question}"', {"Question": "question"}), ("{salesTotal}", {"salesTotal": "sales_total"}),
            ("Summarize {article}, and\n{comments}", {"article": "", "comments": ""}), ("{df}{question}", {}),
        ],
    )  # fmt: skip
    def test_they_are_found_with_what_is_likely_meant(self, prompt: str, unknown: dict[str, str]) -> None:
        assert unknown_names(prompt, self.NAMES) == unknown

    @pytest.mark.parametrize(
        "prompt",
        [
            "{v: k for k, v in items}", "{'foo': 'bar'}", '{"a": "{questoin}"}', "{1, 2} {questoin, x} {}", "{1+1} {0}",
            "\\frac{questoin}{documnt}", "$\\sum_{questoin}$", "$$x {questoin} y$$", "\\( {questoin} \\)", "${questoin}",
            "`{questoin}`", "```py\nprint(f'{questoin}')\n```", "~~~\n{questoin}", "    {questoin}\n", "f'{questoin}'",
            "s = {questoin}", "{{questoin}}", "{{{questoin}}}", "x{questoin}", "{questoin}()", "{x}", "{print} {class}",
            "{questoin!r} {questoin:>3}", "{% for questoin in x %}", "body {color: red}", "{hidden}",
        ],
    )  # fmt: skip
    def test_code_json_sets_and_formulas_are_not_accused(self, prompt: str) -> None:
        assert unknown_names(prompt, self.NAMES, {"hidden"}) == {}


class TestTheAudit:
    @pytest.mark.parametrize(
        ("prompt", "sent"),
        [
            ("no variables", "no variables"),
            ("a {x} b {y.z} c", "a 1 b 2 c"),
            ("{x}", ""),
            ("{{x}} {", "{x} {"),
            ("{x}{y}", "12"),
        ],
    )
    def test_the_text_around_the_braces_must_match(self, prompt: str, sent: str) -> None:
        assert could_expand_to(prompt, sent)

    @pytest.mark.parametrize(
        ("prompt", "sent"),
        [
            ("no variables", "no variable"), ("a {x} b", "a 1 c"), ("a {x} b {y} c", "a 1 2 c"), ("aa {x} aa", "aa"),
            ("{x!r}", "1"), ("{}", "1"), ("pay {x} now", "Pay 1 now"), ("{x} b {y}", "1 2"),
        ],
    )  # fmt: skip
    def test_a_changed_prompt_does_not(self, prompt: str, sent: str) -> None:
        assert not could_expand_to(prompt, sent)

    def test_many_braces_take_no_time(self) -> None:
        assert not could_expand_to("{x}a" * 5_000 + "b", "a" * 20_000)
