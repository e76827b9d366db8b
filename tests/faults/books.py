"""Three books that must agree: the chain's, the ledgers', and what went over the wire.

The chain and the ledgers' authorizations are read past the project's own code: what it misses must not be missed here.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from web3 import HTTPProvider, Web3

from og_magics.core.receipt import Receipt
from og_magics.devnet import contracts
from og_magics.ledger import Ledger


@dataclass(frozen=True)
class Transfer:
    """OPG that left a payer. `calldata` is of the transaction that moved it; `nonce` is looked for in there."""

    payer: str
    payee: str
    amount: int
    payment_hash: str
    calldata: bytes


@dataclass(frozen=True)
class Signed:
    """An authorization's row, and the name of the ledger that has it."""

    ledger: str
    hash: str
    payer: str
    cap: int
    nonce: int

    def pays(self, transfer: Transfer) -> bool:
        return self.payer == transfer.payer and self.nonce.to_bytes(32) in transfer.calldata


@dataclass
class Books:
    """What the chain and the ledgers say in the end.

    Attributes:
        transfers: every transfer of OPG from one of the payers.
        signed: every authorization in any ledger.
        paid: (authorization, its transfers), for those that have any.
        problems: what does not agree, in sentences.
    """

    transfers: list[Transfer]
    signed: list[Signed]
    paid: dict[Signed, list[Transfer]]
    problems: list[str]

    def payments_of(self, nonces: Iterable[int]) -> set[int]:
        """Those among these nonces whose authorization was paid on chain."""
        calldata = [transfer.calldata for transfer in self.transfers]
        return {nonce for nonce in nonces if any(nonce.to_bytes(32) in data for data in calldata)}


def transfers_of(info: Mapping[str, Any], payers: Iterable[str]) -> list[Transfer]:
    """All OPG that ever left the payers, wherever it went."""
    web3, ours = Web3(HTTPProvider(info["rpc_url"])), set(payers)
    token = web3.eth.contract(address=info["opg_token"], abi=contracts.load("OPG").abi)
    found = []
    for log in token.events.Transfer().get_logs(from_block=0):
        payer, payee, amount = log["args"].values()
        if payer in ours:
            transaction = web3.eth.get_transaction(log["transactionHash"])
            payment_hash = log["transactionHash"].to_0x_hex()
            found.append(Transfer(payer, payee, amount, payment_hash, bytes(transaction["input"])))
    return found


def compare(info: Mapping[str, Any], payers: Iterable[str], ledgers: Iterable[Path]) -> Books:
    """Hold the ledgers against the chain. Everything must be settled, and every ledger have looked once after that."""
    books = Books(transfers_of(info, payers), [], {}, [])
    held: dict[str, tuple[list[Receipt], dict[str, Any]]] = {}
    for path in ledgers:
        if path.exists():  # a process killed early has not begun its ledger
            books.signed += _authorizations(path)
            held[path.stem] = _receipts(path, books.problems)
    by_payer = defaultdict(list)
    for one in books.signed:
        by_payer[one.payer].append(one)
    for transfer in books.transfers:
        rows = [one for one in by_payer[transfer.payer] if one.pays(transfer)]
        named = f"the transfer {transfer.payment_hash} of {transfer.amount} from {transfer.payer}"
        if len(rows) != 1:
            books.problems.append(f"{named} has {len(rows)} authorization rows: {rows}")
        for one in rows:
            books.paid.setdefault(one, []).append(transfer)
            books.problems += [
                f"{one.ledger}: {named} {flaw}" for flaw in _flaws(one, transfer, info, *held[one.ledger])
            ]
    books.problems += [
        f"{one.ledger}: {one.hash} was paid {len(t)} times" for one, t in books.paid.items() if len(t) > 1
    ]
    paid = {(one.ledger, one.hash) for one in books.paid}
    questions: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for name, (receipts, settlements) in held.items():
        unfounded = [hash for hash in settlements if (name, hash) not in paid]
        books.problems += [f"{name}: the settlement of {hash} is not on the chain" for hash in unfounded]
        for receipt in receipts:
            if receipt.authorization_hash is not None and (name, receipt.authorization_hash) in paid:
                questions[asked(receipt)].add((name, receipt.authorization_hash))
    books.problems += [f"{q!r} has two paid authorizations: {by}" for q, by in questions.items() if len(by) > 1]
    return books


def asked(receipt: Receipt) -> str:
    """The question's text; the tests ask none twice."""
    request = receipt.request
    return str(request["prompt"] if "prompt" in request else request["messages"][-1]["content"])


def _flaws(
    one: Signed, transfer: Transfer, info: Mapping[str, Any], receipts: list[Receipt], settlements: dict[str, Any]
) -> Iterable[str]:
    """What of an authorization's receipts does not follow from its transfer."""
    if transfer.payee != info["pay_to"] or transfer.amount > one.cap:
        yield f"went to {transfer.payee} under a cap of {one.cap}"
    settlement = settlements.get(one.hash)
    if settlement is None or (settlement.payment_hash, settlement.amount) != (transfer.payment_hash, transfer.amount):
        yield f"is settled in the ledger by {settlement}"
    mine = [receipt for receipt in receipts if receipt.authorization_hash == one.hash]
    if not mine:
        yield "has an authorization without receipts"
    elif sum(receipt.cost or 0 for receipt in mine) != transfer.amount:
        yield f"is split into {[receipt.cost for receipt in mine]}"
    if any(receipt.payment_hash != transfer.payment_hash for receipt in mine):
        yield f"has receipts with the payments {[receipt.payment_hash for receipt in mine]}"


def _authorizations(path: Path) -> list[Signed]:
    with contextlib.closing(sqlite3.connect(path)) as file:
        tables = file.execute("SELECT name FROM sqlite_master WHERE name = 'authorizations'").fetchall()
        rows = file.execute("SELECT hash, payer, cap, nonce FROM authorizations").fetchall() if tables else []
    return [Signed(path.stem, hash, payer, int(cap), int(str(nonce), 0)) for hash, payer, cap, nonce in rows]


def _receipts(path: Path, problems: list[str]) -> tuple[list[Receipt], dict[str, Any]]:
    """The receipts, and the settlements by authorization hash."""
    with Ledger(path) as ledger:
        receipts = ledger.receipts()
        hashes = [one.hash for one in _authorizations(path)]
        settlements = {hash: found for hash in hashes if (found := ledger.settlement(hash)) is not None}
        audit = ledger.audit()
    if not audit.ok:
        problems.append(f"{path.stem}: the journal does not hold: {audit}")
    return receipts, settlements
