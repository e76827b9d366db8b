"""Rows of text as a table, and the messages of a conversation as Markdown. All of it is taken for untrusted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from .sanitize import fenced, one_line, safe_markdown
from .table import text_table

_LONGEST = 300
"""Characters of a cell that are shown."""
_STYLE = 'style="text-align: left; vertical-align: top"'


def records_bundle(heads: Sequence[str], rows: Iterable[Sequence[str]], note: str) -> dict[str, str]:
    """Return a table with a line below it, as HTML and as plain text."""
    shown = [tuple(_short(cell) for cell in row) for row in rows]
    head = "".join(f"<th {_STYLE}>{escape(text)}</th>" for text in heads)
    body = "".join(f"<tr>{''.join(f'<td {_STYLE}>{escape(cell)}</td>' for cell in row)}</tr>" for row in shown)
    html = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>" if shown else ""
    plain = f"{text_table(heads, shown)}\n" if shown else ""
    return {"text/html": f"{html}<p>{escape(note)}</p>", "text/plain": f"{plain}{note}"}


def transcript(title: str, turns: Iterable[tuple[str, Sequence[Mapping[str, Any]]]]) -> str:
    """Return a conversation as Markdown.

    Args:
        turns: for each, a line about it, and its messages in the OpenAI form.
    """
    parts = [f"# {one_line(title)}"]
    for number, (about, messages) in enumerate(turns, 1):
        parts.append(f"## {number}. {one_line(about)}")
        for message in messages:
            parts.append(f"**{one_line(str(message.get('role')))}**")
            content = message.get("content") or ""
            if message.get("role") == "tool":
                parts.append(fenced(str(content)))
            elif content:
                parts.append(safe_markdown(content) if isinstance(content, str) else fenced(str(content)))
            for call in message.get("tool_calls") or ():
                function = call.get("function") or {}
                parts.append(fenced(f"{function.get('name')}({function.get('arguments', '')})"))
    return "\n\n".join(parts) + "\n"


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _LONGEST else flat[: _LONGEST - 1] + "…"
