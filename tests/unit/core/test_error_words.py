"""Every error text of the package: it says what to do, what it means for the money, and no word that nobody knows."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import og_magics
from og_magics.core import errors

PACKAGE = Path(og_magics.__file__).parent
KINDS = {
    name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.OGError)
}
"""A local file, or nothing but a value: no money is near."""
FREE = (errors.ConfigError, errors.LedgerError, errors.DevnetError, errors.ProofError)

UNKNOWN = re.compile(
    r"\b(BATCH_HASHED|PRIVATE|INDIVIDUAL_FULL|enclave proof|authorized|served|settles later|devnet|Permit2|allowance"
    r"|RPC|gas|registry|tree of hashes|ledger|pinned)\b"
)
RULE = re.compile(r"\b(must|needs|at most|from? \d to|\d to|Answer with)\b")
"""A sentence that says what is right says what to do."""
EXPLAINED = re.compile(
    r"\([^()]*\)|`[^`]*`|%og \w+( \w+)*|og-magics \w+|\bOG_\w+(=\w+)?|\bllm\.\w+|[\w.]*\[\w+\]|'[^']*'"
)
"""Words in parentheses explain the one before them; others are typed as they are."""


ROOMS = sorted({path.relative_to(PACKAGE).parts[0] for path in PACKAGE.rglob("*.py")} - {"devnet"})


def calls(room: str) -> Iterator[tuple[str, ast.Call, type[errors.OGError]]]:
    """The calls that make one of our errors, in a folder or module of the package, with the place of each."""
    place = PACKAGE / room
    for path in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                if name in KINDS and node.args:
                    yield f"{path.relative_to(PACKAGE)}:{node.lineno}", node, KINDS[name]


def text_of(node: ast.expr | None) -> str:
    """The constant parts of an expression; a place holder stands for what is filled in."""
    if node is None:
        return ""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) if isinstance(part, ast.Constant) else "X" for part in node.values)
    if isinstance(node, ast.BinOp):
        return text_of(node.left) + text_of(node.right)
    if isinstance(node, ast.IfExp):
        return f"{text_of(node.body)} {text_of(node.orelse)}"
    return "X"


def wrong(node: ast.Call, kind: type[errors.OGError]) -> Iterator[str]:
    parts = {keyword.arg: keyword.value for keyword in node.keywords}
    said = " ".join(map(text_of, (node.args[0], parts.get("money"), parts.get("remedy"))))
    if unknown := UNKNOWN.findall(EXPLAINED.sub(" ", said)):
        yield f"it has words that people do not know: {unknown}"
    if not RULE.search(text_of(node.args[0])) and not text_of(parts.get("remedy")).strip():
        yield "it does not say what to do"
    if not issubclass(kind, FREE) and not text_of(parts.get("money")).strip():
        yield "it does not say what it means for the money"


@pytest.mark.parametrize("room", ROOMS)
def test_errors_say_what_to_do_and_of_the_money_in_words_that_people_know(room: str) -> None:
    assert [(place, fault) for place, node, kind in calls(room) for fault in wrong(node, kind)] == []


def test_they_are_all_looked_at() -> None:
    assert sum(len(list(calls(room))) for room in ROOMS) > 150
