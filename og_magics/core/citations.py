"""Sources that a gateway names beside an answer. No signature covers them, and their words are a stranger's."""

from __future__ import annotations

import re
from typing import Any

_MOST = 20
_PAGE = re.compile(r"https?://[^\s<>\"'()\[\]\\`]{1,2000}", re.I)
_LONGEST = 200
"""Characters of a title or a date."""


def citations_of(value: Any) -> list[dict[str, str]]:
    """Return `title`, `url` and, where it is known, `published_date` of each source that has the address of a page."""
    found = []
    for one in value[:_MOST] if isinstance(value, list) else ():
        url = one.get("url") if isinstance(one, dict) else None
        if not isinstance(url, str) or not _PAGE.fullmatch(url) or not url.isprintable():
            continue
        source = {"title": _line(one.get("title")) or url, "url": url}
        if published := _line(one.get("published_date")):
            source["published_date"] = published
        found.append(source)
    return found


def _line(text: Any) -> str:
    """Return a text on one line, without characters that a terminal obeys or nobody sees."""
    if not isinstance(text, str):
        return ""
    flat = " ".join(text[: 4 * _LONGEST].split())
    return "".join(character for character in flat if character.isprintable())[:_LONGEST]
