"""Hold what an output shows against its receipts: the answer, and every fact that stands beside it.

Nothing is rendered. The visible text is read by a parser, so that another wording of a later version is no difference.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from ..core.column_style import MARKED, stacking
from ..core.endings import ending_note, limit_of
from ..core.progress import SCRUBBED, STATUS_NOTES
from ..core.receipt import Column, Receipt, labels
from .answer_match import HTML, MARKDOWN, PLAIN, Cursor, blocks_of, calls_of, forms_of, is_odd, printable, take_answer
from .footer_facts import Facts, Findings, facts_of, findings, flat
from .visible_text import VisibleText, references, visible_html, visible_markdown

Problem = tuple[bool, str] | None
"""True with the reason: another answer than the receipt's. False: something beside it. None: nothing."""

ANOTHER = (True, "The notebook shows another answer than the receipt's.")
HIDDEN = "The output hides something from its reader: "
_MORE = (True, "Beside the columns the output shows something that is not of their receipts.")
_LAYOUT = (False, "The answers are as their receipts say; the output has a style that may hide a part of them.")
_NEIGHBOUR = (False, "Another column of this comparison is not what its receipt says.")
_LINKS = re.compile(r"(https?://|data:image/)\S*(\s+(https?://|data:image/)\S*)*")


def shown_problem(receipt: Receipt, shown: Mapping[str, Any]) -> Problem:
    """Return the problem with what an output shows of one call, or None.

    Args:
        shown: the output's data by media type, without the receipt.
    """
    strange = [kind for kind in shown if kind not in (PLAIN, MARKDOWN)]
    if strange:
        return True, f"The output also shows {ascii(strange[0])[:60]}, which answers are not shown as."
    if PLAIN not in shown:
        return True, "The output shows no answer."
    least: Problem = None
    for kind, content in shown.items():
        if not isinstance(content, str):
            return True, f"The output's {kind} is no text."
        problem = _one_problem(receipt, kind, content)
        if problem and problem[0]:
            return problem
        least = least or problem
    return least


def _one_problem(receipt: Receipt, kind: str, content: str) -> Problem:
    cursor, problem = open_output(kind, content, [receipt])
    if problem:
        return problem
    if receipt.scrubbed:
        if not cursor.take(SCRUBBED, whole=True):
            return ANOTHER
    elif not take_answer(cursor, receipt, kind, "md"):
        return ANOTHER
    return rest_problem(cursor.rest, [receipt], notes=bool(receipt.tool_calls))


def open_output(kind: str, content: str, receipts: Sequence[Receipt]) -> tuple[Cursor, Problem]:
    """Read one representation of an output; what it hides is a problem."""
    loose = kind == MARKDOWN and is_odd(*(one.text for one in receipts))
    if kind == PLAIN:
        return Cursor(content), None
    seen = visible_markdown(content) if kind == MARKDOWN else visible_html(content)
    if seen.frames:
        return Cursor(""), (True, "The output embeds a page, which such answers are not shown as.")
    known = {name for one in receipts for name in references(one.text)} if kind == MARKDOWN else set()
    return Cursor(seen.text, loose=loose), hidden_problem(seen, known)


def hidden_problem(seen: VisibleText, known: set[str] | None = None) -> Problem:
    """Return what is wrong with the markup of an output."""
    strange = [one for one in seen.strange if one not in (known or ())]
    if strange:
        return True, f"{HIDDEN}{ascii(strange[0])[1:-1]}."
    if seen.restyled:
        return False, f"{HIDDEN}the style {ascii(seen.restyled[0])[1:-1][:60]}."
    return None


def rest_problem(rest: str, receipts: Sequence[Receipt], *, notes: bool) -> Problem:
    """Return the problem with what stands below an answer.

    Args:
        notes: one of our own notes may stand there, that the answer is not the end.
    """
    if rest and not rest[0].isspace() and rest != rest.lstrip():
        return ANOTHER
    blocks = list(blocks_of(rest))
    between, last = _footer_of(blocks or [""], receipts[-1])
    signed = bool(receipts[-1].tee_signature)
    problem: Problem = None
    for block in map(str.strip, between):
        if _says_ending(block, receipts[-1]):
            continue
        if _LINKS.fullmatch(block) or _is_link(block):
            problem = problem or (False, "Below the answer stand links, which no signature covers.")
        elif not ((notes or not signed) and block in STATUS_NOTES):
            if signed:
                return True, "The notebook shows another answer than the receipt's: there is more of it."
            problem = problem or (False, "Below the answer stands a note that no receipt explains.")
    return line_problem(findings(last, facts_of(receipts))) or problem


def _footer_of(blocks: list[str], receipt: Receipt) -> tuple[list[str], str]:
    """Return what stands before the line of the receipt, and that line with the details that are folded below it."""
    if len(blocks) > 1 and (blocks[-1].lower().startswith("details") or flat(receipt.model) in blocks[-2]):
        return blocks[:-2], "\n".join(blocks[-2:])
    return blocks[:-1], blocks[-1]


def _says_ending(block: str, receipt: Receipt) -> bool:
    """Return True for a line that says how an answer ended, of one that did: in our words, or in a later version's."""
    note = ending_note(receipt)
    facts = Facts(tokens=(None, limit_of(receipt.request)), required=False)
    return bool(note) and (block == note or ("\n" not in block and not findings(block, facts)))


def _is_link(block: str) -> bool:
    return re.fullmatch(r"(https?://\S+?)\ue000\1\ue001", block.strip()) is not None


def line_problem(found: Findings) -> Problem:
    """Return the problem of facts that no receipt explains."""
    if found.more:
        shown = ascii(" ".join(found.more))[1:-1][:60]
        return False, f"The output shows more than the receipt is about: {shown}."
    if found.wrong:
        return False, f"What stands beside the answer is not what the receipt says: {ascii(found.wrong[0])[1:-1]}."
    return None


def columns_problems(columns: Sequence[Column], shown: Mapping[str, Any]) -> list[Problem]:
    """Return for each column of a comparison the problem with what its output shows, or None.

    Args:
        shown: the output's data by media type, without the receipts.
    """
    strange = [kind for kind in shown if kind not in (PLAIN, HTML)]
    if strange:
        problem = (True, f"The output also shows {ascii(strange[0])[:60]}, which comparisons are not shown as.")
        return [problem] * len(columns)
    if PLAIN not in shown or not all(isinstance(content, str) for content in shown.values()):
        return [(True, "The output shows no answer.")] * len(columns)
    found: list[Problem] = [
        ANOTHER if column.error and column.receipt and column.receipt.tee_signature else None for column in columns
    ]
    found = _worst(found, _plain_problems(columns, shown[PLAIN]))
    if HTML in shown:
        found = _worst(found, _html_problems(columns, shown[HTML]))
    return [one or (_NEIGHBOUR if any(found) else None) for one in found]


def _worst(these: Sequence[Problem], those: Sequence[Problem]) -> list[Problem]:
    return [one if one and (one[0] or not other) else other for one, other in zip(these, those, strict=True)]


def _names(columns: Sequence[Column]) -> list[str]:
    return labels([column.receipt.model if column.receipt else column.model for column in columns])


def _plain_problems(columns: Sequence[Column], content: str) -> list[Problem]:
    names, found = _names(columns), list[Problem]()
    cursor = Cursor(content)
    for place, (name, column) in enumerate(zip(names, columns, strict=True)):
        head = cursor.rest.partition("\n")[0]
        if flat(name)[:590] not in head:
            found.append(ANOTHER)
        else:
            problem = _head_problem(name, column, head)
            if problem and problem[0]:
                return [_MORE] * len(columns)
            cursor.position += len(head)
            found.append(_plain_column(cursor, column) or problem)
        if found[-1] and not (cursor.rest.startswith("\n\n") and found[-1][0] is False):
            after = [*(flat(one)[:590] for one in names[place + 1 :]), ""][0]
            _resync(cursor, after)
        else:
            cursor.take("\n\n")
    problem = line_problem(_summary(columns, cursor.rest))
    return [_MORE] * len(columns) if problem and not any(found) else found


def _resync(cursor: Cursor, name: str) -> None:
    """Go to the line that names the next column, or to the last line."""
    place = cursor.text.find(name, cursor.position) if name else cursor.text.rfind("\n\n")
    if place >= cursor.position:
        cursor.position = cursor.text.rfind("\n", 0, place) + 1 if name else place + 2


def _plain_column(cursor: Cursor, column: Column) -> Problem:
    receipt = column.receipt
    parts = []
    if receipt is not None:
        text = SCRUBBED if receipt.scrubbed else receipt.text
        parts.append(printable("\n\n".join(filter(None, [text, "" if receipt.scrubbed else calls_of(receipt)]))))
    parts.append(_error(column))
    for part in filter(None, parts):
        if not (cursor.take("\n\n") and cursor.take(part, whole=True)):
            return ANOTHER
    if receipt is None:
        return None
    if not cursor.take("\n\n"):
        return False, "The facts of the receipt are not shown."
    if _says_ending(line := cursor.rest.partition("\n")[0], receipt) and cursor.rest.startswith(f"{line}\n\n"):
        cursor.position += len(line) + 2
    foot = cursor.rest.partition("\n")[0]
    problem = line_problem(findings(foot, facts_of([receipt], named=False)))
    if problem and not cursor.text[cursor.position :].startswith(foot):
        return ANOTHER
    cursor.position += len(foot)
    if problem and len(foot.split()) and _is_prose(foot):
        return ANOTHER
    return problem


def _is_prose(foot: str) -> bool:
    """Return True if a line states nothing of a receipt: then it is a part of the answer above, and not its line."""
    return "0x" not in foot and "token" not in foot.lower()


def _error(column: Column) -> str:
    text = flat(column.error)
    return text if len(text) <= 600 else text[:599] + "…"


def _head_problem(name: str, column: Column, head: str) -> Problem:
    receipt = column.receipt
    seconds = [one for one in (receipt.latency_s, receipt.ttft_s) if one is not None] if receipt else []
    speeds = [receipt.speed] if receipt and receipt.speed is not None else []
    facts = Facts(names=[name], seconds=seconds, speeds=speeds, marks=not column.error, required=False)
    found = findings(head, facts)
    if "name" not in found.stated:
        return ANOTHER
    return _MORE if found.more else line_problem(found)


def _summary(columns: Sequence[Column], text: str) -> Findings:
    receipts = [column.receipt for column in columns if column.receipt]
    times = [one.latency_s for one in receipts if one.latency_s is not None]
    prices = [one.usd for one in receipts if one.usd is not None]
    facts = Facts(
        counts=[sum(not column.error for column in columns), len(columns)],
        seconds=[max(times), sum(times)] if times else [],
        usd=[sum(prices, Decimal(0))] if prices else [],
        required=False,
    )
    found = findings(text, facts)
    found.more += list(blocks_of(text))[1:]
    return found


def _html_problems(columns: Sequence[Column], content: str) -> list[Problem]:
    count = len(columns)
    seen = visible_html(content.removeprefix(stacking(count)), cells=True)
    if seen.strange or seen.frames or len(seen.cells) not in (2 * count, 3 * count):
        return [_MORE] * count
    found: list[Problem] = []
    for place, (name, column) in enumerate(zip(_names(columns), columns, strict=True)):
        head, body, *foot = seen.cells[place::count]
        found.append(_html_column(name, column, head, body, foot[0] if foot else ""))
    if any(found):
        return found
    if line_problem(_summary(columns, seen.text.removesuffix(MARKED))):
        return [_MORE] * count
    return [_LAYOUT if seen.restyled else None] * count


def _html_column(name: str, column: Column, head: str, body: str, foot: str) -> Problem:
    receipt = column.receipt
    cursor = Cursor(body)
    if receipt is not None:
        answer = SCRUBBED if receipt.scrubbed else receipt.text
        calls = "" if answer else calls_of(receipt)
        if answer and not cursor.take(*forms_of(answer, HTML), whole=True):
            return ANOTHER
        if calls and not cursor.take(calls, whole=True):
            return ANOTHER
    if error := _error(column):
        cursor.skip_space()
        if not cursor.take(error, whole=True):
            return ANOTHER
    if (rest := cursor.rest.strip()) and not (receipt is not None and _says_ending(rest, receipt)):
        return ANOTHER
    problem = _head_problem(name, column, head)
    if problem or receipt is None:
        return problem or (_MORE if foot.strip() else None)
    return line_problem(findings(foot, facts_of([receipt], named=False)))
