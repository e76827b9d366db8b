"""An example value for a JSON schema: the same one every time, valid for what the schema asks.

It covers what tools and response formats are written in: types, properties, required, enum, const, default,
bounds, lengths, formats, `$ref`, anyOf, oneOf and allOf. It does not invent strings for a `pattern` beyond the simple
character classes people use.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

_FORMATS = {
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "time": "12:00:00Z",
    "duration": "P1D",
    "email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "url": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}
# A recursive schema ends here: optional members and optional items are left out below this depth.
_DEEPEST = 6


def example(schema: Any, hint: str = "example") -> Any:
    """Return a value that satisfies `schema`.

    `hint` is the text for strings that have no rule of their own; members use their name instead.
    """
    return _example(schema, schema if isinstance(schema, Mapping) else {}, hint, 0)


def _example(schema: Any, root: Mapping[str, Any], hint: str, depth: int) -> Any:
    if not isinstance(schema, Mapping):  # true allows anything
        return hint
    schema = _resolved(schema, root, depth)
    for fixed in ("const", "default"):
        if fixed in schema:
            return schema[fixed]
    if schema.get("enum"):
        return schema["enum"][0]
    if schema.get("examples"):
        return schema["examples"][0]
    for choice in ("anyOf", "oneOf"):
        if schema.get(choice):
            options = schema[choice]
            # Deep inside a recursive type the null branch, if there is one, ends the recursion.
            plain = [o for o in options if isinstance(o, Mapping) and o.get("type") == "null"]
            return _example(plain[0] if plain and depth > _DEEPEST else options[0], root, hint, depth + 1)
    return _typed(schema, root, hint, depth)


def _typed(schema: Mapping[str, Any], root: Mapping[str, Any], hint: str, depth: int) -> Any:
    match _type_of(schema):
        case "object":
            return _object(schema, root, hint, depth)
        case "array":
            return _array(schema, root, hint, depth)
        case "string":
            return _string(schema, hint)
        case "integer":
            return _number(schema, whole=True)
        case "number":
            return _number(schema, whole=False)
        case "boolean":
            return True
        case "null":
            return None
        case _:
            return hint


def _type_of(schema: Mapping[str, Any]) -> Any:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((k for k in kind if k != "null"), "null")
    if kind is None:
        if "properties" in schema or "required" in schema or "additionalProperties" in schema:
            return "object"
        if "items" in schema or "prefixItems" in schema:
            return "array"
        if "minimum" in schema or "maximum" in schema or "multipleOf" in schema:
            return "number"
    return kind


def _resolved(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> Mapping[str, Any]:
    """Return the schema with its `$ref` followed and its `allOf` merged in."""
    hops = 0
    while "$ref" in schema and hops < 32:
        target: Any = root
        for step in str(schema["$ref"]).lstrip("#").strip("/").split("/"):
            key = step.replace("~1", "/").replace("~0", "~")
            if key:
                target = target[key] if isinstance(target, Mapping) and key in target else {}
        rest = {k: v for k, v in schema.items() if k != "$ref"}
        schema = {**(target if isinstance(target, Mapping) else {}), **rest}
        hops += 1
    parts = schema.get("allOf")
    if not parts or depth > _DEEPEST + 2:
        return schema
    merged: dict[str, Any] = {k: v for k, v in schema.items() if k != "allOf"}
    for part in parts:
        if not isinstance(part, Mapping):
            continue
        for key, value in _resolved(part, root, depth + 1).items():
            if key == "properties" and isinstance(value, Mapping):
                merged[key] = {**merged.get(key, {}), **value}
            elif key == "required":
                merged[key] = [*merged.get(key, []), *value]
            else:
                merged.setdefault(key, value)
    return merged


def _object(schema: Mapping[str, Any], root: Mapping[str, Any], hint: str, depth: int) -> dict[str, Any]:
    properties = schema.get("properties") or {}
    required = schema.get("required") or []
    wanted = [name for name in properties if name in required or depth <= _DEEPEST // 2]
    value = {name: _example(properties[name], root, name, depth + 1) for name in wanted}
    extra = schema.get("additionalProperties")
    for name in required:
        if name not in value:
            value[name] = _example(extra if isinstance(extra, Mapping) else {}, root, name, depth + 1)
    for i in range(max(0, int(schema.get("minProperties", 0)) - len(value))):
        value[f"{hint}_{i + 1}"] = _example(extra if isinstance(extra, Mapping) else {}, root, hint, depth + 1)
    return value


def _array(schema: Mapping[str, Any], root: Mapping[str, Any], hint: str, depth: int) -> list[Any]:
    items = schema.get("items", {})
    least = int(schema.get("minItems", 0))
    count = least if depth > _DEEPEST // 2 else max(least, min(1, int(schema.get("maxItems", 1))))
    values = [_example(s, root, hint, depth + 1) for s in (schema.get("prefixItems") or [])]
    if items is not False:
        while len(values) < count:
            values.append(_distinct(_example(items, root, hint, depth + 1), len(values), items, schema))
    return values


def _distinct(value: Any, position: int, items: Any, schema: Mapping[str, Any]) -> Any:
    """Vary later items as simply as their type allows, as `uniqueItems` wants."""
    if not schema.get("uniqueItems") or position == 0 or not isinstance(items, Mapping):
        return value
    if items.get("enum"):
        return items["enum"][position % len(items["enum"])]
    if isinstance(value, bool):
        return position % 2 == 0
    if isinstance(value, int | float):
        return value + position
    return f"{value}{position + 1}" if isinstance(value, str) else value


def _string(schema: Mapping[str, Any], hint: str) -> str:
    text = (
        _FORMATS.get(schema.get("format", ""))
        or _for_pattern(schema.get("pattern"))
        or _described(schema.get("description"))
        or hint
    )
    least, most = int(schema.get("minLength", 0)), schema.get("maxLength")
    if len(text) < least:
        text += "x" * (least - len(text))
    return text if most is None else text[: int(most)]


def _described(description: Any) -> str | None:
    """Return the first example that a description names: "Ticker symbol, e.g. ETH, BTC" gives ETH."""
    found = re.search(r"(?:e\.g\.|for example|such as)[,:]?\s+[\"'`]?([^\s,;\"'`)]+)", str(description or ""), re.I)
    return found[1].rstrip(".") if found else None


def _for_pattern(pattern: Any) -> str | None:
    """Return a text for the patterns people write in tools: an optional prefix, one character class, a repeat."""
    if not isinstance(pattern, str):
        return None
    for letter in ("A", "a", "0", "_", "-"):
        for size in (1, 2, 3, 4, 5, 6, 8, 10, 16, 20, 32, 36, 40, 64):
            for prefix in ("", "0x"):
                if re.search(pattern, prefix + letter * size):
                    return prefix + letter * size
    return None


def _number(schema: Mapping[str, Any], *, whole: bool) -> int | float:
    low: Any = schema.get("minimum")
    high: Any = schema.get("maximum")
    step: Any = schema.get("multipleOf") or (1 if whole else None)
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if above is not None and (low is None or above >= low):
        low = above + (step or _gap(above, high if high is not None else below))
    if below is not None and (high is None or below <= high):
        high = below - (step or _gap(low, below))
    value: Any = 1 if (low is None or low <= 1) and (high is None or high >= 1) else (low if low is not None else high)
    if step:
        value = math.ceil(value / step) * step
        if high is not None and value > high:
            value -= step
    return int(value) if whole else float(value)


def _gap(low: Any, high: Any) -> float:
    return 1.0 if low is None or high is None else (high - low) / 2
