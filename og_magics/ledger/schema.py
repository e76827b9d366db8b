"""The tables, the steps that lead to them, and how their rows become values."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from .. import amounts
from ..errors import LedgerError
from ..receipt import Receipt
from ..types import Authorization, Outcome, Settlement

APPLICATION_ID = 0x6F677263
"""Marks the file as ours ("ogrc"), so that a wrong path never adds tables to a stranger's database."""

WAIT = 10.0
"""Seconds to wait for another process that is writing."""

# Amounts, nonces and weights are decimal TEXT: an SQLite INTEGER ends at 63 bits.
# What follows from other rows (status, payment hash, cost, payer, cap) is not stored in a receipt.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
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
)
"""Each step is a list of statements; a file that took the first n of them has `PRAGMA user_version` n."""

RECEIPTS = """SELECT r.*, a.payer, a.pay_to, a.cap, a.expired, s.payment_hash, s.amount FROM receipts r
    LEFT JOIN authorizations a ON a.hash = r.authorization_hash
    LEFT JOIN settlements s ON s.authorization_hash = r.authorization_hash"""
"""Rows that `receipt_of` reads."""


def prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Bring a file (a new one, too) to the last step, in write-ahead mode.

    Raises:
        LedgerError: a database of something else, or of a newer og_magics; it is left as it was.
    """
    connection.execute("BEGIN")  # one snapshot: another process may be creating the tables just now
    version = _version(connection, path)
    connection.execute("COMMIT")
    _write_ahead_mode(connection)
    if version == len(MIGRATIONS):
        return
    connection.execute("BEGIN IMMEDIATE")
    for statements in MIGRATIONS[_version(connection, path) :]:  # asked again: another process may have been first
        for statement in statements:
            connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    connection.execute("COMMIT")


def _version(connection: sqlite3.Connection, path: Path) -> int:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if tables and application != APPLICATION_ID:
        raise LedgerError(
            f"{path} is a database of another program.",
            money="Nothing was written to it and nothing was paid.",
            remedy="Set OG_LEDGER to a path of its own.",
        )
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > len(MIGRATIONS):
        raise LedgerError(
            f"{path} was written by a newer og_magics (form {version}; this one knows up to {len(MIGRATIONS)}).",
            money="Its receipts are kept as they are, and nothing was paid.",
            remedy="Upgrade with `pip install -U og_magics`, or set OG_LEDGER to another path.",
        )
    return version


def _write_ahead_mode(connection: sqlite3.Connection) -> None:
    # Where another process is making the same change, SQLite fails at once, whatever its busy timeout: wait here.
    end = time.monotonic() + WAIT
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(0.02)
        else:
            return


def canonical(value: Any) -> str:
    """JSON text that is the same for equal values; ASCII, so that any string survives exactly."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def storable(value: Any) -> Any:
    """A text that UTF-8 can hold: halves of a character that came in two pieces are joined, lone ones replaced."""
    if not isinstance(value, str):
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return value


_AUTHORIZATION = tuple(f.name for f in fields(Authorization))
_SETTLEMENT = tuple(f.name for f in fields(Settlement))
_RECEIPT = tuple(f.name for f in fields(Receipt))
_DERIVED = {"status", "cost", "cap", "replayed", "request", "tool_calls", "enclave_ok"}
_PLAIN = tuple(name for name in _RECEIPT if name not in _DERIVED)


def authorization_row(authorization: Authorization) -> dict[str, Any]:
    """Columns of an authorization."""
    row = {name: getattr(authorization, name) for name in _AUTHORIZATION}
    return row | {"cap": str(authorization.cap), "nonce": str(authorization.nonce)}


def authorization_of(row: sqlite3.Row) -> Authorization:
    """The authorization of its row."""
    values = {name: row[name] for name in _AUTHORIZATION}
    return Authorization(**values | {"cap": int(row["cap"]), "nonce": int(row["nonce"])})


def settlement_row(settlement: Settlement) -> dict[str, Any]:
    """Columns of a settlement."""
    return {name: getattr(settlement, name) for name in _SETTLEMENT} | {"amount": str(settlement.amount)}


def settlement_of(row: sqlite3.Row) -> Settlement:
    """The settlement of its row."""
    return Settlement(**{name: row[name] for name in _SETTLEMENT} | {"amount": int(row["amount"])})


def outcome_row(outcome: Outcome) -> dict[str, Any]:
    """Columns of a receipt that an answer fills."""
    return {
        "text": outcome.text,
        "tool_calls": canonical(outcome.tool_calls),
        "finish_reason": outcome.finish_reason,
        "prompt_tokens": outcome.prompt_tokens,
        "completion_tokens": outcome.completion_tokens,
        "latency_s": outcome.latency,
        "ttft_s": outcome.ttft,
        "public_key": outcome.enclave.public_key.hex(),
        "tee_id": outcome.tee_id,
        "tee_signature": outcome.tee_signature,
        "tee_timestamp": outcome.tee_timestamp,
        "request_hash": outcome.tee_request_hash,
        "output_hash": outcome.tee_output_hash,
        "data_settlement_hash": outcome.data_settlement_hash,
        "blob_id": outcome.blob_id,
    }


def receipt_of(row: sqlite3.Row, shares: Mapping[str, int]) -> Receipt:
    """The receipt of a row of `RECEIPTS`; `shares` holds its part of the settlement by its id, if there is one."""
    values = {name: row[name] for name in _PLAIN}
    return Receipt(
        **values,
        status=status_of(row),
        cost=shares.get(row["receipt_id"]),
        cap=None if row["cap"] is None else int(row["cap"]),
        request=json.loads(row["request"]),
        tool_calls=tuple(json.loads(row["tool_calls"])),
        enclave_ok=None if row["enclave_ok"] is None else bool(row["enclave_ok"]),
    )


def shares_of(amount: int, rows: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Each receipt's part of an amount by its id; the parts add up to it. `rows`: (receipt_id, weight), in order."""
    parts = amounts.split(amount, [int(weight) for _, weight in rows])
    return dict(zip((receipt_id for receipt_id, _ in rows), parts, strict=True))


def all_shares(rows: Iterable[sqlite3.Row]) -> dict[str, int]:
    """`shares_of` for all settled authorizations among rows of `RECEIPTS`, which are in order and complete."""
    groups: dict[str, list[tuple[str, str]]] = {}
    settled: dict[str, int] = {}
    for row in rows:
        if row["amount"] is not None:
            groups.setdefault(row["authorization_hash"], []).append((row["receipt_id"], row["weight"]))
            settled[row["authorization_hash"]] = int(row["amount"])
    shares: dict[str, int] = {}
    for authorization_hash, members in groups.items():
        shares |= shares_of(settled[authorization_hash], members)
    return shares


def status_of(row: sqlite3.Row) -> str:
    """The status that a row of `RECEIPTS` amounts to."""
    ended, paid = row["ended"], row["payment_hash"]
    if ended == "failed":
        return "failed"
    if paid is not None and ended == "served":
        # The hash that was checked is kept, not a flag: another settlement in its place has to be checked anew.
        return "verified" if row["verified_hash"] == paid else "settled"
    if paid is None and row["expired"]:
        return "expired"
    if ended == "served":
        return "served"
    return "unpaid" if row["authorization_hash"] is None else "authorized"
