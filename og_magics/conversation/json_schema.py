"""JSON schemas of Python types, by pydantic, in the form that models are given."""

from __future__ import annotations

import sys
import types
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Union, get_args, get_origin, is_typeddict

_NAMED = ("properties", "$defs", "definitions", "patternProperties")
"""Schema keywords whose members have names of the author's choice, which are not keywords."""


def untitled(schema: Any) -> Any:
    """Return a schema without the titles that pydantic derives from names: they cost tokens and say nothing new."""
    if isinstance(schema, list):
        return [untitled(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    kept = {}
    for name, value in schema.items():
        if name in _NAMED and isinstance(value, Mapping):
            kept[name] = {key: untitled(item) for key, item in value.items()}
        elif name in ("default", "const", "enum", "examples"):
            kept[name] = value
        elif name != "title" or not isinstance(value, str):
            kept[name] = untitled(value)
    return kept


def strict(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the schema in the form of strict mode: every member is required and no others are allowed.

    Return None if the schema has no such form: an object with free names, or a root that is not an object.
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
        return [_closed(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    closed: dict[str, Any] = {}
    for name, value in schema.items():
        if name in _NAMED and isinstance(value, Mapping):
            closed[name] = {key: _closed(item) for key, item in value.items()}
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
    """Return an annotation that pydantic accepts: before Python 3.12 it needs TypedDicts of typing_extensions."""
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
    changed = tuple(modern(item) for item in inner)
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
    converted = make(annotation.__name__, fields)
    converted.__doc__ = annotation.__doc__
    return converted


def errors_summary(problems: Iterable[Mapping[str, Any]], most: int = 5) -> str:
    """Return pydantic's errors in one line, without the input values."""
    lines = []
    for problem in problems:
        place = ".".join(str(step) for step in problem.get("loc", ()))
        lines.append(f"{place}: {problem.get('msg', '')}" if place else str(problem.get("msg", "")))
    return _first(lines, most)


def unusable(schema: Mapping[str, Any]) -> str:
    """Return the reason why a well-formed JSON schema cannot be used for validation; "" if it can."""
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
    """Yield all subschemas except those with an `$id`, against which their own references are resolved."""
    if isinstance(schema, list):
        for item in schema:
            yield from _parts(item)
    elif isinstance(schema, Mapping):
        yield schema
        for name, value in schema.items():
            addressed = isinstance(value, Mapping) and isinstance(value.get("$id"), str)
            if name not in ("const", "enum", "default", "examples") and not addressed:
                yield from _parts(value)


def _circles(part: Any, targets: Mapping[str, Any], path: set[int], done: set[int]) -> bool:
    """Return True if validation would apply the same schema to the same value without end.

    Checked beforehand: a package may have raised the recursion limit, and then endless recursion ends the process.
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
    circles = any(_circles(item, targets, path, done) for item in same)
    path.remove(id(part))
    done.add(id(part))
    return circles


def _first(lines: Sequence[str], most: int) -> str:
    more = f"; and {len(lines) - most} more" if len(lines) > most else ""
    return "; ".join(lines[:most]) + more


def problems_of(value: Any, schema: Mapping[str, Any], most: int = 5) -> str:
    """Return the violations of a JSON schema in one line; "" if there are none. Nothing is fetched."""
    from jsonschema.validators import validator_for
    from referencing import Registry

    validator = validator_for(schema)(schema, registry=Registry())
    lines = []
    for problem in validator.iter_errors(value):
        place = ".".join(str(step) for step in problem.absolute_path)
        lines.append(f"{place}: {problem.message[:300]}" if place else problem.message[:300])
    return _first(lines, most)
