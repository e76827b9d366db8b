"""Answers are untrusted text. Markdown is shown; HTML in it is shown as what it is, and nothing is fetched.

A notebook whose cells were run is trusted: JupyterLab then cleans no Markdown, so what leaves here must be harmless by
itself, and to every parser: they differ about what is code, a link or a formula. So no text between the marks of code
is left as dangerous as it came, but in code blocks of one form, at which all of them agree.

A block stays Markdown where that shows what the answer meant; else it becomes HTML of which each sign is an entity.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator
from html import unescape

from ..core.formulas import FORMULA, in_dollars
from ..core.urls import may_open
from .markdown import JOINER, References, harmless, reads_as, sections, to_armored_html

_PAGE = re.compile(r"https?://[^\s<>\"'()\[\]\\`]+", re.I)

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_FENCE = re.compile(
    r"(?P<lead>(?:[ \t]*(?:>|[-*+](?=[ \t])|\d{1,9}[.)](?=[ \t])))*[ \t]*)"
    r"(?P<mark>`{3,}(?=[^`\n]*$)|~{3,})[ \t]*(?P<info>[^\s`]*)"
)
"""The first line of a code block, in whatever lists and quotes."""
_LANGUAGES = frozenset(
    "bash c c++ cpp csharp css csv diff go haskell html ini java javascript js json jsx julia kotlin latex lua "
    "makefile markdown matlab perl php py python r ruby rust scala scss sh shell solidity sql swift tex text toml ts "
    "tsx typescript vyper xml yaml yml".split()
)
"""Others may stand for a program that draws the code: a diagram can load pictures."""

_SPAN = re.compile(r"(?<![`\\])(?P<ticks>`+)(?!`)(?P<code>(?:(?!\n[ \t]*\n).)+?)(?<!`)(?P=ticks)(?!`)", re.S)
_QUIET = re.compile(r"(?:[^<&\[\]!$\\|\n]|<(?=[\s\d=]))+")
"""Code that is harmless to those who do not take it for code."""

_TAG = re.compile(r"(?<!\\)\\?<(?![\s\d=])")
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
_AMPERSAND = re.compile(r"&(?=#|[A-Za-z])")
_SIGNS = frozenset("\\`*_{}[]()<>#+-.!|&\"'~$:=\n")
"""The characters that an entity may stand for and that have a meaning where the entity has none."""
_TILDES = re.compile(r"~(?=~~)")
_SCHEME = re.compile(r"(\]\(\s*|^[^\n]*?\]:\s*)(?!https?:|mailto:|tel:|#)(?=[a-z][a-z0-9+.\-]*\\?:)", re.I | re.M)
_SCRIPT = re.compile(r"(script|data|file|blob)(?=\\?:\S)", re.I)
_KEPT = re.compile(
    r"^(?: {4}|\t)[^\n]*|\]\([^()\s]*\)|(?P<auto><(?:https?://|mailto:|tel:)[\w\-.~:/?#@!()*+,;=%]+>)"
    rf"|<[\w.+\-]+@[\w.\-]+>|https?://[^\s<>]+|(?P<formula>{FORMULA.pattern})|(?P<amount>\\?\$)|\\.",
    re.M | re.S,
)
"""Code, addresses, formulas, the dollars of amounts (which begin no formula and end none), and what is escaped."""
_DISPUTED = re.compile(r"&#33;\[|\]:|\]\([^)\]\n]*(?:'|&#)")
"""Links about which parsers do not agree: images, quotes and entities in them, and definitions."""
_MATH_ENDS = re.compile(r"\$|\\[)\]]|\\end")
_MARKUP = re.compile(r"<(?![\s\d=])|!\[|\]\s*[(:]")


def safe_markdown(text: str) -> str:
    """Return Markdown that shows a text as CommonMark means it, with its formulas, in each front end.

    No HTML but ours, no image and no link of an odd scheme is left in it, and no control characters.
    """
    clean = _clean(text)
    starts, references = sections(clean)
    if not starts:
        return clean if not clean.strip() else ""
    ends = [*starts[1:], len(clean)]
    parts = [re.sub(r"[^\n]+", "", clean[: starts[0]])]  # definitions may stand there, which nobody sees
    for start, end in zip(starts, ends, strict=True):
        block = clean[start:end]
        bare = block.rstrip("\n")
        shown = _block(bare, references) if references else _known_block(bare)
        if shown != bare and parts[-1] and not parts[-1].endswith("\n\n"):
            parts.append("\n")  # it stands apart: else it may be taken for a part of what is before it
        apart = shown != bare and end < len(clean) and not block.endswith("\n\n")
        parts.append(shown + block[len(bare) :] + "\n" * apart)
    return "".join(parts)


def _block(text: str, references: References) -> str:
    """Return one block: as Markdown where every parser reads in it what is meant, else as HTML."""
    shown = "\n".join(_parts(text))
    if not _DISPUTED.search(shown) and harmless(shown) and reads_as(shown, text, references):
        return shown
    return to_armored_html(text, references)


@functools.lru_cache(maxsize=1_000)
def _known_block(text: str) -> str:
    """Return a block; while an answer grows, only its last one is new."""
    return _block(text, {})


def fenced(text: str, language: str = "", lead: str = "") -> str:
    """Return a text as a block of code, whatever it holds; each line begins with `lead`."""
    clean = _clean(text)
    longest = max((len(mark) for mark in re.findall("`+", clean)), default=0)
    fence = "`" * max(3, longest + 1)
    return "\n".join(f"{lead}{line}" for line in (f"{fence}{language}", *clean.split("\n"), fence))


def one_line(text: str, limit: int = 200) -> str:
    """Return untrusted text for one line: no line breaks, no Markdown, at most `limit` characters before escaping."""
    flat = printable(" ".join(text.split()))
    flat = flat if len(flat) <= limit else flat[: limit - 1] + "…"
    return _escaped(flat)


def printable(text: str) -> str:
    """Remove control characters: a text must not be able to drive a terminal, or to hide a part of itself.

    (`str.isspace` is true for carriage returns and separators too: of spaces, only the kind that is one stays.)
    """
    return "".join(c for c in text if c in "\n\t" or c.isprintable() or unicodedata.category(c) == "Zs")


def safe_link(url: str) -> str:
    """Return a link's target if a browser opens nothing but a page with it, else ""."""
    return url if _PAGE.fullmatch(url) else ""


def _clean(text: str) -> str:
    """Return lines that end in one way, and no control character: parsers read them in ways of their own."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROLS.sub("", lines).replace(_AT_ENTITY, "")


def _parts(text: str) -> Iterator[str]:
    """Yield the text's lines, harmless, in pieces: a block of code is one, and what stands between two."""
    prose: list[str] = []
    lines = iter(text.split("\n"))
    for line in lines:
        opened = _FENCE.match(line)
        if opened is None:
            prose.append(line)
            continue
        if prose:
            yield _prose("\n".join(prose))
            prose.clear()
        lead, mark = opened["lead"].expandtabs(4), opened["mark"]
        code = [_within(line, len(lead)) for line in _until(lines, mark)]
        language = opened["info"].lower() if opened["info"].lower() in _LANGUAGES else ""
        block = "\n".join(code)
        # In one line with the mark of a list or quote, or where a formula may seem to end in it: an element of HTML.
        if lead.strip() or (_MATH_ENDS.search(block) and _MARKUP.search(block)):
            yield f"{lead}<pre><code>{_escaped(block)}</code></pre>"
        else:
            yield fenced(block, language, lead)
    if prose:
        yield _prose("\n".join(prose))


def _until(lines: Iterator[str], mark: str) -> Iterator[str]:
    """Yield the lines up to the one that closes a block of code; all, where none does."""
    for line in lines:
        bare = line.lstrip(" \t>").rstrip()
        if bare.startswith(mark) and not bare.strip(mark[0]):
            return
        yield line


def _within(line: str, columns: int) -> str:
    """Return a line of code without what its list or quote has put before it."""
    kept = line.expandtabs(4) if "\t" in line[:columns] else line
    before = kept[:columns]
    return kept[columns:] if not before.strip(" >") else kept.lstrip(" ")


def _prose(text: str) -> str:
    """Return text and code spans, harmless."""
    parts: list[str] = []
    position = 0
    for span in _SPAN.finditer(text):
        parts += [_disarmed(text[position : span.start()]), _span(span)]
        position = span.end()
    shown = "".join([*parts, _disarmed(text[position:])])
    return shown.replace('"', "&quot;") if "](" in shown or "][" in shown else shown  # it could end an attribute


def _span(span: re.Match[str]) -> str:
    if len(span["ticks"]) < 3 and _QUIET.fullmatch(span["code"]):
        return span.group()
    code = " ".join(span["code"].split("\n"))
    stripped = code[1:-1] if code[0] == code[-1] == " " and code.strip() else code
    return f"<code>{_escaped(stripped)}</code>"


def _disarmed(text: str) -> str:
    parts: list[str] = []
    position = 0
    for found in _KEPT.finditer(text):
        parts += [_quiet(text[position : found.start()]), _kept(found)]
        position = found.end()
    return "".join([*parts, _quiet(text[position:])])


def _kept(found: re.Match[str]) -> str:
    """Return a formula in dollars, and an amount's dollar so that it begins none.

    A dollar would begin a formula in the page even where it is escaped in Markdown; one in an element does not.
    """
    if found["amount"]:
        return "<span>&#36;</span>"
    if found["formula"]:
        formula = FORMULA.fullmatch(found["formula"])
        return (formula and in_dollars(formula)) or f"<code>{_escaped(found['formula'])}</code>"
    if found["auto"]:
        target = found["auto"][1:-1]
        return found["auto"] if target.startswith("http") and may_open(target) else f"[{target}]({target})"
    if found.group() in (r"\<", r"\`"):
        return f"&#{ord(found.group()[1])};"
    if re.fullmatch(r"<[^<>]*@[^<>]*>", found.group()):
        return found.group()
    return _quiet(found.group())


def _quiet(text: str) -> str:
    """Return text that begins no HTML, no image, no code and no link of an odd scheme."""
    text = _AMPERSAND.sub("&amp;", _ENTITY.sub(_character, text)).replace(_AT_ENTITY, "&")
    text = _TAG.sub("&lt;", text)
    text = text.replace("`", "&#96;").replace("![", "&#33;[")
    text = _TILDES.sub("&#126;", text)
    text = _SCHEME.sub(r"\1#blocked-", text)
    return _SCRIPT.sub(rf"\1{JOINER}", text)


_AT_ENTITY = "\ufdd0"
"""Stands for the ampersand of an entity of ours while others are escaped. It is no character."""


def _character(entity: re.Match[str]) -> str:
    """Return what an entity stands for; as an entity of our own where it is a sign of Markdown's."""
    character = unescape(entity.group())
    if character in _SIGNS:
        return f"{_AT_ENTITY}#{ord(character)};"
    return character if (len(character) <= 2 and character.isprintable()) or character == "\xa0" else entity.group()


def _escaped(text: str) -> str:
    """Escape as entities: a backslash could become a part of a link before it."""
    return re.sub(r"[\\`*_{}\[\]<>&#|~$!:@\n]", lambda found: f"&#{ord(found[0])};", text)
