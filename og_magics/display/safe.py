"""Answers are untrusted text. Markdown is shown; HTML in it is shown as what it is, and nothing is fetched."""

from __future__ import annotations

import re
import unicodedata

from .markdown import harmless

_CODE = re.compile(
    r"(^(?P<fence>`{3,}|~{3,})[^\n]*\n.*?(?:^(?P=fence)[`~]*[ \t]*$|\Z)|(?P<ticks>`+)(?!`).+?(?<!`)(?P=ticks)(?!`))",
    re.M | re.S,
)
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_IMAGE = re.compile(r"!(?=\[)")
_PAGE = re.compile(r"https?://[^\s<>\"'()\[\]\\`]+", re.I)
_LINK = re.compile(r"(\]\(\s*<?|^\s*\[[^\]\n]+\]:\s*<?)\s*(?!https?:|mailto:|#)[a-z][a-z0-9+.\-]*:", re.I | re.M)


def safe_markdown(text: str) -> str:
    """Markdown in which no HTML, no image and no link of an odd scheme is left, code excepted.

    Front ends sanitize too; this holds where they do not, and an image would tell its server who reads the notebook.
    What a parser still finds dangerous is shown as code, all of it.
    """
    parts: list[str] = []
    position = 0
    for code in _CODE.finditer(text):
        parts += [_disarmed(text[position : code.start()]), code.group()]
        position = code.end()
    parts.append(_disarmed(text[position:]))
    shown = "".join(parts) + _closing(text)
    return shown if harmless(shown) else fenced(text)


def fenced(text: str) -> str:
    """A text as a block of code, whatever it holds."""
    longest = max((len(mark) for mark in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"


def _closing(text: str) -> str:
    """What closes a code block that the text left open, so that what follows the answer is not part of it."""
    fence = ""
    for line in text.splitlines():
        mark = _FENCE.match(line)
        if mark and not fence:
            fence = mark[1]
        elif mark and fence and mark[1].startswith(fence) and not line[mark.end() :].strip():
            fence = ""
    return f"\n{fence}" if fence else ""


def one_line(text: str, limit: int = 200) -> str:
    """Untrusted text for a line of our own: no line breaks, no Markdown, at most `limit` characters."""
    flat = " ".join(text.split())
    flat = flat if len(flat) <= limit else flat[: limit - 1] + "…"
    return re.sub(r"([\\`*_{}\[\]<>#|~$])", r"\\\1", flat)


def printable(text: str) -> str:
    """Without control characters: a text must not be able to drive a terminal, or to hide a part of itself.

    (`str.isspace` is true for carriage returns and separators too: of spaces, only the kind that is one stays.)
    """
    return "".join(c for c in text if c in "\n\t" or c.isprintable() or unicodedata.category(c) == "Zs")


def safe_link(url: str) -> str:
    """A link's target if a browser opens nothing but a page with it, else ""."""
    return url if _PAGE.fullmatch(url) else ""


def _disarmed(text: str) -> str:
    text = _LINK.sub(r"\1#blocked-", text)
    text = _IMAGE.sub(r"\\!", text)
    return text.replace("&", "&amp;").replace("<", "&lt;")
