"""The distinction between what this user's machine wrote into a ledger and what came with it from elsewhere.

An answer and a thread's turn carry a mark, made with the user's key when they are written (`owner_key.py`). It is
checked where an answer is about to be shown again, or a turn to be sent, and nowhere else. What has no mark that holds
is as good as an answer in another's file: it is proven by its enclave's signature or by nothing, and no turn of it is
sent, until the user adopts it.

Ledgers of before there were marks go on where the wallet's file tells that they are this user's: it kept a place in
their journal. All that was asked before that place, and stands as the journal says, is marked then.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ..core.cell_notes import LEDGER_FOREIGN
from ..core.errors import LedgerError
from . import journal
from .alike import whole
from .audit import audit
from .database import Connection, Row
from .file_system import named
from .owner_key import mark_holds, mark_of
from .packing import entries
from .rows import dict_of, storable
from .wallet_file import WalletFile

ANSWER = (
    "receipt_id", "time", "network", "provider", "model", "settlement", "path", "request", "turn", "text", "tool_calls",
    "finish_reason", "prompt_tokens", "completion_tokens", "cost_usd", "public_key", "tee_id", "tee_signature",
    "tee_timestamp", "request_hash", "output_hash", "data_settlement_hash", "blob_id", "gateway_notes",
    "attestation_hash", "enclave_ok",
)  # fmt: skip
"""The columns of a receipt that its mark is made of: each is written once. Never changed: other columns are another
form of mark."""
TURN = ("thread", "cell", "source", "run", "number", "time", "tokens", "messages", "receipts")
"""The same of a thread's turn; its place in the thread may change."""

_ANSWERS = (
    f"SELECT {', '.join(f'r.{name}' for name in ANSWER)}, r.alike, r.authorization_hash, r.ended, k.mark, k.images, "  # noqa: S608 - ours
    "k.images_mark FROM recordings k JOIN receipts r ON r.receipt_id = k.receipt_id "
    "LEFT JOIN alike f ON f.id = r.alike WHERE r.ended = 'served'"
)
_MOST_LOOKED_AT = 100
"""Answers of an enclave of which one has to be this user's, so that its key is known."""


@dataclass(slots=True)
class Ownership:
    """The findings on a ledger of before there were marks.

    Attributes:
        answers: ids of receipts that are this user's all the same; None where it was not looked at yet.
        turns: keys of the same turns. said: the user has seen that there are others.
    """

    answers: frozenset[str] | None = None
    turns: frozenset[int] = frozenset()
    said: bool = False


class MarkedFile(Protocol):
    """A `LedgerFile`, as far as it is needed here."""

    ownership: Ownership

    @property
    def path(self) -> Path: ...
    @property
    def read_only(self) -> bool: ...
    def reading(self) -> AbstractContextManager[Connection]: ...
    def reading_beside(self, *, own: bool = False) -> AbstractContextManager[Connection]: ...
    def writing(self, *, brief: bool = False) -> AbstractContextManager[Connection]: ...
    def add_note(self, note: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Foreign:
    """The answers and turns of a ledger that were not made here.

    Attributes:
        answers: ids of receipts. turns: keys of turns.
        first, last: unix seconds of the first answer and the last.
        models: number of answers by model. threads: names of the threads that the turns are in.
    """

    answers: frozenset[str]
    turns: frozenset[int]
    first: float
    last: float
    models: Mapping[str, int]
    threads: Sequence[str]


def mark_answer(connection: Connection, row: Mapping[str, Any]) -> None:
    """Mark an answer, with the row of its receipt, in the transaction that writes it."""
    connection.execute("UPDATE recordings SET mark = ? WHERE receipt_id = ?", (answer_mark(row), row["receipt_id"]))


def answer_mark(row: Mapping[str, Any]) -> str:
    """Return the mark of an answer, of the row of its receipt."""
    return mark_of("answer", (storable(row[name]) for name in ANSWER))


def images_mark(receipt_id: str, images: str | None) -> str | None:
    """Return the mark of an answer's images, as JSON; None where there are none."""
    return None if images is None else mark_of("images", (receipt_id, images))


def turn_mark(row: Mapping[str, Any]) -> str:
    """Return the mark of a turn's row."""
    return mark_of("turn", (row[name] for name in TURN))


def turn_holds(row: Row) -> bool:
    """Return True for a turn that this user's machine wrote, with its mark."""
    mark = row["mark"] if "mark" in row.keys() else None  # noqa: SIM118 - a Row; of before there were marks
    return mark_holds(mark, "turn", (row[name] for name in TURN))


def own_answers(file: MarkedFile, receipt_ids: Collection[str]) -> tuple[set[str], set[str]]:
    """Return those of these answers that this user's machine wrote; and those of them whose images it wrote."""
    query = f"{_ANSWERS} AND r.receipt_id IN ({', '.join('?' * len(receipt_ids))})"
    with file.reading() as connection:
        rows = list(whole(connection, connection.execute(query, tuple(receipt_ids))))
    earlier = frozenset() if all(map(_answer_holds, rows)) else _earlier(file)
    own = {row["receipt_id"] for row in rows if row["receipt_id"] in earlier or _answer_holds(row)}
    if len(own) < len(rows):
        note_foreign(file)
    return own, {row["receipt_id"] for row in rows if row["receipt_id"] in own & earlier or _images_hold(row)}


def knows_enclave(file: MarkedFile, network: str, tee_id: str) -> bool:
    """Return True if an answer of an enclave came to this user's machine, on its network, and its proof held."""
    query = (
        f"{_ANSWERS} AND coalesce(f.network, r.network) = ? AND lower(coalesce(f.tee_id, r.tee_id)) = ? "
        "AND coalesce(f.enclave_ok, r.enclave_ok) = 1 ORDER BY r.receipt_id DESC LIMIT ?"
    )
    with file.reading() as connection:
        found = connection.execute(query, (network, tee_id.lower(), _MOST_LOOKED_AT))
        rows = list(whole(connection, found))
    if any(map(_answer_holds, rows)):
        return True
    return bool(rows) and any(row["receipt_id"] in _earlier(file) for row in rows)


def own_turns(file: MarkedFile, rows: Sequence[Row]) -> set[int]:
    """Return the keys of those turns that this user's machine wrote."""
    own = {row["id"] for row in rows if turn_holds(row)}
    if len(own) < len(rows):
        _earlier(file)
        own |= {row["id"] for row in rows if row["mark"] is None and row["id"] in file.ownership.turns}
    if len(own) < len(rows):
        note_foreign(file)
    return own


def note_foreign(file: MarkedFile) -> None:
    """Tell the user, once, that there is what was not made here."""
    if not file.ownership.said:
        file.ownership.said = True
        file.add_note(LEDGER_FOREIGN.of(path=named(file.path)))


def foreign_in(connection: Connection) -> Foreign:
    """Return what of a ledger was not made here. Each mark is checked: it takes a second for 50,000 answers."""
    answers = whole(connection, connection.execute(f"{_ANSWERS} ORDER BY r.receipt_id"))
    rows = [row for row in answers if not _whole_holds(row)]
    names = dict(connection.execute("SELECT id, name FROM threads").fetchall())
    turns = [row for row in connection.execute("SELECT * FROM turns ORDER BY id") if not turn_holds(row)]
    times = [row["time"] for row in rows] + [row["time"] for row in turns]
    threads = dict.fromkeys(str(names.get(row["thread"], "")).rpartition("\x1f")[2] for row in turns)
    return Foreign(
        frozenset(row["receipt_id"] for row in rows),
        frozenset(row["id"] for row in turns),
        min(times, default=0.0),
        max(times, default=0.0),
        Counter(str(row["model"]) for row in rows),
        [*threads],
    )


def adopt(connection: Connection, answers: Collection[str], turns: Collection[int]) -> None:
    """Mark these answers and turns as this user's, within a write transaction."""
    for row in list(whole(connection, connection.execute(_ANSWERS))) if answers else ():
        if row["receipt_id"] in answers:
            mark_answer(connection, dict_of(row))
            connection.execute(
                "UPDATE recordings SET images_mark = ? WHERE receipt_id = ?",
                (images_mark(row["receipt_id"], row["images"]), row["receipt_id"]),
            )
    for row in connection.execute("SELECT * FROM turns").fetchall() if turns else ():
        if row["id"] in turns:
            connection.execute("UPDATE turns SET mark = ? WHERE id = ?", (turn_mark(row), row["id"]))


def _answer_holds(row: Row) -> bool:
    return mark_holds(row["mark"], "answer", (row[name] for name in ANSWER))


def _images_hold(row: Row) -> bool:
    return row["images"] is None or mark_holds(row["images_mark"], "images", (row["receipt_id"], row["images"]))


def _whole_holds(row: Row) -> bool:
    return _answer_holds(row) and _images_hold(row)


def _earlier(file: MarkedFile) -> frozenset[str]:
    """Return the answers without a mark that are this user's; the first time, they are looked for, and marked."""
    known = file.ownership
    if known.answers is None:
        known.answers, known.turns = frozenset(), frozenset()
        with contextlib.suppress(LedgerError):
            known.answers, known.turns = _proven(file)
            if (known.answers or known.turns) and not file.read_only:
                with file.writing(brief=True) as connection:
                    adopt(connection, known.answers, known.turns)
    return known.answers


def _proven(file: MarkedFile) -> tuple[frozenset[str], frozenset[int]]:
    """Find the answers without a mark that were asked before a place in the journal that the wallet's file knows."""
    nothing: tuple[frozenset[str], frozenset[int]] = frozenset(), frozenset()
    heads = WalletFile().heads_before_marks()
    if not heads:
        return nothing
    with file.reading_beside(own=True) as connection:
        length = max((head[0] for head in heads if journal.contains_head(connection, head)), default=0)
        if length == 0 or not audit(connection, None).ok:
            return nothing
        asked = {
            json.loads(entry["body"]).get("receipt")
            for entry in entries(connection, "kind IN ('opened', 'imported') AND seq <= ?", (length,))
        }
        unmarked = {
            row["receipt_id"]: row
            for row in whole(connection, connection.execute(f"{_ANSWERS} AND k.mark IS NULL"))
            if row["receipt_id"] in asked
        }
        turns = connection.execute("SELECT * FROM turns WHERE mark IS NULL").fetchall()
        return frozenset(unmarked), frozenset(row["id"] for row in turns if _is_said(connection, row, asked))


def _is_said(connection: Connection, turn: Row, asked: Collection[str]) -> bool:
    """Return True if a turn's messages are what its receipts say was asked and answered."""
    ids, messages = json.loads(turn["receipts"]), json.loads(turn["messages"])
    if not ids or not messages or any(one not in asked for one in ids):
        return False
    last = journal.row(connection, "receipts", ids[-1])
    if last is None:
        return False
    sent = json.loads(last["request"]).get("messages") or []
    before = messages[:-1]
    return bool(messages[-1].get("content") == last["text"] and sent[len(sent) - len(before) :] == before)
