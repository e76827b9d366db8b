"""Is what an output shows the answer that its receipt is about?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..receipt import Receipt
from .bundle import footer, shown_answer

_PLAIN, _MARKDOWN = "text/plain", "text/markdown"
_LINK = re.compile(r"\[(0x\w*…)\]\(https?://[^\s<>()]*\)")
"""Of a footer, to the payment: who looks may have set another explorer than who wrote it, or none."""
_LINKS = re.compile(r"(\n\n(https?://|data:image/)\S*)+")


def shown_problem(receipt: Receipt, shown: Mapping[str, Any]) -> tuple[bool, str] | None:
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
    least: tuple[bool, str] | None = None
    for kind, content in shown.items():
        if not isinstance(content, str):
            return True, f"The output's {kind} is no text."
        markdown = kind == _MARKDOWN
        problem = _difference(content, answer[kind], lines[kind], markdown=markdown, signed=bool(receipt.tee_signature))
        if problem and problem[0]:
            return problem
        least = least or problem
    return least


def _difference(content: str, answer: str, line: str, *, markdown: bool, signed: bool) -> tuple[bool, str] | None:
    if not content.startswith(answer):
        return True, "The notebook shows another answer than the receipt's."
    rest = content[len(answer) :]
    between, _, last = ("", "", rest) if not answer and "\n\n" not in rest else rest.rpartition("\n\n")
    if between and _LINKS.fullmatch(between):
        return False, "Below the answer stand links, which no signature covers."
    if between and signed:
        return True, "The notebook shows another answer than the receipt's: there is more of it."
    if between:  # an answer that broke off says so there
        return False, "Below the answer stands a remark."
    shown = _LINK.sub(r"\1", last) if markdown else last
    if shown != line:
        return False, "The line below the answer is not the one that belongs to the receipt."
    return None
