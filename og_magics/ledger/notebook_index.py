"""The index of notebooks: which ledger, and which id, belongs to the notebook that runs.

Each ledger holds the notebooks that wrote to it: an id at random, the file's name and inode, the ids and texts of its
cells, and the kernel. A notebook that is opened is compared with all of them in its folder's `.og/`. What ties it to
one, and what follows, is the table of `relation`. Where it is not certain, the notebook is a new one: what that loses
can be found again, while a wrong tie would send one notebook's conversation along with another's question.
"""

from __future__ import annotations

import contextlib
import enum
import json
import secrets
import sqlite3
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..core.cell_context import cell_history, execution
from ..core.front_end import RunningNotebook
from ..core.settings import Settings, ledger_path
from .database import Connection, Row
from .notebook_file import SavedNotebook, cell_marks, inode_of, notebooks_by_inode, saved_notebook
from .place import ledgers_of, readable_at
from .reading import read_only
from .threads import copy_threads

FOLDER = "ledger"
"""Name of the ledger of terminals, and of kernels that do not know their notebook."""
_MOST_LEDGERS = 1_000
_MOST_MARKS = 2_000
_MOST_COPIES = 10_000


class Relation(enum.Enum):
    """The relation of a notebook to an entry of the index."""

    SAME = "same"
    RENAMED = "renamed"
    COPY = "copy"
    NONE = "new"


@dataclass(frozen=True, slots=True)
class Tie:
    """The evidence that ties a notebook to an entry of the index.

    Attributes:
        receipts: half of the receipts in its file, or more, are those of the entry.
        file: its file has the entry's inode.
        name: it has the name that the entry had last.
        cells: its file holds cells of the entry.
        unchanged: its file was not written since, or cannot be read.
        elsewhere: another file of the folder is the entry's. Where this one has its inode: another has its name and its
            cells, and was written before this one. (A copy can get the inode that its original had.)
        kernel: the same kernel runs, perhaps restarted.
    """

    receipts: bool = False
    file: bool = False
    name: bool = False
    cells: bool = False
    unchanged: bool = False
    elsewhere: bool = False
    kernel: bool = False


def relation(tie: Tie, *, saved: bool) -> Relation:
    """Return what follows from the evidence; `saved`: there is a file of the notebook's name."""
    same = Relation.SAME if tie.name else Relation.RENAMED
    if tie.kernel:
        return same
    if not saved:
        return Relation.SAME if tie.name else Relation.NONE
    if tie.receipts:
        return Relation.COPY if tie.elsewhere else same
    if tie.file:  # without cells in common it is a new file in the place, on the disk too, of one that was deleted
        found = Relation.COPY if tie.elsewhere else same
        return found if tie.cells or tie.unchanged else Relation.NONE
    if tie.name and tie.cells:  # outputs were taken out, and the file replaced: by the stripped one, or by a copy
        return Relation.COPY if tie.elsewhere else Relation.SAME
    return Relation.NONE


@dataclass(frozen=True, slots=True)
class NotebookEntry:
    """One notebook in the index.

    Attributes:
        ledger: path of the ledger that holds it.
        id: "" in the ledger of an earlier release, which knows no notebooks.
        shared: the ledger holds other notebooks too.
        receipts: those of the notebook that is looked for, which this entry has.
    """

    ledger: Path
    id: str
    name: str
    file: str = ""
    modified: int = 0
    cells: frozenset[str] = frozenset()
    kernel: str = ""
    seen: float = 0.0
    shared: bool = False
    receipts: frozenset[str] = frozenset()


@dataclass(slots=True)
class NotebookIdentity:
    """The identity of a running notebook: its ledger, and its id there.

    Attributes:
        relation: to the entry that was found.
        shared: the ledger holds other notebooks too.
        parent: ledger of the notebook that this is a copy of; None for none.
        parent_name: its name, without the suffix.
        name: of the notebook's file when it last asked; "" before that, and where it is not known.
    """

    ledger: Path
    id: str
    running: RunningNotebook
    shared: bool = False
    relation: Relation = Relation.NONE
    parent: Path | None = None
    parent_id: str = ""
    parent_name: str = ""
    name: str = ""
    _noted: tuple[str, str, int] = field(default=("", "", 0), repr=False)
    _confirmed: tuple[str, str, int] | None = field(default=None, repr=False)
    _seen: float = field(default=0.0, repr=False)

    @property
    def scope(self) -> str:
        """Of its threads in the ledger: "" where all are its own."""
        return self.id if self.shared else ""

    def note(self, connection: Connection) -> str:
        """Bring the index up to date, within a write transaction; return the notebook's id."""
        if not self.shared:  # another kernel of this notebook may have been first
            first = connection.execute("SELECT id FROM notebooks ORDER BY seen LIMIT 1").fetchone()
            self.id = self.id if first is None else first["id"]
        row = connection.execute("SELECT * FROM notebooks WHERE id = ?", (self.id,)).fetchone()
        if row is None and self.parent is not None:
            with contextlib.suppress(sqlite3.Error, OSError), read_only(readable_at(self.parent)) as parent:
                copy_threads(parent, self.parent_scope, connection, self.scope, f" (from {self.parent_name})")
        path, asking = self.running.path, self._asking()
        if row is not None and asking == self._noted and row["seen"] >= self._seen:  # a note may have been undone
            return self.id
        known = frozenset(json.loads(row["cells"])) if row is not None else frozenset()
        saved = self._file(connection, row, known)
        marks = _running_marks() | (frozenset() if saved is None else saved.cells)
        self._noted, self._seen = asking, time.time()
        named = path if saved is None else saved.path
        self.name = row["name"] if saved is None and row is not None else "" if named is None else storable_name(named)
        # The latest come last, and stay where there are too many.
        kept = [*sorted(known - marks), *sorted(marks)][-_MOST_MARKS:]
        file = saved.inode if saved is not None else row["file"] if row is not None else ""
        modified = saved.modified if saved is not None else row["modified"] if row is not None else 0
        origin = self.parent_id if row is None else row["parent"]
        connection.execute(
            "INSERT INTO notebooks (id, name, file, modified, cells, kernel, parent, seen) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET name = excluded.name, "
            "file = excluded.file, modified = excluded.modified, cells = excluded.cells, kernel = excluded.kernel, "
            "parent = excluded.parent, seen = excluded.seen",
            (self.id, self.name, file, modified, json.dumps(kept), self.running.kernel, origin, self._seen),
        )
        return self.id

    def is_noted(self) -> bool:
        """Return True where the index of a ledger of several notebooks has it as it is."""
        return self.shared and self._confirmed is not None and self._confirmed == self._asking()

    def confirm(self) -> None:
        """Take the last note for written."""
        self._confirmed = self._noted

    def _asking(self) -> tuple[str, str, int]:
        path = self.running.path
        stamp = "" if path is None else f"{path}\0{inode_of(path)}\0{_modified(path)}"
        return stamp, execution().cell, len(cell_history())

    def _file(self, connection: Connection, row: Row | None, known: frozenset[str]) -> SavedNotebook | None:
        """Return the notebook's file: where it was renamed while its kernel runs, under its new name. None where there
        is none that is certainly its own: another may have its name, or the inode that its old file had, by now.
        """
        path = self.running.path
        saved = None if path is None else saved_notebook(path)
        if path is None or row is None or not row["file"] or (saved is not None and saved.inode == row["file"]):
            return saved
        name = notebooks_by_inode(path.parent).get(row["file"])
        moved = None if name is None else saved_notebook(path.with_name(name))
        if moved is not None and moved.modified == row["modified"]:
            return moved
        for one in (saved, moved):
            if one is not None and (_share(one.cells, known) or self._carried(connection, one)):
                return one
        return None

    def _carried(self, connection: Connection, saved: SavedNotebook) -> bool:
        """Return True where a file carries receipts of this notebook."""
        found = connection.execute(
            "SELECT 1 FROM receipts WHERE notebook_id = ? AND receipt_id IN (SELECT value FROM json_each(?)) LIMIT 1",
            (self.id, json.dumps(sorted(saved.receipts))),
        )
        return found.fetchone() is not None

    @property
    def parent_scope(self) -> str:
        """Of the threads of the notebook that this is a copy of."""
        return self.parent_id if self.parent is not None and self.parent.stem == FOLDER else ""


def storable_name(path: Path) -> str:
    """Return the name of a file as a text that UTF-8 can hold."""
    return path.name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def identify(settings: Settings, running: RunningNotebook) -> NotebookIdentity | None:
    """Return the identity of a running notebook; None in a terminal and in a script. Nothing is written."""
    if running.path is None and not running.kernel:
        return None
    first = ledger_path(settings, running.path)
    shared = bool(settings.ledger) or running.path is None
    saved = None if running.path is None else saved_notebook(running.path)
    ledgers = [first] if settings.ledger else _ledgers(first.parent)
    best: tuple[int, int, float] | None = None
    identity = NotebookIdentity(first, secrets.token_hex(16), running, shared)
    beside = notebooks_by_inode(running.path.parent) if running.path is not None else {}
    taken = []
    for ledger in ledgers:
        entries = _entries(ledger, saved, bool(settings.ledger))
        taken += [ledger] if entries else []
        for entry in entries:
            found = relation(_tie(entry, running, saved, beside), saved=saved is not None)
            if running.path is None and found is not Relation.NONE and entry.kernel != running.kernel:
                continue
            rank = _RANK[found], len(entry.receipts), entry.seen
            if found is not Relation.NONE and (best is None or rank > best):
                best, identity = rank, _identity(entry, found, running, first)
    if identity.relation in (Relation.NONE, Relation.COPY) and not shared:
        identity.ledger = _free(first, taken)
    return identity


def ledger_of(settings: Settings, notebook: Path | None) -> Path:
    """Return the path of a notebook's ledger, which may not be there yet; without one, that of the folder."""
    identity = identify(settings, RunningNotebook(notebook))
    first = ledger_path(settings, notebook)
    if identity is None or (identity.relation is Relation.NONE and _unclaimed(first)):
        return first
    return identity.ledger


def _unclaimed(ledger: Path) -> bool:
    """Return True for a ledger of an earlier release that no notebook has taken over; it may be read by its name."""
    return any(not entry.id for entry in _entries(ledger, None, explicit=False))


_RANK = {Relation.NONE: 0, Relation.COPY: 1, Relation.RENAMED: 2, Relation.SAME: 3}


def _identity(entry: NotebookEntry, found: Relation, running: RunningNotebook, first: Path) -> NotebookIdentity:
    new = secrets.token_hex(16)
    if found is Relation.COPY:
        name = Path(entry.name).stem or entry.ledger.stem
        return NotebookIdentity(first, new, running, entry.shared and entry.ledger == first, found, entry.ledger,
                                entry.id, name)  # fmt: skip
    return NotebookIdentity(entry.ledger, entry.id or new, running, entry.shared, found)


def _tie(entry: NotebookEntry, running: RunningNotebook, saved: SavedNotebook | None, beside: dict[str, str]) -> Tie:
    path = running.path
    name = path is not None and entry.name == storable_name(path)
    kernel = bool(entry.kernel) and entry.kernel == running.kernel
    if saved is None or path is None:
        return Tie(name=name, kernel=kernel)
    file = bool(entry.file) and saved.inode == entry.file
    unchanged = not saved.readable or saved.modified == entry.modified
    return Tie(
        receipts=bool(entry.receipts) and 2 * len(entry.receipts) >= len(saved.receipts),
        file=file,
        name=name,
        cells=_share(saved.cells, entry.cells),
        unchanged=unchanged,
        elsewhere=not (file and (name or unchanged))
        and _elsewhere(entry, path, beside, before=saved.modified if file else None),
        kernel=kernel,
    )


def _elsewhere(entry: NotebookEntry, path: Path, beside: dict[str, str], *, before: int | None) -> bool:
    """Return True where another file of the folder is the entry's, by its inode or its name, and by what it holds.

    Args:
        before: it counts only if it was not written later than this, in nanoseconds.
    """
    names = {beside.get(entry.file, ""), entry.name} - {"", path.name, storable_name(path)}
    for other in filter(None, (saved_notebook(path.with_name(name)) for name in names)):
        if before is not None and other.modified > before:
            continue
        moved = other.inode == entry.file and other.modified == entry.modified
        if moved or not other.readable or entry.receipts & other.receipts or _share(other.cells, entry.cells):
            return True
    return False


def _share(mine: Collection[str], theirs: Collection[str]) -> bool:
    """Return True where two notebooks have a cell in common: by its id, or by its text where one has no ids."""
    ids = any(mark.startswith("cell:") for mark in mine) and any(mark.startswith("cell:") for mark in theirs)
    return any(mark in theirs for mark in mine if mark.startswith("cell:") or not ids)


def _ledgers(folder: Path) -> list[Path]:
    try:
        return ledgers_of(folder)[:_MOST_LEDGERS]
    except OSError:
        return []


def _entries(ledger: Path, saved: SavedNotebook | None, explicit: bool) -> list[NotebookEntry]:
    """Return the notebooks of a ledger. One that cannot be read, or is just being made, has none."""
    try:
        with read_only(readable_at(ledger)) as connection:
            return list(_read(connection, ledger, saved, explicit))
    except (sqlite3.Error, OSError, ValueError, TypeError):
        return []


def _read(connection: Connection, ledger: Path, saved: SavedNotebook | None, explicit: bool) -> Iterator[NotebookEntry]:
    shared = explicit or ledger.stem == FOLDER
    tables = {row["name"] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if "receipts" not in tables:
        return
    known = connection.execute("SELECT * FROM notebooks").fetchall() if "notebooks" in tables else []
    carried = sorted(saved.receipts) if saved is not None else []
    held = connection.execute(
        f"SELECT receipt_id, {'notebook_id' if 'notebooks' in tables else 'NULL AS notebook_id'} FROM receipts "  # noqa: S608 - our own names
        "WHERE receipt_id IN (SELECT value FROM json_each(?))",
        (json.dumps(carried),),
    ).fetchall()
    used = connection.execute("SELECT 1 FROM receipts LIMIT 1").fetchone()
    if used and not known and not shared:  # of an earlier release: a notebook of the file's name has written to it
        asked = _asked(connection) if "recordings" in tables else frozenset()
        receipts = frozenset(row["receipt_id"] for row in held)
        yield NotebookEntry(ledger, "", f"{ledger.stem}.ipynb", cells=asked, receipts=receipts)
    for row in known:
        yield NotebookEntry(
            ledger,
            str(row["id"]),
            str(row["name"]),
            str(row["file"]),
            int(row["modified"]),
            frozenset(json.loads(row["cells"])),
            str(row["kernel"]),
            float(row["seen"]),
            shared,
            frozenset(one["receipt_id"] for one in held if one["notebook_id"] == row["id"] or not shared),
        )


def _asked(connection: Connection) -> frozenset[str]:
    rows = connection.execute("SELECT DISTINCT cell, source FROM recordings LIMIT ?", (_MOST_MARKS,))
    return frozenset(mark for row in rows for mark in _marks(row["cell"], row["source"]))


def _marks(cell: str, source: str) -> Iterator[str]:
    if cell.startswith("cell:"):
        yield cell
    if source:
        yield f"text:{source.partition('#')[0]}"


def _running_marks() -> frozenset[str]:
    """Return the marks of the cell that asks, and of those that ran before it."""
    here = execution()
    ran = {mark for one in cell_history() for mark in cell_marks(None, one.source)}
    return frozenset(ran | set(_marks(here.cell, here.source)))


def _modified(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except (OSError, ValueError):
        return 0


def _free(first: Path, taken: Collection[Path]) -> Path:
    """Return the ledger's path for a new notebook: its own name, or with the first number that is free."""
    names = {path.name.casefold() for path in taken} | {f"{FOLDER}.db"}
    if first.name.casefold() not in names:
        return first
    return next(
        path
        for number in range(2, _MOST_COPIES)
        if (path := first.with_name(f"{first.stem}-{number}.db")).name.casefold() not in names
    )
