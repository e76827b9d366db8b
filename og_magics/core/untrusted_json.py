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
_PART = re.compile(rb'"(?:[^"\\]++|\\.)*+["\\]?|[\[\]{},]', re.DOTALL)
_HALF_ESCAPES = (re.compile(rb"\\(?:u[0-9a-fA-F]{0,3})?$"), re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}$"))
"""Half of an escape; the first of the two that one character is written with."""
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


def read_cut_json(content: bytes, deepest: int = 64) -> Any:
    """Read as much as there is of a JSON text that was cut: a text that had begun is read up to there.

    Raises:
        ValueError: it is not the beginning of a JSON text, or too deep.
    """
    content = content.removeprefix(b"\xef\xbb\xbf")
    closing: list[bytes] = []
    complete, in_text = (0, b""), False
    for part in _PART.finditer(content):
        match part[0][:1]:
            case b"{" | b"[":
                closing.append(b"}" if part[0] == b"{" else b"]")
                complete = part.end(), b"".join(reversed(closing))
            case b"}" | b"]":
                if not closing or closing.pop() != part[0]:
                    raise ValueError("its brackets do not fit")
            case b",":
                complete = part.start(), b"".join(reversed(closing))
            case _:
                in_text = part.end() == len(content) and not _is_closed(part[0])
        if len(closing) > deepest:
            raise ValueError("it is nested too deeply")
    # A character, or an escape, of which half had come.
    whole = content.decode("utf-8", "ignore").encode()
    for half in _HALF_ESCAPES if in_text else ():
        found = half.search(whole)
        if found is not None and _backslashes(whole[: found.start() + 1]) % 2:
            whole = whole[: found.start()]
    end = b"".join(reversed(closing))
    for text in (whole + b'"' + end if in_text else whole + end, content[: complete[0]] + complete[1]):
        try:
            return read_json(text, deepest)
        except ValueError:
            continue
    raise ValueError("it is not the beginning of a JSON text")


def _is_closed(text: bytes) -> bool:
    """Return True for a JSON text that ends with its own quotation mark."""
    return len(text) > 1 and text.endswith(b'"') and _backslashes(text[:-1]) % 2 == 0


def _backslashes(text: bytes) -> int:
    return len(text) - len(text.rstrip(b"\\"))


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
