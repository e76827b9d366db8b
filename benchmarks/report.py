"""A measurement beside what it is compared with, and the table of all."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

_HEADS = ("measurement", "value", "reference", "ratio", "goal", "")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.

    Attributes:
        name: what was measured.
        value, reference: medians in `unit`; no reference where there is nothing to compare with.
        unit: "ms", "KB", "MiB" or "" for a count.
        against: what the reference is.
        value_goal, ratio_goal: the most that the value or the ratio should be.
    """

    name: str
    value: float
    unit: str = "ms"
    reference: float | None = None
    against: str = ""
    value_goal: float | None = None
    ratio_goal: float | None = None

    @property
    def ratio(self) -> float | None:
        """Value over reference."""
        return self.value / self.reference if self.reference else None

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None where there is none."""
        if self.value_goal is not None:
            return self.value <= self.value_goal
        if self.ratio_goal is not None and self.ratio is not None:
            return self.ratio <= self.ratio_goal
        return None

    def to_json(self) -> dict[str, Any]:
        """For a file that later runs are compared with."""
        return {
            "measurement": self.name,
            "value": self.value,
            "unit": self.unit,
            "reference": self.reference,
            "against": self.against,
            "ratio": self.ratio,
            "goal": self._goal(),
            "met": self.met,
        }

    def cells(self, *, judged: bool) -> tuple[str, ...]:
        """As shown, with or without a verdict on the goal."""
        reference = "" if self.reference is None else f"{_number(self.reference, self.unit)}  {self.against}"
        ratio = "" if self.ratio is None else f"{self.ratio:.3f}" if self.ratio < 10 else f"{self.ratio:.1f}"
        verdict = {True: "met", False: "MISSED", None: ""}[self.met if judged else None]
        return (self.name, _number(self.value, self.unit), reference, ratio, self._goal(), verdict)

    def _goal(self) -> str:
        if self.value_goal is not None:
            return "<= " + _number(self.value_goal, self.unit)
        return "" if self.ratio_goal is None else f"ratio <= {self.ratio_goal:g}"


def table(rows: Sequence[Row], *, judged: bool) -> str:
    """All rows, aligned, as a Markdown table. Goals of runs that are too short for them are not judged."""
    cells = [_HEADS, *(row.cells(judged=judged) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEADS))]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |" for line in cells]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def median_ms(seconds: Iterable[float]) -> float:
    """The median of some durations, in milliseconds."""
    return statistics.median(seconds) * 1000


def in_turn(rounds: int, *works: Callable[[], object]) -> list[list[float]]:
    """The seconds of each work in each round; the works take turns, so that a slow moment is everybody's."""
    times: list[list[float]] = [[] for _ in works]
    for _ in range(rounds):
        for found, work in zip(times, works, strict=True):
            began = time.perf_counter()
            work()
            found.append(time.perf_counter() - began)
    return times


def _number(value: float, unit: str) -> str:
    digits = 0 if not unit or value >= 1000 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f} {unit}".rstrip()
