"""One row of a table of answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core.amounts import to_opg
from ..core.endings import ending_of
from ..core.receipt import Receipt
from .answer import Answer

COLUMNS = (
    "prompt", "text", "prompt_tokens", "completion_tokens", "cost_opg", "cost_usd", "latency_s", "status", "receipt_id",
    "replayed", "ending", "error",
)  # fmt: skip


def answer_row(
    prompt: str, answer: Answer | None, error: Exception | None, receipts: Sequence[Receipt]
) -> dict[str, Any]:
    """Return the values of a row by column; besides, `cost` in base units.

    Args:
        receipts: of the calls that were made for it now, oldest first; of a recorded answer there are none.
    """
    row: dict[str, Any] = dict.fromkeys(COLUMNS) | {"prompt": prompt, "replayed": False, "cost": None}
    if not receipts and answer is not None and answer.receipt is not None:
        receipts, row["replayed"] = [answer.receipt], True  # nothing was paid now; what it cost then is kept
    if receipts:
        last = receipts[-1]
        costs = [receipt.cost for receipt in receipts]
        prices = [receipt.usd for receipt in receipts]
        times = [receipt.latency_s for receipt in receipts]
        if None not in costs:
            row["cost"] = sum(cost or 0 for cost in costs)
            row["cost_opg"] = to_opg(row["cost"])
        row["cost_usd"] = sum(price or 0 for price in prices) if None not in prices else None
        row["latency_s"] = sum(time or 0.0 for time in times) if None not in times else None
        row["status"], row["receipt_id"], row["error"] = last.status, last.receipt_id, last.error
    if answer is not None:
        if receipts:
            row["ending"] = ending_of(receipts[-1], images=bool(answer.images)) or None
        usage = answer.usage or {}
        row["text"] = answer.text
        row["prompt_tokens"], row["completion_tokens"] = usage.get("prompt_tokens"), usage.get("completion_tokens")
    elif error is not None:
        row["error"] = str(error)
    return row
