"""Is what an output shows the answer that its receipt is about, or the answers that its receipts are about?"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html.parser import HTMLParser
from typing import Any

from ..receipt import Column, Receipt
from .bundle import footer, shown_answer
from .columns import html_of, plain_blocks, plain_of
from .safe import printable
from .turn import without_remark

_PLAIN, _MARKDOWN, _HTML = "text/plain", "text/markdown", "text/html"
PAYMENT_LINK = re.compile(r"\[(0x\w*…)\]\(https?://[^\s<>()]*\)")
"""Of a footer, to the payment: who looks may have set another explorer than who wrote it, or none."""
_LINKS = re.compile(r"(\n\n(https?://|data:image/)\S*)+")
_HTML_LINK = re.compile(
    r'paid <a href="https?://[^"<>\s]*" target="_blank" rel="noopener noreferrer">(0x\w*…)</a>'
    r"((?: · devnet, simulated)?(?: · replayed: [^<]*)?</small>)"  # which no answer can hold
)

Problem = tuple[bool, str] | None
"""See `shown_problem`."""

ANOTHER = (True, "The notebook shows another answer than the receipt's.")
_LINE = (False, "The line above or below the answer is not the one that belongs to the receipt.")
_MORE = (True, "Beside the columns the output shows something that is not of their receipts.")
_LAYOUT = (False, "The answers are as their receipts say; they are laid out otherwise than this og_magics would.")
_NEIGHBOUR = (False, "Another column of this comparison is not what its receipt says.")


def shown_problem(receipt: Receipt, shown: Mapping[str, Any]) -> Problem:
    """What is wrong with what an output shows, or None.

    True with the reason: it is another answer than the receipt's. False: it shows more than the receipt is about, or
    otherwise than this version of og_magics would, and the answer itself is the receipt's.

    Args:
        shown: the output's data by media type, without the receipt.
    """
    strange = [kind for kind in shown if kind not in (_PLAIN, _MARKDOWN)]
    if strange:
        return True, f"The output also shows {ascii(strange[0])[:60]}, which answers are not shown as."
    if _PLAIN not in shown:
        return True, "The output shows no answer."
    answer = shown_answer(receipt, receipt.text)
    lines = {
        _PLAIN: footer(receipt, lambda _: ""),
        _MARKDOWN: footer(receipt, lambda _: "", markdown=True),
    }
    least: Problem = None
    for kind, content in shown.items():
        if not isinstance(content, str):
            return True, f"The output's {kind} is no text."
        markdown = kind == _MARKDOWN
        # That calls were not made is no part of the answer.
        told = without_remark(content, markdown=markdown) if receipt.tool_calls else content
        problem = _difference(told, answer[kind], lines[kind], markdown=markdown, signed=bool(receipt.tee_signature))
        if problem and problem[0]:
            return problem
        least = least or problem
    return least


def _difference(content: str, answer: str, line: str, *, markdown: bool, signed: bool) -> Problem:
    if not content.startswith(answer):
        return ANOTHER
    rest = content[len(answer) :]
    between, _, last = ("", "", rest) if not answer and "\n\n" not in rest else rest.rpartition("\n\n")
    if between and _LINKS.fullmatch(between):
        return False, "Below the answer stand links, which no signature covers."
    if between and signed:
        return True, "The notebook shows another answer than the receipt's: there is more of it."
    if between:  # an answer that broke off says so there
        return False, "Below the answer stands a remark."
    shown = PAYMENT_LINK.sub(r"\1", last) if markdown else last
    if shown != line:
        return False, "The line below the answer is not the one that belongs to the receipt."
    return None


def columns_problems(columns: Sequence[Column], shown: Mapping[str, Any]) -> list[Problem]:
    """As `shown_problem`, for each column of an output that compares models; the output as a whole is looked at.

    Args:
        shown: the output's data by media type, without the receipts.
    """
    strange = [kind for kind in shown if kind not in (_PLAIN, _HTML)]
    if strange:
        problem = (True, f"The output also shows {ascii(strange[0])[:60]}, which comparisons are not shown as.")
        return [problem] * len(columns)
    if _PLAIN not in shown or not all(isinstance(content, str) for content in shown.values()):
        return [(True, "The output shows no answer.")] * len(columns)
    found: list[Problem] = [
        ANOTHER if column.error and column.receipt and column.receipt.tee_signature else None for column in columns
    ]
    found = _worst(found, _plain_problems(columns, shown[_PLAIN]))
    if _HTML in shown:
        found = _worst(found, _html_problems(columns, shown[_HTML]))
    return [one or (_NEIGHBOUR if any(found) else None) for one in found]


def _worst(these: Sequence[Problem], those: Sequence[Problem]) -> list[Problem]:
    return [one if one and (one[0] or not other) else other for one, other in zip(these, those, strict=True)]


def _plain_problems(columns: Sequence[Column], content: str) -> list[Problem]:
    if content == plain_of(columns):
        return [None] * len(columns)
    found: list[Problem] = []
    position = 0
    for column, block in zip(columns, plain_blocks(columns), strict=True):
        at = content.find(block, position)
        if at >= 0:
            if found and at > position:  # what stands between them looks like the end of the one before
                found[-1] = found[-1] or ANOTHER
            position = at + len(block) + 2
            found.append(None)
        else:
            receipt = column.receipt
            answer = printable(shown_answer(receipt, receipt.text)[_PLAIN]) if receipt else ""
            found.append(_LINE if answer and answer in content else ANOTHER)
    return found if any(found) else [_MORE] * len(columns)


def _html_problems(columns: Sequence[Column], content: str) -> list[Problem]:
    content, expected = _HTML_LINK.sub(r"paid \1\2", content), html_of(columns, lambda network, transaction: "")
    if content == expected:
        return [None] * len(columns)
    is_, should = _Cells.of(content), _Cells.of(expected)
    if len(is_.cells) != len(should.cells):
        return [_MORE] * len(columns)
    count = len(columns)
    found: list[Problem] = []
    for place in range(count):
        same = [one == other for one, other in zip(is_.cells[place::count], should.cells[place::count], strict=True)]
        found.append(None if all(same) else _LINE if same[1] else ANOTHER)
    if not any(found):
        return [_LAYOUT if is_.beside == should.beside else _MORE] * count
    return found


class _Cells(HTMLParser):
    """What is to be seen of a table's cells, and beside them: words, marks and where links lead, whatever the style."""

    def __init__(self) -> None:
        super().__init__()
        self.cells: list[list[str]] = []
        self.beside: list[str] = []
        self._tables = 0
        self._seen = self.beside

    @classmethod
    def of(cls, html: str) -> _Cells:
        parser = cls()
        parser.feed(html)
        parser.close()
        return parser

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._tables += tag == "table"
        if tag in ("td", "th") and self._tables == 1:
            self.cells.append([])
            self._seen = self.cells[-1]
        self._seen.append(f"<{tag} {[value for name, value in attrs if name == 'href']}>")

    def handle_endtag(self, tag: str) -> None:
        self._seen.append(f"</{tag}>")
        self._tables -= tag == "table"
        if tag in ("td", "th") and self._tables == 1:
            self._seen = self.beside

    def handle_data(self, data: str) -> None:
        self._seen.append(data)

    def handle_comment(self, data: str) -> None:
        self._seen.append(f"<!{data}>")

    def handle_decl(self, decl: str) -> None:
        self.handle_comment(decl)

    def handle_pi(self, data: str) -> None:
        self.handle_comment(data)

    def unknown_decl(self, data: str) -> None:
        self.handle_comment(data)
