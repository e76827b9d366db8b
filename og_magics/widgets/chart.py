"""A small inline SVG chart of the OPG spent, added up over the calls."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from ..core.amounts import format_opg
from ..core.receipt import Receipt

_WIDTH, _HEIGHT = 300, 72
_POINTS = 60
"""Points that are drawn at most."""


def spend_chart(receipts: Sequence[Receipt]) -> str:
    """Return an SVG of the sum of costs after each call, oldest first; "" while nothing is paid.

    A cost is known once its payment settles, so the line ends flat.
    """
    sums = list(accumulate(receipt.cost or 0 for receipt in receipts))
    if not sums or not sums[-1]:
        return ""
    sums = [0, *sums]
    last = len(sums) - 1
    picked = sorted({round(n * last / min(last, _POINTS)) for n in range(min(last, _POINTS) + 1)})
    points = [(n * _WIDTH / last, _HEIGHT - sums[n] * (_HEIGHT - 4) / sums[-1]) for n in picked]
    line = " ".join(f"{x:.0f},{y:.1f}" for x, y in points)
    summary = f"{format_opg(sums[-1])} OPG in {last} calls"
    return (
        f'<figure class="og-chart"><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" preserveAspectRatio="none" '
        f'aria-label="OPG spent, added up over the calls: {summary}">'
        f'<polygon points="0,{_HEIGHT} {line} {_WIDTH},{_HEIGHT}"/><polyline points="{line}"/></svg>'
        "<figcaption>OPG spent, call by call</figcaption></figure>"
    )
