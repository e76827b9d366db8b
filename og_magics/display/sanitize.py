"""Answers are untrusted text. Markdown is shown; HTML in it is shown as what it is, and nothing is fetched.

A notebook whose cells were run is trusted: JupyterLab then cleans no Markdown, so what leaves here must be harmless by
itself, and to every parser: they differ about what is code, a link or a formula. So no text between the marks of code
is left as dangerous as it came, but in code blocks of one form, at which all of them agree.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Iterator

from .markdown import harmless

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

_TAG = re.compile(r"<(?![\s\d=])")
_ENTITY = re.compile(r"&(?=(?P<whole>#|\w+;)|[A-Za-z])")
"""`whole` is one that an escaped ampersand would not stop where addresses are decoded twice."""
_TILDES = re.compile(r"~(?=~~)")
_SCHEME = re.compile(r"(\]\(\s*|^[^\n]*?\]:\s*)(?!https?:|mailto:|#)(?=[a-z][a-z0-9+.\-]*\\?:)", re.I | re.M)
_SCRIPT = re.compile(r"(script|data|file|blob)(?=\\?:\S)", re.I)
_JOINER = "\u2060"
"""Nobody sees it, and it is in no scheme and in no entity."""
_LINE_OF_IT = r"(?:\\[^\n]|[^$\\\n]|\n(?![ \t]*\n))"
_DOLLARS = re.compile(
    r"^(?: {4}|\t)[^\n]*|\\\\|\]\([^()\s]*\)|https?://\S+"  # code, what is escaped, addresses
    rf"|\$\$(?!\$){_LINE_OF_IT}+\$\$"
    rf"|\$(?![\s$])(?!\d[\d.,]*\s+[A-Za-z]{{2}}){_LINE_OF_IT}+(?<!\s)\$(?!\d)"
    r"|(?P<opened>\\[(\[])(?P<inside>(?:(?!\\[()\[\]]|\n[ \t]*\n).)+)(?P<closed>\\[)\]])"
    r"|(?P<amount>\\?\$)",
    re.M | re.S,
)
"""Formulas, by the rules of Pandoc, and the dollars of amounts, which begin none and end none."""
_MATH = re.compile(r"\$|\\[(\[]|\\begin")
_MATH_ENDS = re.compile(r"\$|\\[)\]]|\\end")
_MARKUP = re.compile(r"<(?![\s\d=])|!\[|\]\s*[(:]")


def safe_markdown(text: str) -> str:
    """Return Markdown in which no HTML, no image and no link of an odd scheme is left, and no control characters.

    What a parser still finds dangerous is shown as code, all of it.
    """
    clean = _clean(text)
    parts = list(_parts(clean))
    for index, (before, after) in enumerate(itertools.pairwise(parts)):
        if before.rpartition("\n")[2].strip() and after.partition("\n")[0].strip():
            parts[index] += "\n"  # a block of code stands apart: else it may be taken for a part of what is before it
    shown = "\n".join(parts)
    return shown if harmless(shown) else fenced(clean)


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
    return _CONTROLS.sub("", lines)


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
    """Return text and code spans, harmless. Formulas come into a page as they are, also in a link: no quotes there."""
    parts: list[str] = []
    position = 0
    for span in _SPAN.finditer(text):
        parts += [_disarmed(text[position : span.start()]), _span(span)]
        position = span.end()
    parts.append(_disarmed(text[position:]))
    shown = "".join(parts)
    return shown.replace('"', "&quot;") if _MATH.search(text) else shown


def _span(span: re.Match[str]) -> str:
    if len(span["ticks"]) < 3 and _QUIET.fullmatch(span["code"]):
        return span.group()
    code = " ".join(span["code"].split("\n"))
    stripped = code[1:-1] if code[0] == code[-1] == " " and code.strip() else code
    return f"<code>{_escaped(stripped)}</code>"


def _formula(found: re.Match[str]) -> str:
    """Return LaTeX's brackets so that a notebook draws a formula, and an amount's dollar so that it draws none.

    The brackets have a backslash more, which Markdown takes off. A dollar would begin a formula in the page even where
    it is escaped in Markdown; one in an element of its own does not.
    """
    if found["amount"]:
        return "<span>&#36;</span>"
    if found["opened"] and (found["opened"] + found["closed"])[1::2] in ("()", "[]"):
        return f"\\{found['opened']}{found['inside']}\\{found['closed']}"
    return found.group()


def _disarmed(text: str) -> str:
    text = _ENTITY.sub(lambda found: f"&amp;{_JOINER}" if found["whole"] else "&amp;", text)
    text = _TAG.sub("&lt;", text)
    text = text.replace("`", "&#96;").replace("![", "&#33;[")
    text = _TILDES.sub("&#126;", text)
    text = _SCHEME.sub(r"\1#blocked-", text)
    return _DOLLARS.sub(_formula, _SCRIPT.sub(rf"\1{_JOINER}", text))


def _escaped(text: str) -> str:
    """Escape as entities: a backslash could become a part of a link before it."""
    return re.sub(r"[\\`*_{}\[\]<>&#|~$!\n]", lambda found: f"&#{ord(found[0])};", text)
