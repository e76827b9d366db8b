"""The style by which the columns of a comparison stand under one another where they would be too narrow.

In the page they are a table, row by row, as whoever has no styles reads it. An audit knows this style and no other,
and the words that stand below marked differences.
"""

from __future__ import annotations

_NARROWEST = 16
"""Width of a column, in em, below which they stack."""
MARKED = " · marked: words that the first answer does not have, and those of the first that no other has"
"""Words below answers whose differences are marked."""
_ROWS = ("thead>tr>", "tbody>tr:nth-child(1)>", "tbody>tr:nth-child(2)>")


def stacked_class(count: int) -> str:
    """Return the class of the element around a table of so many columns."""
    return f"og-columns-{count}"


def stacking(count: int) -> str:
    """Return the style element for so many columns: in a narrow output, head, answer and foot of one, then the next."""
    box = f".{stacked_class(count)}"
    order = "".join(
        f"{box}>table>{row}:nth-child({column}){{order:{(column - 1) * len(_ROWS) + place}}}"
        for column in range(1, count + 1)
        for place, row in enumerate(_ROWS)
    )
    return (
        f"<style>{box}{{container-type:inline-size}}@container (max-width:{_NARROWEST * count}em){{"
        f"{box}>table{{display:flex;flex-direction:column;min-width:0!important}}"
        f"{box}>table>:is(thead,tbody),{box}>table>:is(thead,tbody)>tr{{display:contents}}{order}}}</style>"
    )
