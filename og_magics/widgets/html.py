"""HTML fragments of the panel. Texts are escaped here, or come from a renderer that escapes them."""

from __future__ import annotations

from html import escape

from ..core.errors import OGError
from ..core.technical_part import technical_part
from .worker import parts_of


def line(text: str, kind: str = "og-note") -> str:
    """Return a paragraph of plain text; "" for an empty text."""
    return f'<p class="{kind}">{escape(text)}</p>' if text else ""


def problem(error: BaseException) -> str:
    """Return an error as three paragraphs: what happened, what it means for the money, and what to do.

    The technical part is folded below them.
    """
    what, money, remedy = parts_of(error)
    more = technical_part(error.technical())["text/html"] if isinstance(error, OGError) else ""
    return f'<div class="og-error" role="alert">{line(what, "og-what")}{line(money)}{line(remedy)}{more}</div>'


def facts(rows: list[tuple[str, str]]) -> str:
    """Return a definition list. Names are plain text, values are HTML already."""
    inner = "".join(f"<dt>{escape(name)}</dt><dd>{value}</dd>" for name, value in rows)
    return f'<dl class="og-facts">{inner}</dl>'


def badge(text: str, kind: str) -> str:
    """Return a word on a colored ground; `kind` is good, open, bad or plain."""
    return f'<span class="og-badge og-{kind}">{escape(text)}</span>'


def meter(share: float, label: str) -> str:
    """Return a bar that is filled up to `share`, between 0 and 1."""
    percent = round(100 * min(max(share, 0.0), 1.0), 1)
    return (
        f'<div class="og-meter" role="meter" aria-label="{escape(label)}" aria-valuemin="0" aria-valuemax="100" '
        f'aria-valuenow="{percent}"><div style="width: {percent}%"></div></div>'
    )
