"""What a docstring says of a function and of each of its arguments: Google, NumPy and reST styles."""

from __future__ import annotations

import inspect
import re

_SECTION = re.compile(r"(args|arguments|parameters|params|keyword args|keyword arguments|other parameters):?\s*$", re.I)
_OTHER = re.compile(
    r"(returns?|yields?|raises|examples?|notes?|attributes|see also|warnings?|references|todo):?\s*$", re.I
)
_GOOGLE = re.compile(r"\*{0,2}(?P<names>\w+(?:\s*,\s*\w+)*)\s*(?:\([^)]*\))?\s*:\s*(?P<text>.*)$")
_NUMPY = re.compile(r"\*{0,2}(?P<names>\w+(?:\s*,\s*\w+)*)\s*(?::.*)?$")
_REST = re.compile(
    r":(?:param|parameter|arg|argument|key|keyword)\s+(?:[^:]*\s)?\*{0,2}(?P<name>\w+)\s*:\s*(?P<text>.*)$"
)
_FIELD = re.compile(r":\w+[^:]*:")


def read_docstring(docstring: str | None) -> tuple[str, dict[str, str]]:
    """The text before the first section on one paragraph each, and what is said of each argument, by name."""
    lines = inspect.cleandoc(docstring or "").splitlines()
    about: list[str] = []
    arguments: dict[str, str] = {}
    place = 0
    while place < len(lines) and not _begins_section(lines, place):
        about.append(lines[place])
        place += 1
    while place < len(lines):
        rest = _REST.match(lines[place].strip())
        if rest:
            place, arguments[rest["name"]] = _continued(lines, place, rest["text"])
        elif _SECTION.match(lines[place]):
            place = _section(lines, place + 1, arguments)
        else:
            place += 1
    text = "\n".join(about).strip()
    return re.sub(r"(?<=\S)[ \t]*\n(?=[^\n\-*])", " ", text), arguments


def _begins_section(lines: list[str], place: int) -> bool:
    line = lines[place]
    if _FIELD.match(line.strip()):
        return True
    titled = _SECTION.match(line) or _OTHER.match(line)
    return bool(titled) and (line.rstrip().endswith(":") or _underlined(lines, place))


def _underlined(lines: list[str], place: int) -> bool:
    return place + 1 < len(lines) and bool(re.fullmatch(r"-{3,}", lines[place + 1].strip()))


def _continued(lines: list[str], place: int, text: str) -> tuple[int, str]:
    """The lines below that are set further in belong to a text; the place after them, and the text."""
    indent = _indent(lines[place])
    parts = [text]
    place += 1
    while place < len(lines) and lines[place].strip() and _indent(lines[place]) > indent:
        parts.append(lines[place].strip())
        place += 1
    return place, " ".join(part for part in parts if part)


def _section(lines: list[str], place: int, arguments: dict[str, str]) -> int:
    """Read a section of arguments; the place after it."""
    numpy = place < len(lines) and bool(re.fullmatch(r"-{3,}", lines[place].strip()))
    place += numpy
    while place < len(lines):
        line = lines[place]
        if not line.strip():
            place += 1
            continue
        if _begins_section(lines, place) or (not numpy and not _indent(line)):
            return place
        found = (_NUMPY if numpy else _GOOGLE).match(line.strip())
        if found is None:
            place += 1
            continue
        place, text = _continued(lines, place, found.groupdict().get("text") or "")
        for name in re.split(r"\s*,\s*", found["names"]):
            arguments[name] = text
    return place


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())
