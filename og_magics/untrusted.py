"""Reading what a stranger wrote."""

from __future__ import annotations

import json
import re
from typing import Any

_TEXT = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")


def read_json(content: bytes, deepest: int = 64) -> Any:
    """The value in a JSON text in UTF-8, of at most so many levels.

    Python's parser recurses, and packages raise the recursion limit beyond what the stack holds (py_ecc to 100,000): a
    nested text would end the process. So its depth is looked at first.

    Raises:
        ValueError: it is not JSON, or too deep.
    """
    # The fewer brackets, the shallower: only a large text has to be walked through.
    if content.count(b"[") + content.count(b"{") > deepest:
        depth = 0
        for bracket in _BRACKET.findall(_TEXT.sub(b"", content)):
            depth += 1 if bracket in b"[{" else -1
            if depth > deepest:
                raise ValueError("it is nested too deeply")
    # Decoded here: left to itself, the parser takes other encodings too, whose quotes and brackets look otherwise.
    return json.loads(content.decode("utf-8-sig"))
