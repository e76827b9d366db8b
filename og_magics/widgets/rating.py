"""Stars below a comparison: a click rates an answer, and the comparison keeps it."""

from __future__ import annotations

from typing import Any

import ipywidgets as widgets

from ..conversation import Comparison

_STARS = {"–": None, **{"★" * count: count for count in range(1, 6)}}


def rating_box(comparison: Comparison) -> widgets.Widget:
    """Return the widget that rates the answers of a comparison; what is clicked stands in `.frame` at once."""
    rows = []
    for label in comparison.models:
        stars = widgets.ToggleButtons(
            options=list(_STARS.items()),
            value=comparison.ratings.get(label),
            tooltips=["no rating", *(f"{count} of 5" for count in range(1, 6))],
            style={"button_width": "auto"},
        )
        stars.observe(lambda change, label=label: comparison.rate(label, change["new"]), "value")
        name = widgets.Label(label, layout={"width": "18em"})
        row: Any = widgets.HBox([name, stars], layout={"flex_flow": "row wrap"})
        rows.append(row)
    return widgets.VBox(rows)
