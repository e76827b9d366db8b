"""Prices that a user adds to the catalogue, or puts in place of its own: a JSON file that OG_PRICES names."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from .errors import ConfigError
from .untrusted_json import read_json

FIELDS = ("input", "output", "image", "image_tokens", "call")
"""USD for a million tokens in and out, for an image, for a million tokens of a drawing, for a call."""

_LARGEST_FILE = 1 << 20
_MOST = 2_000
_LONGEST_NAME = 200
_DEAREST = Decimal(1_000_000)
"""USD; what is above is a slip of the keyboard, and no price."""
_DIGITS = 30

_REMEDY = 'Write {"provider/model": {"input": "1.25", "output": "10"}}: USD for a million tokens.'


def read_prices(path: str | Path) -> dict[str, dict[str, Decimal]]:
    """Return the prices of a file: by "provider/model", those of `FIELDS` that it gives.

    Raises:
        ConfigError: the file cannot be read, or holds what is no price; the error names it.
    """
    name = f"The file of prices {path} (OG_PRICES)"
    try:
        with Path(path).expanduser().open("rb") as file:
            content = file.read(_LARGEST_FILE + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise _wrong(f"{name} cannot be read: {why}.", "Name a file that is there, or unset OG_PRICES.") from error
    if len(content) > _LARGEST_FILE:
        raise _wrong(f"{name} is larger than 1 MiB.")
    try:
        rows = read_json(content)
    except (ValueError, RecursionError):
        raise _wrong(f"{name} is not JSON.") from None
    if not isinstance(rows, dict) or len(rows) > _MOST:
        raise _wrong(f"{name} is not an object of at most {_MOST} models.")
    return {_model(name, model): _prices(name, model, row) for model, row in rows.items()}


def _model(name: str, model: str) -> str:
    provider, slash, rest = model.partition("/")
    if not (provider and slash and rest) or len(model) > _LONGEST_NAME or not model.isprintable() or " " in model:
        raise _wrong(f'{name} has {model[:60]!r}, which is not a "provider/model".')
    return model


def _prices(name: str, model: str, row: Any) -> dict[str, Decimal]:
    if not isinstance(row, Mapping) or not row or not set(row) <= set(FIELDS):
        raise _wrong(f"{name}: the price of {model} is not an object of some of {', '.join(FIELDS)}.")
    return {field: _price(name, model, field, value) for field, value in row.items()}


def _price(name: str, model: str, field: str, value: Any) -> Decimal:
    usd = None
    if isinstance(value, str | int | float) and not isinstance(value, bool) and len(str(value)) <= _DIGITS:
        try:
            usd = Decimal(str(value))
        except InvalidOperation:
            usd = None
    if usd is None or not usd.is_finite() or not 0 <= usd <= _DEAREST:
        raise _wrong(f"{name}: {field} of {model} is {str(value)[:_DIGITS]!r}, which is no price from 0 to {_DEAREST}.")
    return usd


def _wrong(what: str, remedy: str = _REMEDY) -> ConfigError:
    return ConfigError(what, money="Nothing was sent and nothing was paid.", remedy=remedy)
