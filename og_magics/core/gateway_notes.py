"""Notes that a gateway adds beside an answer: its sources, what its moderation found, and who made the answer.

No signature covers them, and their words are a stranger's: each is cut to its form before it is kept, and again when it
is read from a file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

PREPARED = "prepared"
"""The maker of an answer that was written beforehand: the practice network's own."""

_MOST = 20
_PAGE = re.compile(r"https?://[^\s<>\"'()\[\]\\`]{1,2000}", re.I)
_LONGEST = 200
"""Characters of a title, a date or a category."""
_LONGEST_ADDRESS = 250
"""Characters of an address that is printed beside an answer."""
_MAKER = re.compile(r"[\w][\w.:-]{0,59}", re.A)
"""A maker's name: one word, as model files have."""
_FLAGGED, _BLOCKED, _CATEGORIES = "X-Moderation-Flagged", "X-Moderation-Blocked", "X-Moderation-Categories"


def gateway_notes(body: Mapping[str, Any], headers: Mapping[str, str]) -> dict[str, Any]:
    """Return the notes of an answer, of its body (or last event) and its headers; only those that there are.

    `citations`: dicts of `title`, `url` and, where it is known, `published_date`. `moderation`: a short text,
    "flagged: violence". `answered_by`: one word, `PREPARED` or the name of a model on this machine.
    One more, `refused`, is True where the model's words came as a refusal: `gateway/transcript.py` sees that.
    """
    moderation = body.get("moderation")
    if moderation is None:
        moderation = {
            "flagged": _is_yes(headers.get(_FLAGGED)),
            "blocked": _is_yes(headers.get(_BLOCKED)),
            "categories": [one for one in (headers.get(_CATEGORIES) or "").split(",") if one.strip()],
        }
    return _notes({**body, "moderation": moderation, "refused": False})


def read_notes(value: Any) -> dict[str, Any]:
    """Return the notes that a file holds, in their form; what is of another is left out."""
    return _notes(value if isinstance(value, Mapping) else {})


def note_lines(notes: Mapping[str, Any]) -> list[str]:
    """Return the lines to show below an answer, plain text; none where there is no note."""
    lines = []
    if moderation := notes.get("moderation"):
        lines.append(f"The gateway's moderation says of this answer: {moderation}. No signature covers that.")
    if citations := notes.get("citations"):
        lines.append("Sources that the gateway names; no signature covers them:")
        for number, one in enumerate(citations, 1):
            url = one["url"] if len(one["url"]) <= _LONGEST_ADDRESS else "its address is in .citations"
            title = "" if one["title"] == one["url"] else f"{one['title'][: _LONGEST // 2]}: "
            lines.append(f"{number}. {title}{url}")
    return lines


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


def moderation_of(value: Any) -> str:
    """Return what a moderation found, as a short text; "" where it found nothing, or says nothing that can be read.

    Its form is not fixed: a text, or an object of `flagged`, `blocked` and `categories` (names, or truths by name).
    """
    if isinstance(value, str):
        return _line(value)
    if not isinstance(value, Mapping):
        return ""
    verdicts = [name for name in ("flagged", "blocked") if value.get(name) is True]
    categories = value.get("categories")
    if isinstance(categories, Mapping):
        named: Iterable[Any] = [name for name, found in categories.items() if found is True]
    else:
        named = categories if isinstance(categories, list) else ()
    names = [line for line in map(_line, list(named)[:_MOST]) if line]
    if not verdicts and not names:
        return ""
    return _line(": ".join(filter(None, [" and ".join(verdicts) or "flagged", ", ".join(names)])))


def _notes(held: Mapping[str, Any]) -> dict[str, Any]:
    maker = held.get("answered_by")
    notes = {
        "citations": citations_of(held.get("citations")),
        "moderation": moderation_of(held.get("moderation")),
        "answered_by": maker if isinstance(maker, str) and _MAKER.fullmatch(maker) else "",
        "refused": held.get("refused") is True,
    }
    return {name: value for name, value in notes.items() if value}


def _is_yes(header: str | None) -> bool:
    return (header or "").strip().lower() in ("true", "1", "yes")


def _line(text: Any) -> str:
    """Return a text on one line, without characters that a terminal obeys or nobody sees."""
    if not isinstance(text, str):
        return ""
    shown = "".join(one for one in text[: 4 * _LONGEST] if one.isprintable() or one.isspace())
    return " ".join(shown.split())[:_LONGEST].rstrip()
