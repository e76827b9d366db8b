"""An answer as a row of pieces: where they end, and how many become one."""

from __future__ import annotations

import re

import pytest

from benchmarks.typist import KINDS, text_of
from og_magics.core.progress import Call, StreamPart
from og_magics.display.markdown import to_html
from og_magics.display.pieces import LARGE, MOST, SMALL, Pieces, PieceSize

SLOW, FAST = 20.0, 80.0


class Shown:
    """A text as it stands in its row while it grows, at a rate of so many tokens a second."""

    def __init__(self, text: str, rate: float, size: PieceSize = SMALL, step: int = 97) -> None:
        self.row: list[dict[str, str]] = [{}]
        self.most = self.joins = 0
        self.sent = 0
        pieces = Pieces(size)
        for end in [*range(step, len(text), step), len(text)]:
            first = pieces.closed
            self.row[first:] = [*pieces.close([text[:end]], rate), {}]
            if (joined := pieces.join([text[:end]])) is not None:
                self.row = [joined, {}]
                self.joins += 1
            assert len(self.row) == pieces.closed + 1
            self.row[-1] = pieces.last([text[:end]])
            if pieces.closed:
                self.sent = max(self.sent, len(self.row[-1].get("text/markdown", "")))
            self.most = max(self.most, len(self.row))


def words(html: str) -> list[str]:
    return re.sub("<[^>]*>", " ", html).split()


def html_of(row: list[dict[str, str]]) -> str:
    return "".join(bundle.get("text/html") or to_html(bundle["text/markdown"]) for bundle in row)


@pytest.mark.parametrize("kind", KINDS)
def test_a_slow_answer_has_small_pieces_of_which_many_become_one(kind: str) -> None:
    text = text_of(kind, 9_000)
    slow = Shown(text, SLOW)
    assert slow.most <= MOST
    assert slow.joins >= 2
    assert slow.sent <= 900
    assert words(html_of(slow.row[:1]))[:200] == words(to_html(text))[:200]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rate", [SLOW, FAST])
def test_the_pieces_show_the_words_of_the_whole(kind: str, rate: float) -> None:
    text = text_of(kind, 9_000)
    shown = Shown(text, rate)
    found = words(html_of(shown.row))
    if kind == "table":  # the head, which is repeated, takes no place
        heads = found.count("amount")
        assert heads == len(shown.row)
        found = [word for word in found if word not in {"number", "what", "it", "says", "amount", "checked"}]
        assert found == [
            w for w in words(to_html(text)) if w not in {"number", "what", "it", "says", "amount", "checked"}
        ]
    else:
        assert found == words(to_html(text))


def test_a_joined_block_of_code_is_closed_and_goes_on_in_the_next_piece() -> None:
    text = text_of("code", 8_000)
    shown = Shown(text, SLOW)
    assert shown.joins
    assert shown.row[0]["text/markdown"].endswith("\n```\n")
    assert all(one["text/markdown"].startswith("```python\n") for one in shown.row[1:])


@pytest.mark.parametrize("rate", [SLOW, FAST])
def test_an_answer_of_usual_length_is_one_piece_at_any_rate(rate: float) -> None:
    assert Shown(text_of("prose", 350), rate, step=9).most == 1


def test_in_a_loop_the_pieces_of_a_slow_answer_stay_large() -> None:
    assert Shown(text_of("prose", 1_500), SLOW, LARGE).most <= 3


def test_a_call_between_two_texts_stays_where_it_is_when_pieces_are_joined() -> None:
    text = text_of("prose", 4_000)
    call = Call("weather", '{"city": "Oslo"}', state="done", result="rain")
    pieces = Pieces(SMALL)
    joined = None
    for end in [*range(100, len(text), 100), len(text)]:
        parts: list[StreamPart] = ["I ask first.\r\n\r\nThen I answer.", call, text[:end]]
        pieces.close(parts, SLOW)
        joined = pieces.join(parts) or joined
    assert joined is not None
    shown = joined["text/markdown"]
    assert shown.index("Then I answer.") < shown.index("weather") < shown.index("## Part 1")
    assert "\r" not in shown


@pytest.mark.parametrize("kind", KINDS)
def test_as_html_the_pieces_say_what_the_whole_says(kind: str) -> None:
    text = text_of(kind, 4_000) + ("\n\n" if kind == "prose" else "\n") + "<img src=x onerror=alert(1)> costs $5"
    pieces, closed = Pieces(SMALL, as_html=True), []
    for end in [*range(100, len(text), 100), len(text)]:
        closed += pieces.close([text[:end]])
    html = "".join(piece["text/html"] for piece in [*closed, pieces.last([text])])
    assert len(closed) >= 3
    assert "<img" not in html
    if kind == "prose":
        assert html == to_html(text)
    heads = {"number", "what", "it", "says", "amount", "checked"} if kind == "table" else set()
    assert [one for one in words(html) if one not in heads] == [one for one in words(to_html(text)) if one not in heads]
