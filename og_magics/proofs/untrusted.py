"""Reading what a stranger wrote."""

from __future__ import annotations

import json
import re
from typing import Any

DEEPEST = 64
"""Levels of nesting. What is read here has four."""

_TEXT = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")


def read_json(content: bytes) -> Any:
    """The value in a JSON text.

    Python's parser recurses, and packages raise the recursion limit beyond what the stack holds (py_ecc to 100,000): a
    nested blob would end the process. So its depth is looked at first.

    Raises:
        ValueError: it is not JSON, or too deep.
    """
    # The fewer brackets, the shallower: only a large text has to be walked through.
    if content.count(b"[") + content.count(b"{") > DEEPEST:
        depth = 0
        for bracket in _BRACKET.findall(_TEXT.sub(b"", content)):
            depth += 1 if bracket in b"[{" else -1
            if depth > DEEPEST:
                raise ValueError("it is nested too deeply")
    return json.loads(content)
