"""Receipts as a table of plain text, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from ..amounts import format_opg
from ..receipt import Receipt

_HEADS = ("time (UTC)", "model", "settlement", "status", "tokens", "OPG", "enclave", "payment")


def receipts_table(receipts: Sequence[Receipt]) -> str:
    """One line a receipt, under a line of heads."""
    rows = [_HEADS, *(_row(receipt) for receipt in receipts)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


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
