"""The check of what budgets count against the journal's chain of hashes, before it is believed.

A ledger lies beside its notebook, where it can be edited by hand: a smaller cap, an amount below zero or a row that is
gone would loosen a budget. So the authorizations and settlements are made anew from the journal and compared with the
tables. It costs little: each entry is hashed once. A process goes on from where it was; the next one begins where the
last one ended, which the wallet's file keeps (`Checkpoint`), and reads of the entries before only those about money.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from . import journal
from .journal import GENESIS, Head

_RECEIPTS_ONLY = ("opened", "attached", "detached", "served", "failed", "verified")
"""Kinds of entries that are about receipts alone: no budget counts what is in them."""

_COUNTED = ("network", "payer", "cap", "created", "expired")
"""The columns of an authorization that a budget counts by."""

_NEW = "SELECT seq, time, kind, body, previous, hash FROM journal WHERE seq > ? ORDER BY seq"
_NOTHING: Head = (0, GENESIS)
_quoted = json.encoder.encode_basestring_ascii

_UNREADABLE = (KeyError, TypeError, AttributeError, ValueError, RecursionError)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A place in a journal up to which it was checked.

    Attributes:
        head: of the journal there.
        money: digest of all entries about money up to there.
    """

    head: Head
    money: str


class Edited(ValueError):
    """Something does not stand there as it was written; the text is a sentence."""


class MoneyCheck:
    """The check of one ledger; it remembers how far it got. Used by one thread at a time, within a transaction.

    Attributes:
        replaced: True where the journal is sound, but another one than it was at the checkpoint: an older copy of the
            file was put back, or it was written anew.
    """

    def __init__(self) -> None:
        self._head = _NOTHING
        self._money = hashlib.sha256()
        self._rows: dict[str, dict[str, Any]] = {}
        self._compared: tuple[sqlite3.Connection, int] | None = None
        self.replaced = False

    @property
    def checkpoint(self) -> Checkpoint:
        """The place up to which all was found as it was written."""
        return Checkpoint(self._head, self._money.hexdigest())

    def require(self, connection: sqlite3.Connection, recall: Callable[[], Checkpoint | None]) -> None:
        """Check what came since the last time; the tables only where another process wrote to the file.

        Args:
            recall: returns where an earlier process ended. Asked where this one begins.

        Raises:
            Edited: something was changed by hand. The next check begins anew.
        """
        try:
            self._require(connection, recall)
        except BaseException as error:
            self._begin()
            if isinstance(error, Edited) or not isinstance(error, _UNREADABLE):
                raise
            raise Edited("An entry of its journal cannot be read.") from None

    def _begin(self) -> None:
        self._head, self._money, self._rows, self._compared = _NOTHING, hashlib.sha256(), {}, None

    def _require(self, connection: sqlite3.Connection, recall: Callable[[], Checkpoint | None]) -> None:
        journal.head(connection)  # the transaction sees one state of the file from here on
        version = int(connection.execute("PRAGMA data_version").fetchone()[0])
        if not journal.contains_head(connection, self._head):
            self._begin()
            self.replaced = True
        if self._head == _NOTHING and (earlier := recall()) is not None:
            self._go_on_from(connection, earlier)
        for seq, previous, hash, kind, body in self._new_entries(connection):
            if seq != self._head[0] + 1 or previous != self._head[1]:
                raise Edited(f"Entry {seq} of its journal does not follow the one before it.")
            self._apply(kind, body, hash)
            self._head = seq, hash
        if self._compared is None or self._compared[0] is not connection or self._compared[1] != version:
            self._compare(connection)
            self._compared = connection, version

    def _go_on_from(self, connection: sqlite3.Connection, earlier: Checkpoint) -> None:
        """Take the entries up to a checkpoint as checked, if those about money are the same as then."""
        if not journal.contains_head(connection, earlier.head):
            self.replaced = True
            return
        kinds = ", ".join(f"'{kind}'" for kind in _RECEIPTS_ONLY)
        about_money = f"SELECT kind, body, hash FROM journal WHERE seq <= ? AND kind NOT IN ({kinds}) ORDER BY seq"  # noqa: S608 - our own
        cursor = connection.cursor()
        cursor.row_factory = None
        for kind, body, hash in cursor.execute(about_money, (earlier.head[0],)):
            self._apply(kind, body, hash)
        if self._money.hexdigest() == earlier.money:
            self._head = earlier.head
        else:
            self._begin()
            self.replaced = True

    def _new_entries(self, connection: sqlite3.Connection) -> Iterator[tuple[int, str, str, str, str]]:
        """List the entries that were not checked yet, each with its own hash as it should be.

        Shape: (seq, previous, hash, kind, body).
        """
        cursor = connection.cursor()
        cursor.row_factory = None
        for seq, time, kind, body, previous, hash in cursor.execute(_NEW, (self._head[0],)):
            # The same text as `journal.entry_hash` makes, in a third of the time.
            text = f'{previous}[{seq},{time!r},"{kind}",{_quoted(body)}]'
            if (
                hashlib.sha256(text.encode()).hexdigest() != hash
                and journal.entry_hash(previous, seq, time, kind, body) != hash
            ):
                raise Edited(f"Entry {seq} of its journal is not as it was written.")
            yield seq, previous, hash, kind, body

    def _apply(self, kind: str, body: str, hash: str) -> None:
        if kind in _RECEIPTS_ONLY:
            return
        self._money.update(f"{hash} {body}\n".encode())
        entry = json.loads(body)
        changes = entry["set"]
        if "authorizations" in changes:
            self._change(entry["authorization"], changes["authorizations"], _COUNTED)
        if "settlements" in changes:
            self._change(entry["authorization"], changes["settlements"] or {"amount": None}, ("amount",))

    def _change(self, hash: str, values: Any, names: tuple[str, ...]) -> None:
        if values is None:
            self._rows.pop(hash, None)
            return
        row = self._rows.setdefault(hash, {})
        row.update((name, values[name]) for name in names if name in values)

    def _compare(self, connection: sqlite3.Connection) -> None:
        strange = connection.execute("SELECT name FROM sqlite_master WHERE type IN ('trigger', 'view')").fetchone()
        if strange is not None:
            raise Edited("The file has a trigger or a view that og_magics did not make.")
        cursor = connection.cursor()
        cursor.row_factory = None
        names = (*_COUNTED, "amount")
        columns = ", ".join(f"a.{name}" for name in _COUNTED)
        found = 0
        for hash, *values in cursor.execute(
            f"SELECT a.hash, {columns}, s.amount FROM authorizations a "  # noqa: S608 - our own names
            "LEFT JOIN settlements s ON s.authorization_hash = a.hash"
        ):
            written = self._rows.get(hash)
            if written is None:
                raise Edited(f"Authorization {_short(hash)} was not written by og_magics.")
            if values != [written.get(name) for name in names]:
                wrong = [name for name, value in zip(names, values, strict=True) if value != written.get(name)]
                raise Edited(f"Authorization {_short(hash)} is not as it was written: {', '.join(wrong)}.")
            found += 1
        if found != len(self._rows):
            raise Edited("An authorization was removed.")


def _short(hash: object) -> str:
    return ascii(str(hash)[:12])[1:-1]
