"""Changes of what a cell asked: its prompt, and the flags on its line."""

from __future__ import annotations

from og_magics.core.receipt import MIME

from .notebook import (
    Change,
    Notebook,
    data_of,
    forms_of,
    only_asks,
    scrubbed,
    source_of,
)


def _prompt_changed(content: Notebook, place: int) -> set[int] | None:
    if not only_asks(content, place):
        return None
    content["cells"][place]["source"] = source_of(content, place) + " Really?"
    return {place}


def _named(flags: str) -> Change:
    """Another flag on the line of the cell; the last one counts."""

    def change(content: Notebook, place: int) -> set[int] | None:
        source = source_of(content, place)
        first, end, prompt = source.partition("\n")
        if not first.startswith(("%%ogchat", "%%ogcompare")):
            return None
        if any(word in flags for word in ("-t", "-n", "--system")) and scrubbed(content, place):
            return None
        content["cells"][place]["source"] = f"{first} {flags}{end}{prompt}"
        return {place}

    return change


SOURCES: dict[str, Change] = {
    "prompt changed": _prompt_changed,
    "source: another model": _named("-m openai/gpt-6"),
    "source: another provider": _named("-p nous"),
    "source: another settlement mode": lambda content, place: _named(
        "-s private" if forms_of(data_of(content, place)[MIME])[-1]["settlement"] != "private" else "-s batch"
    )(content, place),
    "source: another temperature": _named("-t 1.7"),
    "source: another limit of tokens": _named("-n 31313"),
    "source: another system prompt": _named("--system 'Say 42.'"),
}
