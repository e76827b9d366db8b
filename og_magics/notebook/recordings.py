"""Saved notebooks as recordings: the answers in their outputs, with receipts, can be shown again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

from ..core.cell_context import CellExecution
from ..core.errors import LedgerError
from ..core.fork import new_lock
from ..core.receipt import Receipt
from ..core.recording import Recording, request_fingerprint
from ..notebook.file import ShownAnswer, answers_in, documents_in
from ..verification.output_check import columns_problems, shown_problem
from ..verification.turn_check import turn_problems
from .jupyter_trust import is_trusted

_COMPLETE = ("served", "paid", "settled", "verified", "expired")


def output_problems(answers: Sequence[ShownAnswer]) -> Iterator[tuple[bool, str] | None]:
    """Yield for each answer the problem with what its output shows, or None: see `output_check.Problem`."""
    columns, problems = None, []
    for answer in answers:
        if answer.turn:
            yield turn_problems(answer.turn, answer.shown, answer.format)[answer.place]
            continue
        if not answer.columns:
            yield shown_problem(answer.receipt, answer.shown) if answer.receipt else None
            continue
        if answer.columns is not columns:  # once for all columns of an output
            columns, problems = answer.columns, columns_problems(answer.columns, answer.shown)
        yield problems[answer.place]


def named_files(names: str) -> list[Path]:
    """Return the paths of notebooks that `replay_from` names, with commas between them."""
    return [Path(name.strip()).expanduser() for name in names.split(",") if name.strip()]


class NotebookRecordings:
    """A `RecordingSource` of the answers in notebook files. A changed file is read again.

    Args:
        files: the paths to look into, asked each time.
        named: the user named them: one that cannot be read is an error, and not left out.
    """

    def __init__(self, files: Callable[[], Sequence[Path]], *, named: bool = False) -> None:
        self._files = files
        self._named = named
        self._lock = new_lock()
        self._read: dict[Path, tuple[tuple[int, int], list[Recording]]] = {}
        self._documents: dict[str, bytes] = {}

    def recorded(self, key: str) -> list[Recording]:
        """Return the complete answers to the requests with this key, in the order of the cells."""
        return [one for one in self._all() if _key(one.receipt) == key]

    def following(self, receipt: Receipt) -> Recording | None:
        """Return the next call of the same turn, or None."""
        first = receipt.turn or receipt.receipt_id
        later = [
            one for one in self._all() if one.receipt.turn == first and one.receipt.receipt_id > receipt.receipt_id
        ]
        return min(later, key=lambda one: one.receipt.receipt_id, default=None)

    def attestations(self, hashes: Collection[str]) -> dict[str, bytes]:
        """Return the documents under these hashes, also those that stood in a file before it was saved again."""
        self._all()
        return {hash: self._documents[hash] for hash in hashes if hash in self._documents}

    def trusts(self, receipt: Receipt) -> bool:
        """Return True if the receipt is in a file that Jupyter trusts as it is: this user ran it, or said so."""
        for path, (_, recordings) in list(self._read.items()):
            if any(one.receipt == receipt for one in recordings):
                return is_trusted(path) is True
        return False

    def knows(self, receipt: Receipt) -> bool:
        """Return False: a key that a file names is its writer's word."""
        return False

    def _all(self) -> list[Recording]:
        found = []
        for path in self._files():
            try:
                stat = path.stat()
                stamp = stat.st_mtime_ns, stat.st_size
                with self._lock:
                    known = self._read.get(path)
                    if known is None or known[0] != stamp:
                        answers = answers_in(path)
                        known = self._read[path] = stamp, _recordings(path, answers)
                        self._documents |= documents_in(answers)
                found += known[1]
            except (OSError, LedgerError):  # gone, or half written: there is nothing in it to be shown
                if not self._named:
                    continue
                raise LedgerError(
                    f"The notebook {path}, whose answers are to be shown, cannot be read.",
                    money="Nothing was paid.",
                    remedy="Correct its path: --replay-from, %og use --replay-from or OG_REPLAY_FROM names it.",
                ) from None
        return found


def _recordings(path: Path, answers: Sequence[ShownAnswer]) -> list[Recording]:
    found = []
    for answer, problem in zip(answers, output_problems(answers), strict=True):
        if answer.receipt is not None and answer.receipt.status in _COMPLETE:
            where = CellExecution(f"{path}#{answer.cell}", "", "")
            reason = problem[1] if problem and problem[0] else ""
            found.append(Recording(answer.receipt, where, problem=reason))
    return found


def _key(receipt: Receipt) -> str:
    return request_fingerprint(receipt.path, receipt.model, receipt.request)
