"""The texts that a ledger holds of a notebook, read without writing anything: what was asked and what was answered."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .alike import whole
from .database import Connection
from .notebook_index import FOLDER
from .place import ledgers_of, readable_at
from .reading import read_only
from .rows import dict_of

_MOST_LEDGERS = 1_000


@dataclass(slots=True)
class Exchanges:
    """The exchanges of a notebook in ledgers.

    Attributes:
        receipts: ids of the receipts whose texts were read.
        values: messages, calls and notes, as JSON values; answers, as texts.
        images: of answers, as data URLs or links.
        problems: ledgers that cannot be read, each with the reason.
        ledgers: paths of those that belong to it.
    """

    receipts: set[str] = field(default_factory=set)
    values: list[Any] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    ledgers: list[Path] = field(default_factory=list)


def exchanges_of(notebook: Path, receipts: Collection[str], given: Path | None, configured: Path | None) -> Exchanges:
    """Return the exchanges of a notebook in the ledgers beside it, in the configured one, and in one that was given.

    A ledger belongs to it if it has the notebook's name, or holds one of its receipts. Of one that several notebooks
    share, that part is read which belongs to it; of one that was given, all.

    Args:
        receipts: ids of those in the notebook's file.
    """
    found = Exchanges()
    own = _Own(frozenset((notebook.name, notebook.name.replace(".scrubbed.", "."))), frozenset(receipts))
    for path in _ledgers(notebook, given, configured):
        try:
            with read_only(readable_at(path)) as connection:
                _read(connection, path, own, found, everything=path == given, shared=path == configured)
        except (sqlite3.Error, OSError) as error:
            found.problems.append(f"the ledger {path.name} cannot be read: {error}")
    return found


@dataclass(frozen=True, slots=True)
class _Own:
    """Marks of a notebook: names of its file, and ids of the receipts in it."""

    names: frozenset[str]
    receipts: frozenset[str]


def _ledgers(notebook: Path, given: Path | None, configured: Path | None) -> list[Path]:
    found = [path for path in (given, configured) if path is not None]
    for folder in dict.fromkeys((notebook.absolute().parent / ".og", Path.cwd() / ".og")):
        with suppress(OSError):
            found += ledgers_of(folder)[:_MOST_LEDGERS]
    return list(dict.fromkeys(path for path in found if path == given or readable_at(path).is_file()))


def _read(connection: Connection, path: Path, own: _Own, found: Exchanges, *, everything: bool, shared: bool) -> None:
    tables = {row["name"] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if "receipts" not in tables:
        return
    known = connection.execute("SELECT id, name FROM notebooks").fetchall() if "notebooks" in tables else []
    found_ = connection.execute(
        "SELECT * FROM receipts WHERE receipt_id IN (SELECT value FROM json_each(?))",
        (json.dumps(sorted(own.receipts)),),
    )
    carried = list(whole(connection, found_))
    named = path.stem in {Path(name).stem for name in own.names} or any(row["name"] in own.names for row in known)
    if not (carried or named or everything or shared):
        return
    all_rows = connection.execute("SELECT * FROM receipts ORDER BY receipt_id")
    rows = [dict_of(row) for row in whole(connection, all_rows)]
    part = not everything and (shared or path.stem == FOLDER)
    if part:
        ids = {row["id"] for row in known if row["name"] in own.names}
        ids |= {dict_of(row).get("notebook_id") for row in carried}
        rows = [row for row in rows if _is_own(row, own, ids - {None, ""})]
        if not rows:
            return
    taken = {row["receipt_id"] for row in rows}
    found.ledgers.append(path)
    found.receipts |= taken
    for row in rows:
        request = _json(row["request"])
        found.values += [request] if isinstance(request, str) else asked_in(request)
        found.values += [row["text"], _json(row["tool_calls"]), _json(row.get("gateway_notes"))]
    if "turns" in tables:
        for turn in connection.execute("SELECT messages, receipts FROM turns"):
            those = _json(turn["receipts"])
            if not part or (isinstance(those, list) and not taken.isdisjoint(map(str, those))):
                found.values.append(_json(turn["messages"]))
    if "recordings" in tables:
        for row in connection.execute("SELECT receipt_id, images FROM recordings WHERE images IS NOT NULL"):
            images = _json(row["images"]) if row["receipt_id"] in taken else []
            found.images += [one for one in (images if isinstance(images, list) else []) if isinstance(one, str)]


def asked_in(request: Any) -> list[Any]:
    """Return the messages, the prompt and the query of a request. Its model and parameters tell nothing of them."""
    if not isinstance(request, Mapping):
        return []
    return [request.get(name) for name in ("messages", "prompt", "query")]


def _is_own(row: Mapping[str, Any], own: _Own, ids: Collection[str]) -> bool:
    return row["receipt_id"] in own.receipts or row["notebook"] in own.names or row.get("notebook_id") in ids


def _json(text: Any) -> Any:
    """Read a JSON text; return one that is none as it is."""
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
