"""The answers that a saved notebook shows, with the receipts that travel in its outputs."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..core.errors import LedgerError
from ..core.receipt import MIME, VERSION, Column, Receipt
from ..core.untrusted_json import read_json
from ..core.versions import is_readable
from ..ledger.export import replace_file
from ..ledger.journal import GENESIS, Head
from ..verification.attestation_bounds import LONGEST_DOCUMENT, MOST_DOCUMENTS

DEEPEST = 400
"""Levels of a notebook, with pictures that others drew."""
_LARGEST = 512 * 1024 * 1024
"""Bytes of a notebook."""
_HASH = re.compile(r"[0-9a-f]{64}")
_LONGEST_TEXT = (LONGEST_DOCUMENT + 2) // 3 * 4
"""Characters of a document in base64."""
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
        columns: of the comparison that the output shows, in their order; this answer is one of them. Empty where it
            stands alone.
        place: of this answer among them.
        turn: the receipts of the turn that the output shows, in their order; one of them, at `place`, is this answer's.
            Empty where the output shows one call in the plain form of one answer.
        format: as what the output says its answer is shown.
        documents: attestations that the output carries, by the hash under which they stand; b"" for what is none.
    """

    cell: int
    source: str
    shown: Mapping[str, Any]
    receipt: Receipt | None
    problem: str
    receipt_id: str
    head: Head | None
    columns: tuple[Column, ...] = ()
    place: int = 0
    turn: tuple[Receipt, ...] = ()
    format: str = "md"
    documents: Mapping[str, bytes] = field(default_factory=dict)


def answers_in(notebook: str | Path) -> list[ShownAnswer]:
    """Return the answers of an .ipynb file, in the order of its cells.

    Raises:
        LedgerError: no such file, or not a notebook.
    """
    cells = read_notebook(notebook)["cells"]
    return [answer for place, cell in enumerate(cells, 1) for answer in _answers(place, cell)]


def read_notebook(notebook: str | Path) -> dict[str, Any]:
    """Read an .ipynb file: an object whose `cells` are a list of objects, each with a list of `outputs`, each an
    object whose `data`, if there is any, is one too. Everything else in it is what the file says.

    Raises:
        LedgerError: no such file, or not a notebook.
    """
    path = Path(notebook).expanduser()
    try:
        if path.stat().st_size > _LARGEST:
            raise LedgerError(
                f"{path} is larger than {_LARGEST // 2**20} MiB, which no notebook is read of.",
                remedy="Clear outputs that are large.",
            )
        content = read_json(path.read_bytes(), DEEPEST)
        if not _is_notebook(content):
            raise ValueError("it has no cells")
    except OSError as error:
        raise LedgerError(
            f"{path} cannot be read: {error.strerror}.", remedy="Check the path and its permissions."
        ) from None
    except ValueError:
        raise LedgerError(f"{path} is not a notebook.", remedy="Give the path of an .ipynb file.") from None
    return dict(content)


def write_notebook(notebook: Path, content: Mapping[str, Any]) -> None:
    """Write an .ipynb file as Jupyter does, in the place of one that is there.

    Raises:
        LedgerError: it cannot be written.
    """
    try:
        written = json.dumps(content, indent=1, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # half a character, which a strange file may hold as an escape
        written = json.dumps(content, indent=1).encode()
    replace_file(notebook, written + b"\n")


def _is_notebook(content: Any) -> bool:
    if not isinstance(content, dict) or not isinstance(content.get("cells"), list):
        return False
    for cell in content["cells"]:
        if not isinstance(cell, dict) or not isinstance(outputs := cell.get("outputs", []), list):
            return False
        if not all(isinstance(output, dict) and isinstance(output.get("data", {}), dict) for output in outputs):
            return False
    return True


def documents_in(answers: Iterable[ShownAnswer]) -> dict[str, bytes]:
    """Return the attestations that a notebook carries, by the hash under which they stand; what is none is b"" or
    something else. One that has its hash is not replaced by another.
    """
    found: dict[str, bytes] = {}
    for answer in answers:
        for hash, document in answer.documents.items():
            if len(found) < MOST_DOCUMENTS and hashlib.sha256(found.get(hash, b"")).hexdigest() != hash:
                found[hash] = document
    return found


def receipts_in(notebook: str | Path) -> list[Receipt]:
    """Return the receipts of an .ipynb file, in the order of its cells. They are what the file says: verify them.

    Raises:
        LedgerError: no such file, not a notebook, or a receipt in it that cannot be read.
    """
    receipts = []
    for answer in answers_in(notebook):
        if answer.receipt is None:
            raise LedgerError(
                f"{notebook} holds a receipt that cannot be read: {answer.problem}.",
                remedy="It was edited, or needs another og_magics: the reason says which.",
            )
        receipts.append(answer.receipt)
    return receipts


def _answers(place: int, cell: Mapping[str, Any]) -> Iterator[ShownAnswer]:
    for output in cell.get("outputs", []):
        if MIME in output.get("data", {}):
            yield from answers_of(output["data"], place, joined(cell.get("source", "")))


def answers_of(data: Mapping[str, Any], place: int = 0, source: Any = "") -> list[ShownAnswer]:
    """Return the answers that one output shows, whose data, by media type, carry receipts."""
    answer = _answer(place, source, data)
    form = _object(data[MIME])
    readable = is_readable(form.get("version"), VERSION)
    if readable and "receipts" in form:
        return list(_of_turn(answer, form["receipts"]))
    if readable and "columns" in form:
        return list(_compared(answer, form["columns"]))
    return [answer]


def _answer(place: int, source: Any, data: Mapping[str, Any]) -> ShownAnswer:
    form = _object(data[MIME])
    receipt, problem, name = _receipt(form)
    return ShownAnswer(
        cell=place,
        source=source if isinstance(source, str) else "",
        shown={kind: joined(value) for kind, value in data.items() if kind != MIME},
        receipt=receipt,
        problem=problem,
        receipt_id=name,
        head=_head(form.get("ledger")),
        turn=(receipt,) if receipt is not None and "format" in form else (),
        format=str(form.get("format", "md")),
        documents=_documents(form.get("attestations")),
    )


def _of_turn(output: ShownAnswer, forms: Any) -> Iterator[ShownAnswer]:
    """Yield the calls of a turn. Where one of them cannot be read, the others are not those of the whole turn."""
    read = [_receipt(_object(form)) for form in (forms if isinstance(forms, list) else [])]
    receipts = [receipt for receipt, _, _ in read if receipt is not None]
    whole = tuple(receipts) if len(receipts) == len(read) else ()
    for place, (receipt, problem, name) in enumerate(read):
        yield replace(output, receipt=receipt, problem=problem, receipt_id=name, turn=whole, place=place)
    if not read:
        yield replace(output, receipt=None, problem="a turn without a receipt")


def _compared(output: ShownAnswer, forms: Any) -> Iterator[ShownAnswer]:
    """Yield the columns that have a receipt. Without any, the output is one answer that cannot be read."""
    columns: list[Column] = []
    read = []
    for form in map(_object, forms if isinstance(forms, list) else []):
        receipt, problem, name = (None, "", "")
        if form.get("receipt") is not None:
            receipt, problem, name = _receipt(_object(form["receipt"]))
            read.append((len(columns), receipt, problem, name))
        model, error = form.get("model"), form.get("error")
        text = error if isinstance(error, str) else ""
        columns.append(Column(model if isinstance(model, str) else "", receipt, text))
    whole = tuple(columns)  # one for all: by it the audit knows what stands in one output
    for place, receipt, problem, name in read:
        yield replace(output, receipt=receipt, problem=problem, receipt_id=name, columns=whole, place=place)
    if not read:
        yield replace(output, receipt=None, problem="a comparison without a receipt")


def _receipt(form: Mapping[str, Any]) -> tuple[Receipt | None, str, str]:
    """Return the receipt of a form, or what is wrong with it; and its id, as far as there is one."""
    name = form.get("receipt_id")
    name = name if isinstance(name, str) else ""
    try:
        return Receipt.from_json(form), "", name
    except ValueError as error:
        return None, str(error), name


def _object(form: Any) -> Mapping[str, Any]:
    return form if isinstance(form, Mapping) else {}


def joined(text: Any) -> Any:
    """Join a text that a notebook's file holds in lines; return anything else as it is."""
    if isinstance(text, list) and all(isinstance(line, str) for line in text):
        return "".join(text)
    return text


def _documents(form: Any) -> dict[str, bytes]:
    """Read the attestations of an output. One that is too long, or no base64, is b"": so it is not its hash's."""
    texts = itertools.islice(form.items(), MOST_DOCUMENTS) if isinstance(form, Mapping) else ()
    found = {}
    for hash, text in texts:
        if isinstance(hash, str) and _HASH.fullmatch(hash):
            whole = joined(text)
            sound = isinstance(whole, str) and len(whole) <= _LONGEST_TEXT
            try:
                found[hash] = base64.b64decode(whole, validate=True) if sound else b""
            except ValueError:
                found[hash] = b""
    return found


def _head(form: Any) -> Head | None:
    if not isinstance(form, Mapping):
        return None
    length, hash = form.get("length"), form.get("head")
    if not isinstance(length, int) or isinstance(length, bool) or not isinstance(hash, str):
        return None
    return (length, hash) if 0 <= length < _LONGEST and len(hash) == len(GENESIS) else None
