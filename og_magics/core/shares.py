"""The share that each call of a session has in what its one transaction moved, and how well that share is known."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from .amounts import split

REPORTED = "told"
"""The gateway said what the call cost, and these sums are what was paid."""
EXACT = "exact"
"""Nothing else can have cost anything in its session: the share is all that was paid, or nothing."""
PRICES = "prices"
"""The payment, split by the list prices of the tokens that were counted."""
ESTIMATE = "estimate"
"""The payment, split by what is known: which calls were charged, or what for, cannot be known."""

_UNITS = re.compile(r"[0-9]{1,78}")


@dataclass(frozen=True, slots=True)
class CallCharge:
    """The facts from which the cost of one call is worked out.

    Attributes:
        weight: in proportion to its price; 0 where a gateway charges nothing.
        priced: the weight is the list price of the tokens that were counted.
        reported: base units that the gateway says it cost, None where it does not say.
        ended: the answer is complete, or has failed.
    """

    weight: int
    priced: bool = True
    reported: int | None = None
    ended: bool = True


@dataclass(frozen=True, slots=True)
class Share:
    """One call's part of a payment: base units, and how they are known."""

    amount: int
    basis: str


def shares(amount: int, cap: int, charges: Sequence[CallCharge]) -> list[Share]:
    """Return each call's share of what a session's transaction moved. The shares always add up to it.

    Args:
        amount: base units that moved. cap: base units that the authorization allowed.
        charges: of the session's calls, in the order in which they were asked.

    Shape: one share for each call.
    """
    parts, basis = parts_of(
        amount,
        cap,
        [one.weight for one in charges],
        [one.priced for one in charges],
        [one.reported for one in charges],
        [one.ended for one in charges],
    )
    return [Share(part, basis) for part in parts]


def parts_of(
    amount: int,
    cap: int,
    weights: Sequence[int],
    priced: Sequence[bool],
    reported: Sequence[int | None],
    ended: Sequence[bool],
) -> tuple[list[int], str]:
    """Return the amounts of `shares`, and the basis that all of them have; the charges are given column by column.

    Shape: each of the columns, and the amounts, have one value for each call.
    """
    if len(weights) == 1:
        said = reported[0]
        return [amount], REPORTED if said and amount == (said if said <= cap else 0) else EXACT
    costs = _reported(amount, cap, weights, reported) if any(reported) else None
    if costs is not None:
        return costs, REPORTED
    # Where no price says which call cost something, the gateway's word is all that is known.
    parts = split(amount, weights if any(weights) else [cost or 0 for cost in reported])
    charged = [i for i, (weight, cost) in enumerate(zip(weights, reported, strict=True)) if weight or cost]
    basis = ESTIMATE
    if len(charged) == 1 and all(ended):
        basis = EXACT
    elif charged and all(ended) and (all(priced) or all(priced[i] or not weights[i] for i in charged)):
        # Where another call of that size would not have fitted in, one that did not may be among these.
        disproved = all(reported[i] is not None for i in charged)
        basis = ESTIMATE if disproved or cap - amount < max(parts) else PRICES
    return parts, basis


def reported_cost(block: Any) -> int | None:
    """Read what a gateway says that a call cost: base units, in the `opengradient` block of its answer.

    It is not signed and may be anything: None for what is no amount.
    """
    units = block.get("cost_opg") if isinstance(block, Mapping) else None
    if not isinstance(units, str) or not _UNITS.fullmatch(units):
        return None
    return int(units) if int(units) < 2**256 else None


def _reported(amount: int, cap: int, weights: Sequence[int], reported: Sequence[int | None]) -> list[int] | None:
    """Return what the gateway says that each call cost, where that comes to what it took; None where it does not.

    A call that did not fit into the rest of the cap is not charged, nor one that ended after the session was settled.
    """
    if any(cost is None and weight for weight, cost in zip(weights, reported, strict=True)):
        return None
    costs = [cost or 0 for cost in reported]
    left, fitting = cap, []
    for cost in costs:
        fitting.append(cost if cost <= left else 0)
        left -= fitting[-1]
    if sum(fitting) == amount:
        return fitting
    sums = list(accumulate(fitting))
    if amount and amount in sums:  # the later ones ended after it was settled
        last = sums.index(amount)
        return [*fitting[: last + 1], *(0 for _ in fitting[last + 1 :])]
    return None
