"""Is what an output shows of a turn what its receipts are about: each function call, each result, and the answer?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..progress import REMARKS
from ..receipt import Receipt
from .calls import unlinked
from .formats import HTML, LATEX, MARKDOWN, PLAIN
from .shown import ANOTHER, PAYMENT_LINK, Problem
from .turn import answer_shown, html_rest, steps_markdown, steps_plain, turn_footer, without_remark

_CALL = (True, "The notebook shows another function call or result than the receipts'.")
_UNLINKED = (True, "This call does not go on from the answer before it.")
_LINE = (False, "The line below the answer is not the one that belongs to the receipts.")
_REMARK = (False, "Below the answer stands a remark.")
_NEIGHBOUR = (False, "Another call of this turn is not what its receipt says.")


def turn_problems(receipts: Sequence[Receipt], shown: Mapping[str, Any], format: str) -> list[Problem]:
    """For each receipt of a turn, what is wrong with what its output shows, or None.

    Args:
        shown: the output's data by media type, without the receipts.
        format: as what the output says that its answer is shown.
    """
    place = unlinked(receipts)
    if place is not None:
        return _at(place, _UNLINKED, len(receipts))
    answer = answer_shown(receipts[-1], receipts[-1].text, format)
    strange = [kind for kind in shown if kind not in answer]
    if strange:
        told = f"The output also shows {ascii(strange[0])[:60]}, which such answers are not shown as."
        return [(True, told)] * len(receipts)
    if PLAIN not in shown or not all(isinstance(content, str) for content in shown.values()):
        return [(True, "The output shows no answer.")] * len(receipts)
    found: list[Problem] = [None] * len(receipts)
    for kind, content in shown.items():
        at, problem = _problem(receipts, kind, content, answer[kind])
        if problem and (found[at] is None or problem[0]):
            found[at] = problem
    first = next((at for at, problem in enumerate(found) if problem), None)
    return found if first is None else [one or _NEIGHBOUR for one in found]


def _at(place: int, problem: Problem, count: int) -> list[Problem]:
    return [problem if at == place else _NEIGHBOUR for at in range(count)]


def _problem(receipts: Sequence[Receipt], kind: str, content: str, answer: str) -> tuple[int, Problem]:
    """The place of the receipt that one media type shows wrongly, and how; or any place, and None."""
    last = len(receipts) - 1
    if kind == LATEX:
        return last, None if content == answer else ANOTHER
    if kind == HTML:
        return last, _html_problem(receipts, content, answer)
    markdown = kind == MARKDOWN
    steps = steps_markdown(receipts) if markdown else steps_plain(receipts)
    for at, step in enumerate(steps):
        if not content.startswith(f"{step}\n\n"):
            return at, _CALL
        content = content[len(step) + 2 :]
    if not content.startswith(answer):
        return last, ANOTHER
    rest = content[len(answer) :].removeprefix("\n\n") if answer else content
    more, _, line = without_remark(rest, markdown=markdown).rpartition("\n\n")
    if more:
        return last, ANOTHER if receipts[-1].tee_signature else _REMARK
    line = PAYMENT_LINK.sub(r"\1", line) if markdown else line
    expected = turn_footer(receipts, lambda _: "", markdown=markdown)
    return last, None if line == expected else _LINE


def _html_problem(receipts: Sequence[Receipt], content: str, answer: str) -> Problem:
    if not content.startswith(answer):
        return ANOTHER
    rest = content[len(answer) :]
    if any(rest == html_rest(receipts, lambda _: "", note) for note in ("", *REMARKS)):
        return None
    return ANOTHER
