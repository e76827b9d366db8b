"""The audit: what the journal's entries add up to, held against what the tables hold."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from . import packing
from .alike import misplaced, whole
from .database import Connection
from .journal import GENESIS, KEYS, Head, digest_long_values, entry_hash
from .schema import is_newer

_Table = dict[str, dict[str, Any]]
_Entry = dict[str, Any]


@dataclass(frozen=True, slots=True)
class LedgerAudit:
    """The findings of a ledger's audit.

    Attributes:
        ok: nothing.
        broken: for each receipt that is not as it was written, by its id, the reason. A receipt whose authorization or
            settlement is not as it was written is among them: what was changed is its payment.
        payments: the same for authorizations and their settlements, by the authorization's hash.
        problems: of the journal itself: entries that were changed, removed or moved, by their number.
        head: the hash of its last entry.
        length: how many entries it has.
    """

    ok: bool
    broken: dict[str, str]
    payments: dict[str, str]
    problems: list[str]
    head: str
    length: int

    def only(self, receipt_ids: Collection[str]) -> LedgerAudit:
        """Return the same audit, of these receipts only."""
        return replace(self, broken={key: why for key, why in self.broken.items() if key in receipt_ids})


def audit(connection: Connection, expected_head: Head | None) -> LedgerAudit:
    """Audit within a read transaction. It changes the connection's text factory: a connection of its own is needed."""
    # A byte changed by hand may be no UTF-8: it is to be found, not to end the audit.
    connection.text_factory = partial(str, encoding="utf-8", errors="surrogateescape")
    entries = list(packing.entries(connection))
    length, head = (entries[-1]["seq"], entries[-1]["hash"]) if entries else (0, GENESIS)
    replay = _Replay(newer=is_newer(connection))
    problems = _check_chain(entries, replay)
    # A trigger would change what we write before the journal reads it back.
    strange = "SELECT type, name FROM sqlite_master WHERE type IN ('trigger', 'view') ORDER BY name"
    problems += [
        f"The file has a {type} {name!r} that og_magics did not make." for type, name in connection.execute(strange)
    ]
    if expected_head is not None and (problem := _head_mismatch(entries, expected_head)):
        problems.append(problem)
    payments: dict[str, str] = {}
    for table in ("settlements", "authorizations"):
        payments |= {key: f"The {table[:-1]} {fault}" for key, fault in replay.faults(connection, table)}
    broken = {
        key: payments[row["authorization_hash"]]
        for key, row in replay.tables["receipts"].items()
        if row.get("authorization_hash") in payments
    }
    broken |= {key: f"It {fault}" for key, fault in replay.faults(connection, "receipts")}
    return LedgerAudit(not (broken or payments or problems), broken, payments, problems, head, length)


class _Replay:
    """The rows that the tables should hold, made from the journal.

    Attributes:
        tables: the rows by their key; columns that are NULL are left out.
        newer: a newer og_magics writes to the file too: entries may be about tables that are not known here.
    """

    def __init__(self, *, newer: bool) -> None:
        self.newer = newer
        self.tables: dict[str, _Table] = {table: {} for table in KEYS}
        self._twice: dict[str, dict[str, str]] = {table: {} for table in KEYS}

    def apply(self, kind: str, body: str) -> None:
        """Apply an entry.

        Raises:
            ValueError, KeyError, TypeError, AttributeError, RecursionError: it is no entry's body.
        """
        entry = json.loads(body)
        for table, values in entry["set"].items():
            if self.newer and table not in self.tables:
                continue
            rows = self.tables[table]
            key = entry["receipt" if table == "receipts" else "authorization"]
            if values is None:
                rows.pop(key, None)
                continue
            # The ledger does neither a second time: by hand, the row was taken away or its end undone.
            if key in rows and kind in ("opened", "authorized", "imported"):
                self._twice[table][key] = "was removed and written again."
            if key in rows and "ended" in rows[key] and kind in ("served", "failed"):
                self._twice[table][key] = "ended a second time."
            changes = values.items()
            row = rows.setdefault(key, {})
            for name, value in changes:
                if value is None:
                    row.pop(name, None)
                else:
                    row[name] = value

    def faults(self, connection: Connection, table: str) -> Iterator[tuple[str, str]]:
        """List the keys of rows that are not as they should be, each with the reason: the end of a sentence."""
        expected = dict(self.tables[table])
        yield from self._twice[table].items()
        if table == "receipts":
            yield from ((key, "names what was written for another receipt.") for key in misplaced(connection))
        found = connection.execute(f"SELECT * FROM {table}")  # noqa: S608 - our own names
        for row in whole(connection, found) if table == "receipts" else found:
            held = digest_long_values(row)
            key = str(row[KEYS[table]])
            written = expected.pop(key, None)
            if written is None:
                yield key, "is not in the journal: it was not written by og_magics."
            elif held != written:
                wrong = [name for name in row.keys() if held.get(name) != written.get(name)]  # noqa: SIM118 - a Row
                yield key, f"is not as it was written: the journal differs in {', '.join(wrong)}."
        for key in expected:
            yield key, "was removed."


def _check_chain(entries: Sequence[_Entry], replay: _Replay) -> list[str]:
    """Replay the entries that are as they were written; the others are named, and count for nothing.

    Each entry is held against its own hash, and against what the next one says that it follows: so an entry that was
    changed, with its hash or without, can be distinguished from its neighbours.
    """
    problems = _Problems()
    intact = [_is_intact(entry) for entry in entries]
    expected = 1
    for index, entry in enumerate(entries):
        seq = entry["seq"]
        if seq > expected:
            problems.add(expected, seq - 1, "missing: removed from the journal")
        following = entries[index + 1] if index + 1 < len(entries) else None
        if seq < expected or not intact[index]:
            problems.add(seq, seq, "not as written: changed, moved or added by hand")
        elif seq == 1 and entry["previous"] != GENESIS:
            problems.add(seq, seq, "not the first that was written: those before it were removed")
        elif (
            following is not None
            and intact[index + 1]
            and following["seq"] == seq + 1
            and following["previous"] != entry["hash"]
        ):
            problems.add(
                seq, seq, "not the one that the next was written after: it, or what is before it, was replaced"
            )
        else:
            try:
                replay.apply(entry["kind"], entry["body"])
            except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
                problems.add(seq, seq, "no entry that og_magics writes")
        expected = max(expected, seq + 1)
    return problems.sentences()


class _Problems:
    """Sentences on entries; neighbours with the same problem share one."""

    def __init__(self) -> None:
        self._ranges: list[tuple[int, int, str]] = []

    def add(self, first: int, last: int, what: str) -> None:
        if self._ranges and self._ranges[-1][1:] == (first - 1, what):
            first = self._ranges.pop()[0]
        self._ranges.append((first, last, what))

    def sentences(self) -> list[str]:
        return [
            f"Entry {first} is {what}." if first == last else f"Entries {first} to {last} are {what}."
            for first, last, what in self._ranges
        ]


def _is_intact(entry: _Entry) -> bool:
    try:
        found = entry_hash(entry["previous"], entry["seq"], entry["time"], entry["kind"], entry["body"])
    except (TypeError, ValueError):  # a blob where text belongs
        return False
    return bool(found == entry["hash"])


def _head_mismatch(entries: Sequence[_Entry], expected: Head) -> str | None:
    length, hash = expected
    if length == 0:
        return None if hash == GENESIS else "The head that was noted is of no journal."
    if not entries or entries[-1]["seq"] < length:
        return f"The journal had {length} entries when its head was noted; the last of them were removed."
    found = next((entry["hash"] for entry in entries if entry["seq"] == length), None)
    return None if found == hash else f"Entry {length} is not the one that was noted: the journal was written anew."
