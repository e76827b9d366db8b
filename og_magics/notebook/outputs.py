"""An account of every output of the cells that ask: it has a receipt, or it needs none."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core import errors
from ..core.cell_notes import is_note
from ..core.estimate import is_estimate
from ..core.gateway_notes import note_lines
from ..core.receipt import MIME
from ..core.technical_part import is_technical_part
from ..verification.answer_match import printable
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
PROBLEM, UNPROVEN, NOTE = "problem", "unproven", "note"
_WARNING = re.compile(r"(?:\S{1,300}:\d+: )?\w{0,60}Warning: ")
_OURS = {name for name, one in vars(errors).items() if isinstance(one, type) and issubclass(one, errors.OGError)}
_ENDS = ("KeyboardInterrupt", "SystemExit")
_OF_ANSWERS = ("AnswerError", "ToolRoundsExceeded")
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
        problem: True if no run of og_magics leaves such an output.
        text: one sentence.
        note: True for what og_magics itself prints beside an answer: a person may look at it. Where it is neither a
            problem nor a note, it is unproven: honest runs may leave it, and anybody may have added it.
    """

    cell: int
    problem: bool
    text: str
    note: bool = False


def account_outputs(notebook: str | Path) -> list[OutputFinding]:
    """Check that each output of a cell that asks has its receipt, or needs none.

    Raises:
        LedgerError: no such file, or not a notebook.
    """
    found = []
    cells = read_notebook(notebook)["cells"]
    for place, cell in enumerate(cells, 1):
        if cell.get("cell_type", "code") == "code":
            found += [OutputFinding(place, how is PROBLEM, text, how is NOTE) for how, text in _in_cell(cell)]
    return [*found, *_misplaced(cells)]


def _misplaced(cells: Sequence[Mapping[str, Any]]) -> Iterator[OutputFinding]:
    """Yield receipts that stand in a second cell that asks, and those that another notebook asked for."""
    shown = []
    for place, cell in enumerate(cells, 1):
        if cell.get("cell_type", "code") == "code" and (expected := _expected(_source(cell))):
            outputs = cell.get("outputs", [])
            answers = _answers_of(outputs)
            if _shown_answers(_source(cell), outputs, answers) <= expected:  # else one was added, and that is said
                found = [one.receipt for one in answers if one.receipt is not None]
                shown += [(place, receipt) for receipt in found if not receipt.replayed]
    owners = Counter(receipt.notebook_id for _, receipt in shown if receipt.notebook_id)
    own = owners.most_common(1)[0][0] if owners else ""
    first: dict[str, int] = {}
    for place, receipt in shown:
        if first.setdefault(receipt.receipt_id, place) != place:
            yield OutputFinding(place, False, f"The call that it shows is the one of cell {first[receipt.receipt_id]}.")
        elif receipt.notebook_id not in ("", own):
            where = f", {ascii(receipt.notebook)[:60]}" if receipt.notebook else ""
            text = f"Another notebook asked this{where}: this one is a copy of it, or the answer was put here."
            yield OutputFinding(place, False, text)


def _answers_of(outputs: Sequence[Mapping[str, Any]]) -> list[ShownAnswer]:
    return [one for output in outputs if MIME in output.get("data", {}) for one in answers_of(output["data"])]


def _source(cell: Mapping[str, Any]) -> str:
    source = joined(cell.get("source", ""))
    return source if isinstance(source, str) else ""


def _expected(source: str) -> int:
    """Return the number of times that a cell asks which does nothing but ask; 0 for another one."""
    lines = [line for line in source.split("\n") if line.strip() and not line.lstrip().startswith("#")]
    if _CELL.match(source):
        return 1
    return len(lines) if lines and all(_LINE.match(line) and not line.endswith("\\") for line in lines) else 0


def _in_cell(cell: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    source = _source(cell)
    outputs: Sequence[Mapping[str, Any]] = cell.get("outputs", [])
    if expected := _expected(source):
        yield from _asking(cell, outputs, expected)
        return
    asks = _PYTHON.search(source)
    answers = _answers_of(outputs)
    texts = [one.receipt.text for one in answers if one.receipt is not None]
    for output in outputs:
        data = output.get("data", {})
        printed = str(joined(output.get("text", ""))).strip()
        if MIME in data or (printed and any(printed in text for text in texts)):
            continue  # what the cell prints of an answer with a receipt may look like anything
        if _is_answer(output) and not _is_estimate(output) and (asks or "text/markdown" in data):
            yield PROBLEM, "An output looks like an answer and has no receipt: it was added, or its receipt removed."
        elif asks and "text/markdown" in data:
            yield UNPROVEN, "The cell asks, and shows a text that no receipt covers."


def _asking(cell: Mapping[str, Any], outputs: Sequence[Mapping[str, Any]], expected: int) -> Iterator[tuple[str, str]]:
    """Check the outputs of a cell that only asks: nothing of the user's own runs in it, but the functions of a turn."""
    answers = _answers_of(outputs)
    shown = _shown_answers(str(joined(cell["source"])), outputs, answers)
    failed = any(output.get("output_type") == "error" for output in outputs)
    if shown > expected:
        yield PROBLEM, f"The cell asks {expected} time{'s' * (expected > 1)} and shows {shown} answers: one was added."
    for output in outputs:
        if _is_estimate(output):
            yield NOTE, "The cell shows an estimate of a cost: it is no answer, and no receipt covers it."
        elif failed and _is_technical_part(output):
            yield NOTE, "The cell shows the technical details of its error: no receipt covers them."
        elif MIME not in output.get("data", {}):
            yield from _without_receipt(output, answers)
    if isinstance(cell.get("execution_count"), int) and not shown and not failed and not _is_dry(cell):
        if not any(_speaks(output) and not _is_estimate(output) for output in outputs):
            yield PROBLEM, "The cell was run and shows no answer: its output was removed."
        else:
            yield UNPROVEN, "The cell was run and shows no answer with a receipt."


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


def _without_receipt(output: Mapping[str, Any], answers: Sequence[ShownAnswer]) -> Iterator[tuple[str, str]]:
    kind, data = output.get("output_type"), output.get("data", {})
    if kind == "error":
        yield from _error(output, answers)
        return
    if _is_empty(output):
        return
    called = any(one.receipt is None or one.receipt.tool_calls or len(one.turn) > 1 for one in answers)
    # Earlier cells that are sent along may hold whole answers, with the lines below them; a request has them.
    if _is_answer(output) and not (answers and _is_context(data, answers)):
        yield PROBLEM, "An output looks like an answer and has no receipt: it was added, or its receipt removed."
    elif kind == "stream":
        yield from _printed(output, answers, called=called)
    elif all(_PICTURE.fullmatch(name) or name == "text/plain" for name in data) and len(data) > 1:
        yield UNPROVEN, "The cell shows a picture; an answer's signature covers none."
    elif not _is_context(data, answers):
        if called and kind == "display_data":
            yield UNPROVEN, "The cell shows what its functions may have shown; no receipt covers it."
        elif set(data) == {"text/plain"} and re.fullmatch(
            r"(\S+\n)?(https?://\S+\n?)+", str(joined(data["text/plain"]))
        ):
            yield UNPROVEN, "The cell shows links to pictures; an answer's signature covers none."
        else:
            yield (
                PROBLEM,
                "An output that is no answer of this cell has no receipt: it was added, or its receipt removed.",
            )


def _printed(output: Mapping[str, Any], answers: Sequence[ShownAnswer], *, called: bool) -> Iterator[tuple[str, str]]:
    """Check a stream: our own notes are known by their words, and what a gateway notes stands in the receipt."""
    text = str(joined(output.get("text", ""))).strip()
    receipts = [one.receipt for one in answers if one.receipt is not None]
    noted = {printable(line) for one in receipts for line in (*note_lines(one.gateway_notes), f"{one.model}:")}
    if output.get("name") == "stderr" and _WARNING.match(text):
        yield NOTE, "The cell has warnings on stderr; no receipt covers them."
    elif output.get("name") == "stdout" and all(one in noted or is_note(one) for one in text.split("\n")):
        yield NOTE, f"The cell prints a line that no receipt covers: {ascii(text)[:80]}."
    elif called:
        yield UNPROVEN, "The cell prints what its functions may have printed; no receipt covers it."
    elif max(map(len, text.split("\n"))) > _LONGEST_NOTE or "\n\n" in text:
        yield PROBLEM, "The cell prints a text that is no part of its answer and has no receipt: it was added."
    else:
        yield UNPROVEN, f"The cell prints a line that no receipt covers: {ascii(text)[:80]}."


def _error(output: Mapping[str, Any], answers: Sequence[ShownAnswer]) -> Iterator[tuple[str, str]]:
    """Check an error: a cell ends with one where its answer is not complete, or where it is of no use to the caller."""
    name, said = output.get("ename"), joined(output.get("evalue", ""))
    receipts = [one.receipt for one in answers if one.receipt and (not one.turn or one.place == len(one.turn) - 1)]
    if _is_answer({"text": f"{said}\n{joined(output.get('traceback', ''))}"}):
        yield PROBLEM, "An error looks like an answer and has no receipt: it was added."
    elif (name in _ENDS and not said) or name in _OF_ANSWERS:
        return  # an interrupt says nothing; what is wrong with an answer is said of one that is complete
    elif receipts and all(one.tee_signature and not one.error and not one.tool_calls for one in receipts):
        yield UNPROVEN, f"The cell shows a complete answer, and an error that no receipt covers: {ascii(name)[:40]}."
    elif receipts and name not in _OURS:
        yield UNPROVEN, f"The cell shows an error that is none of og_magics: {ascii(name)[:40]}."


def _is_empty(output: Mapping[str, Any]) -> bool:
    """Return True for a display slot that a stream left empty."""
    data = output.get("data", {"text/plain": joined(output.get("text", ""))})
    return not any(str(joined(value)).strip() for value in data.values())


def _is_estimate(output: Mapping[str, Any]) -> bool:
    """Return True for what --dry-run shows, or the question before much is spent, and nothing else."""
    data = output.get("data", {"text/plain": joined(output.get("text", ""))})
    return output.get("output_type") != "error" and is_estimate({name: joined(value) for name, value in data.items()})


def _is_technical_part(output: Mapping[str, Any]) -> bool:
    """Return True for what an error of ours has below its message, if it does not look like an answer."""
    data = {name: joined(value) for name, value in output.get("data", {}).items()}
    return is_technical_part(data) and not _is_answer(output)


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
