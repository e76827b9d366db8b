"""Rows of a PostgreSQL server as the ledger's code knows them, and values as the server takes them."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

_TEXT = 25
"""PostgreSQL's number of the type text."""
_ESCAPE, _NUL = "\x1a", "\x00"


class ServerRow(tuple[Any, ...]):
    """A row, as `sqlite3.Row` is one."""

    __slots__ = ()
    names: tuple[str, ...] = ()
    places: Mapping[str, int] = {}

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, str):
            try:
                return tuple.__getitem__(self, self.places[key])
            except KeyError:
                raise IndexError("No item with that key") from None
        return tuple.__getitem__(self, key)

    def keys(self) -> list[str]:
        """Return the names of the columns."""
        return list(self.names)


class LastRow(ServerRow):
    """The row of `LAST`."""

    __slots__ = ()
    names = ("seq", "hash")
    places: Mapping[str, int] = {"seq": 0, "hash": 1}


class Shape(NamedTuple):
    """The columns of a result: their row's class, the places of the texts, that of a rowid which is not shown,
    and how many they are.
    """

    row: type[ServerRow]
    texts: tuple[int, ...]
    hidden: int | None
    width: int


def shape_of(columns: Sequence[tuple[str, int]]) -> Shape:
    """Return the shape of a result by its columns' names and types."""
    names = [name for name, _ in columns]
    shown = tuple(name for name in names if name != "rowid")
    row = type("Row", (ServerRow,), {"names": shown, "places": {name: i for i, name in enumerate(shown)}})
    texts = tuple(i for i, (_, kind) in enumerate(columns) if kind == _TEXT)
    return Shape(row, texts, names.index("rowid") if "rowid" in names else None, len(columns))


def given_to_server(value: Any) -> Any:
    """Return a value as it is sent. A number goes as its digits: the column says which type it becomes."""
    if isinstance(value, str):
        if _NUL in value or _ESCAPE in value:
            return value.replace(_ESCAPE, f"{_ESCAPE}1").replace(_NUL, f"{_ESCAPE}0")
        return str(value)
    if isinstance(value, int):
        return str(int(value))
    return None if value != value else value  # noqa: PLR0124 - as SQLite keeps NaN


def restored(row: tuple[Any, ...], texts: Sequence[int]) -> tuple[Any, ...]:
    """Return a row with its texts as they were given."""
    escaped = [i for i in texts if row[i] is not None and _ESCAPE in row[i]]
    if not escaped:
        return row
    values = list(row)
    for i in escaped:
        values[i] = values[i].replace(f"{_ESCAPE}0", _NUL).replace(f"{_ESCAPE}1", _ESCAPE)
    return tuple(values)


@functools.cache
def numeric_loader() -> Any:
    """Return what makes sums integers, and means floats."""
    from psycopg.adapt import Loader

    class Number(Loader):
        def load(self, data: Any) -> int | float:
            text = bytes(data)
            return float(text) if b"." in text else int(text)

    return Number
