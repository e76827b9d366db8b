"""Tracebacks that may leave the machine: no paths but those within packages."""

from __future__ import annotations

import re
import traceback
from pathlib import PurePath

_MOST_FRAMES = 12
_DEEPEST = 5
_CELL = re.compile(r"<ipython-input-|[/\\]ipykernel_\d+[/\\]")
_PACKAGES = ("site-packages", "dist-packages")
_OWN = ("IPython", "ipykernel")
_PATH = re.compile(r"(?<![\w.:/\\])(?:[A-Za-z]:)?[/\\](?:[^\s'\":,;()<>]+[/\\])+(?=[^\s'\":,;()<>]*)")


def trace_of(error: BaseException) -> str:
    """Return the exception, its causes, and the lines that led there, outermost first."""
    parts: list[str] = []
    link = ""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen and len(parts) < _DEEPEST:
        seen.add(id(current))
        parts.append(_one(current) + link)
        cause = current.__cause__
        link = "\n\nwhich led to:" if cause is not None else "\n\nwhile that was handled:"
        current = cause if cause is not None or current.__suppress_context__ else current.__context__
    return "\n".join(reversed(parts))


def _one(error: BaseException) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not _of_the_shell(frame.filename)]
    left = len(frames) - _MOST_FRAMES
    lines = [f"({left} calls are left out)"] if left > 0 else []
    for frame in frames[-_MOST_FRAMES:]:
        lines.append(f"{_place(frame.filename)}, line {frame.lineno}, in {frame.name}")
        lines += [f"    {frame.line}"] if frame.line else []
    last = "".join(traceback.format_exception_only(type(error), error)).strip()
    return "\n".join([*lines, _PATH.sub("…/", last)])


def _of_the_shell(filename: str) -> bool:
    parts = PurePath(filename).parts
    return any(package in parts for package in _OWN)


def _place(filename: str) -> str:
    if _CELL.search(filename):
        return "a cell"
    parts = PurePath(filename).parts
    for place in range(len(parts) - 1, -1, -1):
        if parts[place] in _PACKAGES or re.fullmatch(r"python\d+\.\d+", parts[place]):
            return "/".join(parts[place + 1 :])
    return parts[-1] if parts else filename
