"""Receipts as files for other programs, and back."""

from __future__ import annotations

import contextlib
import csv
import importlib
import io
import json
import os
import re
import secrets
from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from numbers import Number
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ConfigError, LedgerError
from ..receipt import COLUMNS, Receipt
from ..untrusted import read_json
from .frame import AMOUNTS, receipts_frame, typed_frame
from .rows import storable

if TYPE_CHECKING:
    import pandas as pd

_NUMBERS = {*AMOUNTS, "prompt_tokens", "completion_tokens", "latency_s", "ttft_s", "tee_timestamp"}
_NEVER_NONE = {"receipt_id", "cell", "notebook", "network", "provider", "model", "settlement", "status", "turn"}
_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
"""What a spreadsheet takes for a formula, also behind apostrophes that the text itself begins with."""
_DEEPEST = 200
"""Levels of exported receipts, which hold requests."""
_MICROSECOND = 1_000_000


def export_receipts(receipts: Iterable[Receipt], path: str | os.PathLike[str]) -> Path:
    """Write receipts into a file, in the form that its suffix says; its path. A file that is there is replaced.

    - `.json`: a list of the JSON form of each, lossless (`import_receipts`).
    - `.csv`: the columns `receipt.COLUMNS`; times in ISO 8601 and UTC, amounts as exact decimals, an empty cell for
      None. A text that a spreadsheet would take for a formula (it begins with = + - @, a tab or a line break) gets an
      apostrophe before it, since much of it was written by others; numbers are as they are.
    - `.parquet`: the same columns with types; amounts are decimal128(38, 18). It needs pyarrow.

    Raises:
        ConfigError: another suffix, or pyarrow is missing.
        LedgerError: the file cannot be written, or an amount does not fit into Parquet's decimals.
    """
    path, rows = Path(path).expanduser(), list(receipts)
    write = {".json": _json, ".csv": receipts_csv, ".parquet": _parquet}.get(path.suffix.lower())
    if write is None:
        raise _unknown(path, ".json, .csv or .parquet")
    return replace_file(path, write(rows))


def replace_file(path: Path, content: bytes) -> Path:
    """Write a file, in the place of one that is there; its path.

    Raises:
        LedgerError: it cannot be written.
    """
    beside = path.with_name(f"{path.name}.{secrets.token_hex(4)}.part")  # no half a file, whatever happens
    try:
        beside.write_bytes(content)
        beside.replace(path)
    except OSError as error:
        raise LedgerError(f"{path} cannot be written: {error.strerror}.") from None
    finally:
        with contextlib.suppress(OSError):
            beside.unlink()
    return path


def import_receipts(path: str | os.PathLike[str]) -> list[Receipt]:
    """The receipts of a `.json` file, as `export_receipts` wrote it. They are what the file says: verify them.

    Raises:
        ConfigError: another suffix.
        LedgerError: the file cannot be read, or holds no receipts.
    """
    path = Path(path).expanduser()
    if path.suffix.lower() != ".json":
        raise _unknown(path, ".json here; read_frame reads .csv and .parquet")
    try:
        forms = read_json(_read(path), _DEEPEST)
        if not isinstance(forms, list):
            raise TypeError("it is not a list")
        return [Receipt.from_json(form if isinstance(form, Mapping) else {}) for form in forms]
    except (ValueError, TypeError) as error:
        raise LedgerError(f"{path} does not hold receipts: {error}.") from None


def read_frame(path: str | os.PathLike[str]) -> pd.DataFrame:
    """The DataFrame of a `.csv` or `.parquet` file that `export_receipts` wrote, with the dtypes of `receipts_frame`.

    The apostrophes before formulas are taken off again. In a CSV file "" and None look the same: it is None in the
    columns that may be None.

    Raises:
        ConfigError: another suffix, or pyarrow is missing.
        LedgerError: the file cannot be read, or does not have these columns and types.
    """
    path = Path(path).expanduser()
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".parquet"):
        raise _unknown(path, ".csv or .parquet here; import_receipts reads .json")
    try:
        return _frame_of_csv(_read(path)) if suffix == ".csv" else _frame_of_parquet(_read(path))
    except (ValueError, KeyError, TypeError, InvalidOperation, csv.Error, OverflowError) as error:
        if isinstance(error, ConfigError):
            raise
        raise LedgerError(f"{path} does not hold receipts: {error}.") from None


def _json(receipts: list[Receipt]) -> bytes:
    return json.dumps([receipt.to_json() for receipt in receipts], indent=1).encode()


def receipts_csv(receipts: Iterable[Receipt]) -> bytes:
    """The content of the `.csv` file that `export_receipts` writes."""
    frame = receipts_frame(receipts)
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    columns = [[_cell(name, value) for value in frame[name].astype(object)] for name in COLUMNS]
    writer.writerows(zip(*columns, strict=True))
    return file.getvalue().encode()


def _cell(column: str, value: Any) -> str:
    import pandas as pd

    if pd.isna(value):
        return ""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if column == "time":
        return str(value.isoformat(timespec="microseconds"))
    if isinstance(value, Number):
        return str(value)
    text = str(storable(value))
    return f"'{text}" if _FORMULA.match(text) else text


def _frame_of_csv(content: bytes) -> pd.DataFrame:
    rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))
    if not rows or tuple(rows[0]) != COLUMNS:
        raise ValueError("its columns are others")
    cells = zip(*rows[1:], strict=True) if len(rows) > 1 else ((),) * len(COLUMNS)
    return typed_frame(
        {name: [_value(name, cell) for cell in column] for name, column in zip(COLUMNS, cells, strict=True)}
    )


def _value(column: str, cell: str) -> Any:
    if column == "time":
        return _microseconds(datetime.fromisoformat(cell))
    if column == "replayed":
        return {"True": True, "False": False}[cell]
    if cell == "" and column not in _NEVER_NONE:
        return None
    if column in AMOUNTS:
        return Decimal(cell)
    if column in _NUMBERS:
        return float(cell) if column in ("latency_s", "ttft_s") else int(cell)
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def _parquet(receipts: list[Receipt]) -> bytes:
    pa = _pyarrow()
    types = {
        "time": pa.timestamp("us", tz="UTC"),
        **dict.fromkeys(AMOUNTS, pa.decimal128(38, 18)),
        **dict.fromkeys(("prompt_tokens", "completion_tokens"), pa.int64()),
        **dict.fromkeys(("latency_s", "ttft_s"), pa.float64()),
        "tee_timestamp": pa.int64(),
        "replayed": pa.bool_(),
    }
    schema = pa.schema([(name, types.get(name, pa.string())) for name in COLUMNS])
    file = io.BytesIO()
    frame = receipts_frame(receipts)
    try:
        frame.to_parquet(file, engine="pyarrow", index=False, schema=schema)
    except pa.ArrowException as error:
        raise LedgerError(f"The receipts do not fit into Parquet: {error}.", remedy="Use .json or .csv.") from None
    return file.getvalue()


def _frame_of_parquet(content: bytes) -> pd.DataFrame:
    pa = _pyarrow()
    try:
        table = importlib.import_module("pyarrow.parquet").read_table(io.BytesIO(content))
    except pa.ArrowException as error:
        raise ValueError(str(error)) from None
    if tuple(table.column_names) != COLUMNS:
        raise ValueError("its columns are others")
    values = {name: table[name].to_pylist() for name in COLUMNS}
    values["time"] = [_microseconds(time) for time in values["time"]]
    for name in AMOUNTS:
        values[name] = [None if value is None else _trimmed(value) for value in values[name]]
    return typed_frame(values)


def _microseconds(time: datetime) -> int:
    return round(time.replace(microsecond=0).timestamp()) * _MICROSECOND + time.microsecond


def _trimmed(value: Decimal) -> Decimal:
    """Without the zeros at the end that a fixed scale brings."""
    text = f"{value:f}"
    return Decimal(text.rstrip("0").rstrip(".") if "." in text else text)


def _pyarrow() -> Any:
    try:
        return importlib.import_module("pyarrow")
    except ImportError:
        raise ConfigError(
            "Parquet files need pyarrow, which is not installed.",
            remedy="Install it with `pip install pyarrow`, or use .csv or .json.",
        ) from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise LedgerError(f"{path} cannot be read: {error.strerror}.") from None


def _unknown(path: Path, known: str) -> ConfigError:
    return ConfigError(f"{path.name} has the suffix {path.suffix!r}.", remedy=f"Use {known}.")
