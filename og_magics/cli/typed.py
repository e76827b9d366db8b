"""The source of a cell that asks, held against the receipts of its outputs: prompt, model, mode, parameters.

The line of a magic is read as its parser reads it, and nothing in it is run. A value in braces or with a dollar is one
that IPython filled in: only the receipt has it.
"""

from __future__ import annotations

import ast
import re
import shlex
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..conversation import could_expand_to
from ..conversation.structured_output import repair_of
from ..core.errors import ConfigError
from ..core.models import resolve_model, resolve_provider
from ..core.options import CALL
from ..core.receipt import Column, Receipt
from ..core.types import x402SettlementMode
from ..notebook.file import ShownAnswer

_BELOW = re.compile(r"^%%og(?:chat|compare)(?!\w)", re.M)
"""The magic below others, as `%%time`, or below comments, with which it would not run."""
_ASKS = re.compile(r"(?:\w+\s*=\s*)?%ogchat(?!\w)")
_MARK = "_a_line_that_asks_"
_NAMED = re.compile(r"\A\s*\w+\s*=\s*(?=%ogchat(?!\w))")
_REPAIR = repair_of("").partition(".")[0]
_WORD = re.compile(r"""\s*((?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"|'[^']*')+)""", re.S)
_TAKES = {flag: name for name, one in CALL.items() for flag in one.value_flags} | {"-o": "", "--output": ""}
_SWITCHES = {flag for one in CALL.values() for flag in one.switches} | {"--no-vars"}


def sources_of(answers: Sequence[ShownAnswer]) -> Iterator[str]:
    """Yield for each answer the source that asked it: its cell's, or its own line of %ogchat."""
    shown = Counter(answer.cell for answer in answers if answer.place == 0)
    cell, lines, at = 0, list[str](), -1
    for answer in answers:
        if answer.cell != cell:
            cell, at = answer.cell, -1
            lines = _lines_that_ask(answer.source, shown[cell])
        at += answer.place == 0
        yield lines[at] if 0 <= at < len(lines) else _question(answer.source)


def _lines_that_ask(source: str, answers: int) -> list[str]:
    """Return the %ogchat lines that asked the answers of a cell, in their order; [] where something else may have."""
    if _BELOW.search(source):
        return []
    lines = source.splitlines()
    asking = {place: line for place, line in enumerate(lines) if _ASKS.match(line)}  # in the cell's order
    if any(line.rstrip().endswith("\\") for line in asking.values()):
        return []  # the prompt goes on in the next line
    others = [line for place, line in enumerate(lines) if place not in asking and not line.startswith(("%%", "!"))]
    magics = [line for line in others if line.startswith("%")]
    if any(re.match(r"%(?:run|load|og|macro)(?!\w)|%time\w*\s+\S", line) for line in magics):
        return []
    if any(line.strip() and not line.lstrip().startswith("#") for line in others) and len(asking) != answers:
        return []  # one of the answers is another line's
    # Each of them must be a statement of the cell, and not a line of a text that its code holds.
    code = "\n".join(
        _MARK if place in asking else "" if line.startswith(("%", "!")) else line for place, line in enumerate(lines)
    )
    tree = _tree(code)
    if tree is None or sum(isinstance(one, ast.Name) and one.id == _MARK for one in ast.walk(tree)) != len(asking):
        return []
    calls = (one for one in ast.walk(tree) if isinstance(one, ast.Call | ast.Await))
    if any(getattr(getattr(one, "func", None), "id", "") != "print" for one in calls):
        return []  # a function may have asked
    return [_NAMED.sub("", line, count=1) for line in asking.values()]


def _question(source: str) -> str:
    """Return what a cell asks, without what stands above its magic or names its result."""
    found = _BELOW.search(source)
    if found is None:
        return _NAMED.sub("", source, count=1)
    above = "\n".join(line for line in source[: found.start()].splitlines() if not line.lstrip().startswith(("%", "!")))
    return source if _tree(above) is None else source[found.start() :]  # None: it is in a text that Python code holds


def asks_nothing(source: str) -> bool:
    """Return True for a cell of comments, constants and prints alone: nothing in it asks, or shows an answer."""
    tree = _tree(source)
    if tree is None:
        return False
    names = (ast.Name, ast.Attribute, ast.Import, ast.ImportFrom, ast.JoinedStr)
    return not any(isinstance(one, names) and getattr(one, "id", "") != "print" for one in ast.walk(tree))


def _tree(source: str) -> ast.Module | None:
    """Return Python code as its tree, None for magics, and for what is no code."""
    try:
        with warnings.catch_warnings(action="ignore"):  # of escapes in a stranger's texts
            return ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def other_prompt(source: str, receipt: Receipt) -> bool:
    """Return True if a cell that only asks holds another prompt than the receipt's request, whatever ends its lines."""
    source = source.replace("\r\n", "\n")
    first, _, prompt = source.strip().partition("\n")
    magic = (first.split(maxsplit=1) or [""])[0]
    asked = _asked(receipt.request.get("messages"))
    if magic == "%ogchat" and not prompt:  # which of its words are flags is not known here: the prompt is its end
        ends = [first[space.end() :] for space in re.finditer(r"\s+", first)]
        return asked is None or not any(end == asked or could_expand_to(end, asked) for end in ends)
    if magic not in ("%%ogchat", "%%ogcompare"):
        return False
    typed = source.lstrip().partition("\n")[2].removesuffix("\n")
    if "--no-vars" in first.split():
        return asked != typed
    # The values of {variables} are nowhere but in the receipt: the text around them is what can be held against it.
    return asked is None or not could_expand_to(typed, asked)


def other_flags(source: str, receipt: Receipt, columns: Sequence[Column] = (), place: int = 0) -> str:
    """Return how the flags of a cell that asks differ from what the receipt says was asked; "" where they agree.

    Args:
        receipt: of the first call of its turn.
        columns: of the comparison that it is a part of, at `place`.
    """
    first = source.strip().partition("\n")[0]
    magic, _, line = first.partition(" ")
    if magic not in ("%ogchat", "%%ogchat", "%%ogcompare"):
        return ""
    flags = list(_flags(line))
    if magic == "%%ogcompare":
        models = [pair for pair in flags if pair[0] in ("model", "provider")]
        if columns and len(models) != len(columns):
            return f"The cell names {len(models)} models, and shows {len(columns)}."
        flags = [*(models[place : place + 1] if columns else ()), *(pair for pair in flags if pair not in models)]
    said = {name: value for name, value in flags if "{" not in value and "$" not in value}
    if ("model" in said or "provider" in said) and _other_model(said.get("model"), said.get("provider"), receipt):
        return "The cell names another model than answered."
    if "settlement" in said and _mode(said["settlement"]) != receipt.settlement:
        return "The cell names another settlement mode than the receipt."
    request = receipt.request
    for name in ("temperature", "max_tokens"):
        if name in said and name in request and _number(said[name]) != request[name]:
            return f"The cell names another {CALL[name].flags[-1]} than was sent."
    system = [one.get("content") for one in receipt.messages if one.get("role") == "system"]
    if said.get("system") and not receipt.scrubbed and said["system"] not in system:
        return "The cell names another system prompt than was sent."
    return ""


def _flags(line: str) -> Iterator[tuple[str, str]]:
    """Yield the options that a line names with a value, up to its prompt."""
    at = 0
    while (word := _WORD.match(line, at)) and word[1].startswith("-") and len(word[1]) > 1:
        token, at = _plain(word[1]), word.end()
        flag, equals, value = token.partition("=")
        if token == "--" or (flag not in _TAKES and flag not in _SWITCHES):
            return
        if flag not in _TAKES:
            continue
        if not equals:
            following = _WORD.match(line, at)
            if following is None:
                return
            value, at = _plain(following[1]), following.end()
        if _TAKES[flag]:
            yield _TAKES[flag], value


def _plain(word: str) -> str:
    try:
        return "".join(shlex.split(word))
    except ValueError:
        return word


def _other_model(model: str | None, provider: str | None, receipt: Receipt) -> bool:
    try:
        of = resolve_provider(provider) if provider else None
        if model is None:
            return of != receipt.provider or not receipt.model.startswith(f"{of}/")
        if resolve_model(model, of) == receipt.model:
            return False
    except ConfigError:  # a name that this release does not have, or that a plain server knows
        if model is None:
            return False
    return model not in (receipt.model, receipt.model.partition("/")[2])


def _mode(text: str) -> str:
    try:
        return x402SettlementMode.parse(text).value
    except ConfigError:
        return ""


def _number(text: str) -> Any:
    try:
        return float(text)
    except ValueError:
        return None


def _asked(messages: object) -> str | None:
    """Return the prompt of a request: the last text of a person, before function calls and repairs."""
    said = [one for one in messages if isinstance(one, Mapping)] if isinstance(messages, list) else []
    while said and said[-1].get("role") != "user":
        if said[-1].get("role") != "tool" and not said[-1].get("tool_calls"):
            return None
        said.pop()
    if len(said) > 2 and said[-2].get("role") == "assistant" and str(said[-1].get("content")).startswith(_REPAIR):
        return _asked(said[:-2])
    content = said[-1].get("content") if said else None
    if isinstance(content, list):  # pictures went along: the prompt is the part that is text
        texts = [one.get("text") for one in content if isinstance(one, Mapping) and one.get("type") == "text"]
        content = texts[0] if len(texts) == 1 else None
    return content.replace("\r\n", "\n").removesuffix("\r") if isinstance(content, str) else None
