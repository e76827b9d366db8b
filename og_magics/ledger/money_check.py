"""The check of what budgets count against the journal's chain of hashes, before it is believed.

A ledger lies beside its notebook, where it can be edited by hand: a smaller cap, an amount below zero or a row that is
gone would loosen a budget. So the authorizations and settlements are made anew from the journal and compared with the
tables. It costs little: each entry is hashed once, and a process goes on from where it was.

The next process begins where the last one ended, which the wallet's file keeps (`Checkpoint`): a place in the journal,
and a keyed digest of the rows that stood in the tables there. The key is in the wallet's file alone, so who can write
to a ledger and not to that file makes no other rows with the same digest. What came since is undone on the rows as they
stand; if they have the digest then, only what came since is read of the journal. If not, all of it is.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import journal
from .database import Connection
from .journal import GENESIS, Head
from .packing import entries

_RECEIPTS_ONLY = ("opened", "attached", "detached", "served", "failed", "verified")
"""Kinds of entries that are about receipts alone: no budget counts what is in them."""

_COUNTED = ("network", "payer", "cap", "created", "expired")
"""The columns of an authorization that a budget counts by."""
_NAMES = (*_COUNTED, "amount")
"""The same, and that of its settlement."""

_STORED = (
    f"SELECT a.hash, {', '.join(f'a.{name}' for name in _COUNTED)}, s.amount FROM authorizations a "  # noqa: S608 - ours
    "LEFT JOIN settlements s ON s.authorization_hash = a.hash"
)
_NOTHING: Head = (0, GENESIS)
_quoted = json.encoder.encode_basestring_ascii

_UNREADABLE = (KeyError, TypeError, AttributeError, ValueError, RecursionError)

_KEY_BYTES, _DIGEST_BYTES = 32, 64
_MODULUS = 1 << 8 * _DIGEST_BYTES

Rows = dict[str, list[Any]]
"""The values of `_NAMES` by the hash of the authorization."""
_Entry = tuple[Head, str, str]
"""The head with an entry, its kind and its body."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A place in a journal up to which it was checked.

    Attributes:
        head: of the journal there.
        key: 32 bytes, secret. digest: of the rows of authorizations and settlements there, made with it; 64 bytes.
    """

    head: Head
    key: bytes = field(repr=False)
    digest: bytes = field(repr=False)


class Edited(ValueError):
    """Something does not stand there as it was written; the text is a sentence."""


class MoneyCheck:
    """The check of one ledger; it remembers how far it got. Used by one thread at a time, within a transaction.

    Attributes:
        replaced: True where the journal is sound, but another one than it was at the checkpoint: an older copy of the
            file was put back, or it was written anew.
        known: True where the ledger goes on from what the wallet's file knows of it, or was empty at first. Another
            one may be anybody's: unpacked, cloned, or put in its place.
    """

    def __init__(self) -> None:
        self._head = _NOTHING
        self._key = secrets.token_bytes(_KEY_BYTES)
        self._sum: int | None = None
        self._rows: Rows = {}
        self._compared: tuple[Connection, int] | None = None
        self.replaced = self.known = False

    @property
    def checkpoint(self) -> Checkpoint:
        """The place up to which all was found as it was written."""
        if self._sum is None:
            self._sum = _sum_of(self._key, self._rows.items())
        return Checkpoint(self._head, self._key, self._sum.to_bytes(_DIGEST_BYTES, "big"))

    def require(self, connection: Connection, recall: Callable[[], Checkpoint | None]) -> None:
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
        self._head, self._sum, self._rows, self._compared = _NOTHING, None, {}, None

    def _require(self, connection: Connection, recall: Callable[[], Checkpoint | None]) -> None:
        journal.head(connection)  # the transaction sees one state of the file from here on
        version = int(connection.execute("PRAGMA data_version").fetchone()[0])
        if not journal.contains_head(connection, self._head):
            self._begin()
            self.replaced, self.known = True, False
        stored = None
        if self._head == _NOTHING:
            earlier = recall()
            if self._compared is None:
                self.known = not self.replaced and (earlier is not None or journal.head(connection) == _NOTHING)
            if earlier is not None and journal.contains_head(connection, earlier.head):
                stored = _stored(connection)
                self._go_on_from(earlier, stored, list(_new_entries(connection, earlier.head)))
            elif earlier is not None:
                self.replaced, self.known = True, False
        for head, kind, body in _new_entries(connection, self._head):
            self._apply(kind, body)
            self._head = head
        if self._compared is None or self._compared[0] is not connection or self._compared[1] != version:
            _require_no_code(connection)
            self._compare(_stored(connection) if stored is None else stored)
            self._compared = connection, version

    def _go_on_from(self, earlier: Checkpoint, stored: Rows, since: Sequence[_Entry]) -> None:
        """Take all up to a checkpoint as checked, if the rows are those that stood there and what came since.

        Args:
            stored: the rows as they stand. since: the entries behind the checkpoint.
        """
        rows = _undone(stored, [body for _, kind, body in since if kind not in _RECEIPTS_ONLY])
        if rows is not None and _sum_of(earlier.key, rows.items()) == int.from_bytes(earlier.digest, "big"):
            self._head, self._key, self._rows = earlier.head, earlier.key, rows
            self._sum = int.from_bytes(earlier.digest, "big")

    def _apply(self, kind: str, body: str) -> None:
        if kind in _RECEIPTS_ONLY:
            return
        entry = json.loads(body)
        changes = entry["set"]
        if "authorizations" in changes:
            self._change(entry["authorization"], changes["authorizations"], _COUNTED)
        if "settlements" in changes:
            self._change(entry["authorization"], changes["settlements"] or {"amount": None}, ("amount",))

    def _change(self, hash: str, values: Any, names: tuple[str, ...]) -> None:
        before = self._rows.pop(hash, None)
        after = None
        if values is not None:
            after = list(before or [None] * len(_NAMES))
            for place, name in enumerate(_NAMES):
                if name in names and name in values:
                    after[place] = values[name]
            self._rows[hash] = after
        if self._sum is not None:
            for row, sign in ((before, -1), (after, 1)):
                self._sum += 0 if row is None else sign * _sum_of(self._key, [(hash, row)])
            self._sum %= _MODULUS

    def _compare(self, stored: Rows) -> None:
        if stored == self._rows:
            return
        for hash, values in stored.items():
            written = self._rows.get(hash)
            if written is None:
                raise Edited(f"Authorization {_short(hash)} was not written by og_magics.")
            wrong = [name for name, is_, was in zip(_NAMES, values, written, strict=True) if is_ != was]
            if wrong:
                raise Edited(f"Authorization {_short(hash)} is not as it was written: {', '.join(wrong)}.")
        raise Edited("An authorization was removed.")


def _new_entries(connection: Connection, head: Head) -> Iterator[_Entry]:
    """List the entries behind a head, each as it was written and behind the one before it."""
    for entry in entries(connection, "seq > ?", (head[0],)):
        seq, time, kind, body, previous, hash = entry.values()
        if seq != head[0] + 1 or previous != head[1]:
            raise Edited(f"Entry {seq} of its journal does not follow the one before it.")
        # The same text as `journal.entry_hash` makes, in a third of the time.
        text = f'{previous}[{seq},{time!r},"{kind}",{_quoted(body)}]'
        if (
            hashlib.sha256(text.encode()).hexdigest() != hash
            and journal.entry_hash(previous, seq, time, kind, body) != hash
        ):
            raise Edited(f"Entry {seq} of its journal is not as it was written.")
        head = seq, hash
        yield head, kind, body


def _sum_of(key: bytes, rows: Iterable[tuple[str, Sequence[Any]]]) -> int:
    """Return the sum of the rows' keyed hashes: the same in any order, and a row more or less is one hash."""
    hashed, number, size = hashlib.blake2b, int.from_bytes, _DIGEST_BYTES
    texts = (repr(row).encode("utf-8", "surrogatepass") for row in rows)
    return sum(number(hashed(text, key=key, digest_size=size).digest(), "big") for text in texts) % _MODULUS


def _stored(connection: Connection) -> Rows:
    """Return the rows as the tables have them."""
    cursor = connection.cursor()
    cursor.row_factory = None
    found = cursor.execute(_STORED).fetchall()
    rows = {hash: values for hash, *values in found}
    if len(rows) != len(found):
        raise Edited("An authorization, or its settlement, stands there twice.")
    return rows


def _require_no_code(connection: Connection) -> None:
    strange = connection.execute("SELECT name FROM sqlite_master WHERE type IN ('trigger', 'view')").fetchone()
    if strange is not None:
        raise Edited("The file has a trigger or a view that og_magics did not make.")


def _undone(rows: Rows, bodies: Sequence[str]) -> Rows | None:
    """Return the rows as they stood before these entries about money.

    None where that does not follow from the entries, or where the rows are not as the entries say.
    """
    rows = dict(rows)
    for entry in map(json.loads, reversed(bodies)):
        changes = entry["set"]
        settled, authorized = changes.get("settlements", {}), changes.get("authorizations", {})
        if settled == authorized == {}:
            continue
        held = rows.pop(entry["authorization"], None)
        if held is None or settled is None or authorized is None:
            return None  # what was removed stands further up
        row = dict(zip(_NAMES, held, strict=True))
        if any(row[name] != values[name] for values in (settled, authorized) for name in _NAMES if name in values):
            return None
        if "amount" in settled:
            if "authorization_hash" not in settled:
                return None  # it replaced another one
            row["amount"] = None
        if "hash" not in authorized:  # else the whole row was written: there was none before
            row["expired"] = 1 - row["expired"] if "expired" in authorized else row["expired"]
            rows[entry["authorization"]] = list(row.values())
        elif row["amount"] is not None:
            return None
    return rows


def _short(hash: object) -> str:
    return ascii(str(hash)[:12])[1:-1]
