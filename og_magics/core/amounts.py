"""Money as integers of base units; `Decimal` only to show it. 1 OPG = 10**18 base units."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_CEILING, Context, Decimal, InvalidOperation, localcontext

from .errors import ConfigError

OPG_DECIMALS = 18
OPG = 10**OPG_DECIMALS
_WIDE = Context(prec=100)

_LARGEST = 60
"""Digits of an amount before its point, at most; a token's units are numbers of 256 bits."""


def parse_opg(amount: str | int | float | Decimal, unit: str = "OPG") -> int:
    """Read base units from an amount of OPG given by a person, or of another `unit` with as many decimals.

    A float is read by its shortest decimal form, so 1.1 is 1.1 OPG and not 1.100000000000000088.

    Raises:
        ConfigError: not a number, negative, or finer than 18 decimals.
    """
    try:
        value = Decimal(repr(amount) if isinstance(amount, float) else str(amount).strip())
        if not value.is_finite() or value.adjusted() >= _LARGEST:
            raise InvalidOperation
    except InvalidOperation:
        raise ConfigError(f"{amount!r} is not an amount of {unit}.", remedy="Write a number such as 0.5.") from None
    with localcontext(prec=100):
        units = value.scaleb(OPG_DECIMALS)
        if units != units.to_integral_value():
            raise ConfigError(f"{amount!r} {unit} is finer than one base unit (10**-18 {unit}).", remedy="Round it.")
    if units < 0:
        raise ConfigError(f"{amount!r} {unit} is negative.", remedy="Write an amount of 0 or more.")
    return int(units)


def to_opg(units: int) -> Decimal:
    """Return exact OPG of base units, with no zeros at the end."""
    if units % OPG == 0:
        return Decimal(units // OPG)
    return Decimal(units).scaleb(-OPG_DECIMALS, _WIDE).normalize(_WIDE)


def format_opg(units: int, places: int = 6) -> str:
    """Write an amount for people: at most `places` decimals, at least two significant digits, no trailing zeros."""
    value = to_opg(units)
    with localcontext(prec=100):
        if value and value.adjusted() < -places + 1:
            places = 1 - value.adjusted()
        text = f"{value:.{places}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def opg_for(usd: Decimal, price: Decimal) -> int:
    """Return what so many USD are in base units, rounded up, where an OPG is `price` USD: as gateways work it out."""
    with localcontext(prec=100):
        return int((usd / price).scaleb(OPG_DECIMALS).to_integral_value(ROUND_CEILING))


def split(total: int, weights: Sequence[int]) -> list[int]:
    """Split `total` into whole base units in proportion to `weights`; the parts always add up to `total`.

    The remainders go to the largest fractions, the earlier part first, so that the split is the same every time.
    All-zero weights share alike.

    Shape: one part for each weight.
    """
    if not weights:
        return []
    scale = sum(weights)
    if scale == 0:
        weights, scale = [1] * len(weights), len(weights)
    divided = {weight: divmod(total * weight, scale) for weight in set(weights)}
    parts = [divided[weight][0] for weight in weights]
    missing = total - sum(parts)
    if missing:
        rests = [divided[weight][1] for weight in weights]
        # Reversed, a stable sort still keeps the earlier of two equal ones first.
        for i in sorted(range(len(rests)), key=rests.__getitem__, reverse=True)[:missing]:
            parts[i] += 1
    return parts
