"""The text that a person sees of Markdown or HTML, with the targets of its links and a list of everything hidden."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote

from markdown_it import MarkdownIt
from markdown_it.token import Token

from ..core.code_colors import COLORS
from ..core.formulas import with_formulas
from ..core.urls import may_open

LINK_START, LINK_END = "\ue000", "\ue001"
"""Around the target of a link, behind the link's text. Both are removed from any text that is read."""

_STRUCK = {"s": "\ue002", "del": "\ue002"}
"""Stands where a text begins or ends to be struck out: what is struck out says the opposite."""

_BLOCKS = frozenset(
    "p div table thead tbody tr td th ul ol li h1 h2 h3 h4 h5 h6 hr blockquote pre details summary iframe".split()
)
_INLINE = frozenset("a b br code del em i mark s small span strong sub sup wbr".split())
_ATTRIBUTES: Mapping[str, frozenset[str]] = {
    "a": frozenset(("href", "target", "rel", "title")),
    "code": frozenset(("class",)),
    "ol": frozenset(("start",)),
    "details": frozenset(("open",)),
    "iframe": frozenset(("sandbox", "referrerpolicy", "srcdoc")),
}
"""Attributes that may stand in a tag, besides `style`."""

_SIZE = r"\d*\.?\d+(?:em|px|%)?"
_STYLES = {
    name: re.compile(pattern)
    for name, pattern in {
        "background": r"none|#fff|rgba\(255,\s?196,\s?0,\s?0?\.35\)",
        "border": r"1px solid #\w{3,8}",
        "color": r"inherit|var\(--jp-(?:success|error|warn|ui-font)-color\d,\s?#[0-9a-f]{6}\)|"
        + "|".join(map(re.escape, COLORS.values())),
        "font-size": "inherit|1em",
        "font-weight": "normal|bold|600",
        "height": r"\d\d+em",
        "line-height": r"1(?:\.\d+)?|2",
        "margin": f"{_SIZE}(?: {_SIZE})*",
        "min-width": r"\d+em",
        "opacity": r"0?\.[6-9]\d*|1",
        "overflow-wrap": "break-word|anywhere|normal",
        "overflow-x": "auto",
        "padding": f"{_SIZE}(?: {_SIZE})*",
        "table-layout": "fixed",
        "text-align": "left|right|center",
        "vertical-align": "top|middle|baseline",
        "white-space": "normal|pre|pre-wrap",
        "width": "100%",
    }.items()
}
"""Declarations that hide nothing. Any other may: `display:none`, white on white, a size of 0."""

_STACKED = re.compile(r"og-columns-\d{1,3}")
"""The class of a comparison's table: no style but our own knows it."""
_SPACES = re.compile(r"[ \t\n\r\f\v]+")
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_DROPPED = re.compile("[\u2060\ue000-\ue002]")
_WEB = re.compile(r"(https?:|mailto:|#)", re.I)


@dataclass
class VisibleText:
    """The visible part of one representation of an output.

    Attributes:
        text: its blocks, with an empty line between two. Text that is not code has single spaces.
        strange: descriptions of markup that no output has: comments, unknown tags and attributes.
        restyled: style declarations that may hide something.
        cells: text of the cells of the outermost table, row by row; the text is not part of `text`.
        frames: attributes of the embedded pages.
    """

    text: str = ""
    strange: list[str] = field(default_factory=list)
    restyled: list[str] = field(default_factory=list)
    cells: list[str] = field(default_factory=list)
    frames: list[dict[str, str]] = field(default_factory=list)


def visible_html(html: str, *, cells: bool = False) -> VisibleText:
    """Read HTML.

    Args:
        cells: keep the cells of the outermost table apart.
    """
    reader = _Reader(cells)
    reader.feed(_DROPPED.sub("", html))
    reader.close()
    return reader.result()


def visible_markdown(source: str) -> VisibleText:
    """Read Markdown as a front end shows it: HTML in it is markup."""
    env: dict[str, Any] = {}
    found = visible_html(_output_parser().render(clean(source), env))
    found.strange += [f"a definition of {label[:40]}" for label in env.get("references", {})]
    return found


def answer_as_markdown(text: str) -> str:
    """Return the visible text of an answer whose Markdown was made harmless: tags and entities in it are text."""
    return visible_html(_answer_parser().render(clean(text))).text


def answer_as_meant(text: str) -> str:
    """Return the visible text of an answer as CommonMark means it, with its formulas in dollars; images are links."""
    return visible_html(_meant_parser().render(clean(text))).text


def references(text: str) -> list[str]:
    """Return the names that an answer's Markdown defines for links; nobody sees the definitions."""
    env: dict[str, Any] = {}
    _answer_parser().parse(clean(text), env)
    return [f"a definition of {label[:40]}" for label in env.get("references", {})]


def answer_as_html(text: str) -> str:
    """Return the visible text of an answer whose Markdown was made HTML: tags in it are text, images are source."""
    return visible_html(_page_parser().render(_DROPPED.sub("", text))).text


def code_in(text: str) -> list[str]:
    """Return the fenced blocks of code in an answer."""
    return [token.content.rstrip("\n") for token in _answer_parser().parse(clean(text)) if token.type == "fence"]


def visible_characters(text: str) -> str:
    """Return a text without the characters that no reading of HTML or Markdown keeps."""
    return _DROPPED.sub("", text)


def clean(text: str) -> str:
    """Return a text with one kind of line end and without control characters."""
    return _CONTROLS.sub("", _DROPPED.sub("", text).replace("\r\n", "\n").replace("\r", "\n"))


class _Reader(HTMLParser):
    def __init__(self, cells: bool) -> None:
        super().__init__()
        self._found = VisibleText()
        self._beside: list[str] = []
        self._blocks = self._beside
        self._cells: list[list[str]] | None = [] if cells else None
        self._line = ""
        self._pre = 0
        self._tables = 0
        self._links: list[tuple[str, str]] = []

    def result(self) -> VisibleText:
        self._flush()
        self._found.text = "\n\n".join(self._beside)
        self._found.cells = ["\n\n".join(blocks) for blocks in self._cells or ()]
        return self._found

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._check(tag, attrs)
        if tag in _BLOCKS:
            self._flush()
        self._pre += tag == "pre"
        self._tables += tag == "table"
        if tag in ("td", "th") and self._tables == 1 and self._cells is not None:
            self._blocks = []
            self._cells.append(self._blocks)
        if tag == "a":
            values = dict(attrs)
            self._links.append((values.get("href") or "", values.get("title") or ""))
        if tag == "iframe":
            self._found.frames.append({name: value or "" for name, value in attrs})
        if tag == "br":
            self.handle_data(" ")
        self._line += _STRUCK.get(tag, "")

    def handle_endtag(self, tag: str) -> None:
        if tag not in _BLOCKS | _INLINE:
            self._found.strange.append(f"</{tag}>"[:60])
        if tag == "a" and self._links:
            target, title = self._links.pop()
            self._line += f"{LINK_START}{_target(target)}{' ' + title if title else ''}{LINK_END}"
        self._line += _STRUCK.get(tag, "")
        if tag in _BLOCKS:
            self._flush()
        self._pre -= tag == "pre" and self._pre > 0
        if tag in ("td", "th") and self._tables == 1 and self._cells is not None:
            self._blocks = self._beside
        self._tables -= tag == "table" and self._tables > 0

    def handle_data(self, data: str) -> None:
        self._line += data if self._pre else _SPACES.sub(" ", data)

    def _flush(self) -> None:
        line = self._line.removesuffix("\n") if self._pre else _SPACES.sub(" ", self._line).strip()
        if line.strip():
            self._blocks.append(line)
        self._line = ""

    def _check(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _BLOCKS | _INLINE:
            self._found.strange.append(f"<{tag}>"[:60])
        known = _ATTRIBUTES.get(tag, frozenset())
        for name, value in attrs:
            if name == "style":
                self._found.restyled += [one for one in (value or "").split(";") if one.strip() and not _shows(one)]
            elif name not in known and not (tag == "div" and name == "class" and _STACKED.fullmatch(value or "")):
                self._found.strange.append(f"{tag} with {name}"[:60])

    def handle_comment(self, data: str) -> None:
        self._found.strange.append("a comment")

    def handle_decl(self, decl: str) -> None:
        self._found.strange.append("a declaration")

    def handle_pi(self, data: str) -> None:
        self._found.strange.append("a processing instruction")

    def unknown_decl(self, data: str) -> None:
        self._found.strange.append("a declaration")


def _shows(declaration: str) -> bool:
    name, _, value = declaration.partition(":")
    known = _STYLES.get(name.strip().lower())
    return known is not None and known.fullmatch(value.strip().lower()) is not None


def _target(href: str) -> str:
    """Return a link's target, readable; one that was blocked when it was shown as it was before."""
    return _DROPPED.sub("", unquote(href)).removeprefix("#blocked-")


@functools.cache
def _output_parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    parser.validateLink = lambda url: True  # type: ignore[method-assign]  # its documented hook
    return _reading_formulas(parser)


@functools.cache
def _meant_parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    parser.validateLink = may_open  # type: ignore[method-assign]  # its documented hook
    parser.add_render_rule("image", _image_as_labelled_link)
    return _reading_formulas(parser)


def _reading_formulas(parser: MarkdownIt) -> MarkdownIt:
    parser.add_render_rule("formula", _formula)
    return with_formulas(parser)


@functools.cache
def _answer_parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    parser.disable(["entity", "autolink"])
    parser.validateLink = lambda url: True  # type: ignore[method-assign]  # its documented hook
    parser.add_render_rule("image", _image_as_link)
    return parser


@functools.cache
def _page_parser() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    parser.validateLink = lambda url: bool(_WEB.match(url))  # type: ignore[method-assign]  # its documented hook
    parser.add_render_rule("image", _image_as_source)
    return parser


def _formula(renderer: Any, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    return escape(tokens[index].content or tokens[index].markup)


def _image_as_link(renderer: Any, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    token = tokens[index]
    title = token.attrGet("title")
    more = f' title="{escape(str(title))}"' if title else ""
    inside = renderer.renderInline(token.children or [], options, env)
    return f'!<a href="{escape(str(token.attrGet("src")))}"{more}>{inside}</a>'


def _image_as_labelled_link(renderer: Any, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    token = tokens[index]
    title = token.attrGet("title")
    more = f' title="{escape(str(title))}"' if title else ""
    label = escape(renderer.renderInlineAsText(token.children or [], options, env))
    return f'!<a href="{escape(str(token.attrGet("src")))}"{more}>{label}</a>'


def _image_as_source(renderer: Any, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    token = tokens[index]
    return escape(f"![{token.content}]({token.attrGet('src')})")
