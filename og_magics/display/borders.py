"""Borders in a growing Markdown text, found by its parser: what stands before one is not changed by what comes."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.token import Token

_LONGEST_FORMULA = 4_000
"""Characters after which an opened `$$` or `\\[` is no formula: nothing closes it."""
_MARKS = re.compile(r"(?<!`)(?P<ticks>`+)(?!`).*?(?<!`)(?P=ticks)(?!`)|\\[\\$]|(?P<mark>\$\$|\\[\[\]])", re.S)
"""Marks of displayed formulas, but for those in code and those that a backslash takes the meaning of."""
_MARKER = re.compile(r"(\s*)\d{1,9}(?=[.)])")
_UNDECIDED = re.compile(r"\s*(?:#{1,6}|[-*+_=]+|\d{1,9}[.)]?|[`~]+)?\s*")
"""The beginning of a line of which nobody can say yet what it is: a mark, or a word that begins like one."""
_INDENT = 4
"""Spaces before a line by which it is no end of a block of code."""
_LARGE, _GROWTH = 8_000, 10
"""A text in which no border was found is read again at its next line; if it has more characters than this, when it has
grown by this part of it: reading stays linear."""


@dataclass(frozen=True, slots=True)
class Border:
    """A place at which a text can be cut in two, each of which shows what it shows in the whole.

    Attributes:
        offset: of the first character after it.
        suffix: what closes the text before, as the fence of a block of code.
        prefix: what opens the text after, in place of its first `skipped` characters.
        rows: the text after begins with rows of a table whose head, repeated in `prefix`, stands in the text before.
        within: both sides are parts of one block.
    """

    offset: int
    suffix: str = ""
    prefix: str = ""
    skipped: int = 0
    rows: bool = False
    within: bool = False


@dataclass(frozen=True, slots=True)
class _Block:
    """A block of the top level, from a line of the text to another; `tokens` are its own."""

    kind: str
    begin: int
    end: int
    tokens: Sequence[Token]


class BorderFinder:
    """Finds borders in one text, which grows between calls."""

    def __init__(self) -> None:
        self._fruitless = 0

    def find(self, text: str, least: int, inside: int, *, lines: bool = False) -> Border | None:
        """Return the first border after so many characters, or None; with `lines`, of a text that is no Markdown.

        It stands between two blocks, and never in a formula; or in a block of code, a list or a table that has more
        than `inside` characters: between two of its lines, items or rows.
        """
        complete = text.rfind("\n") + 1
        if lines:
            end = text.find("\n", inside - 1) + 1
            return Border(end, within=True) if 0 < end < len(text) else None
        undecided = _UNDECIDED.fullmatch(text, complete)
        indented = len(text) - complete >= _INDENT and text[complete:].isspace()
        if complete < min(least, inside) or complete == self._fruitless or (undecided and not indented):
            return None
        if complete > _LARGE and complete * _GROWTH < self._fruitless * (_GROWTH + 1):
            return None
        # A line counts as soon as it has begun: a border before it is found before much of it is shown.
        if undecided:  # whatever comes behind so much space, it is a line of the code around it
            return next((one for one in _borders(f"{text}x", least, inside) if one.suffix), None)
        border = next(_borders(text, least, inside), None)
        self._fruitless = complete if border is None else 0
        return border


def _borders(text: str, least: int, inside: int) -> Iterator[Border]:
    lines = text.split("\n")
    offsets = [0]
    for line in lines:
        offsets.append(offsets[-1] + len(line) + 1)
    formula = _Formula()
    for block in _blocks(text):
        begin, end = offsets[block.begin], min(offsets[block.end], len(text))
        closed = not formula.open_at(begin)
        if block.begin and begin >= least and closed and text[:begin].strip():
            yield Border(begin)
        if closed and end - begin > inside:
            within = _inside(block, lines, offsets, begin + inside)
            yield from (border for border in within if len(border.prefix) < inside // 2)
        formula.read(block, begin)


def _blocks(text: str) -> Iterator[_Block]:
    tokens = _parser().parse(text)
    begin = 0
    for place, token in enumerate(tokens):
        if token.level == 0 and token.nesting <= 0:
            first = tokens[begin]
            if first.map:
                yield _Block(first.type, first.map[0], first.map[1], tokens[begin : place + 1])
            begin = place + 1


def _inside(block: _Block, lines: Sequence[str], offsets: Sequence[int], least: int) -> Iterator[Border]:
    """Yield the first place in a block, after so many characters of the text, that leaves something on both sides."""
    if block.kind == "fence":
        mark = block.tokens[0].markup
        for number in range(block.begin + 2, block.end):
            bare = lines[number].strip()
            if offsets[number] >= least and bare and not (bare.startswith(mark) and not bare.strip(mark[0])):
                yield Border(offsets[number], f"{mark}\n", f"{lines[block.begin]}\n", within=True)
                return
    elif block.kind in ("bullet_list_open", "ordered_list_open"):
        items = [token for token in block.tokens if token.type == "list_item_open" and token.level == 1]
        for place, item in enumerate(items):
            if item.map and offsets[item.map[0]] >= least:
                yield _before_item(item.map[0], int(items[0].info or 0) + place, lines, offsets)
                return
    elif block.kind == "table_open":
        head = f"{lines[block.begin]}\n{lines[block.begin + 1]}\n"
        for number in range(block.begin + 3, block.end):
            if offsets[number] >= least:
                yield Border(offsets[number], prefix=head, rows=True, within=True)
                return


def _before_item(line: int, number: int, lines: Sequence[str], offsets: Sequence[int]) -> Border:
    """Return the border before an item of a list. Its number is the one that it is shown with: lists count on."""
    marker = _MARKER.match(lines[line])
    if marker is None:
        return Border(offsets[line], within=True)
    return Border(offsets[line], prefix=f"{marker[1]}{number}", skipped=marker.end(), within=True)


class _Formula:
    """Follows the displayed formulas through the blocks of a text."""

    def __init__(self) -> None:
        self._opened, self._since = "", 0

    def open_at(self, offset: int) -> bool:
        """Return True if a formula that was opened before may still be closed after so many characters."""
        return bool(self._opened) and offset - self._since <= _LONGEST_FORMULA

    def read(self, block: _Block, offset: int) -> None:
        """Read a block that begins at an offset of the text; code holds no formula."""
        if not self.open_at(offset):
            self._opened = ""
        for token in block.tokens:
            for found in _MARKS.finditer(token.content) if token.type == "inline" else ():
                if mark := found["mark"]:
                    self._turn(mark, offset)

    def _turn(self, mark: str, offset: int) -> None:
        if not self._opened and mark != "\\]":
            self._opened, self._since = mark, offset
        elif mark == {"$$": "$$", "\\[": "\\]"}.get(self._opened):
            self._opened = ""


@functools.cache
def _parser() -> MarkdownIt:
    """Return a parser of blocks alone: what stands within a line is no border."""
    return MarkdownIt("commonmark", {"html": False}).enable("table").disable(["inline", "text_join"])
