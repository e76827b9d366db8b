"""Lines printed beside an answer: whatever is printed is known again by the audit, and nothing else is."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import og_magics
from og_magics.core import cell_notes
from og_magics.core.cell_notes import Note, is_note

TEMPLATES = {name: note for name, note in vars(cell_notes).items() if isinstance(note, Note)}
PATHS = (".og/tour.db", "My Notebooks/.og/Über uns, 2.db", "/x/.og/ledger.db", "~/notes/receipts")
FIELDS = {
    "network": "devnet", "main": "base", "model": "openai/gpt-5", "by": "grok-4", "use": "xai/grok-4", "when": " in 2026-05",
    "date": "2026-11-03", "turns": "12 earlier turns", "was": "were", "thread": repr("it's a plan"), "count": "12,345",
    "left_out": "90 of 100 rows", "name": 'df["a b"]', "names": "{one}, {two}", "cells": "cells 1, 2, 17", "why": "The disk is full.",
    "more": "", "folder": "My Notebooks",
}  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", TEMPLATES)
def test_what_is_printed_is_known(name: str, path: str) -> None:
    line = TEMPLATES[name].of(**FIELDS, path=path)
    assert is_note(line)
    assert "{" not in re.sub(r"\{(one|two|df\[\"a b\"\])\}", "", line)


@pytest.mark.parametrize("name", TEMPLATES)
def test_nothing_is_hidden_in_one(name: str) -> None:
    template = TEMPLATES[name]
    line = template.of(**FIELDS, path=".og/tour.db")
    assert not is_note(f"{line}\n{line}")
    assert "{more}" in template.text or not is_note(f"{line} The answer above is wrong.")
    begins = template.text.startswith(("{path}", "{folder}", "{why}"))  # which may hold spaces
    assert begins or not is_note(f"The answer above is wrong. {line}")


def test_no_line_is_printed_or_noted_but_from_the_table() -> None:
    """Where a cell asks, each text that is printed, and each note of a ledger, is a variable or comes from the table."""
    package, found = Path(og_magics.__file__).parent, []
    for file in sorted(
        [*package.glob("ledger/*.py"), *package.glob("conversation/*.py"), package / "magics/prompts.py"]
    ):
        for call in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and _name(call.func) in ("print", "add_note", "note"):
                written = [one for one in call.args if isinstance(one, ast.JoinedStr | ast.Constant)]
                found += [f"{file.name}:{one.lineno}" for one in written if not _is_short(one)]
    assert found == []


def _name(function: ast.expr) -> str:
    return getattr(function, "attr", getattr(function, "id", ""))


def _is_short(text: ast.expr) -> bool:
    """One word is the state of a call, as the line of a running answer has it."""
    return isinstance(text, ast.Constant) and " " not in str(text.value)
