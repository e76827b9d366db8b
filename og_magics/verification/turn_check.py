"""Hold what an output shows of a turn against its receipts: each function call, each result, and the answer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import unescape
from itertools import pairwise
from typing import Any

from ..core.deltas import sendable
from ..core.progress import SCRUBBED, is_failure
from ..core.receipt import Receipt
from .answer_match import HTML, LATEX, MARKDOWN, PLAIN, Cursor, forms_of, printable, read_one_json, take_answer
from .answer_match import take_result as _take_result
from .output_check import ANOTHER, Problem, hidden_problem, open_output, rest_problem
from .visible_text import clean, visible_characters, visible_html

_CALL = (True, "The notebook shows another function call or result than the receipts'.")
_UNLINKED = (True, "This call does not go on from the answer before it.")
_NEIGHBOUR = (False, "Another call of this turn is not what its receipt says.")
_KINDS: Mapping[str, tuple[str, ...]] = {
    "text": (PLAIN,), "html": (PLAIN, HTML), "math": (PLAIN, MARKDOWN, LATEX),
}  # fmt: skip
"""Media types that an answer in this format is shown as; others are plain text and Markdown."""

_FETCHING = re.compile(r"<(?:x-|(?=(?:link|base|meta)\b))", re.I)
_META = re.compile(
    r'<meta http-equiv="(?:Content-Security-Policy" content="default-src \'none\'; style-src \'unsafe-inline\'; '
    r'img-src data:; form-action \'none\'|x-dns-prefetch-control" content="off)">'
)
_PAGE = re.compile(r"^ {0,3}(`{3,}|~{3,})[ \t]*(?:html?|xml)[^\n]*\n(.*?)(?:\n? {0,3}\1|\Z)", re.S | re.M | re.I)
"""A block of code that holds a page."""
_GAP = re.compile(r"[\s✓✗·…→↻>\-]*")


def turn_problems(receipts: Sequence[Receipt], shown: Mapping[str, Any], format: str) -> list[Problem]:
    """Return for each receipt of a turn the problem with what its output shows, or None.

    Args:
        shown: the output's data by media type, without the receipts.
        format: of the answer, as the output states it.
    """
    place = unlinked(receipts)
    if place is not None:
        return _at(place, _UNLINKED, len(receipts))
    last = receipts[-1]
    plainest = last.tool_calls or not last.text or last.scrubbed
    kinds = (PLAIN, MARKDOWN) if plainest else _KINDS.get(format, (PLAIN, MARKDOWN))
    strange = [kind for kind in shown if kind not in kinds]
    if strange:
        reason = f"The output also shows {ascii(strange[0])[:60]}, which such answers are not shown as."
        return [(True, reason)] * len(receipts)
    if PLAIN not in shown or not all(isinstance(content, str) for content in shown.values()):
        return [(True, "The output shows no answer.")] * len(receipts)
    found: list[Problem] = [None] * len(receipts)
    for kind, content in shown.items():
        at, problem = _problem(receipts, kind, content, format)
        if problem and (found[at] is None or problem[0]):
            found[at] = problem
    first = next((at for at, problem in enumerate(found) if problem), None)
    return found if first is None else [one or _NEIGHBOUR for one in found]


def unlinked(receipts: Sequence[Receipt]) -> int | None:
    """Return the place of the first receipt whose request does not go on from the answer before it; None if all do."""
    if any(receipt.scrubbed for receipt in receipts):
        return None
    for place, (before, after) in enumerate(pairwise(receipts), 1):
        asked, sent = before.messages, after.messages
        answer: dict[str, Any] = {"role": "assistant", "content": before.text}
        if before.tool_calls:
            answer["tool_calls"] = sendable(before.tool_calls)
        reply = sent[len(asked)] if len(sent) > len(asked) else {}
        if sent[: len(asked)] != asked or {**reply, "content": reply.get("content") or ""} != answer:
            return place
        results = sent[len(asked) + 1 :]
        ids = [call["id"] for call in sendable(before.tool_calls)]
        if before.tool_calls and [str(one.get("tool_call_id")) for one in results] != ids:
            return place
        if not before.tool_calls and [one.get("role") for one in results] != ["user"]:
            return place
    return None


def _at(place: int, problem: Problem, count: int) -> list[Problem]:
    return [problem if at == place else _NEIGHBOUR for at in range(count)]


def _problem(receipts: Sequence[Receipt], kind: str, content: str, format: str) -> tuple[int, Problem]:
    """Return the place of the receipt that one media type shows wrongly, and the problem; or any place, and None."""
    last = len(receipts) - 1
    if kind == HTML:
        return _html_problem(receipts, content)
    if kind == LATEX:
        cursor = Cursor(content)
        good = take_answer(cursor, receipts[-1], kind, format) and not cursor.rest.strip()
        return last, None if good else ANOTHER
    cursor, problem = open_output(kind, content, receipts)
    if problem:
        return last, problem
    at = _take_steps(cursor, receipts, kind)
    if at is not None:
        return at, _CALL
    if receipts[-1].scrubbed:
        good = cursor.take(SCRUBBED, whole=True)
    else:
        good = _take_answer(cursor, receipts[-1], kind, format)
    return last, rest_problem(cursor.rest, receipts, notes=True) if good else ANOTHER


def _take_answer(cursor: Cursor, receipt: Receipt, kind: str, format: str) -> bool:
    if kind == PLAIN and cursor.position:  # one empty line, and the answer as it is
        cursor.take("\n\n")
    return take_answer(cursor, receipt, kind, format)


def _html_problem(receipts: Sequence[Receipt], content: str) -> tuple[int, Problem]:
    """Check a page: the frame holds the answer's HTML and nothing else, and below it stands its source."""
    seen, last, text = visible_html(content), len(receipts) - 1, visible_characters(receipts[-1].text)
    if problem := hidden_problem(seen):
        return last, problem
    if len(seen.frames) != 1 or not _is_frame_of(seen.frames[0], text):
        return last, ANOTHER
    cursor = Cursor(seen.text)
    source = text.removesuffix("\n")
    if not source.strip():
        cursor.skip_to("\n")  # a label of nothing
    elif cursor.skip_to(source) is None or not cursor.take(source, whole=True):
        return last, ANOTHER
    if len(receipts) > 1:
        cursor.skip_space()
        cursor.take(f"{len(receipts)} ")  # a label with the number of calls
        at = _take_steps(cursor, receipts, PLAIN, folded=True)
        if at is not None:
            return at, _CALL
    return last, rest_problem(cursor.rest, receipts, notes=True)


def _is_frame_of(frame: Mapping[str, str], text: str) -> bool:
    if frame.get("sandbox") != "" or set(frame) > {"sandbox", "referrerpolicy", "srcdoc", "style"}:
        return False
    page = _META.sub("", frame.get("srcdoc", ""), count=2)
    inside = _FETCHING.sub("<x-", page)
    fenced = _PAGE.search(text)
    sources = [text, fenced[2]] if fenced else [text]
    return any(inside.strip() in (_FETCHING.sub("<x-", one).strip(), unescape(one).strip()) for one in sources)


def _take_steps(cursor: Cursor, receipts: Sequence[Receipt], kind: str, *, folded: bool = False) -> int | None:
    """Read what led to the answer; the place of the receipt that is shown otherwise, or None."""
    if any(receipt.scrubbed for receipt in receipts):
        return None
    for at, (receipt, following) in enumerate(pairwise(receipts)):
        sent = following.messages[len(receipt.messages) + 1 :]
        results = [str(one.get("content") or "") for one in sent]
        if folded and at == 0 and receipt.tool_calls:
            first = receipt.text or f"{_function(receipt.tool_calls[0])[0]}("
            cursor.skip_to(first, "✓", "✗")
        good = (
            _take_calls(cursor, receipt, results, kind)
            if receipt.tool_calls
            else _take_repair(cursor, receipt.text, "\n".join(results), kind)
        )
        if not good:
            return at
    return None


def _take_repair(cursor: Cursor, text: str, why: str, kind: str) -> bool:
    for part in filter(None, (text, why)):
        forms = [part, clean(part), printable(part), clean(part).strip("\n")]
        if kind == PLAIN:
            forms = [printable(part), part]
        forms = [form for form in forms if form.strip()]
        if not forms:
            continue
        if cursor.skip_to(*(form[:2_000] for form in forms)) is None or not _take_result(cursor, part):
            return False
    return True


def _take_calls(cursor: Cursor, receipt: Receipt, results: Sequence[str], kind: str) -> bool:
    if receipt.text:
        cursor.skip_space()
        if not cursor.take(*forms_of(receipt.text, kind), whole=True):
            return False
    padded = [*results, *[""] * len(receipt.tool_calls)]
    return all(
        _take_call(cursor, *_function(call), result) for call, result in zip(receipt.tool_calls, padded, strict=False)
    )


def _function(call: Mapping[str, Any]) -> tuple[str, str]:
    function = call.get("function")
    function = function if isinstance(function, Mapping) else {}
    return str(function.get("name") or ""), str(function.get("arguments") or "")


def _take_call(cursor: Cursor, name: str, arguments: str, result: str) -> bool:
    """Read a call: a mark, its name and arguments, and its result. Long ones may be cut, and say so."""
    gap = _GAP.match(cursor.text, cursor.position)
    marks = gap.group() if gap else ""
    cursor.position += len(marks)
    if ("✗" if is_failure(result) else "✓") not in marks or ("✓" if is_failure(result) else "✗") in marks:
        return False
    line = " ".join(arguments.split())
    inside = "" if line == "{}" else line
    if not cursor.take(*dict.fromkeys((f"{name}({inside})", printable(f"{name}({inside})")))) and not _take_cut(
        cursor, f"{name}({inside})"
    ):
        return False
    rest = cursor.copy()
    rest.skip_space()
    wanted, shown = read_one_json(arguments, repeated=True), rest.json()
    if inside and wanted and shown == wanted[0] and rest.rest[:1] in ("", "\n"):
        after = rest.copy()
        if _result_follows(after, result):  # the arguments once more, set out in lines
            cursor.position = after.position
            return True
    elif inside and (form := clean(arguments)) and rest.text.startswith(form[:2_000], cursor.position + 2):
        rest.position = cursor.position + 2
        if _take_result(rest, arguments) and _result_follows(rest, result):
            cursor.position = rest.position
            return True
    return _result_follows(cursor, result)


def _result_follows(cursor: Cursor, result: str) -> bool:
    if not result.strip():
        return True
    gap = _GAP.match(cursor.text, cursor.position)
    start, end = cursor.position, gap.end() if gap else cursor.position
    for place in range(end, start - 1, -1):  # a result may begin with what looks like a mark
        cursor.position = place
        if _take_result(cursor, result):
            return True
    cursor.position = start
    return False


def _take_cut(cursor: Cursor, line: str) -> bool:
    shown = cursor.rest.partition("\n")[0]
    if not shown.endswith("…)") or len(shown) < 40:
        return False
    if not any(form.startswith(shown.removesuffix("…)")) for form in (line, printable(line))):
        return False
    cursor.position += len(shown)
    return True
