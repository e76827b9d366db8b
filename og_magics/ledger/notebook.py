"""The answers that a saved notebook shows, with the receipts that travel in its outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import LedgerError
from ..receipt import MIME, Receipt
from ..untrusted import read_json
from .journal import GENESIS, Head

_DEEPEST = 400
"""Levels of a notebook, with pictures that others drew."""
_LONGEST = 2**63
"""Entries: more than SQLite can number."""


@dataclass(frozen=True, slots=True)
class ShownAnswer:
    """One output of a notebook that carries a receipt. It is what the file says: verify it.

    Attributes:
        cell: the place of its cell in the file, from 1.
        source: of the cell, as it stands in the file.
        shown: what a front end may show of the output, by media type, without the receipt.
        receipt: None where it cannot be read; `problem` says why, and is "" otherwise.
        receipt_id: "" where not even that can be read.
        head: of the ledger when the answer was shown; None where the output does not say.
    """

    cell: int
    source: str
    shown: Mapping[str, Any]
    receipt: Receipt | None
    problem: str
    receipt_id: str
    head: Head | None


def answers_in(notebook: str | Path) -> list[ShownAnswer]:
    """The answers of an .ipynb file, in the order of its cells.

    Raises:
        LedgerError: no such file, or not a notebook.
    """
    path = Path(notebook).expanduser()
    try:
        return list(_answers(read_json(path.read_bytes(), _DEEPEST)["cells"]))
    except OSError as error:
        raise LedgerError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise LedgerError(f"{path} is not a notebook.", remedy="Give the path of an .ipynb file.") from None


def receipts_in(notebook: str | Path) -> list[Receipt]:
    """The receipts of an .ipynb file, in the order of its cells. They are what the file says: verify them.

    Raises:
        LedgerError: no such file, not a notebook, or a receipt in it that cannot be read.
    """
    receipts = []
    for answer in answers_in(notebook):
        if answer.receipt is None:
            raise LedgerError(
                f"{notebook} holds a receipt that cannot be read: {answer.problem}.",
                remedy="It was edited, or written by a newer og_magics.",
            )
        receipts.append(answer.receipt)
    return receipts


def _answers(cells: Any) -> Iterator[ShownAnswer]:
    if not isinstance(cells, list):
        raise TypeError("cells are a list")
    for place, cell in enumerate(cells, 1):
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if MIME in data:
                yield _answer(place, _joined(cell.get("source", "")), data)


def _answer(place: int, source: Any, data: Mapping[str, Any]) -> ShownAnswer:
    form = data[MIME]
    form = form if isinstance(form, Mapping) else {}
    receipt, problem = None, ""
    try:
        receipt = Receipt.from_json(form)
    except ValueError as error:
        problem = str(error)
    name = form.get("receipt_id")
    return ShownAnswer(
        cell=place,
        source=source if isinstance(source, str) else "",
        shown={kind: _joined(value) for kind, value in data.items() if kind != MIME},
        receipt=receipt,
        problem=problem,
        receipt_id=name if isinstance(name, str) else "",
        head=_head(form.get("ledger")),
    )


def _joined(text: Any) -> Any:
    """A text that the file holds in lines, as one."""
    if isinstance(text, list) and all(isinstance(line, str) for line in text):
        return "".join(text)
    return text


def _head(form: Any) -> Head | None:
    if not isinstance(form, Mapping):
        return None
    length, hash = form.get("length"), form.get("head")
    if not isinstance(length, int) or isinstance(length, bool) or not isinstance(hash, str):
        return None
    return (length, hash) if 0 <= length < _LONGEST and len(hash) == len(GENESIS) else None
