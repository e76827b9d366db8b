"""The tables, and the steps that lead to them."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from ..core.errors import LedgerError
from . import alike, attestations, journal, packing, recordings
from .database import Connection
from .file_system import journal_mode, named, require_locks

Step = str | Callable[[Connection], None]

APPLICATION_ID = 0x6F677263
"""Marks the file as ours ("ogrc"), so that a wrong path never adds tables to a stranger's database."""

WAIT = 10.0
"""Seconds to wait for another process that is writing."""

_IS_ID = re.compile(r"[0-9a-f]{32}")

NOTEBOOKS = """CREATE TABLE IF NOT EXISTS notebooks (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, file TEXT NOT NULL, modified INTEGER NOT NULL, cells TEXT NOT NULL,
    kernel TEXT NOT NULL, parent TEXT NOT NULL, seen REAL NOT NULL
)"""
"""The notebooks that wrote to the file (`notebook_index.py`)."""


def _column(table: str, name: str, kind: str = "TEXT") -> Step:
    """Return the step that adds a column to a table, where there is none yet; NULL in old rows."""

    def add(connection: Connection) -> None:
        if all(column["name"] != name for column in connection.execute(f"PRAGMA table_info({table})")):
            connection.execute(f"ALTER TABLE {table} ADD COLUMN {name} {kind}")

    return add


# Amounts, nonces and weights are decimal TEXT: an SQLite INTEGER ends at 63 bits.
# What follows from other rows (status, payment hash, cost, payer, cap) is not stored in a receipt.
MIGRATIONS: tuple[tuple[Step, ...], ...] = (
    (
        """CREATE TABLE authorizations (
            hash TEXT PRIMARY KEY, scheme TEXT NOT NULL, network TEXT NOT NULL, payer TEXT NOT NULL,
            pay_to TEXT NOT NULL, token TEXT NOT NULL, cap TEXT NOT NULL, nonce TEXT NOT NULL,
            deadline INTEGER NOT NULL, gateway TEXT NOT NULL, path TEXT NOT NULL, created INTEGER NOT NULL,
            spender TEXT NOT NULL, facilitator TEXT NOT NULL, reason TEXT NOT NULL,
            expired INTEGER NOT NULL DEFAULT 0
        )""",
        """CREATE TABLE settlements (
            authorization_hash TEXT PRIMARY KEY REFERENCES authorizations (hash), payment_hash TEXT NOT NULL,
            amount TEXT NOT NULL, block_number INTEGER NOT NULL, block_hash TEXT NOT NULL, gas_used INTEGER NOT NULL
        )""",
        """CREATE TABLE receipts (
            receipt_id TEXT PRIMARY KEY, time REAL NOT NULL, cell TEXT NOT NULL, notebook TEXT NOT NULL,
            network TEXT NOT NULL, provider TEXT NOT NULL, model TEXT NOT NULL, settlement TEXT NOT NULL,
            path TEXT NOT NULL, request TEXT NOT NULL,
            authorization_hash TEXT REFERENCES authorizations (hash), session_id TEXT,
            ended TEXT CHECK (ended IN ('served', 'failed')), error TEXT, weight TEXT NOT NULL DEFAULT '0',
            cost_usd TEXT, prompt_tokens INTEGER, completion_tokens INTEGER, latency_s REAL, ttft_s REAL,
            tee_id TEXT, tee_signature TEXT, tee_timestamp INTEGER, request_hash TEXT, output_hash TEXT,
            data_settlement_hash TEXT, blob_id TEXT, finish_reason TEXT, text TEXT NOT NULL DEFAULT '',
            tool_calls TEXT NOT NULL DEFAULT '[]', public_key TEXT NOT NULL DEFAULT '',
            enclave_ok INTEGER, enclave_form TEXT, enclave_reason TEXT NOT NULL DEFAULT '',
            verified_hash TEXT
        )""",
        "CREATE INDEX receipts_by_authorization ON receipts (authorization_hash)",
    ),
    (
        """CREATE TABLE journal (
            seq INTEGER PRIMARY KEY, time REAL NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL,
            previous TEXT NOT NULL, hash TEXT NOT NULL
        )""",
        "CREATE INDEX authorizations_by_time ON authorizations (network, created)",
        journal.import_rows,
    ),
    ("ALTER TABLE receipts ADD COLUMN turn TEXT",),  # NULL: the receipt is the first of its turn
    (
        """CREATE TABLE threads (
            id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, created REAL NOT NULL, used REAL NOT NULL
        )""",
        """CREATE TABLE turns (
            id INTEGER PRIMARY KEY, thread TEXT NOT NULL REFERENCES threads (id), position INTEGER NOT NULL,
            cell TEXT NOT NULL, source TEXT NOT NULL, run TEXT NOT NULL, number INTEGER NOT NULL, time REAL NOT NULL,
            tokens INTEGER NOT NULL, messages TEXT NOT NULL, receipts TEXT NOT NULL
        )""",
        "CREATE INDEX turns_by_thread ON turns (thread, position)",
    ),
    (recordings.TABLE, recordings.INDEX, recordings.import_receipts),
    (
        "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
        "INSERT INTO meta (name, value) VALUES ('min_reader', '6')",
    ),
    ("ALTER TABLE receipts ADD COLUMN reported_cost TEXT",),  # NULL: the gateway did not say
    (
        # NULL: what `expired` and the settlement say; "used": paid, transaction not found; "final": cannot be undone.
        "ALTER TABLE authorizations ADD COLUMN money TEXT",
        "ALTER TABLE authorizations ADD COLUMN evidence TEXT",
    ),
    (NOTEBOOKS, _column("receipts", "notebook_id")),
    (_column("receipts", "gateway_notes"),),
    (attestations.TABLE, _column("receipts", "attestation_hash")),
    # NULL: written before there were marks (`ownership.py`), or not by this user's machine.
    (_column("recordings", "mark"), _column("recordings", "images_mark"), _column("turns", "mark")),
    ("INSERT INTO meta (name, value) VALUES ('ledger_id', lower(hex(randomblob(16)))) ON CONFLICT DO NOTHING",),
    (_column("receipts", "paid_for"), _column("receipts", "paid_by")),
    (
        # An older program would take what stands apart as left out.
        alike.TABLE,
        _column("receipts", "alike", "INTEGER"),
        alike.INDEX,
        "UPDATE meta SET value = '15' WHERE name = 'min_reader'",
    ),
    (packing.TABLE, "UPDATE meta SET value = '16' WHERE name = 'min_reader'"),
)
"""Each migration is a list of steps; a file that took the first n migrations has `PRAGMA user_version` n. One that
changes rows, or adds a column that is not NULL in those that are there, must enter that in the journal.

`meta.min_reader` is the number of migrations that a program must know to read and write the file. A migration that only
adds tables, or columns that are NULL or have a default, leaves it: older programs keep what they do not know. One after
which an older program would read or write something wrong sets it to its own number."""


def prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Bring a file (a new one, too) to the last step, in write-ahead mode where it can be. A newer file stays as it is.

    Raises:
        LedgerError: a database of something else, or of a newer og_magics whose `min_reader` this one does not reach;
            it is left as it was. Or its file system has no locks.
    """
    connection.execute("BEGIN")  # one snapshot: another process may be creating the tables just now
    version = _version(connection, path)
    connection.execute("COMMIT")
    _set_journal_mode(connection, path)
    if version >= len(MIGRATIONS):
        return
    connection.execute("BEGIN IMMEDIATE")
    version = _version(connection, path)  # asked again: another process may have been first
    if version >= len(MIGRATIONS):
        connection.execute("ROLLBACK")
        return
    migrate(connection, version)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    connection.execute("COMMIT")


def migrate(connection: Connection, version: int) -> None:
    """Take the steps behind this version, within a write transaction."""
    for steps in MIGRATIONS[version:]:
        for step in steps:
            if callable(step):
                step(connection)
            else:
                connection.execute(step)


def _version(connection: Connection, path: Path) -> int:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables and application != APPLICATION_ID:
        raise LedgerError(
            f"{named(path)} is a database of another program.",
            money="Nothing was written to it and nothing was paid.",
            remedy="Set OG_LEDGER to a path of its own.",
        )
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    needed = min_reader(connection) if version > len(MIGRATIONS) else version
    if needed > len(MIGRATIONS):
        raise LedgerError(
            f"{named(path)} was written by a newer og_magics (form {version}, for programs that know form {needed}; "
            f"this one knows {len(MIGRATIONS)}).",
            money="Its receipts are kept as they are, and nothing was paid.",
            remedy="Upgrade with `pip install -U og_magics`, or set OG_LEDGER to another path.",
        )
    return version


def ledger_id(connection: Connection) -> str:
    """Return the random id (32 hex digits) that a ledger keeps wherever it is moved; zeros where it was taken out."""
    found = connection.execute("SELECT value FROM meta WHERE name = 'ledger_id'").fetchone()
    return str(found[0]) if found is not None and _IS_ID.fullmatch(str(found[0])) else "0" * 32


def min_reader(connection: Connection) -> int:
    """Return how many migrations a program must know to write a file; all that the file took, where it does not say."""
    (taken,) = connection.execute("PRAGMA user_version").fetchone()
    try:
        found = connection.execute("SELECT value FROM meta WHERE name = 'min_reader'").fetchone()
        return int(taken) if found is None else int(found[0])
    except (sqlite3.OperationalError, ValueError):  # no such table, or no number in it
        return int(taken)


def is_newer(connection: Connection) -> bool:
    """Return True for a file with tables or columns that this version does not know."""
    (taken,) = connection.execute("PRAGMA user_version").fetchone()
    return int(taken) > len(MIGRATIONS)


def _set_journal_mode(connection: sqlite3.Connection, path: Path) -> None:
    """Bring a file into write-ahead mode, or into that which its file system can bear."""
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    if mode == "memory":
        return
    wanted = journal_mode(path)
    # Where another process is making the same change, SQLite fails at once, whatever its busy timeout: wait here.
    end = time.monotonic() + WAIT
    while mode.upper() != wanted:
        try:
            (mode,) = connection.execute(f"PRAGMA journal_mode = {wanted}").fetchone()
            break
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            if wanted != "WAL":
                break  # others use it in the mode that it has
            if time.monotonic() > end:
                raise
            time.sleep(0.02)
    if mode != "wal":
        require_locks(connection, path)
