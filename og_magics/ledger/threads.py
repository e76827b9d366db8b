"""Threads: conversations that go on. They stand in the ledger's file beside the journal.

What was paid is in the receipts, and the journal is about these; a thread is what the user lets a model remember. So it
may be changed and deleted, and nothing of it is in the journal but what its receipts hold.

Every write is one transaction that reads what it builds on: two kernels on one file never lose or mix up turns, and a
process that dies leaves a thread as it was before its turn, or with all of it.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..core.cell_context import CellExecution
from ..core.errors import ConfigError
from ..core.models import nearest
from .database import Connection, Row
from .file import LedgerFile
from .ownership import TURN, own_turns, turn_holds, turn_mark

_PLACES = "id, cell, source, run, number, time, tokens, '[]' AS messages, '[]' AS receipts"
"""Of a turn, what its place follows from."""
_BETWEEN = "\x1f"
"""Between scope and name in the file: no name that a user may give holds it."""


@dataclass(frozen=True, slots=True)
class ThreadSummary:
    """A thread in a list.

    Attributes:
        name: as the user named it.
        turns, tokens: how many, and about how much they hold together.
        created, used: unix seconds.
    """

    name: str
    turns: int
    tokens: int
    created: float
    used: float


@dataclass(frozen=True, slots=True)
class KeptTurn:
    """One turn of a thread: a question, its answer, and what lies between.

    Attributes:
        execution: the run of the cell that asked, with "" for what is not known.
        number: which of the questions that this run asked in this thread, from 0.
        time: unix seconds.
        tokens: about how much it holds.
        messages: in the OpenAI form: the user's, the assistant's with its calls, the tools'.
        receipts: ids of the calls' receipts, oldest first.
        own: this user's machine wrote it; looked at where a thread is gone on with (`ThreadStore.find`).
    """

    execution: CellExecution
    number: int
    time: float
    tokens: int
    messages: tuple[dict[str, Any], ...]
    receipts: tuple[str, ...]
    own: bool = True


def place_of(turns: Sequence[KeptTurn], execution: CellExecution, number: int) -> tuple[int, bool]:
    """Find a turn's place: its index, and True where it replaces the turn that is there.

    A turn that its cell asked before is replaced, in its place. A cell that asks more than it did before puts the
    further turns behind its others. All else goes to the end.
    """
    own = cells_own(turns, execution)
    for index in own:
        if turns[index].number == number:
            return index, True
    before = [index + 1 for index in own if turns[index].number < number]
    after = [index for index in own if turns[index].number > number]
    return (max(before) if before else min(after) if after else len(turns)), False


def cells_own(turns: Sequence[KeptTurn], execution: CellExecution) -> list[int]:
    """Return the indices of the turns that the cell of an execution asked.

    A cell is known by its id. By its text it is known where that cannot tell: it was, or is, run without an id, or with
    one that held only as long as its session.
    """
    known = [i for i, turn in enumerate(turns) if execution.cell and turn.execution.cell == execution.cell]
    return known or [
        i
        for i, turn in enumerate(turns)
        if execution.source
        and turn.execution.source == execution.source
        and (not execution.cell or _scope(turn.execution.cell) != _scope(execution.cell))
    ]


class ThreadStore:
    """The threads of a ledger, for any number of threads and processes.

    Every method raises LedgerError when the file cannot be read or written, and ConfigError where a thread is not
    there, or is there already.

    Args:
        scope: of the threads that are a notebook's own, in a ledger of several. Those that are no notebook's (of a
            terminal, and of earlier releases) can be named too, but a question goes on with its own only.
    """

    def __init__(self, file: LedgerFile, scope: str = "") -> None:
        self._file = file
        self._scope = scope

    def all(self) -> list[ThreadSummary]:
        """Return all threads, the last used first."""
        with self._file.reading() as connection:
            found = connection.execute(
                """SELECT t.name, count(u.id) AS turns, coalesce(sum(u.tokens), 0) AS tokens, t.created, t.used
                FROM threads t LEFT JOIN turns u ON u.thread = t.id GROUP BY t.id ORDER BY t.used DESC, t.rowid DESC"""
            )
            rows = [(*_split(row["name"]), row) for row in found]
        own = {name for scope, name, _ in rows if scope == self._scope}
        return [
            ThreadSummary(**{**dict(row), "name": name})
            for scope, name, row in rows
            if scope == self._scope or (not scope and name not in own)
        ]

    def find(self, name: str) -> tuple[str, list[KeptTurn]]:
        """Return an own thread's id and its turns, oldest first; "" and none where there is no such thread."""
        with self._file.reading() as connection:
            thread = _id(connection, self._own(name))
            if thread is None:
                return "", []
            rows = _rows(connection, thread)
        own = own_turns(self._file, rows)
        return thread, [replace(_turn(row), own=row["id"] in own) for row in rows]

    def turns(self, name: str) -> list[KeptTurn]:
        """Return the turns of a thread, oldest first."""
        with self._file.reading() as connection:
            thread = _id(connection, self._own(name)) or _id(connection, name)
            if thread is not None:
                return [turn for _, turn in _turns(connection, thread)]
        raise _unknown(name, [one.name for one in self.all()])

    def note(self, text: str) -> None:
        """Leave a sentence for the user, which the ledger's `note` returns."""
        self._file.add_note(text)

    def keep(self, name: str, thread: str, turn: KeptTurn) -> None:
        """Put a turn into its place. `thread` is the id that `find` returned: the thread may have another name by now.

        The other turns that an earlier run of the same cell asked after this one go: this run asks them anew.
        """
        with self._file.writing() as connection:
            there = connection.execute("SELECT id FROM threads WHERE id = ?", (thread,)).fetchone()
            own = self._own(name)
            thread = there["id"] if there else _id(connection, own) or _new(connection, own)
            rows = _turns(connection, thread, _PLACES)  # others wait meanwhile: what was said is not read
            turns = [kept for _, kept in rows]
            index, replaces = place_of(turns, turn.execution, turn.number)
            later = [i for i in cells_own(turns, turn.execution) if turns[i].number > turn.number]
            gone = {rows[i][0] for i in later if turns[i].execution.run != turn.execution.run}
            if replaces:
                gone.add(rows[index][0])
            order = [key for key, _ in rows]
            order.insert(index, _add(connection, thread, turn))
            connection.executemany("DELETE FROM turns WHERE id = ?", [(key,) for key in gone])
            _number(connection, thread, [key for key in order if key not in gone])
            connection.execute("UPDATE threads SET used = ? WHERE id = ?", (time.time(), thread))

    def fork(self, name: str, new: str, turns: int | None = None) -> int:
        """Make a thread of the first `turns` turns of another, or of all; return how many these are."""
        with self._file.writing() as connection:
            source = self._known(connection, name)
            self._assert_free(connection, new)
            keys = [key for key, _ in _turns(connection, source, _PLACES)][:turns]
            thread = _new(connection, self._own(new))
            _number(connection, thread, [_copy(connection, thread, key) for key in keys])
            return len(keys)

    def rename(self, name: str, new: str) -> None:
        """Give a thread another name."""
        with self._file.writing() as connection:
            thread = self._known(connection, name)
            self._assert_free(connection, new)
            connection.execute("UPDATE threads SET name = ? WHERE id = ?", (self._own(new), thread))

    def reset(self, name: str) -> int:
        """Remove all turns of a thread; return how many there were. Their receipts stay."""
        with self._file.writing() as connection:
            return connection.execute("DELETE FROM turns WHERE thread = ?", (self._known(connection, name),)).rowcount

    def delete(self, name: str) -> None:
        """Remove a thread with its turns. Their receipts stay."""
        with self._file.writing() as connection:
            thread = self._known(connection, name)
            connection.execute("DELETE FROM turns WHERE thread = ?", (thread,))
            connection.execute("DELETE FROM threads WHERE id = ?", (thread,))

    def _own(self, name: str) -> str:
        return f"{self._scope}{_BETWEEN}{name}" if self._scope else name

    def _known(self, connection: Connection, name: str) -> str:
        thread = _id(connection, self._own(name)) or _id(connection, name)
        if thread is None:
            known = [_split(row["name"]) for row in connection.execute("SELECT name FROM threads ORDER BY used DESC")]
            raise _unknown(name, [one for scope, one in known if scope in ("", self._scope)])
        return thread

    def _assert_free(self, connection: Connection, name: str) -> None:
        if _id(connection, self._own(name)) is not None:
            raise ConfigError(f"There is a thread {name!r} already.", remedy="Choose another name, or delete that one.")


def copy_threads(source: Connection, source_scope: str, target: Connection, scope: str, suffix: str) -> None:
    """Copy a notebook's threads into another's, each under its name and a suffix, to be read there. A copy is not
    copied again. To be called within a write transaction.
    """
    for row in source.execute("SELECT * FROM threads ORDER BY used").fetchall():
        held, name = _split(row["name"])
        if held != source_scope or suffix[:7] in name:
            continue
        new = f"{scope}{_BETWEEN}{name}{suffix}" if scope else name + suffix
        if _id(target, new) is None:
            thread = _new(target, new)
            turns = [replace(_turn(one), own=turn_holds(one)) for one in _rows(source, row["id"])]
            _number(target, thread, [_add(target, thread, turn) for turn in turns])


def _split(stored: str) -> tuple[str, str]:
    """Return the scope and the name of a thread, from the name in the file."""
    scope, _, name = stored.rpartition(_BETWEEN)
    return scope, name


def _scope(cell: str) -> str:
    return cell.partition(":")[0]


def _id(connection: Connection, name: str) -> str | None:
    found = connection.execute("SELECT id FROM threads WHERE name = ?", (name,)).fetchone()
    return None if found is None else str(found["id"])


def _unknown(name: str, names: Sequence[str]) -> ConfigError:
    """Make the error for a thread that is not there."""
    close = nearest(name, names)
    hint = f"Did you mean {close!r}? " if close else ""
    return ConfigError(f"There is no thread {name!r}.", remedy=f"{hint}%og threads lists them.")


def _new(connection: Connection, name: str) -> str:
    # At random and not counted: what was deleted must not come back as another thread.
    thread, now = secrets.token_hex(8), time.time()
    connection.execute("INSERT INTO threads (id, name, created, used) VALUES (?, ?, ?, ?)", (thread, name, now, now))
    return thread


def _turns(connection: Connection, thread: str, columns: str = "*") -> list[tuple[int, KeptTurn]]:
    return [(row["id"], _turn(row)) for row in _rows(connection, thread, columns)]


def _rows(connection: Connection, thread: str, columns: str = "*") -> list[Row]:
    query = f"SELECT {columns} FROM turns WHERE thread = ? ORDER BY position, id"  # noqa: S608 - our own names
    return connection.execute(query, (thread,)).fetchall()


def _turn(row: Mapping[str, Any] | Row) -> KeptTurn:
    return KeptTurn(
        CellExecution(row["run"], row["cell"], row["source"]),
        row["number"],
        row["time"],
        row["tokens"],
        tuple(json.loads(row["messages"])),
        tuple(json.loads(row["receipts"])),
    )


def _add(connection: Connection, thread: str, turn: KeptTurn) -> int:
    execution = turn.execution
    # ASCII: whatever half a character an answer holds comes back as it was.
    messages, receipts = json.dumps(list(turn.messages)), json.dumps(list(turn.receipts))
    values = (execution.cell, execution.source, execution.run, turn.number, turn.time, turn.tokens, messages, receipts)
    mark = turn_mark(dict(zip(TURN, (thread, *values), strict=True))) if turn.own else None
    added = connection.execute(
        """INSERT INTO turns (thread, position, cell, source, run, number, time, tokens, messages, receipts, mark)
        VALUES (?, 0, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id""",
        (thread, *values, mark),
    )
    return int(added.fetchone()[0])


def _copy(connection: Connection, thread: str, key: int) -> int:
    """Copy a turn into another thread, with the columns of a newer version; its id."""
    found = connection.execute("SELECT * FROM turns WHERE id = ?", (key,)).fetchone()
    row = dict(found) | {"thread": thread, "position": 0}
    row["mark"] = turn_mark(row) if turn_holds(found) else None
    del row["id"]
    names = ", ".join(f'"{name}"' for name in row)
    added = connection.execute(
        f"INSERT INTO turns ({names}) VALUES ({', '.join('?' * len(row))}) RETURNING id",  # noqa: S608 - names of the table's columns
        (*row.values(),),
    )
    return int(added.fetchone()[0])


def _number(connection: Connection, thread: str, order: Sequence[int]) -> None:
    """Bring the turns of a thread into this order."""
    known = dict(connection.execute("SELECT id, position FROM turns WHERE thread = ?", (thread,)).fetchall())
    changed = [(position, key) for position, key in enumerate(order, 1) if known[key] != position]
    connection.executemany("UPDATE turns SET position = ? WHERE id = ?", changed)
