"""Differences between answers: the words of each that another does not have stand in `<mark>`, and no text changes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

_TAG = re.compile(r"(<[^>]*>)")
_QUOTE = r"(?:&#x27;|[’-])"
_TOKEN = re.compile(rf"\$\$.+?\$\$|\$.+?\$|\w+(?:{_QUOTE}\w+)*|&#?\w+;|[^\w\s]", re.S)
"""A formula, a word, or a sign of escaped text; signs count in code alone."""
_OPEN = '<mark style="background:rgba(255,196,0,.35);color:inherit">'
_LONG = 1500
"""Words of an answer above which frequent ones are not compared by themselves: it would take seconds."""


class _Text:
    """The words of an answer's HTML.

    Attributes:
        pieces: tags and texts in turn.
        places: of each word: its piece, its start and its end there.
        words: in one case.
    """

    def __init__(self, html: str) -> None:
        self.pieces = _TAG.split(html)
        self.places: list[tuple[int, int, int]] = []
        self.words: list[str] = []
        code = 0
        for number, piece in enumerate(self.pieces):
            if number % 2:
                code += piece.startswith("<pre") - piece.startswith("</pre")
                continue
            for token in _TOKEN.finditer(piece):
                if code or token[0][0] == "$" or re.match(r"\w", token[0]):
                    self.places.append((number, token.start(), token.end()))
                    self.words.append(token[0].casefold())

    def marked(self, which: set[int]) -> str:
        """Return the HTML with these words in `<mark>`; neighbours share one."""
        spans: dict[int, list[list[int]]] = {}
        for word in sorted(which):
            piece, start, end = self.places[word]
            known = spans.setdefault(piece, [])
            if known and word - 1 in which and self.places[word - 1][0] == piece:
                known[-1][1] = end
            else:
                known.append([start, end])
        pieces = list(self.pieces)
        for piece, some in spans.items():
            text = pieces[piece]
            for start, end in reversed(some):
                text = f"{text[:start]}{_OPEN}{text[start:end]}</mark>{text[end:]}"
            pieces[piece] = text
        return "".join(pieces)


def with_differences(answers: Sequence[str]) -> list[str]:
    """Return the HTML of answers, of `to_html`, with marks; "" is an answer that is not there, and stays out."""
    texts = [_Text(html) for html in answers]
    there = [place for place, text in enumerate(texts) if text.words]
    marks: list[set[int]] = [set() for _ in texts]
    if len(there) > 1:
        first, *others = there
        alone = set(range(len(texts[first].words)))
        for other in others:
            mine, theirs = _common(texts[first].words, texts[other].words)
            alone -= mine
            marks[other] = set(range(len(texts[other].words))) - theirs
        marks[first] = alone
    return [text.marked(which) for text, which in zip(texts, marks, strict=True)]


def _common(one: Sequence[str], other: Sequence[str]) -> tuple[set[int], set[int]]:
    """Return the places of the words that both have, in the same order."""
    long = max(len(one), len(other)) > _LONG
    blocks = SequenceMatcher(None, one, other, autojunk=long).get_matching_blocks()
    mine = {place for start, _, size in blocks for place in range(start, start + size)}
    return mine, {place for _, start, size in blocks for place in range(start, start + size)}
