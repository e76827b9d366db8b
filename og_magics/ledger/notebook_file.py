"""The saved file of a notebook, as evidence of which one it is: its inode, its cells, the receipts in its outputs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.cell_context import source_digest
from ..core.receipt import MIME
from ..core.untrusted_json import read_json

_DEEPEST = 400
_LARGEST = 200_000_000
"""Bytes of a file that is read."""
_MOST = 5_000
"""Cells, and receipts, that are looked at."""


@dataclass(frozen=True, slots=True)
class SavedNotebook:
    """An .ipynb file as it is now.

    Attributes:
        inode: of the file, with its device, "2049:131"; it stays after a rename.
        modified: in nanoseconds.
        readable: False for what is no notebook, or half of one: then nothing is known of what follows.
        receipts: ids of the receipts that its outputs carry.
        cells: ids of its cells, and digests of their texts.
    """

    path: Path
    inode: str
    modified: int
    readable: bool = False
    receipts: frozenset[str] = frozenset()
    cells: frozenset[str] = frozenset()


def inode_of(path: Path) -> str:
    """Return the inode of a file; "" where there is none."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return ""
    return f"{found.st_dev}:{found.st_ino}"


def saved_notebook(path: Path) -> SavedNotebook | None:
    """Return what a notebook's file says; None where there is no file."""
    try:
        found = path.stat()
        if not path.is_file():
            return None
    except (OSError, ValueError):
        return None
    saved = SavedNotebook(path, f"{found.st_dev}:{found.st_ino}", found.st_mtime_ns)
    try:
        content = read_json(path.read_bytes(), _DEEPEST) if 0 < found.st_size <= _LARGEST else {}
        cells = [cell for cell in content.get("cells", []) if isinstance(cell, Mapping)][:_MOST]
    except (OSError, ValueError, AttributeError, TypeError):
        return saved
    return SavedNotebook(
        path,
        saved.inode,
        saved.modified,
        readable=found.st_size <= _LARGEST,
        receipts=frozenset(name for cell in cells for name in _receipts(cell)),
        cells=frozenset(mark for cell in cells for mark in cell_marks(cell.get("id"), cell.get("source"))),
    )


def cell_marks(name: Any, source: Any) -> Iterator[str]:
    """Yield that by which a cell is known again: its id, and the digest of its text."""
    if isinstance(name, str) and name:
        yield f"cell:{name}"
    text = "".join(map(str, source)) if isinstance(source, list) else source
    if isinstance(text, str) and text.strip() and not text.startswith("%load_ext"):  # the first of most notebooks
        yield f"text:{source_digest(text)}"


def notebooks_by_inode(folder: Path) -> dict[str, str]:
    """Return the names of the notebooks in a folder, by inode."""
    found = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(".ipynb"):
                    found[inode_of(folder / entry.name)] = entry.name
    except OSError:
        return {}
    return found


def _receipts(cell: Mapping[str, Any]) -> Iterator[str]:
    outputs = cell.get("outputs")
    for output in outputs if isinstance(outputs, list) else []:
        data = output.get("data") if isinstance(output, Mapping) else None
        form = data.get(MIME) if isinstance(data, Mapping) else None
        if isinstance(form, Mapping):
            yield from _ids(form)
            for several in ("receipts", "columns"):
                inner = form.get(several)
                for one in inner if isinstance(inner, list) else []:
                    if isinstance(one, Mapping):
                        yield from _ids(one)
                        yield from _ids(one.get("receipt"))


def _ids(form: Any) -> Iterator[str]:
    name = form.get("receipt_id") if isinstance(form, Mapping) else None
    if isinstance(name, str) and name:
        yield name
