"""Reading what a stranger wrote."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .fork import new_lock

_TEXT = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")


def read_json(content: bytes, deepest: int = 64) -> Any:
    """Read a JSON text in UTF-8 of at most so many levels.

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


_lock = new_lock()
_importing = 0
_limit = 0


@contextmanager
def recursion_limit_kept() -> Iterator[None]:
    """Restore the recursion limit after the import of a package that raises it.

    The limit is the whole process's. Beyond what the stack holds, a user's endless recursion ends the kernel, where it
    would have been a RecursionError. Where several threads import at once, the last one puts it back.
    """
    global _importing, _limit
    with _lock:
        if not _importing:
            _limit = sys.getrecursionlimit()
        _importing += 1
    try:
        yield
    finally:
        with _lock:
            _importing -= 1
            if not _importing:
                sys.setrecursionlimit(_limit)
