"""Values of a receipt's JSON form, each checked to be of its kind: a file may hold anything."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import fields
from decimal import Decimal, InvalidOperation
from typing import Any

_REQUIRED = {"receipt_id", "time", "cell", "notebook", "network", "provider", "model", "settlement", "status"}
OUTPUT_FIELDS = frozenset({"version", "ledger", "format", "receipts", "columns", "attestations"})
"""Beside a receipt's own fields: what an output says of itself."""
_UINT256 = 2**256
_INT64 = 2**63
_LAST_SECOND = 2**33
"""In the year 2242: later times do not fit into a DataFrame's."""
_DEEPEST = 100
"""Levels of a request's JSON: what is deeper could not be written again."""
_MAGNITUDE = 40
"""Of a price, powers of ten: `1E+999999` is a short text and a long number."""


def read_fields(kind: type, form: Any, *, complete: bool = False) -> dict[str, Any]:
    """Read the fields of a dataclass from a JSON object; those that it does not know go into `extra`.

    Args:
        complete: refuse a form that lacks a field which has a default.

    Raises:
        ValueError, TypeError: a field is missing, or its value is of another kind or out of bounds.
    """
    if not isinstance(form, Mapping):
        raise TypeError(f"{shown_value(form)} is not an object")
    values: dict[str, Any] = {}
    known = [one for one in fields(kind) if one.name != "extra"]
    for one in known:
        if one.name in form:
            values[one.name] = _value(one.name, str(one.type), form[one.name])
        elif complete or one.name in _REQUIRED:
            raise ValueError(f"{one.name} is missing")
    extra = dict(_object(form))
    for name in {*(one.name for one in known), *OUTPUT_FIELDS}:
        extra.pop(name, None)
    return values | {"extra": extra} if extra else values


def _value(name: str, kind: str, value: Any) -> Any:
    kind, _, optional = kind.partition(" | ")
    if value is None and optional:
        return None
    read = _READERS.get(kind)
    try:
        if kind == "int":
            return _integer(value, exact=name in _EXACT, below=_BELOW.get(name, _INT64))
        if name == "cost_usd":
            return _price(value)
        return value if read is None else read(value)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{name}: {error}") from None


def _integer(value: Any, *, exact: bool, below: int) -> int:
    """Read a number, or its decimal digits where JSON's numbers would lose some."""
    if exact and isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= len(str(below)):
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < below:
        raise ValueError(f"{shown_value(value)} is not a whole number below {below:.0e}")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{shown_value(value)} is not a text")
    return value


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{shown_value(value)} is neither true nor false")
    return value


def _seconds(value: Any) -> float:
    # JSON that went through JavaScript has 1 for 1.0.
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 0 <= value < _LAST_SECOND:
        raise ValueError(f"{shown_value(value)} is not a time in seconds")
    return float(value)


def _price(value: Any) -> str:
    try:
        price = Decimal(_text(value))
    except InvalidOperation:
        raise ValueError(f"{shown_value(value)} is not a price") from None
    if not price.is_finite() or price < 0 or (price and abs(price.adjusted()) > _MAGNITUDE):
        raise ValueError(f"{shown_value(value)} is not a price")
    return str(value)


def _object(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{shown_value(value)} is not an object")
    assert_shallow(value)
    return value


def _calls(value: Any) -> tuple[Mapping[str, Any], ...]:
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"{shown_value(value)} is not a list")
    return tuple(dict(_object(call)) for call in value)


def assert_shallow(value: Any) -> None:
    """Raise ValueError for a value that is nested too deep to be written again."""
    level: list[Any] = [value]
    for _ in range(_DEEPEST):
        level = [inner for one in level if isinstance(one, (Mapping, list)) for inner in _parts(one)]
        if not level:
            return
    raise ValueError(f"it is nested deeper than {_DEEPEST} levels")


def _parts(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, Mapping) else value


def shown_value(value: Any) -> str:
    """Return a value for a sentence. (A number of thousands of digits cannot be written out.)"""
    if isinstance(value, int) and abs(value) >= _UINT256:
        return f"a number of {math.ceil(value.bit_length() / 3.32)} digits"
    text = ascii(value) if isinstance(value, (str, int, float, type(None))) else f"a {type(value).__name__}"
    return text if len(text) <= 40 else text[:39] + "…"


_EXACT = ("cap", "cost", "nonce", "reported_cost")
_BELOW = dict.fromkeys((*_EXACT, "tee_timestamp"), _UINT256)
_READERS = {
    "str": _text,
    "float": _seconds,
    "bool": _truth,
    "Mapping[str, Any]": _object,
    "tuple[dict[str, Any], ...]": _calls,
}
