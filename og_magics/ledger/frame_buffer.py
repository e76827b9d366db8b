"""A DataFrame of receipts that grows: a row more costs a row, not a copy of all.

Each column is an array with room behind its last row. All arrays stand in one DataFrame that never leaves this module;
a caller gets its first rows, as pandas' copy-on-write has it: whoever writes into them has a copy from then on, and
rows that come later stand behind the last that was given away. A column with a row that changed is copied, once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import eq
from typing import TYPE_CHECKING, Any

from ..core.receipt_columns import RECEIPT_COLUMNS

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    Array = np.ndarray[Any, Any]

_DTYPES: dict[str, Any] = {
    "time": "int64", "seconds": "float64", "flag": "bool", "count": [("value", "int64"), ("unknown", "bool")],
}  # fmt: skip
"""Of the arrays, by the kind of the column; all others hold objects."""
_LEAST_ROOM = 256
"""Rows; or an eighth of those that are there, if that is more."""


class FrameBuffer:
    """The columns of `read_columns`, as a DataFrame with the dtypes of `receipts_frame`. Not thread-safe."""

    def __init__(self, values: Mapping[str, Sequence[Any]]) -> None:
        self.names = list(values)
        self._rows = len(values["receipt_id"])
        room = self._rows + max(_LEAST_ROOM, self._rows // 8)
        self._arrays = {name: _array(name, values[name], room) for name in self.names}
        self._all = self._assembled()

    def frame(self) -> pd.DataFrame:
        """Return the DataFrame, the caller's own."""
        first = self._all.iloc[: self._rows]
        return first if _copies_on_write() else first.copy()

    def update(self, values: Mapping[str, Sequence[Any]]) -> bool:
        """Put rows in the place of their old ones, or in as new ones, by their ids, in whose order they are.

        Return False, and change nothing, where they have other columns.
        """
        if list(values) != self.names:
            return False
        import numpy as np

        new = {name: _array(name, column) for name, column in values.items()}
        ids, held = new["receipt_id"], self._arrays["receipt_id"][: self._rows]
        at = held.searchsorted(ids)
        known = at < self._rows
        known[known] = held[at[known]] == ids[known]
        changed = self._replace(at[known], {name: column[known] for name, column in new.items()})
        more = {name: column[~known] for name, column in new.items()}
        count = len(more["receipt_id"])
        behind = bool(np.all(at[~known] == self._rows))
        if not count or (behind and self._rows + count <= len(self._arrays["receipt_id"])):
            for name, column in more.items():
                self._arrays[name][self._rows : self._rows + count] = column
            self._rows += count
            # What is no object is copied into pandas' own arrays; of objects, what was replaced is another array now.
            self._all = self._renewed(changed | {name for name in self.names if not _is_object(name, self._arrays)})
        else:
            room = self._rows + count + max(_LEAST_ROOM, self._rows // 8)
            for name, column in more.items():
                merged = np.insert(self._arrays[name][: self._rows], at[~known], column)
                self._arrays[name] = np.resize(merged, room)  # what it repeats there is never shown
            self._rows += count
            self._all = self._assembled()
        return True

    def _replace(self, at: Array, new: Mapping[str, Array]) -> set[str]:
        """Put these values at these rows, into copies of the columns in which something differs; return which."""
        changed = set()
        for name, column in new.items():
            array = self._arrays[name]
            if len(at) and not _equal(array[at], column):
                if _is_object(name, self._arrays):
                    array = self._arrays[name] = array.copy()
                array[at] = column
                changed.add(name)
        return changed

    def _assembled(self) -> pd.DataFrame:
        import pandas as pd

        return pd.DataFrame({name: self._series(name) for name in self.names}, copy=False)

    def _renewed(self, names: set[str]) -> pd.DataFrame:
        """Return the DataFrame with other arrays in these columns. It shares all others with the one before."""
        frame = self._all.copy(deep=False)
        for name in names:
            frame[name] = self._series(name)
        return frame

    def _series(self, name: str) -> pd.Series[Any]:
        """Return a column with its room. Objects are not copied: no array of them may be given to pandas twice."""
        import pandas as pd

        array = self._arrays[name]
        kind = _kind(name)
        if kind == "time":
            return pd.Series(pd.DatetimeIndex(array.view("M8[us]").copy(), tz="UTC"))
        if kind == "count":
            return pd.Series(pd.arrays.IntegerArray(array["value"].copy(), array["unknown"].copy()))
        if _is_object(name, self._arrays):
            return pd.Series(array, dtype="object", copy=False)
        return pd.Series(array.copy(), copy=False)


def _kind(name: str) -> str:
    column = RECEIPT_COLUMNS.get(name)
    return "text" if column is None else column.kind


def _is_object(name: str, arrays: Mapping[str, Array]) -> bool:
    return bool(arrays[name].dtype == object)


def _array(name: str, values: Sequence[Any], room: int = 0) -> Array:
    """Return values as an array of the column's kind, with `room` rows at least; a "count" with a mask beside it."""
    import numpy as np

    kind = _kind(name)
    rows = len(values)
    array = np.empty(max(rows, room), dtype=_DTYPES.get(kind, object))
    if rows < len(array) and kind in _DTYPES:
        array[rows:] = np.zeros(1, array.dtype)
    if kind != "count":
        array[:rows] = values
        return array
    held = np.empty(rows, dtype=object)
    held[:] = values
    missing = np.equal(held, np.array(None, dtype=object)).astype(bool)
    held[missing] = 0
    numbers = np.array(held.tolist())
    if rows and numbers.dtype != np.int64:
        raise ValueError(f"{name} is not a whole number")
    array["value"][:rows], array["unknown"][:rows] = numbers, missing
    return array


def _equal(old: Array, new: Array) -> bool:
    """Return True where nothing differs; two NaN do not."""
    if old.dtype == object:
        return all(map(eq, old, new))
    return bool(old.tobytes() == new.tobytes())


def _copies_on_write() -> bool:
    """Return True where pandas copies what it shares before it writes: always from 3.0, earlier where it is set."""
    import pandas as pd

    if int(pd.__version__.partition(".")[0]) >= 3:
        return True
    return pd.options.mode.copy_on_write is True
