"""Tables of plain text, for a terminal and for what shows no HTML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from ..core.amounts import format_opg
from ..core.receipt import Receipt
from .sanitize import printable

_HEADS = ("time (UTC)", "model", "settlement", "status", "tokens", "OPG", "enclave", "payment")
_WIDEST = 100
"""Characters of a cell, so that what others wrote cannot push the rest out of sight."""


def text_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return one line a row, under a line of heads. The last column is never cut."""
    lines = [tuple(heads), *(_line(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    padded = ("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)
    return "\n".join(line.rstrip() for line in padded)


def receipts_table(receipts: Sequence[Receipt]) -> str:
    """Return one line a receipt, under a line of heads."""
    return text_table(_HEADS, map(_row, receipts))


def _line(row: Sequence[str]) -> tuple[str, ...]:
    flat = [" ".join(printable(cell).split()) for cell in row]
    return (*(cell if len(cell) <= _WIDEST else cell[: _WIDEST - 1] + "…" for cell in flat[:-1]), flat[-1])


def _row(receipt: Receipt) -> tuple[str, ...]:
    tokens = "-"
    if receipt.prompt_tokens is not None and receipt.completion_tokens is not None:
        tokens = f"{receipt.prompt_tokens}+{receipt.completion_tokens}"
    return (
        datetime.fromtimestamp(receipt.time, UTC).strftime("%Y-%m-%d %H:%M:%S"),
        receipt.model,
        receipt.settlement,
        receipt.status,
        tokens,
        "-" if receipt.cost is None else format_opg(receipt.cost),
        {True: "proven", False: "DOES NOT HOLD", None: "no proof"}[receipt.enclave_ok],
        receipt.payment_hash or "-",
    )
