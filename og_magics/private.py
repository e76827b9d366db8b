"""What must not leave the machine, and how it is told from other text: keys, tokens, the home folder."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

_HEX64 = r"(?<![0-9a-zA-Z])(?:0x)?[0-9a-fA-F]{64}(?![0-9a-zA-Z])"
_KEY = re.compile(
    # private_key="0x...", OG_PRIVATE_KEY=0x..., Account.from_key("..."), "my private key is ...", on one line
    rf"(?:(?:private|secret)[ _-]?key|from_key)[^\n]{{0,60}}?{_HEX64}"
    # ... or with the line broken after the sign that assigns it
    rf"|(?:(?:private|secret)_?key|from_key)[\"'\]]*\s*[=:,(][\s(\\]*[\"']?{_HEX64}"
    rf"|(?:LLM|from_url)\s*\(\s*[\"']{_HEX64}"
    rf"|^\s*%og\b[^\n]*?{_HEX64}",
    re.IGNORECASE | re.MULTILINE,
)
_ANY = re.compile(_HEX64, re.IGNORECASE)
_TOKEN = re.compile(
    r"\bbearer\s+[A-Za-z0-9._~+/=-]{16,}"
    r"|\b(?:sk|rk)-[A-Za-z0-9_-]{20,}"
    r"|\bgh[pousr]_[A-Za-z0-9]{30,}"
    # api_key = "...", KEYSTORE_PASSWORD=..., access-token: ...: as it is typed, not `token = read_token()`
    r"|(?:api[_-]?key|access[_-]?token|auth[_-]?token|password)[\"'\]]*\s*[=:]\s*(?:[\"'][^\"'\s]{8,}[\"']|\w{16,}(?![\w.(\[]))",
    re.IGNORECASE,
)
_LOGIN = re.compile(r"\bhttps?://[^\s/:@\"'<>]+:[^\s/@\"'<>]+@")

REMOVED = "[removed]"


def holds_key(text: str) -> bool:
    """Whether a text says that something in it is a private key, or holds the key of the environment's wallet."""
    return any(what == "a private key" for what, _ in _found(text, keys_only=True))


def holds_this_key(text: str, key: str) -> bool:
    """Whether a text holds this private key, whatever it says of it. (Others look like hashes, which may be sent.)"""
    digits = key.strip().lower().removeprefix("0x")
    return len(digits) == 64 and digits in text.lower()


def private_in(text: str) -> list[str]:
    """What in a text is private, in words, each once; the text itself is not repeated."""
    return list(dict.fromkeys(what for what, _ in _found(text)))


def redacted(text: str) -> str:
    """A text without what is private in it; the home folder becomes "~"."""
    spans = sorted((span, what) for what, span in _found(text))
    parts, at = [], 0
    for (start, end), what in spans:
        if start >= at:
            parts += [text[at:start], "~" if what == _HOME else REMOVED]
        at = max(at, end)
    return "".join([*parts, text[at:]])


_HOME = "a path of this machine's home folder"


def _found(text: str, *, keys_only: bool = False) -> Iterator[tuple[str, tuple[int, int]]]:
    """What is private, and where it stands."""
    for found in _KEY.finditer(text):
        digits = max(_ANY.finditer(text, *found.span()), key=lambda one: one.start())
        yield "a private key", digits.span()
    own = os.environ.get("OG_PRIVATE_KEY", "").strip().lower().removeprefix("0x")
    for found in _ANY.finditer(text):
        if found.group().lower().removeprefix("0x") == own:
            yield "a private key", found.span()
    if keys_only:
        return
    yield from (("a token or password", found.span()) for found in _TOKEN.finditer(text))
    yield from (("a login in a URL", found.span()) for found in _LOGIN.finditer(text))
    home = str(Path.home())
    if len(home) > 1:
        path = re.compile(rf"(?<![\w./\\]){re.escape(home)}(?![\w.-])")
        yield from ((_HOME, found.span()) for found in path.finditer(text))
