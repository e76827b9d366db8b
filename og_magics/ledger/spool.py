"""Answers that a ledger could not take in when they ended: each in a small file beside it, until it can.

An entry is its ledger's, by the id that a ledger has from its beginning: one that was renamed or moved takes its own
in, and another one of the old name does not. Where a kernel goes on with a new ledger, since the old one was deleted
under it, it takes in what it kept itself: an entry holds all that its receipt is made of.

It is taken in by its receipt's id, in one transaction, and its file is removed after that: a kill between the two
leaves the file, and the next time finds that nothing is missing. What was not written here either is kept in memory.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..core.environment import state_folder
from ..core.errors import LedgerError
from ..core.untrusted_json import read_json
from . import attestations, journal
from .database import Connection, Row
from .owner_key import mark_holds, mark_of
from .ownership import images_mark, mark_answer
from .packing import entries
from .private_file import read_private, require_own, write_private
from .rows import canonical, dict_of
from .transactions import busy_timeout, transaction

END, RECORDING = "end", "recording"
"""Kinds of entries: how an answer ended; how it came, and its pictures."""

OPENED = frozenset((
    "receipt_id", "time", "cell", "notebook", "network", "provider", "model", "settlement", "path", "request", "turn",
    "notebook_id", "paid_for",
))  # fmt: skip
"""Columns of a receipt that stand in it from its question on."""
ENDED = frozenset((
    "ended", "error", "weight", "cost_usd", "enclave_ok", "enclave_form", "enclave_reason", "text", "tool_calls",
    "finish_reason", "prompt_tokens", "completion_tokens", "latency_s", "ttft_s", "public_key", "tee_id",
    "tee_signature", "tee_timestamp", "request_hash", "output_hash", "data_settlement_hash", "blob_id",
    "reported_cost", "gateway_notes", "attestation_hash", "paid_by",
))  # fmt: skip
"""Columns that its end fills in."""
SIGNED = frozenset((
    "hash", "scheme", "network", "payer", "pay_to", "token", "cap", "nonce", "deadline", "gateway", "path", "created",
    "spender", "facilitator", "reason",
))  # fmt: skip
"""Columns of the authorization that pays for it."""

_VERSION = 1
_LARGEST = 256 << 20
"""Bytes of one entry: an answer with its pictures."""
_MOST = 10_000
"""Entries that are looked at."""
_LONGEST_NAME = 100
_NAME = re.compile(r".*-spool\.([0-9a-f]{32})\.([0-9a-f]{32})\.(end|recording)", re.DOTALL)
"""Of a file: the name that the ledger had, its id, the receipt's id, the kind."""

Entry = dict[str, Any]


class Spool:
    """The entries of one ledger that were not taken in yet.

    Attributes:
        ledger_id: of the ledger that was opened last; "" before that.
        looked: the files of other processes were looked at, since the ledger was opened.
    """

    def __init__(self, ledger_id: str = "") -> None:
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, str], Entry] = {}
        self._paths: dict[tuple[str, str], Path] = {}
        self.ledger_id = ledger_id
        self.looked = True

    def begin(self, ledger_id: str) -> None:
        """Note which ledger was opened: what others left for it is looked for with the next transaction."""
        self.ledger_id, self.looked = ledger_id, False

    def __bool__(self) -> bool:
        return bool(self._kept) or not self.looked

    def find(self, receipt_id: str, kind: str = END) -> Entry | None:
        """Return an entry of this process that waits, or None."""
        return self._kept.get((receipt_id, kind))

    def keep(self, ledger: Path, entry: Entry) -> Path | None:
        """Keep an entry, in a file beside the ledger or else in the state directory; return the file.

        None: neither could be written, and it is in memory alone.
        """
        entry = {"version": _VERSION, "ledger": self.ledger_id, **entry}
        entry["mark"] = mark_of("entry", _marked(entry))
        key = entry["receipt_id"], entry["kind"]
        with self._lock:
            self._kept[key] = entry
        content = json.dumps(entry).encode()
        for folder in _folders(ledger):
            with contextlib.suppress(OSError, LedgerError):
                if folder == ledger.parent:
                    require_own(ledger)
                else:
                    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                path = folder / f"{ledger.name[:_LONGEST_NAME]}-spool.{self.ledger_id}.{'.'.join(key)}"
                write_private(path, content)
                self._paths[key] = path
                return path
        return None

    def forget(self, entry: Entry) -> None:
        """Note that an entry was taken in."""
        with self._lock:
            self._kept.pop((entry["receipt_id"], entry["kind"]), None)
            self._paths.pop((entry["receipt_id"], entry["kind"]), None)

    def take_in(self, connection: Connection, ledger: Path) -> None:
        """Write what waits into its ledger, where that can be done at once."""
        with contextlib.suppress(sqlite3.Error, OSError), busy_timeout(connection, 0.0):
            for entry, files in self.waiting(ledger):
                connection.execute("BEGIN IMMEDIATE")
                try:
                    with transaction(connection):
                        enter(connection, entry)
                except (ValueError, LookupError, TypeError, OverflowError, sqlite3.IntegrityError):
                    continue  # it is no entry: its file is left where it is
                self.forget(entry)
                for file in files:
                    with contextlib.suppress(OSError):
                        file.unlink()
            self.looked = True

    def waiting(self, ledger: Path) -> Iterator[tuple[Entry, list[Path]]]:
        """Yield the entries to take in, each with its files: those of this process, and those of others in files.

        What is no entry is left where it is.
        """
        files: dict[tuple[str, str], list[Path]] = {}
        for path in _files(ledger):
            name = _NAME.fullmatch(path.name)
            if name is not None and name[1] == self.ledger_id:
                files.setdefault((name[2], name[3]), []).append(path)
        with self._lock:
            own, written = dict(self._kept), dict(self._paths)
        for key in sorted({*files, *own}):
            paths = list(dict.fromkeys([*files.get(key, []), *([written[key]] if key in written else [])]))
            entry = own.get(key) or next(filter(None, (_read(path, key, self.ledger_id) for path in paths)), None)
            if entry is not None:
                yield entry, paths


def enter(connection: Connection, entry: Mapping[str, Any]) -> None:
    """Take an entry in, within a write transaction. What the ledger has already stays; a second time changes nothing.

    Raises:
        ValueError, LookupError, TypeError: it is no entry.
        sqlite3.Error: the ledger cannot be written.
    """
    own = mark_holds(entry.get("mark"), "entry", _marked(entry))
    if entry["kind"] == RECORDING:
        stream, images = entry["stream"], entry["images"]
        mark = images_mark(str(entry["receipt_id"]), images) if own else None
        connection.execute(
            "UPDATE recordings SET stream = ?, images = ?, images_mark = ? "
            "WHERE receipt_id = ? AND stream IS NULL AND images IS NULL",
            (None if stream is None else base64.b64decode(stream), images, mark, entry["receipt_id"]),
        )
        return
    receipt_id, signed = str(entry["receipt_id"]), entry["authorization"]
    document = base64.b64decode(entry.get("attestation") or "")
    opened, ended = _only(OPENED, entry["opened"]), _only(ENDED, entry["ended"])
    if opened.get("receipt_id") != receipt_id or ended.get("ended") not in ("served", "failed"):
        raise ValueError("not an entry")
    ended["weight"] = str(max(int(ended["weight"]), 0))
    hash = None if signed is None else str(_only(SIGNED, signed)["hash"])
    if signed is not None and journal.row(connection, "authorizations", str(hash)) is None:
        journal.write(connection, "authorized", {"authorizations": _only(SIGNED, signed)}, authorization=hash)
    row = journal.row(connection, "receipts", receipt_id)
    if row is None:
        journal.write(connection, "opened", {"receipts": opened}, receipt=receipt_id)
        row = journal.row(connection, "receipts", receipt_id)
    if row is None or row["ended"] is not None:
        return
    if hash is not None and row["authorization_hash"] is None:
        pays = {"authorization_hash": hash, "session_id": entry["session_id"]}
        journal.write(connection, "attached", {"receipts": pays}, receipt=receipt_id, authorization=hash)
        row = journal.row(connection, "receipts", receipt_id)
    attestations.keep(connection, document)
    if row is not None:
        end(connection, row, ended, session_id=entry["session_id"], at=float(entry["at"]), own=own)


def end(
    connection: Connection,
    row: Row,
    ended: Mapping[str, Any],
    *,
    session_id: str | None = None,
    at: float | None = None,
    own: bool = True,
) -> None:
    """Write how an answer ended, within a write transaction; the first end stands.

    Args:
        row: the receipt, as it was read in this transaction.
        ended: columns, with `ended` and `weight`.
        session_id: the salted hash of its payment session, where it could not be written when it came.
        at: unix seconds at which it ended, where that is longer ago.
        own: this user's machine got the answer.
    """
    if row["ended"] is not None:
        return
    hash, values = row["authorization_hash"], dict(ended)
    if hash and journal.row(connection, "settlements", hash) and not _was_settled_after(connection, hash, at):
        values["weight"] = "0"  # its session was settled before it ended, without its cost
    if hash and session_id is not None and row["session_id"] is None:
        values["session_id"] = session_id
    journal.write(
        connection, str(ended["ended"]), {"receipts": values}, receipt=row["receipt_id"], authorization=hash,
        held={"receipts": row},
    )  # fmt: skip
    if own and ended["ended"] == "served":
        mark_answer(connection, {**dict_of(row), **values})


def _was_settled_after(connection: Connection, hash: str, at: float | None) -> bool:
    """Return True where the first settlement of an authorization was noted after this time."""
    if at is None:
        return False
    settled = entries(connection, "kind = 'settled'")
    return next((one["time"] > at for one in settled if json.loads(one["body"]).get("authorization") == hash), False)


def _marked(entry: Mapping[str, Any]) -> list[str]:
    return [canonical({name: value for name, value in entry.items() if name != "mark"})]


def _only(columns: frozenset[str], values: Any) -> dict[str, Any]:
    if not isinstance(values, Mapping) or not columns.issuperset(values):
        raise ValueError("not an entry")
    if any(not isinstance(value, str | int | float | None) for value in values.values()):
        raise ValueError("not an entry")
    return dict(values)


def _folders(ledger: Path) -> list[Path]:
    return [ledger.parent, state_folder() / "spools"]


def _files(ledger: Path) -> Iterator[Path]:
    for folder in _folders(ledger):
        with contextlib.suppress(OSError), os.scandir(folder) as found:
            names = [one.name for one in found if "-spool." in one.name]
            yield from (folder / name for name in sorted(names)[:_MOST])


def _read(path: Path, key: tuple[str, str], ledger_id: str) -> Entry | None:
    try:
        entry = read_json(read_private(path, _LARGEST))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(entry, dict) or entry.get("version") != _VERSION or entry.get("ledger") != ledger_id:
        return None
    return entry if (entry.get("receipt_id"), entry.get("kind")) == key else None
