"""A line that a reader may open to see the text behind it."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from .outlets import show_bundle
from .sanitize import printable


def folded_bundle(line: str, text: str) -> dict[str, str]:
    """Return the mime bundle of a line, and of the text that it folds away. Both may hold anything."""
    html = f"<details><summary>{escape(line)}</summary><pre>{escape(text)}</pre></details>"
    return {"text/html": html, "text/plain": line}


def show_folded(shell: Any, line: str, text: str) -> None:
    """Show it in the cell that runs; a terminal prints the line alone."""
    show_or_print(shell, folded_bundle(line, text))


def show_or_print(shell: Any, bundle: Mapping[str, str]) -> None:
    """Show a mime bundle in the cell that runs; a terminal prints its plain text."""
    if getattr(shell, "kernel", None) is None:
        print("\n".join(printable(line) for line in bundle["text/plain"].split("\n")))
    else:
        show_bundle(bundle)
