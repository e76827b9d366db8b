"""Which cells go along as context, and how much of them."""

from __future__ import annotations

import pytest

from og_magics.conversation import context_of
from og_magics.core.cell_context import CellRun
from og_magics.core.errors import ConfigError


def ran(number: int, source: str = "x", **more: str) -> CellRun:
    return CellRun(number, source, **more)


class TestContext:
    def test_the_last_and_so_many(self) -> None:
        cells = [ran(n) for n in range(1, 6)]
        assert context_of("last", cells).numbers == (5,)
        assert context_of("2", cells).numbers == (4, 5)
        assert context_of("all", cells).numbers == (1, 2, 3, 4, 5)
        assert context_of("99", cells).numbers == (1, 2, 3, 4, 5)

    def test_what_is_sent_is_told(self) -> None:
        context = context_of("2", [ran(1), ran(2)])
        assert context.summary == f"Sent with the prompt: cells 1, 2, {len(context.text)} characters."

    def test_many_cells_are_counted(self) -> None:
        assert context_of("all", [ran(n) for n in range(1, 31)]).summary.startswith(
            "Sent with the prompt: 30 cells, from 1 to 30, "
        )

    def test_backticks_in_a_cell_do_not_end_its_block(self) -> None:
        assert "````python\n```\nx\n```\n````" in context_of("last", [ran(1, "```\nx\n```")]).text

    @pytest.mark.parametrize("limit", [300, 1_000, 8_000])
    def test_the_limit_holds_whatever_the_cells_are(self, limit: int) -> None:
        cells = [ran(n, "s" * size, printed="p" * size) for n, size in enumerate([10, 5_000, 100, 3_000, 20_000])]
        for which in ("last", "2", "all"):
            assert len(context_of(which, cells, limit).text) <= limit + 80

    def test_the_oldest_go_first_and_that_is_said(self) -> None:
        context = context_of("all", [ran(n, "s" * 300) for n in range(10)], 1_000)
        assert context.numbers[-1] == 9
        left = 10 - len(context.numbers)
        assert f"Left out: {left} older, over the limit of 1,000 characters." in context.summary
        assert f"({left} older ones are left out.)" in context.text

    def test_errors_is_the_last_cell_that_failed_and_was_no_question(self) -> None:
        cells = [
            ran(1, error="A"),
            ran(2, error="B"),
            ran(3, "%%ogchat\nhi", error="C"),
            ran(4, "%og verify", error="D"),
            ran(5),
        ]
        assert context_of("errors", cells).numbers == (2,)

    @pytest.mark.parametrize("which", ["", "-1", "0", "1.5", "first", "²", "last 2"])
    def test_another_word_is_a_mistake(self, which: str) -> None:
        with pytest.raises(ConfigError):
            context_of(which, [ran(1)])

    def test_where_there_is_nothing_it_says_what_to_do(self) -> None:
        with pytest.raises(ConfigError, match="no earlier cells"):
            context_of("last", [])
        with pytest.raises(ConfigError, match="has failed since"):
            context_of("errors", [ran(1)])
        with pytest.raises(ConfigError, match="set a password or a key"):
            context_of("last", [ran(1, "API_KEY = 'abcdefgh'")])
