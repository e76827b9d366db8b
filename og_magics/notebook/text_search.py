"""The search for known texts in others: whole or in part, however they were printed.

Words are compared, without case, marks and spaces. A text is found by any six of its words in a row, by any 24 letters
in a row, by its beginning before "..." or its end behind it; a short one whole. The time is that of reading, however
many texts are known.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence

from .text_readings import readings, words_of

_WINDOW = 6
"""Words in a row by which a text is found."""
_GRAM, _STRIDE = 20, 5
"""Letters in a row that are compared, and the distance of those that are kept: of any 24, one of them is a part."""
_LEAST_LETTERS = 10
_LONGEST_PHRASE = 8
"""Words of a text that is found whole, since it may have no six words of its own."""
_EDGE = range(10, 29)
"""Letters of a beginning, or an end, that stands beside an ellipsis."""
_NEAR = 120
"""Characters beside an ellipsis that are looked at."""
_MOST_LINES = 20_000
"""Lines whose beginnings and ends are kept."""
MOST_CHARACTERS = 32_000_000
"""Of all known texts."""

_ELLIPSIS = re.compile(r"\[?(?:\.{3,}|…)\]?")
_UNIT = re.compile(
    r"[\n\r\t|│┃\[\](){}]|\s{2,}|['\"“”‘’`]|<[^<>]*>|(?:[:=]|->|→)\s|,\s*(?=['\"])|^\s*\d+\s+", re.MULTILINE
)
"""Stands between texts that mean something alone: lines, cells of a table, quoted strings, values of names."""
_COMMON = frozenset("true false none null nan error done object name dtype length count user assistant system".split())
"""Words that outputs hold anyway."""
_BOILERPLATE = (
    "Traceback (most recent call last): File, line 1, in <module>",
    "Traceback (most recent call last) Cell In, line 1",
    "ModuleNotFoundError: No module named",
    "During handling of the above exception, another exception occurred:",
    "The above exception was the direct cause of the following exception:",
    "import numpy as np import pandas as pd import matplotlib.pyplot as plt",
    "import pandas as pd import numpy as np import matplotlib.pyplot as plt",
)
"""Words that tracebacks and first cells hold anyway."""


class KnownTexts:
    """Texts to find in others.

    Attributes:
        full: more was given than is kept, so that not all of it is found.
    """

    def __init__(self) -> None:
        self.full = False
        self._seen: set[bytes] = set()
        self._size = 0
        self._lines = 0
        self._windows: set[str] = set()
        self._grams: set[str] = set()
        self._phrases: dict[int, set[str]] = {}
        self._whole: set[str] = set()
        self._units: set[str] = set()
        self._heads: set[str] = set()
        self._tails: set[str] = set()
        self._pictures: set[bytes] = set()

    def add(self, text: str, *, part: bool = False) -> None:
        """Add a text; `part`: it is a value among others, which says something only if it is no common word."""
        mark = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16]
        if not text.strip() or mark in self._seen:
            return
        self._seen.add(mark)
        self._size += len(text)
        if self._size > MOST_CHARACTERS:
            self.full = True
            return
        for one in readings(text):
            words = words_of(one)
            self._add_runs(words)
            self._add_short(words, part=part)
            self._add_edges(words)
            for line in one.splitlines() if "\n" in one else ():
                self._lines += 1
                if self._lines < _MOST_LINES:
                    self._add_edges(words_of(line))

    def add_picture(self, encoded: str) -> None:
        """Add a picture, in base64."""
        self._pictures.add(_picture(encoded))

    def holds_picture(self, encoded: str) -> bool:
        """Return True for one of the pictures."""
        return _picture(encoded) in self._pictures

    def _add_runs(self, words: Sequence[str]) -> None:
        for stream in _streams(words):
            for window in zip(*(stream[start:] for start in range(_WINDOW)), strict=False):
                if _says_something(window):
                    self._windows.add(" ".join(window))
            letters, starts = "".join(stream), _starts(stream)
            first = 0
            for at in range(0, len(letters) - _GRAM + 1, _STRIDE):
                while first < len(starts) and starts[first] < at:
                    first += 1
                gram = letters[at : at + _GRAM]
                inside = sum(start < at + _GRAM for start in starts[first : first + 3])
                if inside > 1 and sum(map(str.isalpha, gram)) >= _LEAST_LETTERS:
                    self._grams.add(gram)
        self._windows -= _BOILERPLATE_WINDOWS
        self._grams -= _BOILERPLATE_GRAMS

    def _add_short(self, words: Sequence[str], *, part: bool) -> None:
        if not 0 < len(words) <= _LONGEST_PHRASE:
            return
        joined, size = " ".join(words), sum(map(len, words))
        letters = sum(map(str.isalpha, joined))
        common = _COMMON.issuperset(words)
        if part and (common or letters < 4):
            return
        self._whole.add(joined)
        if not common and letters >= (8 if part else 4):
            self._units.add(joined)
        if len(words) >= 3 and size >= 14 and letters >= _LEAST_LETTERS:
            self._phrases.setdefault(len(words), set()).add(joined)

    def _add_edges(self, words: Sequence[str]) -> None:
        """Keep beginnings and ends of two words or more."""
        if len(words) < 2:
            return
        first, last = "".join(words[:20])[: _EDGE.stop], "".join(words[-20:])[-_EDGE.stop :]
        if sum(map(str.isalpha, first)) >= 8:
            self._heads.update(first[:size] for size in _EDGE if len(words[0]) < size <= len(first))
        if sum(map(str.isalpha, last)) >= 8:
            self._tails.update(last[-size:] for size in _EDGE if len(words[-1]) < size <= len(last))

    def found_in(self, text: str, *, near: bool = False) -> bool:
        """Return True for a text that holds one of the known texts, or a part of one.

        Args:
            near: it was made with an answer, so that even a word or a number that is all of an answer is one.
        """
        return bool(self._seen) and any(self._in_reading(one, near=near) for one in readings(text))

    def _in_reading(self, text: str, *, near: bool) -> bool:
        words = words_of(text)
        if not words:
            return False
        return (
            any(self._run_in(stream) for stream in _streams(words))
            or any(not known.isdisjoint(_windows(words, size)) for size, known in self._phrases.items())
            or self._short_in(text, words, near=near)
            or any(self._is_cut(text, ellipsis) for ellipsis in _ELLIPSIS.finditer(text))
        )

    def _run_in(self, words: Sequence[str]) -> bool:
        if not self._windows.isdisjoint(_windows(words, _WINDOW)):
            return True
        letters = "".join(words)
        return not self._grams.isdisjoint(letters[at : at + _GRAM] for at in range(len(letters) - _GRAM + 1))

    def _short_in(self, text: str, words: Sequence[str], *, near: bool) -> bool:
        joined = " ".join(words) if len(words) <= _LONGEST_PHRASE else ""
        if joined in (self._whole if near else self._units):
            return True
        if self._units.isdisjoint(_windows_up_to(words, _LONGEST_PHRASE)) and not near:
            return False
        units = [unit for unit in (" ".join(words_of(unit)) for unit in _UNIT.split(text)) if unit]
        return not self._units.isdisjoint(units) or (near and bool(units) and self._whole.issuperset(units))

    def _is_cut(self, text: str, ellipsis: re.Match[str]) -> bool:
        """Return True where a known text begins before an ellipsis, or ends behind it."""
        before = words_of(text[max(0, ellipsis.start() - _NEAR) : ellipsis.start()])
        behind = words_of(text[ellipsis.end() : ellipsis.end() + _NEAR])
        return not (
            self._heads.isdisjoint("".join(before[at:]) for at in range(len(before)))
            and self._tails.isdisjoint("".join(behind[:at]) for at in range(1, len(behind) + 1))
        )


def _streams(words: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield the words, and the words without numbers: those of lines and rows stand between them."""
    yield words
    if any(map(str.isdigit, words)):
        yield [word for word in words if not word.isdigit()]


def _windows(words: Sequence[str], size: int) -> Iterable[str]:
    return map(" ".join, zip(*(words[start:] for start in range(size)), strict=False))


def _windows_up_to(words: Sequence[str], size: int) -> Iterator[str]:
    for one in range(1, size + 1):
        yield from _windows(words, one)


def _says_something(window: Sequence[str]) -> bool:
    """Return False for words that are numbers, or the same few again and again."""
    text = "".join(window)
    letters = sum(map(str.isalpha, text)) >= _LEAST_LETTERS
    spaceless = len(text) == len(window) and not text.isascii()  # each is a character of a script without spaces
    return len(set(window)) >= 4 and (letters or spaceless or len(text) >= 24)


def _starts(words: Sequence[str]) -> list[int]:
    """Return where each word begins among the letters of all."""
    starts, at = [], 0
    for word in words:
        starts.append(at)
        at += len(word)
    return starts


def _picture(encoded: str) -> bytes:
    return hashlib.sha256("".join(encoded.split()).encode("utf-8", "surrogatepass")).digest()


_BOILERPLATE_STREAMS = [stream for text in _BOILERPLATE for stream in _streams(words_of(text))]
_BOILERPLATE_WINDOWS = frozenset(one for stream in _BOILERPLATE_STREAMS for one in _windows(stream, _WINDOW))
_BOILERPLATE_GRAMS = frozenset(
    letters[at : at + _GRAM] for letters in map("".join, _BOILERPLATE_STREAMS) for at in range(len(letters) - _GRAM + 1)
)
