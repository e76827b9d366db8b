"""%og budget: limits, what is spent, and what is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core.amounts import format_opg, parse_opg
from .og_parsers import budget_parser

if TYPE_CHECKING:
    from ..session import Session


def budget(app: Session, line: str) -> str:
    """Change the limits that are named; return a line on each.

    Raises:
        ConfigError: not an amount.
    """
    flags, _ = budget_parser().parse(line, prompt=False)
    app.update_settings(
        max_authorization=None if flags.call is None else parse_opg(flags.call),
        budget_notebook=None if flags.notebook is None else parse_opg(flags.notebook),
        budget_day=None if flags.day is None else parse_opg(flags.day),
        budget_wallet=None if flags.wallet is None else parse_opg(flags.wallet),
        approve_above=None if flags.approve_above is None else parse_opg(flags.approve_above),
    )
    name = app.network.name
    lines = [f"one call      up to {format_opg(app.settings.max_authorization)} OPG in one authorization"]
    if app.settings.approve_above is not None:
        lines.append(f"approval      asked for above {format_opg(app.settings.approve_above)} OPG, by list prices")
    for budget in app.budgets():
        if budget.limit is None or budget.left is None:
            lines.append(f"{budget.name:<13} no limit on {name}")
            continue
        spent = f"{format_opg(budget.used)} of {format_opg(budget.limit)} OPG paid or signed"
        lines.append(f"{budget.name:<13} {spent}, {format_opg(budget.left)} left")
    lines.append("What is signed counts until it is paid or expires; the wallet's are of all its notebooks.")
    return "\n".join(lines)
