"""JSON schemas of Python types, by pydantic, in the form that models are given."""

from __future__ import annotations

import sys
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Union, get_args, get_origin, is_typeddict

_NAMED = ("properties", "$defs", "definitions", "patternProperties")
"""Members whose keys are names of somebody's own, not words of the schema language."""


def untitled(schema: Any) -> Any:
    """A schema without the titles that pydantic makes of names: they say nothing more, and are paid for."""
    if isinstance(schema, list):
        return [untitled(one) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    kept = {}
    for name, value in schema.items():
        if name in _NAMED and isinstance(value, Mapping):
            kept[name] = {key: untitled(one) for key, one in value.items()}
        elif name in ("default", "const", "enum", "examples"):
            kept[name] = value
        elif name != "title" or not isinstance(value, str):
            kept[name] = untitled(value)
    return kept


def strict(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """The schema as providers want it who promise to keep to it: every member required, no others allowed.

    None where it cannot be had so: an object with free names, or a root that is no object.
    """
    if schema.get("type") != "object":
        return None
    try:
        closed = _closed(schema)
    except ValueError:
        return None
    return dict(closed)


def _closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_closed(one) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    closed: dict[str, Any] = {}
    for name, value in schema.items():
        if name in _NAMED and isinstance(value, Mapping):
            closed[name] = {key: _closed(one) for key, one in value.items()}
        elif name in ("const", "enum"):
            closed[name] = value
        elif name not in ("default", "examples"):
            closed[name] = _closed(value)
    if schema.get("type") == "object" or "properties" in schema:
        if schema.get("additionalProperties") not in (None, False) or not schema.get("properties"):
            raise ValueError("an object with free names")
        closed |= {"required": list(schema["properties"]), "additionalProperties": False}
    return closed


def modern(annotation: Any) -> Any:
    """An annotation that pydantic takes: before Python 3.12 it wants the TypedDict of typing_extensions."""
    if sys.version_info >= (3, 12):
        return annotation
    if is_typeddict(annotation) and type(annotation).__module__ == "typing":
        return _typed_dict(annotation)
    inner = get_args(annotation)
    origin = get_origin(annotation)
    if not inner or origin in (None, typing.Literal):
        return annotation
    if origin is Annotated:
        return Annotated[(modern(inner[0]), *inner[1:])]
    changed = tuple(modern(one) for one in inner)
    if changed == inner:
        return annotation
    return Union[changed] if origin in (Union, types.UnionType) else origin[changed]  # noqa: UP007 - made at run time


def _typed_dict(annotation: Any) -> Any:
    import typing_extensions

    hints = typing.get_type_hints(annotation, include_extras=True)
    fields = {}
    for name, hint in hints.items():
        bare = get_args(hint)[0] if get_origin(hint) in (typing.Required, typing.NotRequired) else hint
        needed = name in annotation.__required_keys__
        fields[name] = (
            typing_extensions.Required[modern(bare)] if needed else typing_extensions.NotRequired[modern(bare)]
        )
    make: Any = typing_extensions.TypedDict
    made = make(annotation.__name__, fields)
    made.__doc__ = annotation.__doc__
    return made


def told(problems: Iterable[Mapping[str, Any]], most: int = 5) -> str:
    """What pydantic found wrong, in one line, without the values that were given or links to its manual."""
    lines = []
    for problem in problems:
        place = ".".join(str(step) for step in problem.get("loc", ()))
        lines.append(f"{place}: {problem.get('msg', '')}" if place else str(problem.get("msg", "")))
    return _first(lines, most)


def unusable(schema: Mapping[str, Any]) -> str:
    """Why no answer can be checked against a JSON schema that is well-formed; "" where it can."""
    from referencing import Registry
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT202012

    root = dict(schema)
    resolver: Any = Registry().resolver_with_root(DRAFT202012.create_resource(root))
    targets: dict[str, Any] = {}
    for part in _parts(root):
        reference = part.get("$ref")
        if isinstance(reference, str):
            try:
                targets[reference] = resolver.lookup(reference).contents
            except Unresolvable:
                return f"it refers to {reference[:200]!r}, which does not stand in it, and nothing is fetched."
    done: set[int] = set()
    if any(_circles(part, targets, set(), done) for part in _parts(root)):
        return "it refers to itself without end."
    return ""


def _parts(schema: Any) -> Iterator[Mapping[str, Any]]:
    """All schemas in a schema, but for those with an address of their own, from which their references then start."""
    if isinstance(schema, list):
        for one in schema:
            yield from _parts(one)
    elif isinstance(schema, Mapping):
        yield schema
        for name, value in schema.items():
            addressed = isinstance(value, Mapping) and isinstance(value.get("$id"), str)
            if name not in ("const", "enum", "default", "examples") and not addressed:
                yield from _parts(value)


def _circles(part: Any, targets: Mapping[str, Any], path: set[int], done: set[int]) -> bool:
    """Whether the same value would be checked against the same schema again and again.

    Looked for beforehand: a check that recurses may end the process, where a package has raised the recursion limit.
    """
    if not isinstance(part, Mapping) or id(part) in done:
        return False
    if id(part) in path:
        return True
    path.add(id(part))
    reference = part.get("$ref")
    same = [targets.get(reference)] if isinstance(reference, str) else []
    for name in ("allOf", "anyOf", "oneOf"):
        same += part[name] if isinstance(part.get(name), list) else []
    same += [part.get(name) for name in ("not", "if", "then", "else")]
    circles = any(_circles(one, targets, path, done) for one in same)
    path.remove(id(part))
    done.add(id(part))
    return circles


def _first(lines: Sequence[str], most: int) -> str:
    more = f"; and {len(lines) - most} more" if len(lines) > most else ""
    return "; ".join(lines[:most]) + more


def problems_of(value: Any, schema: Mapping[str, Any], most: int = 5) -> str:
    """What a JSON schema finds wrong with a value, in one line; "" for nothing. Nothing is fetched."""
    from jsonschema.validators import validator_for
    from referencing import Registry

    validator = validator_for(schema)(schema, registry=Registry())
    lines = []
    for problem in validator.iter_errors(value):
        place = ".".join(str(step) for step in problem.absolute_path)
        lines.append(f"{place}: {problem.message[:300]}" if place else problem.message[:300])
    return _first(lines, most)
