"""The bar of many prompts, and the line that folds a text away."""

from __future__ import annotations

import io
import sys

import pytest

from og_magics.display.details import folded_bundle, show_folded
from og_magics.display.progress_bar import progress_bar_for


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_in_a_terminal_one_line_is_drawn_over_and_left_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := _Terminal())
    bar = progress_bar_for(None, 3)
    for told in ("1 of 3", "1 of 3", "2 of 3, 1 failed", "3 of 3"):
        bar.show(1, told)
    bar.show(3, "3 of 3", last=True)
    assert terminal.getvalue() == "\r1 of 3\r2 of 3, 1 failed\r3 of 3          \r3 of 3\n"


def test_where_nobody_looks_nothing_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    progress_bar_for(None, 3).show(3, "3 of 3", last=True)
    assert capsys.readouterr() == ("", "")


def test_what_is_folded_away_is_text_and_no_page() -> None:
    bundle = folded_bundle("<i>line</i>", "</pre><script>x</script>")
    assert bundle["text/plain"] == "<i>line</i>"
    assert bundle["text/html"] == (
        "<details><summary>&lt;i&gt;line&lt;/i&gt;</summary><pre>&lt;/pre&gt;&lt;script&gt;x&lt;/script&gt;</pre></details>"
    )


def test_a_terminal_is_told_the_line_alone(capsys: pytest.CaptureFixture[str]) -> None:
    show_folded(None, "a \x1b[31mline", "text")
    assert capsys.readouterr().out == "a [31mline\n"
