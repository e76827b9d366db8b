"""A small SVG chart of the OPG spent, by day and model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from html import escape

from ..core.amounts import format_opg
from ..core.receipt import Receipt

_WIDTH, _HEIGHT = 400, 180
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 14, 12, 26
"""Room for the axes."""
_DAYS = 14
_LABELS = 6
"""Days that are named at most."""
_MODELS = 5
"""Models that have a color of their own; the others share one."""
_OTHERS = "other models"
_WIDEST = 44
_TICKS = 4
_LONGEST = 60
"""Characters of a model's name."""


def spend_chart(receipts: Sequence[Receipt]) -> str:
    """Return the costs of the last days as stacked bars, with a table of the same; "" while nothing is paid.

    A cost is known once its payment settles. Days are those of UTC.
    """
    spent: dict[date, Counter[str]] = {}
    for receipt in receipts:
        if receipt.cost:
            day = datetime.fromtimestamp(receipt.time, UTC).date()
            spent.setdefault(day, Counter())[receipt.model[:_LONGEST]] += receipt.cost
    if not spent:
        return ""
    last = max(spent)
    first = max(min(spent), last - timedelta(_DAYS - 1))
    days = [first + timedelta(number) for number in range((last - first).days + 1)]
    total: Counter[str] = Counter()
    for day in days:
        total.update(spent.get(day, {}))
    models = [model for model, _ in total.most_common(_MODELS)]
    rows = [*models, *([_OTHERS] if len(total) > _MODELS else [])]
    costs = [[_cost(spent.get(day, Counter()), row, models) for row in rows] for day in days]
    return (
        f'<figure class="og-chart"><figcaption>OPG spent by day (UTC) and model: {format_opg(total.total())} OPG in '
        f"{len(days)} day{'s' * (len(days) != 1)}</figcaption>{_drawn(days, rows, costs)}{_legend(rows)}"
        f"{_table(days, rows, costs)}</figure>"
    )


def _cost(spent: Counter[str], row: str, models: Sequence[str]) -> int:
    return spent[row] if row in models else sum(cost for model, cost in spent.items() if model not in models)


def _drawn(days: Sequence[date], rows: Sequence[str], costs: Sequence[Sequence[int]]) -> str:
    step = _step(max(map(sum, costs)))
    top = step * -(-max(map(sum, costs)) // step)
    wide, high = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    lines, bars, each = [], [], wide / len(days)
    for value in range(0, top + 1, step):
        y = _HEIGHT - _BOTTOM - value * high / top
        lines.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        lines.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{format_opg(value)}</text>')
    width = min(each * 0.7, _WIDEST)
    for number, (day, parts) in enumerate(zip(days, costs, strict=True)):
        middle, y = _LEFT + each * (number + 0.5), float(_HEIGHT - _BOTTOM)
        for color, cost in enumerate(parts):
            if cost:
                y -= cost * high / top
                bars.append(
                    f'<rect class="og-color-{color}" x="{middle - width / 2:.1f}" y="{y:.1f}" width="{width:.1f}" '
                    f'height="{cost * high / top:.1f}"><title>{day:%d %b}, {escape(rows[color])}: {format_opg(cost)} '
                    "OPG</title></rect>"
                )
        if (len(days) - 1 - number) % (1 + (len(days) - 1) // _LABELS) == 0:
            bars.append(f'<text x="{middle:.1f}" y="{_HEIGHT - 8}" text-anchor="middle">{day:%d %b}</text>')
    return (
        '<div class="og-scroll" tabindex="0" role="region" aria-label="chart of the OPG spent">'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        'aria-label="OPG spent by day and model; a table of it is below">'
        f"{''.join(lines)}{''.join(bars)}</svg></div>"
    )


def _step(most: int) -> int:
    """Return the distance of the ticks: 1, 2 or 5 times a power of ten, so that there are few."""
    power = int(10 ** max(len(str(most // _TICKS or 1)) - 1, 0))
    return next(step for factor in (1, 2, 5, 10) if (step := factor * power) * _TICKS >= most)


def _legend(rows: Sequence[str]) -> str:
    names = "".join(
        f'<span><i class="og-color-{color}" aria-hidden="true"></i>{escape(row)}</span>'
        for color, row in enumerate(rows)
    )
    return f'<div class="og-legend">{names}</div>'


def _table(days: Sequence[date], rows: Sequence[str], costs: Sequence[Sequence[int]]) -> str:
    heads = "".join(f'<th scope="col">{escape(row)}</th>' for row in rows)
    body = "".join(
        f'<tr><th scope="row">{day:%Y-%m-%d}</th>{"".join(f"<td>{format_opg(cost)}</td>" for cost in parts)}</tr>'
        for day, parts in zip(days, costs, strict=True)
    )
    return (
        '<details><summary>As a table</summary><div class="og-scroll" tabindex="0" role="region" '
        f'aria-label="OPG spent by day and model"><table><thead><tr><th scope="col">Day</th>{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table></div></details>"
    )
