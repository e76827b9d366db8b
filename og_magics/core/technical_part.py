"""The technical part of an error, as a cell shows it folded: one form, by which the audit of a notebook knows it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

_HEAD = "Technical details"
_LONGEST = 2000
_FORM = re.compile(rf"<details><summary>{_HEAD}</summary><pre>([^<>]{{1,{6 * _LONGEST}}})</pre></details>")


def technical_part(lines: Sequence[str]) -> dict[str, str]:
    """Return the mime bundle of these lines: folded HTML, and plain text on one line. They may hold anything."""
    flat = [" ".join(line.split()) for line in lines]
    html = escape("\n".join(flat)[:_LONGEST])
    plain = f"({'; '.join(flat)[:_LONGEST]})"
    return {"text/html": f"<details><summary>{_HEAD}</summary><pre>{html}</pre></details>", "text/plain": plain}


def is_technical_part(data: Mapping[str, Any]) -> bool:
    """Return True if the data of an output, by media type, show such a part and nothing else."""
    html, plain = data.get("text/html"), data.get("text/plain")
    if set(data) != {"text/html", "text/plain"} or not isinstance(html, str) or not isinstance(plain, str):
        return False
    return _FORM.fullmatch(html) is not None and re.fullmatch(r"\([^\n]*\)", plain) is not None
