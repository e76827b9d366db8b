"""Markdown by a parser: HTML that a page may hold, and whether a Markdown text is as harmless as it is meant to be."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

_TARGET = re.compile(r"(https?:|mailto:|#)", re.I)
_OURS = re.compile(r"</?(?:code|span)>|<pre><code>[^<]*</code></pre>")
"""HTML that stands for code where a code block or span would be read in several ways. It holds no other.

A span holds the dollar of an amount.
"""
_SCHEME = re.compile(r"\s*[a-z][a-z0-9+.\-]*:", re.I)


def to_html(markdown: str) -> str:
    """Return HTML of an untrusted text: HTML in it is shown as text, nothing is fetched, links only open pages."""
    html: str = _renderer().render(markdown)
    return html


def harmless(markdown: str) -> bool:
    """Return True if a CommonMark parser that lets HTML through finds only our code tags, no image and no odd link."""
    return all(map(_harmless, _walk(_reader().parse(markdown))))


def blocks(markdown: str) -> list[int]:
    """Return the offsets of its top-level blocks; text before the last one is not changed by what is added."""
    starts = [token.map[0] for token in _renderer().parse(markdown) if token.level == 0 and token.map]
    lines = [0]
    for line in markdown.splitlines(keepends=True):
        lines.append(lines[-1] + len(line))
    return sorted({lines[start] for start in starts})


@functools.cache
def _renderer() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    parser.validateLink = lambda url: bool(_TARGET.match(url))  # type: ignore[method-assign]  # its documented hook
    parser.add_render_rule("link_open", _link)
    parser.add_render_rule("image", _image)
    return parser


@functools.cache
def _reader() -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    parser.validateLink = lambda url: True  # type: ignore[method-assign]  # its documented hook
    return parser


def _link(renderer: Any, tokens: Sequence[Token], index: int, options: Any, env: Any) -> str:
    token = tokens[index]
    if not str(token.attrGet("href")).startswith("#"):
        token.attrSet("target", "_blank")
        token.attrSet("rel", "noopener noreferrer nofollow")
    return str(renderer.renderToken(tokens, index, options, env))


def _image(renderer: Any, tokens: Sequence[Token], index: int, options: Any, env: Mapping[str, Any]) -> str:
    """Return an image as text: fetching it would tell its server who reads this."""
    token = tokens[index]
    return escape(f"![{token.content}]({token.attrGet('src')})")


def _walk(tokens: Iterable[Token]) -> Iterable[Token]:
    for token in tokens:
        yield token
        yield from _walk(token.children or ())


def _harmless(token: Token) -> bool:
    if token.type == "link_open":
        target = str(token.attrGet("href"))
        return bool(_TARGET.match(target)) or not _SCHEME.match(target)
    if token.type in ("html_block", "html_inline"):
        return bool(_OURS.fullmatch(token.content.strip()))
    return token.type != "image"
