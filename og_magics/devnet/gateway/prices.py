"""Prices: USD by the model's price, then OPG base units by a fixed OPG price."""

from __future__ import annotations

from decimal import ROUND_CEILING, Decimal, localcontext

from ...core.models import catalogue
from ..model.protocol import Usage

# At this price a hundred words of the dearest text model cost 0.0125 OPG: several calls fit under a cap of 0.1 OPG.
OPG_PRICE_USD = Decimal("0.20")
IMAGE_USD = Decimal("0.004")
_MILLION = Decimal(1_000_000)
_BASE_UNITS = Decimal(10**18)

# (prefix of the model id, USD per million input tokens, USD per million output tokens); the longest prefix wins.
_PRICES: tuple[tuple[str, str, str], ...] = (
    ("gpt-4.1", "2", "8"),
    ("gpt-4.1-mini", "0.4", "1.6"),
    ("gpt-4.1-nano", "0.1", "0.4"),
    ("o3", "2", "8"),
    ("o4-mini", "1.1", "4.4"),
    ("gpt-5", "1.25", "10"),
    ("gpt-5-mini", "0.25", "2"),
    ("gpt-5.2", "1.75", "14"),
    ("claude-sonnet", "3", "15"),
    ("claude-haiku", "1", "5"),
    ("claude-opus", "5", "25"),
    ("gemini-2.5-flash", "0.3", "2.5"),
    ("gemini-2.5-flash-lite", "0.1", "0.4"),
    ("gemini-2.5-pro", "1.25", "10"),
    ("gemini-3-flash-preview", "0.5", "3"),
    ("grok-4", "3", "15"),
    ("grok-4-fast", "0.2", "0.5"),
    ("grok-4-1-fast", "0.2", "0.5"),
)
# A model outside the list, such as one behind --upstream, is charged this much.
_DEFAULT = ("", "1", "4")


def usd(model: str, usage: Usage, *, current: bool = False) -> Decimal:
    """Return a call's price in USD: by the catalogue's prices, or by those of April."""
    rows = catalogue()
    price = rows.models[rows.names[model]].price if current and model in rows.names else None
    if price is not None:
        return price.usd(usage.prompt_tokens, usage.completion_tokens, images=usage.images)
    matching = [row for row in _PRICES if model.startswith(row[0])] or [_DEFAULT]
    _, input_usd, output_usd = max(matching, key=lambda row: len(row[0]))
    with localcontext(prec=60):
        tokens = usage.prompt_tokens * Decimal(input_usd) + usage.completion_tokens * Decimal(output_usd)
        return tokens / _MILLION + usage.images * IMAGE_USD


def opg(usd: Decimal, price: Decimal = OPG_PRICE_USD) -> int:
    """Return an amount in OPG base units, rounded up."""
    with localcontext(prec=60):
        return int((usd / price * _BASE_UNITS).to_integral_value(ROUND_CEILING))


def cost(model: str, usage: Usage, *, current: bool = False) -> int:
    """Return a call's price in OPG base units, at the price of OPG that the devnet starts with."""
    return opg(usd(model, usage, current=current))
