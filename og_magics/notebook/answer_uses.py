"""The cells of a notebook that use an answer, by the names that cells give to values. Nothing is run."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence

from .scrub_source import asks, asks_from_python, magic_outputs

_NAME = re.compile(r"[^\W\d]\w*")
_MAGIC = re.compile(r"^(?P<indent>[^\S\n]*)(?P<before>[\w., \[\]\"'*]*=\s*)?[%!](?P<rest>.*)$", re.MULTILINE)
_LAST = re.compile(r"(?<!\w)_{1,3}(?!\w)")
_EARLIER = re.compile(r"(?<!\w)(?:_\d+|Out)(?!\w)")
_ASKING = frozenset("ask aask ask_many aask_many chat completion chat_sync completion_sync".split())
_NO_PROMPTS = frozenset(("model", "role", "type"))


def uses_of_answers(sources: Sequence[str | None]) -> list[frozenset[int]]:
    """Return for each cell the places, from 0, of the cells that asked and whose answers it may use.

    A name that is set in a cell which uses an answer holds one from there on; names of modules do not.

    Args:
        sources: of the cells, in order; None for one that is no code.
    """
    trees = [None if source is None else _tree(source) for source in sources]
    modules = {name for tree in trees if tree is not None for name in _imported(tree)}
    holders: dict[str, frozenset[int]] = {}
    asked: frozenset[int] = frozenset()
    last: frozenset[int] = frozenset()
    found: list[frozenset[int]] = []
    for place, (source, tree) in enumerate(zip(sources, trees, strict=True)):
        if source is None:
            found.append(frozenset())
            continue
        read, written = _names(source, tree)
        used = frozenset().union(*(holders.get(name, frozenset()) for name in read))
        used |= last if _LAST.search(source) else frozenset()
        used |= asked if _EARLIER.search(source) else frozenset()
        if asks(source):
            asked |= {place}
            used |= {place}
            if not asks_from_python(source):
                written = set(magic_outputs(source)) | (written if tree is not None else set())
        for name in written - modules:
            if used:
                holders[name] = holders.get(name, frozenset()) | used
        last = used
        found.append(used)
    return found


def asked_texts(source: str) -> Iterator[str]:
    """Yield the texts of more than one word that stand in calls which ask a model."""
    tree = _tree(source)
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.Call) and _called(node) in _ASKING:
            values = [*node.args, *(one.value for one in node.keywords if one.arg not in _NO_PROMPTS)]
            for inner in (inner for value in values for inner in ast.walk(value)):
                if isinstance(inner, ast.Constant) and isinstance(inner.value, str) and len(inner.value.split()) > 1:
                    yield inner.value


def _called(node: ast.Call) -> str:
    function = node.func
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _tree(source: str) -> ast.Module | None:
    """Return the Python of a cell; None for what is none. What magics are given stays out of it."""
    if source.startswith("%%"):
        first, _, source = source.partition("\n")
        if not re.match(r"%%(?:time|timeit|capture|prun)(?!\w)", first):
            return None
    python = _MAGIC.sub(
        lambda line: f"{line['indent']}{line['before'] or ''}{'0' if line['before'] else 'pass'}", source
    )
    try:
        return ast.parse(python)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _names(source: str, tree: ast.Module | None) -> tuple[set[str], set[str]]:
    """Return the names that a cell reads, and those whose values it sets or may change."""
    if tree is None:
        names = set(_NAME.findall(source))
        return names, names
    read, written = set(), set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            read.add(node.id)
            if not isinstance(node.ctx, ast.Load):
                written.add(node.id)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            written.add(node.name)
        elif isinstance(node, (ast.Attribute, ast.Subscript)):
            base: ast.AST = node
            while isinstance(base, (ast.Attribute, ast.Subscript, ast.Call)):
                base = base.func if isinstance(base, ast.Call) else base.value
            if isinstance(base, ast.Name):
                written.add(base.id)  # a method may change it: rows.append(answer.text)
    for line in _MAGIC.finditer(source):  # {name} in what a magic is given
        read |= set(_NAME.findall(line["rest"]))
    return read, written


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from ((one.asname or one.name).partition(".")[0] for one in node.names)
