"""A choice among receipts as the database makes it, by the columns in which it stands."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..core.receipt_filter import ReceiptFilter
from .rows import storable

if TYPE_CHECKING:
    import pandas as pd

_SECOND = 1_000_000
_MOST_NAMES = 1000
"""Values of a text that a statement names: its question marks have a bound. Of more, `kept` alone chooses."""
_OPEN, _SERVED, _ANY = ("",), ("served",), ("", "served", "failed")
_ENDS: dict[str, tuple[str, ...]] = {
    "unpaid": _OPEN, "authorized": _OPEN, "served": _SERVED, "paid": _SERVED, "settled": _SERVED, "verified": _SERVED,
    "failed": ("failed",),
}  # fmt: skip
"""The end of a call of each status, "" where it has none yet; the rest of a status follows from its payment."""


def matching(chosen: ReceiptFilter) -> tuple[str, list[Any]]:
    """Return an SQL condition on a row of receipts, and the values of its question marks.

    It may let more through than are chosen (`kept` has the last word): a status follows from other rows, and times are
    rounded when they are read. What a row has in common with others may stand apart (`alike.py`).
    """
    parts, values = ["1 = 1"], list[Any]()
    for name, given in chosen.texts.items():
        if not given:
            parts.append("1 = 0")
            continue
        if len(given) > _MOST_NAMES:
            continue
        listed = f"{name} IN ({', '.join('?' * len(given))})"
        parts.append(f"((alike IS NULL AND {listed}) OR alike IN (SELECT id FROM alike WHERE {listed}))")  # noqa: S608 - our own
        values += [*map(storable, given), *map(storable, given)]
    if chosen.statuses is not None:
        ends = sorted({end for status in chosen.statuses for end in _ENDS.get(status, _ANY)})
        parts.append(f"coalesce(ended, '') IN ({', '.join('?' * len(ends))})" if ends else "1 = 0")
        values += ends
    if chosen.since is not None:
        parts.append("time >= ?")
        values.append((chosen.since - 1) / _SECOND)
    if chosen.until is not None:
        parts.append("time <= ?")
        values.append(chosen.until / _SECOND)
    return " AND ".join(parts), values


def kept(frame: pd.DataFrame, chosen: ReceiptFilter) -> pd.DataFrame:
    """Return the rows of a frame of receipts that are chosen, with an index from 0."""
    import pandas as pd

    keep = pd.Series(True, index=frame.index)
    for name, values in (*chosen.texts.items(), ("status", chosen.statuses)):
        if values is not None:
            keep &= frame[name].isin(values)
    for moment, is_in in ((chosen.since, frame["time"].ge), (chosen.until, frame["time"].lt)):
        if moment is not None:
            keep &= is_in(pd.Timestamp(moment, unit="us", tz="UTC"))
    return frame[keep].reset_index(drop=True)


def selection(chosen: ReceiptFilter) -> tuple[tuple[str, list[Any]], tuple[str, list[Any]]]:
    """Return the conditions on receipts and on authorizations `a`, of what is chosen and all that is paid with it: each
    receipt has its share of one payment.
    """
    match, values = matching(chosen)
    paying = f"SELECT authorization_hash FROM receipts WHERE {match}"  # noqa: S608 - our own
    receipts = f"({match}) OR authorization_hash IN ({paying})"
    return (receipts, [*values, *values]), (f"a.hash IN ({paying})", values)
