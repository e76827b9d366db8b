"""Which attestations an output carries: the first output of a notebook that names one has it, the others its hash."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..core.cell_context import NO_CELL, CellExecution, execution
from ..core.errors import LedgerError
from ..core.fork import new_lock
from ..core.receipt import Receipt

if TYPE_CHECKING:
    from ..ledger import Ledger


@dataclass(frozen=True, slots=True)
class _Carrier:
    """The output that carries a document: the run of its cell, and the receipts in it."""

    run: CellExecution
    receipts: frozenset[str]

    def is_replaced_by(self, run: CellExecution, receipts: frozenset[str]) -> bool:
        """Return True for the same output again, or for one of its cell's next run, in whose place it will stand."""
        again = run.run != self.run.run
        same_cell = run.cell == self.run.cell if run.cell else run.source == self.run.source
        return receipts == self.receipts or (again and same_cell)


class CarriedAttestations:
    """Chooses, for one session of a notebook. Safe to call from any thread.

    Args:
        replayed: returns those of answers that were shown again, by their hash.
    """

    def __init__(
        self, ledger: Callable[[], Ledger], replayed: Callable[[Collection[str]], Mapping[str, bytes]]
    ) -> None:
        self._ledger, self._replayed = ledger, replayed
        self._lock = new_lock()
        self._carriers: dict[str, _Carrier] = {}

    def __call__(self, receipts: Iterable[Receipt | None]) -> dict[str, bytes]:
        """Return the documents, by their hash, that an output of these receipts carries. It never raises: a document
        that cannot be read is left out.
        """
        those = [one for one in receipts if one is not None and one.attestation_hash]
        run, ids = execution(), frozenset(one.receipt_id for one in those)
        with self._lock:
            wanted = {one.attestation_hash for one in those if self._is_carried(one.attestation_hash, run, ids)}
        found: dict[str, bytes] = {}
        hashes = {hash for hash in wanted if hash is not None}
        if hashes:
            with contextlib.suppress(LedgerError):
                found = self._ledger().attestations(hashes)
            found |= self._replayed(hashes - found.keys())
        with self._lock:
            self._carriers |= dict.fromkeys(found, _Carrier(run, ids))
        return found

    def _is_carried(self, hash: str | None, run: CellExecution, receipts: frozenset[str]) -> bool:
        carrier = self._carriers.get(hash or "")
        return carrier is None or run == NO_CELL or carrier.is_replaced_by(run, receipts)
