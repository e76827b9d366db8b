"""The ledger as it grows: a receipt more, the frame of all, the audit."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import pandas as pd

import og_magics as og
from og_magics.core.receipt_columns import RECEIPT_COLUMNS
from og_magics.ledger import FrameCache, Ledger, receipts_frame
from og_magics.ledger.packing import entries

from .loading import run
from .report import Row, in_turn, median_ms
from .samples import Sample

_SESSION = 100  # receipts that share an authorization
_APPENDED = 500  # the last ones, which are timed
_PLAIN = dict.fromkeys(
    [name for name, column in RECEIPT_COLUMNS.items() if column.kind in ("amount", "time")], str
)  # as SQLite can hold them
_GOALS = {100_000: (500.0, 10.0)}
"""Milliseconds, by the size of a ledger: for the first frame, and for one more row."""
_NAIVE = "import sqlite3, pandas\npandas.read_sql('SELECT * FROM receipts', sqlite3.connect({path!r}))\n"
_OURS = "import og_magics as og\nog.receipts({path!r})\n"


def measure(
    samples: Sequence[Sample], folder: str, environment: Mapping[str, str], *, size: int, rounds: int
) -> list[Row]:
    """Rows on a ledger of so many receipts."""
    notebook = Path(folder) / f"{size}.ipynb"
    path = notebook.with_name(".og") / f"{size}.db"
    plain = Path(folder) / f"{size}-plain.db"
    with Ledger(path) as ledger, contextlib.closing(_open_plain(plain)) as bare:
        ours, inserts = _filled(ledger, bare, samples, size)
        receipts_frame(ledger.receipts()).astype(_PLAIN).to_sql("receipts", bare, index=False)
        full, naive = in_turn(
            rounds, lambda: og.receipts(notebook), lambda: pd.read_sql("SELECT * FROM receipts", bare)
        )
        (objects,) = in_turn(1, lambda: receipts_frame(ledger.receipts()))
        more = _one_more(ledger, samples[0], size, rounds=rounds)
        audits, hashed = in_turn(rounds, lambda: _audit(ledger), lambda: _hash_alone(path))
    programs = (_OURS.format(path=str(notebook)), _NAIVE.format(path=str(plain)))
    fresh, fresh_naive = in_turn(rounds, *(partial(run, sys.executable, one, folder, environment) for one in programs))
    count = f"{size:,}"
    thousands = size / 1000
    first, kept = _GOALS.get(size, (None, None))
    return [
        Row(f"one more receipt after {count}", median_ms(ours), "ms", median_ms(inserts), "one bare insert"),
        Row(f"og.receipts() of {count}", median_ms(full), "ms", median_ms(naive), "pandas.read_sql", value_goal=first),
        Row(f"the same, of {count}, in a fresh process", median_ms(fresh), "ms", median_ms(fresh_naive), "read_sql"),
        Row(f"the same, by an object a row, of {count}", median_ms(objects), "ms", median_ms(naive), "pandas.read_sql"),
        Row(
            f"the kept frame of {count} and one more",
            median_ms(more),
            "ms",
            median_ms(full),
            "the full frame",
            value_goal=kept,
        ),
        Row(
            f"audit of {count}, per 1,000",
            median_ms(audits) / thousands,
            "ms",
            median_ms(hashed) / thousands,
            "SHA-256 alone",
        ),
    ]


def _filled(
    ledger: Ledger, bare: sqlite3.Connection, samples: Sequence[Sample], size: int
) -> tuple[list[float], list[float]]:
    """Fill the ledger; seconds of each of the last appends, and of one insert of the same receipt as JSON."""
    forms = [json.dumps(sample.receipt.to_json()) for sample in samples]
    ours, inserts = [], []
    start = time.time() - size
    payer = ""
    for number in range(size):
        which = number % len(samples)
        sample = samples[which]
        if number % _SESSION == 0:
            if payer:
                sample.settle(ledger, payer)
            payer = sample.authorize(ledger, number)
        began = time.perf_counter()
        receipt_id = sample.enter(ledger, payer, start + number)
        ended = time.perf_counter()
        if number >= size - _APPENDED:
            ours.append(ended - began)
            began = time.perf_counter()
            bare.execute("INSERT INTO forms VALUES (?, ?)", (receipt_id, forms[which]))
            inserts.append(time.perf_counter() - began)
    samples[0].settle(ledger, payer)
    return ours, inserts


def _one_more(ledger: Ledger, sample: Sample, size: int, *, rounds: int) -> list[float]:
    """Seconds until a frame that is kept has a receipt that was just written."""
    cache = FrameCache(ledger)
    cache.current()
    payer = sample.authorize(ledger, size)
    times = []
    for number in range(5 * rounds):
        sample.enter(ledger, payer, time.time() + number)
        began = time.perf_counter()
        frame = cache.current()
        times.append(time.perf_counter() - began)
        if len(frame) != size + number + 1:
            raise RuntimeError("the frame has not the new receipt")
    return times


def _open_plain(path: Path) -> sqlite3.Connection:
    """A database without any of ours, whose transactions are as durable as those of a receipt."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("CREATE TABLE forms (receipt_id TEXT PRIMARY KEY, form TEXT NOT NULL)")
    return connection


def _hash_alone(path: Path) -> None:
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for entry in entries(connection):
            hashlib.sha256(entry["body"].encode()).hexdigest()


def _audit(ledger: Ledger) -> None:
    if not ledger.audit().ok:
        raise RuntimeError("the ledger is not as it was written")
