"""DataFrames of batches and comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..core.receipt_columns import column_dtype

if TYPE_CHECKING:
    import pandas as pd


def frame_of(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    """Return a DataFrame with these columns in this order; every row must have all of them."""
    import pandas as pd

    values = {name: [row[name] for row in rows] for name in columns}
    return pd.DataFrame({name: pd.Series(values[name], dtype=column_dtype(name)) for name in columns})
