"""Small pieces of HTML. Every text that goes in is escaped here, or was made by a renderer that escapes."""

from __future__ import annotations

from html import escape

from .desk import parts_of


def line(text: str, kind: str = "og-note") -> str:
    """One paragraph of plain text; nothing for none."""
    return f'<p class="{kind}">{escape(text)}</p>' if text else ""


def problem(error: BaseException) -> str:
    """An error: what happened, what it means for the money, what to do."""
    what, money, remedy = parts_of(error)
    return f'<div class="og-error" role="alert">{line(what, "og-what")}{line(money)}{line(remedy)}</div>'


def facts(rows: list[tuple[str, str]]) -> str:
    """A list of names and values; values are HTML already."""
    inner = "".join(f"<dt>{escape(name)}</dt><dd>{value}</dd>" for name, value in rows)
    return f'<dl class="og-facts">{inner}</dl>'


def badge(text: str, kind: str) -> str:
    """A word in a box of its own color: good, open, bad or plain."""
    return f'<span class="og-badge og-{kind}">{escape(text)}</span>'


def meter(share: float, label: str) -> str:
    """A bar of a share between 0 and 1."""
    percent = round(100 * min(max(share, 0.0), 1.0), 1)
    return (
        f'<div class="og-meter" role="meter" aria-label="{escape(label)}" aria-valuemin="0" aria-valuemax="100" '
        f'aria-valuenow="{percent}"><div style="width: {percent}%"></div></div>'
    )
