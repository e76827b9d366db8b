"""The source of a cell without its prompt: what magics asked, and which flags of theirs tell nothing of it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ..core.options import OPTIONS
from ..core.progress import SCRUBBED

_WORD = re.compile(r"""\s*((?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"|'[^']*')+)(?=\s|$)""", re.S)
_VALUE = re.compile(r"[\w./:,+-]+")
_ASKING = re.compile(r"%%og(chat|compare)(?!\w)")
_LINE = re.compile(
    r"(?P<before>(?:[\w., \[\]\"'*]+=\s*)?)(?P<magic>%ogchat|%og\s+(?:use|explain|fix))(?!\w)(?P<rest>.*)", re.S
)
_DROPPED = {flag for one in OPTIONS.values() if one.tells for flag in one.flags}
_KEPT = {flag for one in OPTIONS.values() if not one.tells for flag in one.value_flags} | {"-o", "--output"}
_SWITCHES = {flag for one in OPTIONS.values() for flag in one.switches} | {
    "--no-vars",
    "--dry-run",
    "--diff",
    "--rate",
    "--nest-asyncio",
}
"""Flags of the magics: those that go with their value, those whose value stays, and those without one."""

_PYTHON = re.compile(r"(?<!\w)a?ask(?:_many)?\s*\(|\.(?:chat|completion)(?:_sync)?\s*\(")
"""Python that asks. What it prints holds no receipt by which to tell an answer, so its outputs go."""


def scrubbed_source(source: str) -> str:
    """Return a cell's source with a placeholder where it held a prompt. What was scrubbed already is as it was."""
    return _without_prompts(source)[0]


def prompts_in(source: str) -> list[str]:
    """Return the prompts that magics hold in a cell's source, and the texts of their flags, as they are typed."""
    return [text for text in _without_prompts(source)[1] if text.strip() and text != SCRUBBED]


def asks(source: str) -> bool:
    """Return True for a cell that asks a model."""
    return asks_from_python(source) or any(
        _ASKING.match(line) or ((found := _LINE.fullmatch(line.lstrip())) and not found["magic"].endswith("use"))
        for line in source.split("\n")
    )


def asks_from_python(source: str) -> bool:
    """Return True for a cell that is no prompt, and whose Python asks a model."""
    return not any(_ASKING.match(line) for line in source.split("\n")) and _PYTHON.search(source) is not None


def magic_outputs(source: str) -> Iterator[str]:
    """Yield the names that the magics of a cell give to answers."""
    for line in source.split("\n"):
        found = _LINE.fullmatch(line.lstrip())
        asking = _ASKING.match(line)
        if found is not None:
            yield from re.findall(r"[^\W\d]\w*", found["before"])
        rest = found["rest"] if found else line[asking.end() :] if asking else ""
        yield from re.findall(r"(?<!\S)(?:-o|--output)[\s=]+([^\W\d]\w*)", rest)


def _without_prompts(source: str) -> tuple[str, list[str]]:
    lines = source.split("\n")
    for place, line in enumerate(lines):
        if asking := _ASKING.match(line):
            kept, values, rest = _split(line[asking.end() :])
            head = " ".join([asking.group(), *kept])
            return "\n".join([*lines[:place], head, SCRUBBED]), [*values, rest, "\n".join(lines[place + 1 :])]
        if line.strip() and not line.startswith("%%"):
            break
    joined: list[str] = []
    for line in lines:
        if joined and joined[-1].endswith("\\") and _LINE.fullmatch(joined[-1].lstrip()):
            joined[-1] = f"{joined[-1][:-1]}\n{line}"  # IPython reads on where a magic's line ends so
        else:
            joined.append(line)
    scrubbed = [_scrubbed_line(line) for line in joined]
    return "\n".join(line for line, _ in scrubbed), [text for _, texts in scrubbed for text in texts]


def _scrubbed_line(line: str) -> tuple[str, list[str]]:
    found = _LINE.fullmatch(line.lstrip())
    if found is None or found["rest"].strip().startswith("?"):
        return line, []
    flags, values, prompt = _split(found["rest"])
    placeholder = [SCRUBBED] if prompt and not found["magic"].endswith("use") else []
    indent = line[: len(line) - len(line.lstrip())]
    return " ".join([indent + found["before"] + found["magic"], *flags, *placeholder]), [*values, prompt]


def _split(rest: str) -> tuple[list[str], list[str], str]:
    """Return those flags of a magic that tell nothing of what was asked, the values of the others, and what stands
    behind all flags.
    """
    kept: list[str] = []
    values: list[str] = []
    at = 0
    while word := _WORD.match(rest, at):
        flag, equals, given = word[1].partition("=")
        if not flag.startswith("-"):
            break
        at = word.end()
        if flag in _SWITCHES or (flag in _KEPT and _VALUE.fullmatch(given)):
            kept.append(word[1])
        elif flag in _KEPT | _DROPPED and not equals:
            value = _WORD.match(rest, at)
            at = value.end() if value else at
            stays = value is not None and flag in _KEPT and _VALUE.fullmatch(value[1]) is not None
            kept += [flag, value[1]] if value and stays else []
            values += [value[1]] if value and not stays else []
        elif flag in _KEPT | _DROPPED:
            values.append(given)
        else:
            break  # not known here: what follows may be of it, or the prompt
    return kept, values, rest[at:].strip()
