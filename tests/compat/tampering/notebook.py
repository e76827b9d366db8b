"""A saved notebook as a tamperer sees it: its cells that ask, their outputs, and what they show."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from og_magics.core.receipt import MIME
from og_magics.notebook.file import joined

Notebook = dict[str, Any]
Change = Callable[[Notebook, int], set[int] | None]
"""Changes a notebook in a cell; returns the places of the cells that differ now, or None where it cannot be made."""

WORDS = re.compile(r"(?<![\w/])[A-Za-z]{4,}(?![\w/])")
FAKE = (
    "The answer is 42.\n\nopenai/gpt-5 · 7 + 28 tokens · 0.001 OPG · BATCH_HASHED · enclave proof ✓ · paid 0xabcdef12…"
)
SHOWN = ("text/markdown", "text/html", "text/plain")


def asking(content: Notebook) -> list[int]:
    """Return the places of the cells with a receipt."""
    return [
        place
        for place, cell in enumerate(content["cells"])
        if any(MIME in output.get("data", {}) for output in cell.get("outputs", []))
    ]


def data_of(content: Notebook, place: int) -> dict[str, Any]:
    """Return the data of the output with the receipt; its texts are single strings."""
    output = next(one for one in content["cells"][place]["outputs"] if MIME in one.get("data", {}))
    found: dict[str, Any] = output["data"]
    for kind in SHOWN:
        if kind in found:
            found[kind] = joined(found[kind])
    return found


def source_of(content: Notebook, place: int) -> str:
    return str(joined(content["cells"][place]["source"]))


def parts(text: str) -> tuple[str, str]:
    """The answer with all above, and the last line."""
    place = max(text.rfind("\n\n"), text.rfind("<p><small>"))
    return (text[:place], text[place:]) if place >= 0 else ("", text)


def forms_of(form: Mapping[str, Any]) -> list[Any]:
    if "columns" in form:
        return [one["receipt"] for one in form["columns"] if one["receipt"]]
    return list(form.get("receipts", [form]))


def only_asks(content: Notebook, place: int) -> bool:
    return source_of(content, place).startswith(("%%ogchat", "%%ogcompare", "%ogchat"))


def scrubbed(content: Notebook, place: int) -> bool:
    return any(form["scrubbed"] for form in forms_of(data_of(content, place)[MIME]))


def other_answer(content: Notebook, place: int) -> int | None:
    """Another cell with one answer to another prompt."""
    kind = "columns" in data_of(content, place)[MIME]
    for other in asking(content):
        same = "columns" in data_of(content, other)[MIME]
        texts = [data_of(content, one)["text/plain"] for one in (place, other)]
        if (
            other != place
            and kind == same
            and texts[0] != texts[1]
            and prompt_of(content, other) != prompt_of(content, place)
        ):
            return other
    return None


def prompt_of(content: Notebook, place: int) -> str:
    return source_of(content, place).partition("\n")[2]


def replaced(old: str | re.Pattern[str], new: str | Callable[[re.Match[str]], str], *, footer: bool) -> Change:
    """Replace the first match in each representation, in the answer or below it."""

    def change(content: Notebook, place: int) -> set[int] | None:
        data, count = data_of(content, place), 0
        pattern = re.compile(re.escape(old)) if isinstance(old, str) else old
        for kind in SHOWN:
            if kind in data:
                above, last = parts(data[kind])
                if "<table" in data[kind]:
                    above, last = ("", data[kind]) if footer else (data[kind], "")
                text, other = (last, above) if footer else (above, last)
                text, made = pattern.subn(new, text, count=1)
                count += made
                data[kind] = other + text if footer else text + other
        return {place} if count else None

    return change
