"""The columns that a schema makes in a table of answers: one for each field of the object at its root."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .structured_output import OutputSchema

_SCALARS = {"string": "text", "integer": "integer", "number": "number", "boolean": "flag"}
_INT64 = 2**63
WHOLE = "parsed"
"""The column of an answer whose form is not known before."""


@dataclass(frozen=True, slots=True)
class FieldColumn:
    """One column.

    Attributes:
        name: of the column. field: in the parsed object; "" for all of it.
        kind: "text", "integer", "number", "flag"; "json" for what has no such type.
    """

    name: str
    field: str
    kind: str

    def value(self, whole: Any) -> Any:
        """Return the column's value in an object in JSON form; None where it has none, or one that does not fit."""
        value = whole if not self.field else whole.get(self.field) if isinstance(whole, Mapping) else None
        if value is None:
            return None
        if self.kind == "json":
            return json.dumps(value, ensure_ascii=False)
        if self.kind == "text":
            return value if isinstance(value, str) else None
        if self.kind == "flag":
            return value if isinstance(value, bool) else None
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return None
        if self.kind == "number":
            return float(value)
        return int(value) if value == int(value) and abs(value) < _INT64 else None


def columns_of(schema: OutputSchema | None, taken: tuple[str, ...]) -> list[FieldColumn]:
    """Return the columns of a schema. A name that is taken gets "parsed_" before it."""
    if schema is None:
        return []
    root = schema.schema or {}
    properties = root.get("properties")
    if not isinstance(properties, Mapping) or not properties:
        return [FieldColumn(WHOLE, "", "json")]
    found: list[FieldColumn] = []
    used = set(taken)
    for field, part in properties.items():
        name = str(field)
        while name in used:
            name = f"{WHOLE}_{name}"
        used.add(name)
        found.append(FieldColumn(name, str(field), _kind(part, root)))
    return found


def in_json(schema: OutputSchema, parsed: Any) -> Any:
    """Return a parsed object in JSON form, with the fields that the schema names."""
    if schema.kind is None:
        return parsed
    from pydantic import TypeAdapter

    value = TypeAdapter(schema.kind).dump_python(parsed, mode="json", by_alias=True)
    return {"value": value} if schema.wrapped else value


def _kind(part: Any, root: Mapping[str, Any]) -> str:
    if not isinstance(part, Mapping):
        return "json"
    if "$ref" in part:
        part = root.get("$defs", {}).get(str(part["$ref"]).rpartition("/")[2], {})
    options = [one for one in part.get("anyOf", ()) if isinstance(one, Mapping) and one.get("type") != "null"]
    if len(options) == 1 and "type" not in part:
        return _kind(options[0], root)
    kind = part.get("type")
    if isinstance(kind, list):
        rest = [one for one in kind if one != "null"]
        kind = rest[0] if len(rest) == 1 else None
    return _SCALARS.get(str(kind), "json")
