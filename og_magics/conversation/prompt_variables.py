"""Substitution of `{name}` in prompts by values of the notebook; unknown names stay byte for byte as typed."""

from __future__ import annotations

import builtins
import difflib
import inspect
import keyword
import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

from ..core.errors import ConfigError
from .value_text import Described, render_value

_NAME = r"[^\W\d]\w*"
_STEP = rf"""\.(?!_){_NAME}|\[-?\d{{1,18}}\]|\["[^"\\\n{{}}]*"\]|\['[^'\\\n{{}}]*'\]"""
_BRACED = re.compile(rf"(?P<open>\{{+)(?P<path>(?P<name>{_NAME})(?P<steps>(?:{_STEP})*))(?P<close>\}}+)")
_STEPS = re.compile(_STEP)
_CODE = re.compile(
    r"^(?P<fence>`{3,}|~{3,})[^\n]*\n.*?(?:^(?P=fence)|\Z)|(?P<tick>`+)(?!`).+?(?<!`)(?P=tick)(?!`)|^(?: {4}|\t)[^\n]*",
    re.M | re.S,
)
"""Code in Markdown: fenced, between backticks, indented."""
_QUOTED = re.compile(r"\$\$.+?\$\$|\$[^$\n]+\$|\\[(\[].+?\\[)\]]|\bf?([\"'])[^\"'\n]*\1", re.S)
"""Formulas, and the strings of code."""
_BEFORE_CODE = re.compile(r"(?:[\w\\}\])^$%#@&]|=\s?|[:,\[{(=]\s?[\"'])\Z")
_AFTER = ("{", "[", "(")
_SHORTEST = 2
"""A single letter in braces is a set or a formula."""
_NEAR = 0.75
"""Of difflib's ratio: one slip in a word of four letters."""
_AS_TYPED = "To send the braces as typed, write {{ and }} around the name, or add --no-vars."


@dataclass(frozen=True, slots=True)
class Substituted:
    """A prompt after substitution.

    Attributes:
        text: the text that is sent.
        values: the text of each path, by the path as typed.
    """

    text: str
    values: Mapping[str, Described]


def substitute(prompt: str, names: Mapping[str, Any]) -> Substituted:
    """Replace each `{name}`, `{name.attribute}` and `{name[0]["key"]}` whose name is among `names`, once.

    Braces count as in an f-string: `{{name}}` is `{name}`, and `{{{name}}}` a value in braces. Whatever else stands in
    braces stays as it is. A value's own braces are never looked at, and nothing is called on the way but attributes and
    items.

    Raises:
        ConfigError: a path that leads nowhere, or a value that has no text.
    """
    values: dict[str, Described] = {}

    def replacement(braced: re.Match[str]) -> str:
        path = braced["path"]
        if braced["name"] not in names:
            return braced.group()
        pairs = min(len(braced["open"]), len(braced["close"]))
        inner = path
        if pairs % 2:
            if path not in values:
                values[path] = render_value(_resolved(path, names[braced["name"]], braced["steps"]), path)
            inner = values[path].text
        around = pairs // 2
        before = braced["open"][: len(braced["open"]) - pairs] + "{" * around
        return before + inner + "}" * around + braced["close"][pairs:]

    return Substituted(_BRACED.sub(replacement, prompt), values)


def unknown_names(prompt: str, names: Mapping[str, Any], hidden: Container[str] = ()) -> dict[str, str]:
    """Return the paths in braces whose name is not among `names`, each with the path that is likely meant, or "".

    Only what reads as a variable of this notebook: no code, no JSON, no set, no formula.

    Args:
        hidden: further names that stand for something, and for which no other is meant.
    """
    apart = [found.span() for pattern in (_CODE, _QUOTED) for found in pattern.finditer(prompt)]
    unknown: dict[str, str] = {}
    for braced in _BRACED.finditer(prompt):
        name, start = braced["name"], braced.start()
        known = name in names or name in hidden or hasattr(builtins, name) or keyword.iskeyword(name)
        if known or len(name) < _SHORTEST or name.startswith("_") or braced["open"] != "{" or braced["close"] != "}":
            continue
        beside = _BEFORE_CODE.search(prompt[max(start - 3, 0) : start]) or prompt[braced.end() :].startswith(_AFTER)
        if not beside and not any(first <= start < last for first, last in apart):
            meant = _nearest(name, names)
            unknown[braced["path"]] = meant and meant + braced["steps"]
    return unknown


def _nearest(name: str, names: Mapping[str, Any]) -> str:
    """Return the name that was likely meant: equal but for case or underscores, or a slip of the fingers apart."""
    bare = {one: one.replace("_", "").lower() for one in names}
    wanted = name.replace("_", "").lower()
    near = difflib.get_close_matches(wanted, list(bare.values()), 1, _NEAR)
    return next((one for one, form in bare.items() if form == near[0]), "") if near else ""


def could_expand_to(prompt: str, sent: str) -> bool:
    """Return True if some values of its variables would turn the typed prompt into the sent text."""
    first, *rest = re.split(rf"\{{+{_NAME}(?:{_STEP})*\}}+", prompt)
    if not rest:
        return sent == prompt
    if len(sent) < len(first) + len(rest[-1]) or not sent.startswith(first) or not sent.endswith(rest[-1]):
        return False
    at, end = len(first), len(sent) - len(rest[-1])
    for between in rest[:-1]:
        found = sent.find(between, at, end)
        if found < 0:
            return False
        at = found + len(between)
    return True


def _resolved(path: str, value: Any, steps: str) -> Any:
    for step in _STEPS.findall(steps):
        try:
            value = getattr(value, step[1:]) if step[0] == "." else value[_key(step[1:-1])]
        except Exception as error:  # noqa: BLE001 - a property may raise anything
            problem = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise ConfigError(f"{{{path}}} in the prompt leads nowhere: {problem}.", remedy=_AS_TYPED) from None
    if inspect.isroutine(value) and steps:
        raise ConfigError(
            f"{{{path}}} in the prompt is a method, and no function is called in a prompt.",
            remedy=f"Put its result into a variable and name that. {_AS_TYPED}",
        )
    return value


def _key(typed: str) -> int | str:
    return typed[1:-1] if typed[0] in "\"'" else int(typed)
