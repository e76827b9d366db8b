"""Finds the prepared answer to a question.

Each file of `answers/` is one answer: lines of `name: value`, `---`, and the text in Markdown.

| name | what it is |
|---|---|
| `question` | what it answers; several lines for several questions; `*` stands for any words |
| `provider` | whose models answer so, where others answer the same question in other words |
| `call` | a function that is called first, where it is offered: `name({...})` |
| `result` | what the functions must have returned for the text to be true |
| `json` | the answer where JSON is asked for |

Case, spaces and punctuation of a question do not matter.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

_CALL = re.compile(r"([\w.-]+)\((.*)\)")
_FENCE = re.compile(r"```|\$\$")


@dataclass(frozen=True, slots=True)
class Prepared:
    """One answer.

    Attributes:
        questions: patterns of plain words.
        calls: (function, arguments as JSON).
        results: parts of what functions return, without spaces.
        value: the answer as JSON; None where it has none.
    """

    questions: Sequence[re.Pattern[str]]
    text: str
    provider: str = ""
    calls: Sequence[tuple[str, str]] = ()
    results: Sequence[str] = ()
    value: Any = None

    def fits(self, results: Sequence[tuple[str, str]]) -> bool:
        """Return True if the text is true of what functions have returned, as (function, result)."""
        returned = "".join("".join(result.split()) for _name, result in results)
        return bool(self.results) == bool(results) and all(result in returned for result in self.results)


def prepared_answer(question: str, provider: str) -> Prepared | None:
    """Return the answer to a question, the provider's own before the others'; None where none is prepared."""
    words = _words(question)
    found = [one for one in _answers() if any(pattern.fullmatch(words) for pattern in one.questions)]
    return next(
        (one for one in found if one.provider == provider), next((one for one in found if not one.provider), None)
    )


def blocks(text: str) -> list[str]:
    """Return a text's blocks, each with the empty line that ends it; fences and formulas stay whole."""
    found = [""]
    for part in re.split(r"(?<=\n\n)", text):
        found[-1] += part
        if len(_FENCE.findall(found[-1])) % 2 == 0:
            found.append("")
    return [block for block in found if block]


@cache
def _answers() -> Sequence[Prepared]:
    folder = resources.files(__package__) / "answers"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".md")), key=lambda file: file.name)
    return tuple(_read(file.read_text(encoding="utf-8")) for file in files)


def _read(file: str) -> Prepared:
    head, _, text = file.partition("---\n")
    fields: dict[str, list[str]] = {}
    for line in head.splitlines():
        name, _, value = line.partition(": ")
        fields.setdefault(name, []).append(value)
    calls = [call for call in map(_CALL.fullmatch, fields.get("call", [])) if call]
    return Prepared(
        questions=[re.compile(".*".join(map(_words, one.split("*")))) for one in fields["question"]],
        text=text.strip(),
        provider=fields.get("provider", [""])[0],
        calls=[(call[1], call[2]) for call in calls],
        results=["".join(one.split()) for one in fields.get("result", [])],
        value=json.loads(fields["json"][0]) if "json" in fields else None,
    )


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))
