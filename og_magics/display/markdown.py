"""Markdown by a parser: HTML that a page may hold, and whether a Markdown text is as harmless as it is meant to be."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, MutableMapping, Sequence
from html import escape, unescape
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

from ..core.formulas import with_formulas
from ..core.urls import may_open

_OURS = re.compile(
    r"<(?:/?(?:p|ul|ol|li|h[1-6]|blockquote|pre|code|em|strong|s|a|table|thead|tbody|tr|th|td|span)|[bh]r /"
    r'|(?:a|code|ol|th|td)(?: (?:href|title|target|rel|class|start|style)="[^"<>]*")+)>'
)
"""Tags of the HTML that stands where Markdown would be read in several ways; a span holds the dollar of an amount."""
_HREF = re.compile(r'href="([^"]*)"')
_ARMORED = re.compile(r"[\\`*_{}\[\]<>&#|~$!\"'\n:@]")
_BEGINS_FORMULA = re.compile(r"\$|\\(?=[(\[]|begin)")
_BLOCK_TAGS = r"p|li|ul|ol|pre|code|blockquote|h\d|hr|t\w+"
_SCRIPT = re.compile(r"(script|data|file|blob)(?=:\S)", re.I)
JOINER = "\u2060"
"""Nobody sees it, and it is in no scheme and in no entity."""

References = MutableMapping[str, Any]


def to_html(markdown: str) -> str:
    """Return HTML of an untrusted text: HTML in it is shown as text, nothing is fetched, links only open pages.

    Formulas stand in it between dollars, as front ends draw them; each other dollar is in an element of its own.
    """
    html: str = _renderer().render(markdown)
    return html


def to_armored_html(markdown: str, references: References | None = None) -> str:
    """Return the same on one line, with each sign that Markdown has a use for as an entity: it can stand in Markdown.

    Args:
        references: definitions of links that stand elsewhere, as a parser has them.
    """
    html = _renderer().render(markdown, {"armored": True, "references": dict(references or {})})
    return " ".join(html.split("\n")).strip()


def reads_as(shown: str, meant: str, references: References | None = None) -> bool:
    """Return True if Markdown with our own tags in it shows what an untrusted Markdown text means."""
    if shown == meant and "<" not in shown and not references:
        return True  # the two parsers differ in HTML alone
    wanted = _renderer().render(meant, {"references": dict(references or {})})
    return _comparable(_reader().render(shown)) == _comparable(wanted)


def harmless(markdown: str) -> bool:
    """Return True if a CommonMark parser that lets HTML through finds only our own tags, no image and no odd link."""
    return all(map(_harmless, _walk(_checker().parse(markdown))))


def sections(markdown: str) -> tuple[list[int], References]:
    """Return the offsets of the top-level blocks, and the definitions of links by their names."""
    env: dict[str, Any] = {}
    starts = [token.map[0] for token in _splitter().parse(markdown, env) if token.level == 0 and token.map]
    lines = [0]
    for line in markdown.splitlines(keepends=True):
        lines.append(lines[-1] + len(line))
    return sorted({lines[start] for start in starts}), env.get("references", {})


def _parser(*, html: bool, formulas: bool = True) -> MarkdownIt:
    parser = MarkdownIt("commonmark", {"html": html}).enable(["table", "strikethrough"])
    parser.validateLink = lambda url: True  # type: ignore[method-assign]  # its documented hook
    return with_formulas(parser) if formulas else parser


@functools.cache
def _renderer() -> MarkdownIt:
    return _with_rules(_parser(html=False))


@functools.cache
def _reader() -> MarkdownIt:
    """A parser of what was made harmless: HTML in it is markup."""
    return _with_rules(_parser(html=True))


@functools.cache
def _checker() -> MarkdownIt:
    return _parser(html=True, formulas=False)


@functools.cache
def _splitter() -> MarkdownIt:
    """A parser that reads blocks, and nothing of what is in them."""
    parser = _parser(html=False)
    parser.core.ruler.enableOnly(["normalize", "block"])
    return parser


def _with_rules(parser: MarkdownIt) -> MarkdownIt:
    parser.validateLink = may_open  # type: ignore[method-assign]  # its documented hook
    rules = {
        "text": _text, "text_special": _text, "link_open": _link, "image": _image, "formula": _formula,
        "code_inline": _code, "code_block": _code_block, "fence": _code_block,
    }  # fmt: skip
    for name, rule in rules.items():
        parser.add_render_rule(name, rule)
    return parser


def _escaped(text: str, env: MutableMapping[str, Any]) -> str:
    if not env.get("armored"):
        return escape(text)
    return _ARMORED.sub(lambda found: f"&#{ord(found[0])};", _SCRIPT.sub(rf"\1{JOINER}", text))


def _text(renderer: Any, tokens: Sequence[Token], index: int, options: Any, env: MutableMapping[str, Any]) -> str:
    return _without_formulas(tokens[index].content, env)


def _without_formulas(text: str, env: MutableMapping[str, Any]) -> str:
    """Return text; a sign that would begin a formula in the page is in an element of its own."""
    parts, position = [], 0
    for sign in _BEGINS_FORMULA.finditer(text):
        parts += [_escaped(text[position : sign.start()], env), f"<span>&#{ord(sign[0])};</span>"]
        position = sign.end()
    return "".join([*parts, _escaped(text[position:], env)])


def _formula(renderer: Any, tokens: Sequence[Token], index: int, options: Any, env: MutableMapping[str, Any]) -> str:
    token = tokens[index]
    return token.content or f"<code>{_escaped(token.markup, env)}</code>"


def _code(renderer: Any, tokens: Sequence[Token], index: int, options: Any, env: MutableMapping[str, Any]) -> str:
    return f"<code>{_escaped(tokens[index].content, env)}</code>"


def _code_block(renderer: Any, tokens: Sequence[Token], index: int, options: Any, env: MutableMapping[str, Any]) -> str:
    token = tokens[index]
    language = re.match(r"[\w+#.-]*", unescape(token.info.strip()))
    named = f' class="language-{language[0]}"' if language and language[0] else ""
    return f"<pre><code{named}>{_escaped(token.content, env)}</code></pre>\n"


def _link(renderer: Any, tokens: Sequence[Token], index: int, options: Any, env: MutableMapping[str, Any]) -> str:
    token = tokens[index]
    return _opening(str(token.attrGet("href")), token.attrGet("title"), env)


def _opening(target: str, title: Any, env: MutableMapping[str, Any]) -> str:
    more = f' title="{_escaped(str(title), env)}"' if title else ""
    outside = "" if target.startswith("#") else ' target="_blank" rel="noopener noreferrer nofollow"'
    return f'<a href="{_escaped(target, env)}"{more}{outside}>'


def _image(renderer: Any, tokens: Sequence[Token], index: int, options: Any, env: MutableMapping[str, Any]) -> str:
    """Return an image as a link to it: fetching it would tell its server who reads this."""
    token = tokens[index]
    label = _without_formulas(renderer.renderInlineAsText(token.children or [], options, env), env)
    return f"!{_opening(str(token.attrGet('src')), token.attrGet('title'), env)}{label}</a>"


def _comparable(html: str) -> str:
    """Return HTML in one form, for two that show the same."""
    bare = unescape(re.sub(r"</?span>| class=\"[^\"]*\"", "", html).replace(JOINER, ""))
    return re.sub(r"\s+", " ", re.sub(rf"\s*(</?(?:{_BLOCK_TAGS})\b[^>]*>)\s*", r"\1", bare))


def _walk(tokens: Iterable[Token]) -> Iterable[Token]:
    for token in tokens:
        yield token
        yield from _walk(token.children or ())


def _harmless(token: Token) -> bool:
    if token.type == "link_open":
        return may_open(str(token.attrGet("href")))
    if token.type in ("html_block", "html_inline"):
        rest = _OURS.sub("", token.content)
        return "<" not in rest and all(may_open(unescape(target)) for target in _HREF.findall(token.content))
    return token.type != "image"
