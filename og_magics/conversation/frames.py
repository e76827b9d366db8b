"""What was asked at once, as a DataFrame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

_DTYPES = {"latency_s": "float64", "ttft_s": "float64", "prompt_tokens": "Int64", "completion_tokens": "Int64"}
"""Of what may be missing and is still a number; all else are objects."""


def frame_of(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> pd.DataFrame:
    """A frame of these columns in their order, which all rows have."""
    import pandas as pd

    values = {name: [row[name] for row in rows] for name in columns}
    return pd.DataFrame({name: pd.Series(values[name], dtype=_DTYPES.get(name, "object")) for name in columns})
