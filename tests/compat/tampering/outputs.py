"""Outputs that are added, taken out, swapped or moved, and cells that stand twice."""

from __future__ import annotations

import copy
from typing import Any

from og_magics.core.receipt import MIME

from .notebook import (
    FAKE,
    SHOWN,
    Change,
    Notebook,
    data_of,
    forms_of,
    only_asks,
    other_answer,
    scrubbed,
)

LINE = {"output_type": "stream", "name": "stdout", "text": "It is 42.\n"}
ON_STDERR = {"output_type": "stream", "name": "stderr", "text": "It is 42, and not what stands below.\n"}
RICH = {
    "output_type": "display_data",
    "data": {"text/markdown": "It is 42.", "text/plain": "It is 42."},
    "metadata": {},
}
DRAWN = {"output_type": "display_data", "data": {"image/png": "iVBORw0KGgo=", "text/plain": "<img>"}, "metadata": {}}


def error(name: str, says: str) -> dict[str, Any]:
    return {"output_type": "error", "ename": name, "evalue": says, "traceback": [f"{name}: {says}"]}


def _added(output: dict[str, Any]) -> Change:
    def change(content: Notebook, place: int) -> set[int]:
        content["cells"][place]["outputs"].append(copy.deepcopy(output))
        return {place}

    return change


def _copied(content: Notebook, place: int) -> set[int]:
    """The answer once more as a print, with a word changed."""
    text = data_of(content, place)["text/plain"].replace("direct", "false")
    output = {"output_type": "stream", "name": "stdout", "text": text}
    content["cells"][place]["outputs"].append(output)
    return {place}


def _output_removed(content: Notebook, place: int) -> set[int] | None:
    failed = any(one["output_type"] == "error" for one in content["cells"][place]["outputs"])
    if failed or not only_asks(content, place) or not content["cells"][place].get("execution_count"):
        return None
    content["cells"][place]["outputs"] = []
    return {place}


def _swapped(content: Notebook, place: int) -> set[int] | None:
    other = other_answer(content, place)
    if other is None or scrubbed(content, place) or not (only_asks(content, place) and only_asks(content, other)):
        return None
    cells = content["cells"]
    cells[place]["outputs"], cells[other]["outputs"] = cells[other]["outputs"], cells[place]["outputs"]
    return {place, other}


def _texts_swapped(content: Notebook, place: int) -> set[int] | None:
    other = other_answer(content, place)
    if other is None or scrubbed(content, place):
        return None
    one, two = data_of(content, place), data_of(content, other)
    for kind in SHOWN:
        if kind in one or kind in two:
            one[kind], two[kind] = two.get(kind, ""), one.get(kind, "")
    return {place, other}


def _answer_copied(content: Notebook, place: int) -> set[int] | None:
    """The output of another cell, with its receipt, beside this cell's own."""
    other = other_answer(content, place)
    if other is None or not only_asks(content, place):
        return None
    content["cells"][place]["outputs"] += copy.deepcopy(content["cells"][other]["outputs"])
    return {place}


def _rewritten(output: dict[str, Any]) -> Change:
    """The answer with its receipt is gone, and another one stands there."""

    def change(content: Notebook, place: int) -> set[int] | None:
        if not only_asks(content, place) or len(content["cells"][place]["outputs"]) > 1:
            return None
        content["cells"][place]["outputs"] = [copy.deepcopy(output)]
        return {place}

    return change


def _beside(output: dict[str, Any], *, before: bool) -> Change:
    """An output without a receipt beside a real one, in a cell that does nothing but ask."""

    def change(content: Notebook, place: int) -> set[int] | None:
        outputs = content["cells"][place]["outputs"]
        failed = any(one["output_type"] == "error" for one in outputs)
        if not only_asks(content, place) or failed:
            return None
        outputs.insert(0 if before else len(outputs), copy.deepcopy(output))
        return {place}

    return change


def _cell_copied(content: Notebook, place: int) -> set[int] | None:
    """The cell once more, at the end."""
    forms = forms_of(data_of(content, place)[MIME])
    if not only_asks(content, place) or any(form["replayed"] for form in forms):
        return None
    content["cells"].append(copy.deepcopy(content["cells"][place]))
    return {len(content["cells"]) - 1}


OUTPUTS: dict[str, Change] = {
    "answers swapped between cells": _swapped,
    "texts swapped, receipts left": _texts_swapped,
    "another cell's answer added": _answer_copied,
    "output removed": _output_removed,
    "output added: Markdown": _added({"output_type": "display_data", "data": {"text/markdown": FAKE}, "metadata": {}}),
    "output added: HTML": _added(
        {"output_type": "display_data", "data": {"text/html": f"<p>{FAKE}</p>"}, "metadata": {}}
    ),
    "output added: a value": _added(
        {"output_type": "execute_result", "execution_count": 1, "data": {"text/plain": FAKE}, "metadata": {}}
    ),
    "output added: a print": _copied,
    "answer rewritten as a line, receipt gone": _rewritten(LINE),
    "answer rewritten as Markdown, receipt gone": _rewritten(RICH),
    "answer rewritten as an error, receipt gone": _rewritten(error("Answer", FAKE)),
    "line printed before the answer": _beside(LINE, before=True),
    "line printed behind the answer": _beside(LINE, before=False),
    "line on stderr": _beside(ON_STDERR, before=True),
    "error beside the answer": _beside(error("Correction", "It is 42."), before=False),
    "picture beside the answer": _beside(DRAWN, before=False),
    "rich output before the answer": _beside(RICH, before=True),
    "cell copied with its receipt": _cell_copied,
}
