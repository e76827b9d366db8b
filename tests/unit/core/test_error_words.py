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


def calls() -> Iterator[tuple[str, ast.Call, type[errors.OGError]]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        room = path.relative_to(PACKAGE)
        if room.parts[0] == "devnet":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                if name in KINDS and node.args:
                    yield f"{room}:{node.lineno}", node, KINDS[name]


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


CALLS = list(calls())


@pytest.mark.parametrize(("node", "kind"), [call[1:] for call in CALLS], ids=[call[0] for call in CALLS])
def test_it_says_what_to_do_and_of_the_money_in_words_that_people_know(
    node: ast.Call, kind: type[errors.OGError]
) -> None:
    parts = {keyword.arg: keyword.value for keyword in node.keywords}
    said = " ".join(map(text_of, (node.args[0], parts.get("money"), parts.get("remedy"))))
    assert UNKNOWN.findall(EXPLAINED.sub(" ", said)) == []
    told = RULE.search(text_of(node.args[0])) or text_of(parts.get("remedy")).strip()
    assert told, "it does not say what to do"
    assert issubclass(kind, FREE) or text_of(parts.get("money")).strip(), "it does not say what it means for the money"


def test_they_are_all_looked_at() -> None:
    assert len(CALLS) > 150
