"""A folder of Parquet files that answers are written into as they come.

    answers.parquet/part-000001.parquet     rows with answers, a thousand a file
    answers.parquet/failed-000001.parquet   rows that failed, when the run has ended
    answers.parquet/_run.db                 rows that came since the last part; and the lock

A Parquet file can be read once it is closed, so each part is written beside its place, synced, and renamed: whatever
happens, a part is there as a whole or not at all. Rows that wait for the next part are in an SQLite file, which a kill
leaves as it was. Programs that read folders of Parquet (pandas, polars, DuckDB, Spark) take no notice of names that
begin with an underscore. A row that failed is asked again by the next run, which removes its failure first.
"""

from __future__ import annotations

import importlib
import json
import os
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import ConfigError, LedgerError
from .schema_columns import FieldColumn

if TYPE_CHECKING:
    import pandas as pd

PART_ROWS = 1_000
_DATABASE = "_run.db"
_NOTHING = "Nothing was sent and nothing was paid."
_BEFORE = {"row": "integer", "prompt": "text", "text": "text"}
_AFTER = {
    "prompt_tokens": "integer", "completion_tokens": "integer", "cost": "units", "cost_opg": "amount",
    "cost_usd": "amount", "latency_s": "number", "status": "text", "receipt_id": "text", "turn": "text",
    "replayed": "flag", "ending": "text", "error": "text", "fingerprint": "text",
}  # fmt: skip
NAMES = (*_BEFORE, *_AFTER)
"""Columns that every dataset has."""


class RowStore:
    """A dataset that one run writes. After `open`, its methods may be called from any thread, one at a time.

    Raises (all methods):
        LedgerError: it cannot be written or read.
    """

    def __init__(self, path: str | os.PathLike[str], columns: Sequence[FieldColumn]) -> None:
        self.path = Path(path).expanduser().absolute()
        self._kinds = _BEFORE | {column.name: column.kind for column in columns} | _AFTER
        self._done: dict[int, bytes] = {}
        self._waiting = 0
        self._number = 0
        self._connection: sqlite3.Connection | None = None
        self._arrow, self._parquet = _pyarrow()

    def open(self) -> RowStore:
        """Make the folder, lock it, and read which rows have answers.

        Raises:
            ConfigError: it is no folder of this kind, another run writes to it, or its columns are others.
        """
        path = self.path
        if path.exists() and not path.is_dir():
            raise ConfigError(
                f"{path.name} is a file.", money=_NOTHING, remedy="Answers become a folder of files: name another."
            )
        if path.is_dir() and not (path / _DATABASE).exists() and any(path.iterdir()):
            raise ConfigError(
                f"The folder {path.name} holds other files.", money=_NOTHING, remedy="Name a folder that is not there."
            )
        if not path.parent.is_dir():
            raise ConfigError(
                f"There is no folder {path.parent}.", money=_NOTHING, remedy="Make it, or name another place."
            )
        try:
            path.mkdir(exist_ok=True)
            self._connection = _locked(path)
        except OSError as error:
            raise ConfigError(
                f"{path} cannot be written: {error.strerror}.", money=_NOTHING, remedy="Name another place."
            ) from None
        try:
            self._read()
        except BaseException:
            self.close()
            raise
        return self

    @property
    def answered(self) -> Collection[int]:
        """The rows that have answers."""
        return self._done.keys()

    def fingerprint(self, row: int) -> bytes | None:
        """Return the fingerprint of the request that a row's answer is to; None where it has none."""
        return self._done.get(row)

    def begin(self) -> None:
        """Forget the failures of earlier runs: those rows are asked again."""
        for failed in self._files("failed"):
            failed.unlink(missing_ok=True)

    def add(self, row: Mapping[str, Any], *, failed: bool = False) -> None:
        """Write one row. When this returns, a kill does not lose it."""
        connection, at = self._open_connection(), int(row["row"])
        try:
            with connection:
                connection.execute(
                    "INSERT OR REPLACE INTO pending (row, failed, data) VALUES (?, ?, ?)",
                    (at, failed, json.dumps(row, default=str)),
                )
            if not failed:
                self._done[at] = bytes.fromhex(row["fingerprint"])
                self._waiting += 1
            if self._waiting >= PART_ROWS:
                self._write_part("part", failed=False)
        except (sqlite3.Error, OSError) as error:
            raise self._unwritten(error) from None

    def finish(self) -> None:
        """Write what is left into parts, failures too, and close."""
        if self._connection is None:
            return
        try:
            self._write_part("part", failed=False)
            self._write_part("failed", failed=True)
        except (sqlite3.Error, OSError) as error:
            raise self._unwritten(error) from None
        finally:
            self.close()

    def close(self) -> None:
        """Give the folder free. Rows that are not in a part yet stay where they are."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def frame(self) -> pd.DataFrame:
        """Return all rows that are in parts, in their order; the index is the row."""
        import pandas as pd

        files = [*self._files("part"), *self._files("failed")]
        pa = self._arrow
        tables = [self._parquet.read_table(file) for file in files] or [self._schema().empty_table()]
        frame: pd.DataFrame = (
            pa.concat_tables(tables).sort_by("row").to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
        )
        return frame.set_index("row").drop(columns="fingerprint")

    # -- inside --------------------------------------------------------------------------------

    def _files(self, kind: str) -> list[Path]:
        return sorted(self.path.glob(f"{kind}-*.parquet"))

    def _schema(self) -> Any:
        pa = self._arrow
        types = {
            "text": pa.string(), "json": pa.string(), "integer": pa.int64(), "number": pa.float64(), "flag": pa.bool_(),
            "units": pa.decimal128(38, 0), "amount": pa.decimal128(38, 18),
        }  # fmt: skip
        return pa.schema([(name, types[kind]) for name, kind in self._kinds.items()])

    def _read(self) -> None:
        connection = self._open_connection()
        for part in self._files("part"):
            try:
                file = self._parquet.ParquetFile(part)
                if not file.schema_arrow.equals(self._schema()):
                    raise ConfigError(
                        f"{self.path.name} has other columns: it was made with another schema.", money=_NOTHING,
                        remedy="Name another place for these answers.",
                    )  # fmt: skip
                table = file.read(columns=["row", "fingerprint"])
            except (OSError, self._arrow.ArrowException) as error:
                raise ConfigError(
                    f"{part.name} in {self.path.name} cannot be read: {error}.", money=_NOTHING,
                    remedy="Remove this file: its rows are then shown from the receipts, or asked again.",
                ) from None  # fmt: skip
            rows, prints = table["row"].to_pylist(), table["fingerprint"].to_pylist()
            self._done.update(zip(rows, map(bytes.fromhex, prints), strict=True))
        numbers = [file.stem.rpartition("-")[2] for kind in ("part", "failed") for file in self._files(kind)]
        self._number = max((int(one) for one in numbers if one.isdigit()), default=0)
        with connection:
            connection.execute("DELETE FROM pending WHERE failed")
            waiting = connection.execute("SELECT row, data FROM pending").fetchall()
            # A kill between a part's renaming and this file's clearing leaves rows in both.
            connection.executemany(
                "DELETE FROM pending WHERE row = ?", [(at,) for at, _ in waiting if at in self._done]
            )
        rest = {at: bytes.fromhex(json.loads(data)["fingerprint"]) for at, data in waiting if at not in self._done}
        self._done.update(rest)
        self._waiting = len(rest)

    def _write_part(self, kind: str, *, failed: bool) -> None:
        connection = self._open_connection()
        found = connection.execute("SELECT row, data FROM pending WHERE failed = ? ORDER BY row", (failed,)).fetchall()
        for begin in range(0, len(found), PART_ROWS):
            part = found[begin : begin + PART_ROWS]
            self._number += 1
            _write_synced(
                self._parquet, self._table(json.loads(data) for _, data in part),
                self.path / f"{kind}-{self._number:06d}.parquet",
            )  # fmt: skip
            with connection:
                connection.executemany("DELETE FROM pending WHERE row = ?", [(at,) for at, _ in part])
        if not failed:
            self._waiting = 0

    def _table(self, rows: Iterable[Mapping[str, Any]]) -> Any:
        held = list(rows)
        columns = {name: [_stored(row.get(name), kind) for row in held] for name, kind in self._kinds.items()}
        return self._arrow.table(columns, schema=self._schema())

    def _open_connection(self) -> sqlite3.Connection:
        if self._connection is None:
            raise LedgerError(f"{self.path.name} is closed.", remedy="Ask again.")
        return self._connection

    def _unwritten(self, error: Exception) -> LedgerError:
        return LedgerError(
            f"The answers cannot be written into {self.path}: {error}.",
            money="Nothing more is asked. What was answered is paid, and is in the receipts.",
            remedy="Make room, and ask the same again: what is recorded is not asked twice.",
        )


def _locked(path: Path) -> sqlite3.Connection:
    """Open the folder's database, for one run alone."""
    try:
        connection = sqlite3.connect(path / _DATABASE, timeout=0, check_same_thread=False)
    except sqlite3.Error as error:
        raise OSError(0, str(error)) from None
    try:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = OFF")  # the receipts are on disk; a kill of the process loses nothing
        connection.execute("CREATE TABLE IF NOT EXISTS pending (row INTEGER PRIMARY KEY, failed INTEGER, data TEXT)")
        connection.execute("BEGIN EXCLUSIVE")
        connection.commit()
    except sqlite3.Error as error:
        connection.close()
        if "locked" in str(error):
            raise ConfigError(
                f"Another run writes into {path.name}.", money=_NOTHING,
                remedy="Wait until it has ended, stop it, or name another place.",
            ) from None  # fmt: skip
        raise OSError(0, str(error)) from None
    return connection


def _write_synced(parquet: Any, table: Any, path: Path) -> None:
    beside = path.with_name(f"_{path.name}.new")
    with beside.open("wb") as file:
        parquet.write_table(table, file, compression="zstd")
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def _stored(value: Any, kind: str) -> Any:
    if value is None:
        return None
    if kind == "units":
        return Decimal(value)
    if kind == "amount":
        return round(Decimal(value), 18)
    if kind in ("text", "json"):
        return str(value).encode("utf-8", "replace").decode()  # half a surrogate pair is no text
    return value


def _pyarrow() -> tuple[Any, Any]:
    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise ConfigError(
            "Answers in Parquet files need pyarrow, which is not installed.", money=_NOTHING,
            remedy="Install it with `pip install 'og_magics[parquet]'`, or leave `out` out.",
        ) from None  # fmt: skip
