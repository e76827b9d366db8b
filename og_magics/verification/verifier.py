"""Verifying receipts: what is read about them, and what each proof says to it.

Columns, each True, False or None (could not be asked, or is not there yet), with its reason:

    enclave      the enclave's key signed the request as it was sent and the answer as it was shown
    attestation  hardware vouched, at most a day before, for the code that holds this key
    registry     that enclave is registered on chain with this key (and runs the pinned code)
    payment      the transaction took what was authorized, from the payer to the payee
    data         what the settlement mode promises stands on chain, and in its blob
    ledger       the row is as it was written
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .. import chain
from ..core.errors import ChainError, ConfigError
from ..core.networks import Network, described
from ..core.onchain import OnchainData, OnchainPayment, Unavailable
from ..core.receipt import Authorization, Receipt
from ..core.types import Enclave
from ..ledger import LedgerAudit
from . import (
    SettledData,
    Verdict,
    check_data,
    check_enclave,
    check_payment,
    check_registry,
    check_scrubbed,
    evidence_of,
    group_costs,
)
from .payment_terms import check_terms
from .receipt_attestation import ReceiptAttestations, RegistryLookup

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("enclave", "attestation", "registry", "payment", "data", "ledger")

LONGEST = 24 * 3600
"""Seconds that an authorization of a file may hold, to be looked for on chain."""

MOST_RANGES = 200
"""Ranges of blocks that are read in all for the authorizations of a file."""

_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_HEX = re.compile(r"(0x)?[0-9a-fA-F]+")

_OFFLINE = Verdict(None, "Not asked: this is an offline check.")
_GONE = Verdict(None, "Not asked: the devnet that this was paid on is gone, and its chain with it.")
_UNKNOWN = Verdict(None, "Not asked: it is not known here where its network is (for a devnet, set OG_DEVNET).")
_UNPAID = Verdict(None, "Nothing to ask: a plain server answered, which takes no payment and signs nothing.")
_BY_ANOTHER = Verdict(
    None, "Not asked: another paid for this call, and has the receipt of it (`og-magics serve` gives it out by its id)."
)
_NO_LEDGER = Verdict(None, "Not asked: there is no ledger here.")


@dataclass(frozen=True, slots=True)
class Proof:
    """All verdicts on one receipt. `receipt` is None for a row that is missing in the ledger."""

    receipt_id: str
    receipt: Receipt | None
    verdicts: Mapping[str, Verdict]

    @property
    def failed(self) -> tuple[str, ...]:
        """Return the columns that do not hold."""
        return tuple(name for name in COLUMNS if self.verdicts[name].ok is False)

    @property
    def reason(self) -> str:
        """Return the reasons of the proofs that do not hold or are not known; of all where all hold."""
        return reason_of(self.verdicts, COLUMNS)


def reason_of(verdicts: Mapping[str, Verdict], columns: Sequence[str]) -> str:
    """Return the reasons of the columns that do not hold or are not known; columns with the same reason share it."""
    reasons: dict[str, list[str]] = {}
    for name in columns:
        if verdicts[name].ok is not True:
            reasons.setdefault(verdicts[name].reason, []).append(name)
    return " ".join(f"{', '.join(names)}: {reason}" for reason, names in reasons.items()) or "All proofs hold."


@dataclass(frozen=True, slots=True)
class _Facts:
    payments: Mapping[str, OnchainPayment | Unavailable | None]
    data: SettledData
    enclaves: Mapping[str, Enclave | Unavailable | None]


def prove(
    receipts: Sequence[Receipt],
    networks: Mapping[str, Network] | None,
    *,
    audit: LedgerAudit | None = None,
    costs: Mapping[str, int | None] | None = None,
    expected_pcr: str = "",
    documents: Mapping[str, bytes] | None = None,
    pinned: Collection[str] = (),
    data_of: Callable[[Network, Iterable[Receipt]], OnchainData] = chain.data_events,
) -> list[Proof]:
    """Check receipts.

    Args:
        networks: by name, where to ask about them; a network that is missing is not asked. None: an offline check.
        audit: of the ledger that they are from, None when they come from elsewhere.
        costs: by authorization, what all its receipts cost together, where they are all known.
        expected_pcr: measurement of the enclave's code, hex with or without 0x; "" for any.
        documents: attestations that the receipts name, by their hash.
        pinned: measurements of which an attestation must have one (OG_PCR), unless `expected_pcr` names it.

    Raises:
        ConfigError: a measurement that is none.
    """
    if expected_pcr and not (isinstance(expected_pcr, str) and _HEX.fullmatch(expected_pcr)):
        raise ConfigError(f"{expected_pcr!r} is no measurement of code.", remedy="Give its hex digits.")
    known = networks or {}
    facts = {name: _gather(known[name], group, data_of) for name, group in _by_network(receipts) if name in known}
    attestations = ReceiptAttestations(documents or {}, [expected_pcr] if expected_pcr else pinned)
    proofs = []
    for receipt in receipts:
        network = known.get(receipt.network)
        gone = network is not None and receipt.time < network.genesis_time
        asked = None if gone or network is None else facts.get(receipt.network)
        unasked = _OFFLINE if networks is None else _GONE if gone else _UNKNOWN
        if not described(receipt.network).paid:
            unasked = _UNPAID if receipt.paid_by is None else _BY_ANOTHER
        proofs.append(_prove(receipt, network, asked, unasked, audit, costs or {}, expected_pcr, attestations))
    if audit is not None:
        present = {receipt.receipt_id for receipt in receipts}
        proofs += [_missing(receipt_id, why) for receipt_id, why in audit.broken.items() if receipt_id not in present]
    return proofs


def with_payments(receipts: Sequence[Receipt], networks: Mapping[str, Network]) -> list[Receipt]:
    """Return the receipts, with the transactions of those that were not settled when they were written and are by now.

    For receipts that are in no ledger. Where a chain cannot be read, they stay as they are.
    """
    found: dict[str, str] = {}
    for name, group in _by_network(receipts):
        network = networks.get(name)
        wanted = {r.authorization.hash: r.authorization for r in group if r.payment_hash is None and r.authorization}
        if network is None:
            continue
        pending = [
            a
            for a in wanted.values()
            if a.network == network.caip2 and _is_sound(a, network) and a.created >= network.genesis_time
        ]
        try:
            settlements = chain.find_settlements(network, pending, most_ranges=MOST_RANGES) if pending else {}
        except ChainError:
            continue
        found |= {hash: settlement.payment_hash for hash, settlement in settlements.items()}
    return [
        replace(r, payment_hash=found.get(r.authorization.hash)) if r.payment_hash is None and r.authorization else r
        for r in receipts
    ]


def _is_sound(authorization: Authorization, network: Network) -> bool:
    """Return True if it is one that may have paid: in a notebook its addresses and times may be anything."""
    signed = (authorization.payer, authorization.pay_to, authorization.token)
    return (
        all(_ADDRESS.fullmatch(one) for one in signed)
        and authorization.token.lower() == network.opg_token.lower()
        and authorization.deadline - authorization.created <= LONGEST
    )


def complete_costs(receipts: Iterable[Receipt]) -> Mapping[str, int | None]:
    """Return the cost of each authorization's receipts together. Pass all receipts of a ledger."""
    return group_costs(receipts)


def proofs_frame(proofs: Sequence[Proof]) -> pd.DataFrame:
    """Return a frame with one row a receipt: `receipt_id`, a column a proof (True, False, None), and `reason`."""
    import pandas as pd

    rows: list[dict[str, Any]] = [
        {"receipt_id": p.receipt_id, **{name: p.verdicts[name].ok for name in COLUMNS}, "reason": p.reason}
        for p in proofs
    ]
    frame = pd.DataFrame(rows, columns=["receipt_id", *COLUMNS, "reason"])
    return frame.astype({name: object for name in COLUMNS})


def proofs_summary(frame: pd.DataFrame) -> str:
    """Return a line on a frame of proofs and its ledger: how many failed, how many are not known."""
    failed = frame[list(COLUMNS)].map(lambda ok: ok is False).any(axis=1)
    known = frame[list(COLUMNS)].map(lambda ok: ok is not None).all(axis=1)
    counts = [f"{len(frame)} receipt{'s' * (len(frame) != 1)}", f"{int((known & ~failed).sum())} with every proof"]
    if (~known & ~failed).any():
        counts.append(f"{int((~known & ~failed).sum())} with proofs that are not known")
    counts.append(f"{int(failed.sum())} FAILED" if failed.any() else "none failed")
    if frame.attrs.get("problems"):
        counts.append("THE LEDGER WAS EDITED")
    return ", ".join(counts) + "."


def _by_network(receipts: Sequence[Receipt]) -> list[tuple[str, list[Receipt]]]:
    groups: dict[str, list[Receipt]] = {}
    for receipt in receipts:
        groups.setdefault(receipt.network, []).append(receipt)
    return list(groups.items())


def _gather(
    network: Network, receipts: Sequence[Receipt], data_of: Callable[[Network, Iterable[Receipt]], OnchainData]
) -> _Facts:
    """Read registry, payments and data at once; what cannot be read is returned as unavailable, not raised."""
    with ThreadPoolExecutor(max_workers=3, thread_name_prefix="og_magics-verify") as pool:
        payments = pool.submit(chain.payment_facts, network, [r.payment_hash for r in receipts if r.payment_hash])
        enclaves = pool.submit(chain.enclaves_by_id, network, [r.tee_id for r in receipts if r.tee_id])
        data = pool.submit(data_of, network, receipts)
        return _Facts(payments.result(), SettledData(data.result()), enclaves.result())


def _prove(
    receipt: Receipt,
    network: Network | None,
    facts: _Facts | None,
    unasked: Verdict,
    audit: LedgerAudit | None,
    costs: Mapping[str, int | None],
    expected_pcr: str,
    attestations: ReceiptAttestations,
) -> Proof:
    verdicts = {"enclave": _enclave(receipt), "ledger": _ledger(receipt.receipt_id, audit)}
    if facts is None or network is None:
        verdicts["attestation"] = attestations.check(receipt, None, None)
        verdicts |= dict.fromkeys(("registry", "payment", "data"), unasked)
    else:
        enclave = facts.enclaves.get(receipt.tee_id) if receipt.tee_id else None
        paid = facts.payments.get(receipt.payment_hash) if receipt.payment_hash else None
        verdicts["attestation"] = attestations.check(receipt, network, RegistryLookup(enclave))
        verdicts["registry"] = check_registry(receipt, enclave, expected_pcr)
        moved = check_payment(receipt, paid, costs.get(receipt.authorization_hash or ""))
        verdicts["payment"] = check_terms(moved, receipt.authorization, network, enclave)
        verdicts["data"] = check_data(receipt, facts.data)
    return Proof(receipt.receipt_id, receipt, verdicts)


def _enclave(receipt: Receipt) -> Verdict:
    if receipt.scrubbed:
        return check_scrubbed(evidence_of(receipt))
    check = check_enclave(evidence_of(receipt))
    return Verdict(check.ok, check.reason)


def _ledger(receipt_id: str, audit: LedgerAudit | None) -> Verdict:
    if audit is None:
        return _NO_LEDGER
    if receipt_id in audit.broken:
        return Verdict(False, audit.broken[receipt_id])
    return Verdict(True, "The row is as it was written.")


def _missing(receipt_id: str, why: str) -> Proof:
    gone = Verdict(None, "The receipt is not there.")
    verdicts = {**dict.fromkeys(COLUMNS, gone), "ledger": Verdict(False, why)}
    return Proof(receipt_id, None, verdicts)
