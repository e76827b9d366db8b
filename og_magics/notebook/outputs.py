"""An account of every output of the cells that ask: it has a receipt, or it needs none."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.estimate import is_estimate
from ..core.receipt import MIME
from ..verification.visible_text import visible_html, visible_markdown
from .file import ShownAnswer, answers_of, joined, read_notebook

_CELL = re.compile(r"\s*%%og(?:chat|compare)(?!\w)")
_LINE = re.compile(r"\s*%ogchat(?!\w)")
_PYTHON = re.compile(r"%ogchat(?!\w)|(?<!\w)ask(?:_many)?\s*\(|\.(?:chat|completion)(?:_sync)?\s*\(")
_FACTS = (
    re.compile(r"\b\d[\d,]*\s+tok(?:en)?s?\b", re.I),
    re.compile(r"\b(?:enclave|tee|attest\w*|proof|verified)\b", re.I),
    re.compile(r"\b0x[0-9a-fA-F]{6,}"),
    re.compile(r"\b\d[\d.,]*\s+OPG\b|\$\d"),
    re.compile(r"(?<!\S)[a-z][\w-]*/[\w.:-]*\d[\w.:-]*(?!\S)"),
)
"""Facts in the line below an answer. A line with three of them is taken for one."""
_MANY = 3
_PICTURE = re.compile(r"image/(?:png|jpeg|gif|webp)")
_MOST_COMPARED = 8
"""Models that a comparison asks at most."""
_LONGEST_NOTE = 400
"""Characters of a line that is printed beside an answer: about a thread, a context or a budget."""


@dataclass(frozen=True, slots=True)
class OutputFinding:
    """Something that an output shows, or does not show, and that no receipt accounts for.

    Attributes:
        cell: number of the cell in the file, from 1.
        problem: True if no run of og_magics leaves such an output. False for a note: a person should look at it.
        text: one sentence.
    """

    cell: int
    problem: bool
    text: str


def account_outputs(notebook: str | Path) -> list[OutputFinding]:
    """Check that each output of a cell that asks has its receipt, or needs none.

    Raises:
        LedgerError: no such file, or not a notebook.
    """
    found = []
    for place, cell in enumerate(read_notebook(notebook)["cells"], 1):
        if cell.get("cell_type", "code") == "code":
            found += [OutputFinding(place, problem, text) for problem, text in _in_cell(cell)]
    return found


def _in_cell(cell: Mapping[str, Any]) -> Iterator[tuple[bool, str]]:
    source = joined(cell.get("source", ""))
    outputs: Sequence[Mapping[str, Any]] = cell.get("outputs", [])
    if not isinstance(source, str):
        return
    lines = [line for line in source.split("\n") if line.strip() and not line.lstrip().startswith("#")]
    if _CELL.match(source):
        yield from _asking(cell, outputs, 1)
    elif lines and all(_LINE.match(line) and not line.endswith("\\") for line in lines):
        yield from _asking(cell, outputs, len(lines))
    elif _PYTHON.search(source):
        for output in outputs:
            if MIME not in output.get("data", {}) and _is_answer(output) and not _is_estimate(output):
                yield True, "An output looks like an answer and has no receipt: it was added, or its receipt removed."


def _asking(cell: Mapping[str, Any], outputs: Sequence[Mapping[str, Any]], expected: int) -> Iterator[tuple[bool, str]]:
    """Check the outputs of a cell that only asks: nothing of the user's own runs in it, but the functions of a turn."""
    answers = [one for output in outputs if MIME in output.get("data", {}) for one in answers_of(output["data"])]
    shown = _shown_answers(str(joined(cell["source"])), outputs, answers)
    failed = any(output.get("output_type") == "error" for output in outputs)
    if shown > expected:
        yield True, f"The cell asks {expected} time{'s' * (expected > 1)} and shows {shown} answers: one was added."
    for output in outputs:
        if _is_estimate(output):
            yield False, "The cell shows an estimate of a cost: it is no answer, and no receipt covers it."
        elif MIME not in output.get("data", {}):
            yield from _without_receipt(output, answers)
    speaks = any(_speaks(output) and not _is_estimate(output) for output in outputs)
    if isinstance(cell.get("execution_count"), int) and not shown and not failed and not speaks and not _is_dry(cell):
        yield True, "The cell was run and shows no answer: its output was removed."


def _shown_answers(source: str, outputs: Sequence[Mapping[str, Any]], answers: Sequence[ShownAnswer]) -> int:
    """Return the number of answers that a cell shows. A scrubbed copy has an output for each receipt of one answer."""
    receipts = [one.receipt for one in answers if one.receipt]
    if not receipts or len(receipts) < len(answers) or not all(receipt.scrubbed for receipt in receipts):
        return sum(MIME in output.get("data", {}) for output in outputs)
    if len({receipt.receipt_id for receipt in receipts}) < len(receipts):
        return len(receipts)
    if source.lstrip().startswith("%%ogcompare"):
        return 1 if len(receipts) <= _MOST_COMPARED else len(receipts)
    return len({receipt.turn or receipt.receipt_id for receipt in receipts})


def _without_receipt(output: Mapping[str, Any], answers: Sequence[ShownAnswer]) -> Iterator[tuple[bool, str]]:
    kind, data = output.get("output_type"), output.get("data", {})
    if kind == "error" or _is_empty(output):
        return
    called = any(one.receipt is None or one.receipt.tool_calls or len(one.turn) > 1 for one in answers)
    # Earlier cells that are sent along may hold whole answers, with the lines below them; a request has them.
    if _is_answer(output) and not (answers and _is_context(data, answers)):
        yield True, "An output looks like an answer and has no receipt: it was added, or its receipt removed."
    elif kind == "stream" and output.get("name") == "stderr":
        yield False, "The cell has warnings on stderr; no receipt covers them."
    elif kind == "stream":
        text = str(joined(output.get("text", ""))).strip()
        if called:
            yield False, "The cell prints what its functions may have printed; no receipt covers it."
        elif max(map(len, text.split("\n"))) > _LONGEST_NOTE or "\n\n" in text:
            yield True, "The cell prints a text that is no part of its answer and has no receipt: it was added."
        else:
            yield False, f"The cell prints a line that no receipt covers: {ascii(text)[:80]}."
    elif all(_PICTURE.fullmatch(name) or name == "text/plain" for name in data) and len(data) > 1:
        yield False, "The cell shows a picture; an answer's signature covers none."
    elif not _is_context(data, answers):
        if called and kind == "display_data":
            yield False, "The cell shows what its functions may have shown; no receipt covers it."
        elif set(data) == {"text/plain"} and re.fullmatch(
            r"(\S+\n)?(https?://\S+\n?)+", str(joined(data["text/plain"]))
        ):
            yield False, "The cell shows links to pictures; an answer's signature covers none."
        else:
            yield True, "An output that is no answer of this cell has no receipt: it was added, or its receipt removed."


def _is_empty(output: Mapping[str, Any]) -> bool:
    """Return True for a display slot that a stream left empty."""
    data = output.get("data", {"text/plain": joined(output.get("text", ""))})
    return not any(str(joined(value)).strip() for value in data.values())


def _is_estimate(output: Mapping[str, Any]) -> bool:
    """Return True for what --dry-run shows, or the question before much is spent, and nothing else."""
    data = output.get("data", {"text/plain": joined(output.get("text", ""))})
    return output.get("output_type") != "error" and is_estimate({name: joined(value) for name, value in data.items()})


def _is_dry(cell: Mapping[str, Any]) -> bool:
    """Return True where a cell may have asked nothing, by its flags, and shows an estimate in place of an answer."""
    source = str(joined(cell.get("source", "")))
    lines = source.lstrip().split("\n")
    flags = lines[:1] if _CELL.match(source) else lines
    return any("--dry-run" in line.split() for line in flags) and any(map(_is_estimate, cell.get("outputs", [])))


def _speaks(output: Mapping[str, Any]) -> bool:
    return not _is_empty(output)


def _is_context(data: Mapping[str, Any], answers: Sequence[ShownAnswer]) -> bool:
    """Return True if an output is the context that was sent, folded: then a request holds it."""
    html = joined(data.get("text/html"))
    if not isinstance(html, str) or not set(data) <= {"text/html", "text/plain"} or not html.startswith("<details>"):
        return False
    seen = visible_html(html)
    line, _, text = seen.text.partition("\n\n")
    if seen.strange or seen.restyled or joined(data.get("text/plain", line)) != line or len(line) > _LONGEST_NOTE:
        return False
    receipts = [one.receipt for one in answers if one.receipt]
    sent = [str(message.get("content")) for receipt in receipts for message in receipt.messages]
    scrubbed = any(receipt.scrubbed for receipt in receipts)
    return scrubbed or not receipts or any(text.strip() == one.strip() or text.strip() in one for one in sent)


def _is_answer(output: Mapping[str, Any]) -> bool:
    data = output.get("data", {})
    texts = [joined(output.get("text", "")), joined(data.get("text/plain", ""))]
    if isinstance(markdown := joined(data.get("text/markdown")), str):
        texts.append(visible_markdown(markdown).text)
    if isinstance(html := joined(data.get("text/html")), str) and "<table" not in html:
        texts.append(visible_html(html).text)
    lines = [line for text in texts if isinstance(text, str) for line in text.split("\n")]
    return any(sum(fact.search(line) is not None for fact in _FACTS) >= _MANY for line in lines)
