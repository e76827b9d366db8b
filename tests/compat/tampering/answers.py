"""Changes of an answer's text, and of the function calls that stand with it."""

from __future__ import annotations

import re
from collections.abc import Callable

from og_magics.core.receipt import MIME

from .notebook import (
    SHOWN,
    WORDS,
    Change,
    Notebook,
    data_of,
    forms_of,
    parts,
    replaced,
    scrubbed,
)


def _word(content: Notebook, place: int) -> set[int] | None:
    """Another word in the text of the answer, wherever it stands."""
    data = data_of(content, place)
    for form in reversed(forms_of(data[MIME])):
        words = WORDS.findall(form["text"])
        if words:
            for kind in SHOWN:
                if kind in data:
                    data[kind] = data[kind].replace(max(words, key=len), "otherwise")
            return {place}
    return None


def _column_swapped(content: Notebook, place: int) -> set[int] | None:
    data = data_of(content, place)
    texts = [one["receipt"]["text"] for one in data[MIME].get("columns", []) if one["receipt"]]
    if len(texts) < 2 or texts[0] == texts[1]:
        return None
    for kind in ("text/html", "text/plain"):
        one, two = (text.replace('"', "&quot;") if kind == "text/html" else text for text in texts[:2])
        data[kind] = data[kind].replace(one, "\x00").replace(two, one).replace("\x00", two)
    return {place}


def _in_answer(make: Callable[[str], str]) -> Change:
    """Change a word of the answer in the representation that a front end prefers."""

    def change(content: Notebook, place: int) -> set[int] | None:
        data = data_of(content, place)
        kind = next((one for one in ("text/html", "text/markdown") if one in data), None)
        words = [word for form in reversed(forms_of(data[MIME])) for word in WORDS.findall(form["text"])]
        if kind is None or not words:
            return None
        data[kind] = data[kind].replace(words[0], make(words[0]), 1)
        return {place}

    return change


def _in_all(change: Callable[[str], str]) -> Change:
    def made(content: Notebook, place: int) -> set[int]:
        data = data_of(content, place)
        for kind in SHOWN:
            if kind in data:
                data[kind] = change(data[kind])
        return {place}

    return made


def _sentence(text: str) -> str:
    above, last = parts(text)
    return f"{above}<p>No, it is 4.</p>{last}" if "<p>" in text else f"{above}\n\nNo, it is 4.{last}"


def _call_added(content: Notebook, place: int) -> set[int] | None:
    data = data_of(content, place)
    if "columns" in data[MIME] or scrubbed(content, place):
        return None
    data["text/plain"] = f'✓ pay({{"amount": 5}})\n  → done\n\n{data["text/plain"]}'
    if "text/markdown" in data:
        call = '<details><summary><code>✓ pay({"amount": 5})</code></summary>\n\n```\ndone\n```\n\n</details>'
        data["text/markdown"] = f"{call}\n\n{data['text/markdown']}"
    return {place}


ANSWERS: dict[str, Change] = {
    "answer: a word changed": _word,
    "answer: a word changed in one form": _in_answer(lambda word: "otherwise"),
    "answer: a number changed": replaced(re.compile(r"gpt-5\]|flash\]|4-[56]\]"), "gpt-9]", footer=False),
    "answer: a link added": _in_answer(lambda word: f'<a href="https://evil.example">{word}</a>'),
    "answer: a sentence added": _in_all(_sentence),
    "answer: a picture added": _in_answer(lambda word: f'{word}<img src="https://evil.example/x.png">'),
    "answer: a zero-width character": _in_answer(lambda word: f"{word[:2]}\u200b{word[2:]}"),
    "answer: letters in another order (bidi)": _in_answer(lambda word: f"\u202e{word}\u202c"),
    "answer: text of the other columns": _column_swapped,
    "call added": _call_added,
    "call: its arguments changed": replaced(re.compile(r'"b": \d'), '"b": 8', footer=False),
    "call: its name changed": replaced(re.compile(r"add(?=\()"), "sub", footer=False),
    "call: its result changed": replaced(re.compile(r"(?<=→ )\d+|(?<=```\n)\d+(?=\n)"), "77", footer=False),
    "call: its mark changed": replaced(re.compile(r"✓(?= add)"), "✗", footer=False),
}
