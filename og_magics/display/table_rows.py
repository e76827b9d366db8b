"""Rows of a table whose head stands in the piece before: as HTML, since Markdown has no table without a head."""

from __future__ import annotations

import re
from html import escape

from .markdown import to_html

_BETWEEN_TAGS = re.compile(r"(?:^|(?<=>))[^<>]+")
_FORMULA = re.compile(r"[$\\]")


def rows_html(markdown: str, status: str = "") -> str:
    """Return HTML of an untrusted table: its head keeps the widths of the columns, and takes no place.

    A front end draws formulas in HTML, too, and in a table's cell a dollar is a dollar: what begins one stands in an
    element of its own.
    """
    html = to_html(markdown).replace("<thead>", '<thead style="visibility:collapse">', 1)
    html = _BETWEEN_TAGS.sub(_plain, html)
    return f"{html}<p><em>{escape(status)}</em></p>" if status else html


def _plain(text: re.Match[str]) -> str:
    return _FORMULA.sub(lambda found: f"<span>&#{ord(found[0])};</span>", text.group())
