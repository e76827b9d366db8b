"""All receipts of a notebook: those of its ledger, and those of replayed answers from elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from ..core.fork import new_lock
from ..core.networks import Network
from ..core.receipt import Receipt
from ..core.receipt_filter import ReceiptFilter
from ..ledger import FrameCache, Ledger, chosen_frame, receipts_frame
from ..verification.verifier import complete_costs, proofs_frame, prove

if TYPE_CHECKING:
    import pandas as pd


class ReceiptsView:
    """A notebook's receipts. What was replayed in this session is marked as such. Safe to call from any thread.

    Args:
        attested: returns attestations of replayed answers, by their hash. pinned: the measurements of OG_PCR.
    """

    def __init__(
        self,
        ledger: Callable[[], Ledger],
        replayed: Callable[[], Mapping[str, Receipt]],
        networks: Callable[[Collection[str]], Mapping[str, Network]],
        attested: Callable[[Collection[str]], Mapping[str, bytes]],
        pinned: Callable[[], Collection[str]],
    ) -> None:
        self._current = ledger
        self._replayed = replayed
        self._networks = networks
        self._attested, self._pinned = attested, pinned
        self._lock = new_lock()
        self._cache: tuple[Ledger, FrameCache] | None = None
        self._elsewhere: pd.DataFrame | None = None

    def version(self) -> tuple[str, int, int]:
        """Return a value that changes whenever receipts come or change. Cheap enough to poll."""
        ledger = self._current()
        return str(ledger.path), ledger.version(), len(self._replayed())

    def receipts(self) -> list[Receipt]:
        """Return all, oldest first."""
        replayed = self._replayed()
        own = self._current().receipts()
        known = {receipt.receipt_id for receipt in own}
        marked = [replace(one, replayed=True) if one.receipt_id in replayed else one for one in own]
        others = [receipt for key, receipt in replayed.items() if key not in known]
        return sorted([*marked, *others], key=lambda one: one.receipt_id) if others else marked

    def receipt(self, receipt_id: str) -> Receipt:
        """Return the one with this id.

        Raises:
            LedgerError: there is none.
        """
        replayed = self._replayed().get(receipt_id)
        return replayed or self._current().receipt(receipt_id)

    def chosen(self, choice: ReceiptFilter) -> pd.DataFrame:
        """Return the frame of those that are chosen; of the ledger, the others are not read."""
        import pandas as pd

        frame, replayed = chosen_frame(self._current(), choice), self._replayed()
        known = frame["receipt_id"].isin(replayed.keys())
        frame["replayed"] |= known
        held = set(frame.loc[known, "receipt_id"])
        others = receipts_frame([one for key, one in replayed.items() if key not in held and choice.keeps(one)])
        parts = [part for part in (frame, others) if len(part)]
        return pd.concat(parts).sort_values("receipt_id", kind="stable", ignore_index=True) if parts else frame

    def frame(self) -> pd.DataFrame:
        """Return all as a DataFrame, the caller's own; see `og_magics.receipts`."""
        import pandas as pd

        ledger, replayed = self._current(), self._replayed()
        with self._lock:
            if self._cache is None or self._cache[0] is not ledger:
                self._cache, self._elsewhere = (ledger, FrameCache(ledger)), None
            frame = self._cache[1].current()
            if not replayed:
                return frame
            known = frame["receipt_id"].isin(replayed.keys())
            frame["replayed"] |= known
            held = set(frame.loc[known, "receipt_id"])
            others = self._others([receipt for key, receipt in replayed.items() if key not in held])
        if not len(others):
            return frame
        parts = [frame, others] if len(frame) else [others]
        return pd.concat(parts).sort_values("receipt_id", kind="stable", ignore_index=True)

    def _others(self, receipts: list[Receipt]) -> pd.DataFrame:
        """Return the frame of these; those of the last time are not made again."""
        import pandas as pd

        before = self._elsewhere
        new = receipts if before is None else receipts[len(before) :]
        if before is None or new:
            parts = [part for part in (before, receipts_frame(new)) if part is not None and len(part)]
            self._elsewhere = pd.concat(parts, ignore_index=True) if parts else receipts_frame([])
        return receipts_frame([]) if self._elsewhere is None else self._elsewhere

    def verify(
        self, ledger: Ledger, chosen: Collection[str] | None, *, online: bool, expected_pcr: str = ""
    ) -> pd.DataFrame:
        """Check the proofs of receipts; see `og_magics.verify`."""
        known = ledger.receipts()
        receipts = known if chosen is None else [r for r in known if r.receipt_id in chosen]
        audit = ledger.audit()
        held = {receipt.receipt_id for receipt in known}
        elsewhere = [] if ledger is not self._current() else list(self._replayed().values())
        others = [r for r in elsewhere if r.receipt_id not in held and (chosen is None or r.receipt_id in chosen)]
        networks = self._networks({r.network for r in (*receipts, *others)}) if online else None
        documents = dict(ledger.attestations(_named(receipts)))
        documents |= self._attested(_named(others) - documents.keys())
        prove_them = partial(
            prove, networks=networks, expected_pcr=expected_pcr, documents=documents, pinned=self._pinned()
        )
        proofs = prove_them(
            receipts, audit=audit if chosen is None else audit.only(chosen), costs=complete_costs(known)
        )
        for proof in () if ledger.read_only else proofs:
            marked = proof.receipt is not None and proof.receipt.status == "verified"
            if not marked and all(verdict.ok is True for verdict in proof.verdicts.values()):  # True: it was looked at
                ledger.mark_verified(proof.receipt_id)
        proofs += prove_them(others)
        frame = proofs_frame(proofs)
        frame.attrs["problems"] = list(audit.problems)
        return frame


def _named(receipts: Collection[Receipt]) -> set[str]:
    """Return the hashes of the attestations that receipts name."""
    return {receipt.attestation_hash for receipt in receipts if receipt.attestation_hash is not None}
