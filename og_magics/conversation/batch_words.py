"""The words on how far many prompts are: how many have answers, how fast it goes, what it costs, what failed."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from ..core.durations import duration_of

_MOST_KINDS = 4


def summary_of(answered: int, prompts: int, failures: Mapping[str, int]) -> str:
    """Return the counts of answers and failures in a few words."""
    failed = sum(failures.values())
    return f"{answered:,} of {prompts:,} answered" + (f", {failed:,} failed" if failed else "")


def pace_of(
    ended: int, left: int, seconds: float, cost: Decimal, failures: Mapping[str, int], *, last: bool = False
) -> str:
    """Return how fast it goes: rows a second, the time that is left, the cost so far, and the failures by kind.

    Args:
        ended: rows that have ended since it began. left: rows that have not.
        seconds: since it began. last: it has ended; then all the time that it took.
    """
    parts = []
    if last:
        parts.append(f"{seconds:.1f} s")
    elif ended and seconds > 0:
        parts.append(f"{ended / seconds:.1f}/s")
        parts.append(f"{duration_of(left * seconds / ended)} left")
    if cost:
        parts.append(f"~${cost:.6f}" if last else f"~${cost:.6f} so far")
    if failures:
        kinds = sorted(failures.items(), key=lambda one: -one[1])
        named = ", ".join(f"{count:,} {kind}" for kind, count in kinds[:_MOST_KINDS])
        parts.append(f"failed: {named}" + (" …" if len(kinds) > _MOST_KINDS else ""))
    return " · ".join(parts)
