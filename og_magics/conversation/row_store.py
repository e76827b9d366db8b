"""A folder of Parquet files that answers are written into as they come.

    answers.parquet/part-000001.parquet     rows with answers, a thousand a file
    answers.parquet/failed-000001.parquet   rows that failed, when the run has ended
    answers.parquet/_run.db                 rows that came since the last part; and the lock

Where many processes ask, each writes its own share of the rows, with a database and parts of its own.

A Parquet file can be read once it is closed, so each part is written beside its place, synced, and renamed: whatever
happens, a part is there as a whole or not at all. Rows that wait for the next part are in an SQLite file, which a kill
leaves as it was. Programs that read folders of Parquet (pandas, polars, DuckDB, Spark) take no notice of names that
begin with an underscore. A row that failed is asked again by the next run, which removes its failure first.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..core.errors import ConfigError, LedgerError
from .answer_store import UNPAID, AnswerStore, Ended, Occupied, stored
from .schema_columns import FieldColumn

if TYPE_CHECKING:
    import pandas as pd

PART_ROWS = 1_000
_DATABASE = "_run.db"
_SHARES = "_run-*.db"


class RowStore(AnswerStore):
    """A folder of Parquet files. See `AnswerStore`.

    Args:
        share: name of the share of the rows that is written; "" for all of them.
    """

    path: Path

    def __init__(self, path: str | os.PathLike[str], columns: Sequence[FieldColumn], share: str = "") -> None:
        super().__init__(columns)
        self._share = f"-{share}" if share else ""
        self.path = Path(path).expanduser().absolute()
        self.name = self.path.name
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
                f"{path.name} is a file.", money=UNPAID, remedy="Answers become a folder of files: name another."
            )
        if path.is_dir() and not (path / _DATABASE).exists() and any(path.iterdir()):
            raise ConfigError(
                f"The folder {path.name} holds other files.", money=UNPAID, remedy="Name a folder that is not there."
            )
        if not path.parent.is_dir():
            raise ConfigError(
                f"There is no folder {path.parent}.", money=UNPAID, remedy="Make it, or name another place."
            )
        try:
            path.mkdir(exist_ok=True)
            self._connection = _locked(path, f"_run{self._share}.db")
        except OSError as error:
            raise ConfigError(
                f"{path} cannot be written: {error.strerror}.", money=UNPAID, remedy="Name another place."
            ) from None
        try:
            self._read()
        except BaseException:
            self.close()
            raise
        return self

    def begin(self) -> None:
        """Forget the failures of earlier runs: those rows are asked again."""
        for failed in self._files("failed"):
            failed.unlink(missing_ok=True)

    def write(self, rows: Iterable[Ended]) -> None:
        """Write rows, all or none. When this returns, a kill does not lose them."""
        connection, given = self._open_connection(), list(rows)
        try:
            with connection:
                connection.executemany(
                    "INSERT OR REPLACE INTO pending (row, failed, data) VALUES (?, ?, ?)",
                    [(int(row["row"]), failed, json.dumps(row, default=str)) for row, failed in given],
                )
            answered = {int(row["row"]): bytes.fromhex(row["fingerprint"]) for row, failed in given if not failed}
            self._done |= answered
            self._waiting += len(answered)
            if self._waiting >= PART_ROWS:
                self._write_parts("part", failed=False)
        except (sqlite3.Error, OSError) as error:
            raise self._unwritten(error) from None

    def finish(self) -> None:
        """Write what is left into parts, failures too, and close."""
        if self._connection is None:
            return
        try:
            with contextlib.suppress(Occupied):  # a worker that does not hear still writes: the next run waits for it
                self._take_in(self._connection)
            self._write_parts("part", failed=False, all=True)
            self._write_parts("failed", failed=True, all=True)
        except (sqlite3.Error, OSError) as error:
            raise self._unwritten(error) from None
        finally:
            self.close()
        if self._share:
            self._remove(f"_run{self._share}.db")  # nothing is left in it

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
        return sorted(self.path.glob(f"{kind}{self._share}-*.parquet"))

    def _schema(self) -> Any:
        pa = self._arrow
        types = {
            "text": pa.string(), "json": pa.string(), "integer": pa.int64(), "number": pa.float64(), "flag": pa.bool_(),
            "units": pa.decimal128(38, 0), "amount": pa.decimal128(38, 18),
        }  # fmt: skip
        return pa.schema([(name, types[kind]) for name, kind in self.kinds.items()])

    def _read(self) -> None:
        connection = self._open_connection()
        for part in self._files("part"):
            try:
                file = self._parquet.ParquetFile(part)
                if not file.schema_arrow.equals(self._schema()):
                    raise ConfigError(
                        f"{self.path.name} has other columns: it was made with another schema.", money=UNPAID,
                        remedy="Name another place for these answers.",
                    )  # fmt: skip
                table = file.read(columns=["row", "fingerprint"])
            except (OSError, self._arrow.ArrowException) as error:
                raise ConfigError(
                    f"{part.name} in {self.path.name} cannot be read: {error}.", money=UNPAID,
                    remedy="Remove this file: its rows are then shown from the receipts, or asked again.",
                ) from None  # fmt: skip
            rows, prints = table["row"].to_pylist(), table["fingerprint"].to_pylist()
            self._done.update(zip(rows, map(bytes.fromhex, prints), strict=True))
        numbers = [file.stem.rpartition("-")[2] for kind in ("part", "failed") for file in self._files(kind)]
        self._number = max((int(one) for one in numbers if one.isdigit()), default=0)
        self._take_in(connection)
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

    def _write_parts(self, kind: str, *, failed: bool, all: bool = False) -> None:
        """Write parts of so many rows; `all`: what is left, too."""
        connection = self._open_connection()
        found = connection.execute("SELECT row, data FROM pending WHERE failed = ? ORDER BY row", (failed,)).fetchall()
        while found and (all or len(found) >= PART_ROWS):
            part, found = found[:PART_ROWS], found[PART_ROWS:]
            self._number += 1
            _write_synced(
                self._parquet, self._table(json.loads(data) for _, data in part),
                self.path / f"{kind}{self._share}-{self._number:06d}.parquet",
            )  # fmt: skip
            with connection:
                connection.executemany("DELETE FROM pending WHERE row = ?", [(at,) for at, _ in part])
        if not failed:
            self._waiting = len(found)

    def _remove(self, database: str) -> None:
        for suffix in ("", "-wal", "-shm"):
            (self.path / f"{database}{suffix}").unlink(missing_ok=True)

    def _take_in(self, connection: sqlite3.Connection) -> None:
        """Take in what is left of shares whose processes are gone.

        Raises:
            Occupied: one of them still writes.
        """
        for file in () if self._share else sorted(self.path.glob(_SHARES)):
            share = _locked(self.path, file.name)
            with contextlib.closing(share), connection:
                rows = share.execute("SELECT row, failed, data FROM pending WHERE NOT failed").fetchall()
                connection.executemany("INSERT OR REPLACE INTO pending (row, failed, data) VALUES (?, ?, ?)", rows)
            self._remove(file.name)

    def _table(self, rows: Iterable[Mapping[str, Any]]) -> Any:
        held = list(rows)
        columns = {name: [stored(row.get(name), kind) for row in held] for name, kind in self.kinds.items()}
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


def _locked(path: Path, name: str) -> sqlite3.Connection:
    """Open a database of the folder, for one run alone."""
    try:
        connection = sqlite3.connect(path / name, timeout=0, check_same_thread=False)
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
            raise Occupied.at(path.name) from None
        raise OSError(0, str(error)) from None
    return connection


def _write_synced(parquet: Any, table: Any, path: Path) -> None:
    beside = path.with_name(f"_{path.name}.new")
    with beside.open("wb") as file:
        parquet.write_table(table, file, compression="zstd")
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def _pyarrow() -> tuple[Any, Any]:
    try:
        return importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise ConfigError(
            "Answers in Parquet files need pyarrow, which is not installed.", money=UNPAID,
            remedy="Install it with `pip install 'og_magics[parquet]'`, or leave `out` out.",
        ) from None  # fmt: skip
