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
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from numbers import Number
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import ConfigError, LedgerError
from ..core.receipt import VERSION, Receipt
from ..core.receipt_columns import RECEIPT_COLUMNS
from ..core.secret import fingerprint_of_old
from ..core.untrusted_json import read_json
from ..core.versions import require_readable
from .frame import receipts_frame, typed_frame
from .rows import storable

if TYPE_CHECKING:
    import pandas as pd

_VERSION_COLUMN = "version"
"""The last column of a CSV file, and not of a DataFrame: the version of the receipts in each row."""
_VERSION_KEY = b"og_magics.receipts"
"""In a Parquet file's metadata: the version of its receipts."""
_ALWAYS = ("receipt_id", "time")
"""Columns that every version has: without them, a table holds no receipts."""
_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
"""Text that a spreadsheet takes for a formula, also behind apostrophes that the text itself begins with."""
_DEEPEST = 200
"""Levels of exported receipts, which hold requests."""
_MICROSECOND = 1_000_000


def export_receipts(receipts: Iterable[Receipt], path: str | os.PathLike[str]) -> Path:
    """Write receipts into a file, in the form that its suffix says; its path. A file that is there is replaced.

    - `.json`: a list of the JSON form of each, lossless (`import_receipts`).
    - `.csv`: the columns of `receipts_frame`, and last the version; times in ISO 8601 and UTC, amounts as exact
      decimals, an empty cell for None, JSON for a field of a newer version that is no text. A text that a spreadsheet
      would take for a formula (it begins with = + - @, a tab or a line break) gets an apostrophe before it, since much
      of it was written by others; numbers are as they are.
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
        raise LedgerError(
            f"{path} cannot be written: {error.strerror}.", remedy="Name a place where files may be written."
        ) from None
    finally:
        with contextlib.suppress(OSError):
            beside.unlink()
    return path


def import_receipts(path: str | os.PathLike[str]) -> list[Receipt]:
    """Read the receipts of a `.json` file that `export_receipts` wrote, in this or another minor version.

    Fields that are not known here are kept. The receipts are what the file says: verify them.

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
        raise LedgerError(
            f"{path} does not hold receipts that can be read: {error}.",
            remedy="Name a file that %og receipts or og-magics receipts wrote.",
        ) from None


def read_frame(path: str | os.PathLike[str]) -> pd.DataFrame:
    """Read the DataFrame of a `.csv` or `.parquet` file that `export_receipts` wrote; dtypes as in `receipts_frame`.

    A column that an older version did not have is None in all rows. One of a newer version is kept behind the others,
    in CSV as texts.

    The apostrophes before formulas are taken off again. In a CSV file "" and None look the same: it is None in the
    columns that may be None.

    Raises:
        ConfigError: another suffix, or pyarrow is missing.
        LedgerError: the file cannot be read, its version is another major one, or its values are of other types.
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
        raise LedgerError(
            f"{path} does not hold receipts that can be read: {error}.",
            remedy="Name a file that %og receipts or og-magics receipts wrote.",
        ) from None


def _json(receipts: list[Receipt]) -> bytes:
    return json.dumps([receipt.to_json() for receipt in receipts], indent=1).encode()


def receipts_csv(receipts: Iterable[Receipt]) -> bytes:
    """Return the content of the `.csv` file that `export_receipts` writes."""
    frame = receipts_frame(receipts)
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    names = [name for name in frame.columns if name != _VERSION_COLUMN]
    writer.writerow([*map(_guarded, names), _VERSION_COLUMN])
    columns = [[_cell(name, value) for value in frame[name].astype(object)] for name in names]
    writer.writerows(zip(*columns, [VERSION] * len(frame), strict=True))
    return file.getvalue().encode()


def _cell(name: str, value: Any) -> str:
    import pandas as pd

    if isinstance(value, (list, Mapping)):
        return _text_of(value)
    if pd.isna(value):
        return ""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if name in RECEIPT_COLUMNS and RECEIPT_COLUMNS[name].kind == "time":
        return str(value.isoformat(timespec="microseconds"))
    if isinstance(value, Number):
        return str(value)
    return _guarded(str(value))


def _text_of(value: Any) -> str:
    """Return a value of a field that is not known as text: as it is, or as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def _guarded(text: str) -> str:
    text = str(storable(text))
    return f"'{text}" if _FORMULA.match(text) else text


def _unguarded(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def _frame_of_csv(content: bytes) -> pd.DataFrame:
    rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")))
    names = [_unguarded(name) for name in rows[0]] if rows else []
    _require_columns(names)
    cells = list(zip(*rows[1:], strict=True)) if len(rows) > 1 else [()] * len(names)
    columns = dict(zip(names, cells, strict=True))
    for version in dict.fromkeys(columns.pop(_VERSION_COLUMN, ())):
        require_readable(version, VERSION, "receipts table")
    values = {name: [_value(name, cell) for cell in column] for name, column in columns.items()}
    return typed_frame(_without_session_ids(values))


def _require_columns(names: Sequence[str]) -> None:
    if not set(_ALWAYS) <= set(names) or len(set(names)) < len(names):
        raise ValueError(f"it needs the columns {' and '.join(_ALWAYS)}, and each of its columns once")


def _value(name: str, cell: str) -> Any:
    column = RECEIPT_COLUMNS.get(name)
    if cell == "" and (column is None or column.nullable):
        return None
    kind = "text" if column is None else column.kind
    if kind == "time":
        return _microseconds(datetime.fromisoformat(cell))
    if kind == "flag":
        return {"True": True, "False": False}[cell]
    if kind == "amount":
        return Decimal(cell)
    if kind == "seconds":
        return float(cell)
    return int(cell) if kind in ("count", "integer") else _unguarded(cell)


def _parquet(receipts: list[Receipt]) -> bytes:
    pa = _pyarrow()
    types = {
        "time": pa.timestamp("us", tz="UTC"),
        "amount": pa.decimal128(38, 18),
        "count": pa.int64(),
        "integer": pa.int64(),
        "seconds": pa.float64(),
        "flag": pa.bool_(),
    }
    frame = receipts_frame(receipts)
    for name in frame.columns:
        if name not in RECEIPT_COLUMNS:
            frame[name] = [None if value is None else _text_of(value) for value in frame[name]]
    kinds = {name: column.kind for name, column in RECEIPT_COLUMNS.items()}
    schema = pa.schema([(name, types.get(kinds.get(name, "text"), pa.string())) for name in frame.columns])
    file = io.BytesIO()
    try:
        table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
        table = table.replace_schema_metadata({**(table.schema.metadata or {}), _VERSION_KEY: VERSION.encode()})
        importlib.import_module("pyarrow.parquet").write_table(table, file)
    except pa.ArrowException as error:
        raise LedgerError(f"The receipts do not fit into Parquet: {error}.", remedy="Use .json or .csv.") from None
    return file.getvalue()


def _frame_of_parquet(content: bytes) -> pd.DataFrame:
    pa = _pyarrow()
    try:
        table = importlib.import_module("pyarrow.parquet").read_table(io.BytesIO(content))
    except pa.ArrowException as error:
        raise ValueError(str(error)) from None
    version = (table.schema.metadata or {}).get(_VERSION_KEY)
    if version is not None:  # the first files had none
        require_readable(version.decode("utf-8", "replace"), VERSION, "receipts table")
    _require_columns(table.column_names)
    values = {name: table[name].to_pylist() for name in table.column_names}
    for name, column in RECEIPT_COLUMNS.items():
        if name in values and column.kind == "time":
            values[name] = [_microseconds(time) for time in values[name]]
        elif name in values and column.kind == "amount":
            values[name] = [None if value is None else _trimmed(value) for value in values[name]]
    return typed_frame(_without_session_ids(values))


def _without_session_ids(values: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Return the columns with hashes of the sessions' ids, which files of older versions hold themselves."""
    ids = values.get("session_id")
    if ids is not None:
        hashes = values.get("authorization_hash", [None] * len(ids))
        values["session_id"] = [
            fingerprint_of_old(str(one), hash and str(hash)) if one else None
            for one, hash in zip(ids, hashes, strict=True)
        ]
    return values


def _microseconds(time: datetime) -> int:
    return round(time.replace(microsecond=0).timestamp()) * _MICROSECOND + time.microsecond


def _trimmed(value: Decimal) -> Decimal:
    """Remove the zeros at the end that a fixed scale brings."""
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
        raise LedgerError(
            f"{path} cannot be read: {error.strerror}.", remedy="Check the path and its permissions."
        ) from None


def _unknown(path: Path, known: str) -> ConfigError:
    return ConfigError(f"{path.name} has the suffix {path.suffix!r}.", remedy=f"Use {known}.")
