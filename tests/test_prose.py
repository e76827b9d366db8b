"""Names and docstrings of the package, read by AST: what a reader must not have to puzzle out."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

_PACKAGE = Path(__file__).parent.parent / "og_magics"

NOT_YET: tuple[str, ...] = ()
"""Rooms and files of the package that are still to be rewritten."""

_RIDDLES = frozenset({"told"})
_STARTS = frozenset({"What", "Whether", "As", "Where", "That", "How", "Who", "Why"})
_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def _identifiers(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of every identifier, whether it is defined, read or imported there."""
    for node in ast.walk(tree):
        line = getattr(node, "lineno", 0)
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.keyword(arg=str(name)):
                yield line, name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield line, name
            case ast.alias(name=name, asname=renamed):
                yield line, renamed or name


def _docstrings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield the line and the text of every docstring, those below attributes and constants included."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if not isinstance(body, list):
            continue
        for before, statement in zip([None, *body], body, strict=False):
            documents = isinstance(before, ast.Assign | ast.AnnAssign) or (
                before is None and isinstance(node, _DOCUMENTED)
            )
            match statement:
                case ast.Expr(value=ast.Constant(value=str(text))) if documents:
                    yield statement.lineno, text


def riddles(source: str) -> list[str]:
    """Return one line for each identifier that needs a key, with its line number."""
    return [f"{line}: identifier {name}" for line, name in _identifiers(ast.parse(source)) if name in _RIDDLES]


def circuitous(source: str) -> list[str]:
    """Return one line for each docstring that starts with a question word, with its line number."""
    found = []
    for line, text in _docstrings(ast.parse(source)):
        first = text.split(maxsplit=1)[0].rstrip(",:") if text.strip() else ""
        if first in _STARTS:
            found.append(f"{line}: docstring {text.strip().splitlines()[0]!r}")
    return found


def _modules() -> list[Path]:
    return sorted(_PACKAGE.rglob("*.py"))


def _room(path: Path) -> str:
    return path.relative_to(_PACKAGE).parts[0]


def _is_done(path: Path) -> bool:
    return _room(path) not in NOT_YET and path.relative_to(_PACKAGE).as_posix() not in NOT_YET


@pytest.mark.parametrize(
    "path", [path for path in _modules() if _is_done(path)], ids=lambda path: f"{_room(path)}/{path.name}"
)
def test_a_module_has_no_riddle_for_a_name_and_no_docstring_that_starts_with_a_question_word(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert riddles(source) + circuitous(source) == []


@pytest.mark.parametrize(
    "source",
    [
        "told = 1",
        "self.told = 1",
        "def told(): ...",
        "def f(told): ...",
        "f(told=1)",
        "from a import told",
        "import a as told",
        "print(a.told)",
        "class told: ...",
    ],
)
def test_a_riddle_is_found_wherever_it_is_named(source: str) -> None:
    assert len(riddles(source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        '"""What it does."""',
        'class A:\n    """Whether it is."""',
        'async def f():\n    """As it stands."""',
        'A = 1\n"""How many."""',
        'class A:\n    x: int = 1\n    """Why it ended."""',
        'class A:\n    def f(self):\n        self.x = 1\n        """Where it stands."""',
    ],
)
def test_a_question_word_is_found_in_each_kind_of_docstring(source: str) -> None:
    assert len(circuitous(source)) == 1


def test_verbs_and_noun_phrases_and_strings_that_are_no_docstrings_pass() -> None:
    source = '"""Assets of a page."""\ndef f():\n    """Return what is left."""\n    return "What is it?"\n'
    assert riddles(source) + circuitous(source) == []


def main() -> None:
    """Print the number of findings of each room, the unfinished ones included."""
    counts: dict[str, list[int]] = {}
    for path in _modules():
        source = path.read_text(encoding="utf-8")
        count = counts.setdefault(_room(path), [0, 0])
        count[0] += len(riddles(source))
        count[1] += len(circuitous(source))
    print(f"{'room':<24}{'names':>8}{'docstrings':>12}")
    for room, (names, docstrings) in sorted(counts.items()):
        print(f"{room:<24}{names:>8}{docstrings:>12}")
    print(f"{'all':<24}{sum(names for names, _ in counts.values()):>8}{sum(docs for _, docs in counts.values()):>12}")


if __name__ == "__main__":
    main()
