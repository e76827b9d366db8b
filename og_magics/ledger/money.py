"""The part of the ledger that says what became of authorizations, by the table in `core/payment_states.py`.

Each finding is judged in the transaction that writes it: what stands in the file by then, perhaps from another process,
is outdone only by better evidence.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core.accounts import WalletAccount
from ..core.cell_notes import LEDGER_REPLACED
from ..core.errors import LedgerError
from ..core.payment_states import Block, Commitment, MoneyEvent, MoneyState, is_past, transition
from ..core.receipt import Authorization
from ..core.shared_ledger import shared_at
from ..core.types import Settlement
from . import journal, rows
from .database import Connection, Row
from .file import LedgerFile
from .file_system import named
from .money_check import Edited, MoneyCheck
from .wallet_errors import WalletFileError
from .wallet_file import LedgerPayments, Payment, WalletFile, amount_of, commitment_of

_UNSETTLED = "hash NOT IN (SELECT authorization_hash FROM settlements)"


def commitment(connection: Connection, network: str, since: float | None) -> Commitment:
    """Return what a file's authorizations on a chain come to; amounts are texts there, as long as they need to be."""
    found = connection.execute(
        """SELECT s.amount, CASE WHEN s.amount IS NULL AND a.expired = 0 THEN a.cap ELSE '0' END AS open
        FROM authorizations a LEFT JOIN settlements s ON s.authorization_hash = a.hash
        WHERE a.network = ? AND a.created >= ?""",
        (network, float("-inf") if since is None else since),
    ).fetchall()
    still_open = sum(amount_of(row["open"]) for row in found)
    return Commitment(still_open + sum(amount_of(row["amount"] or 0) for row in found), still_open)


def payments_of(connection: Connection, account: WalletAccount, since: float | None) -> dict[str, Payment]:
    """Return the payments of a wallet that a file has, by hash."""
    found = connection.execute(
        """SELECT a.hash, a.cap, a.created, a.deadline, a.expired, s.amount
        FROM authorizations a LEFT JOIN settlements s ON s.authorization_hash = a.hash
        WHERE a.network = ? AND a.payer = ? AND a.created >= ?""",
        (account.network, account.payer, max(account.started, float("-inf") if since is None else since)),
    )
    payments = {}
    for row in found:
        paid = 0 if row["amount"] is None and row["expired"] else row["amount"]
        payments[str(row["hash"])] = Payment(
            amount_of(row["cap"]), row["created"], row["deadline"], None if paid is None else amount_of(paid)
        )
    return payments


class MoneyLedger:
    """Authorizations, and the states of their money."""

    def __init__(self, file: LedgerFile) -> None:
        self._file = file
        self._check = MoneyCheck()
        self._wallets = WalletFile()

    @property
    def path(self) -> Path:
        """Of the file, absolute."""
        return self._file.path

    @property
    def name(self) -> str:
        """Its file's name; of a shared ledger the URL, without the password."""
        shared = shared_at(self.path)
        return self.path.name if shared is None else shared.shown

    # -- writing -------------------------------------------------------------------------------

    def settle(self, settlement: Settlement, *, final: bool = False) -> None:
        """Note a payment that was found on chain. The same again changes nothing; another replaces one not final.

        Args:
            final: it is deep enough not to be undone.
        """
        event = MoneyEvent.CONFIRMED if final else MoneyEvent.FOUND
        with self._file.writing() as connection:
            state = self._money(connection, settlement.authorization_hash)
            after = transition(state, event)
            if after is None:
                return
            money = after.value if after is MoneyState.FINAL else None
            changes = {
                "settlements": rows.settlement_row(settlement),
                "authorizations": {"expired": 0, "money": money, "evidence": None},
            }
            journal.write(connection, "settled", changes, authorization=settlement.authorization_hash)
        self._wallets.note(settlement.authorization_hash, settlement.amount)

    def mark_used(self, authorization_hash: str, block: Block, why: str = "") -> None:
        """Note that the nonce of an authorization is used, and that its transaction was not found yet."""
        self._note(authorization_hash, MoneyEvent.USED, block, why)

    def unsettle(self, authorization_hash: str, block: Block, why: str = "") -> None:
        """Undo `settle` and `mark_used`: a deep block shows the nonce as unused, and it is pending again.

        Nothing happens where it was not settled, is final, or was seen in a later block. The receipts that it pays lose
        their payment hash and their cost.
        """
        self._note(authorization_hash, MoneyEvent.UNDONE, block, why)

    def expire(self, authorization_hash: str, block: Block, why: str = "") -> None:
        """Note that nothing was paid: a deep block past the deadline shows the nonce as unused.

        Nothing happens where the block is not past it, or something was paid. A payment, even a later one, outdoes it.
        """
        self._note(authorization_hash, MoneyEvent.UNUSED, block, why)

    # -- reading -------------------------------------------------------------------------------

    def authorization(self, hash: str) -> Authorization:
        """Return the authorization with this EIP-712 digest."""
        with self._file.reading() as connection:
            return rows.authorization_of(self._row(connection, "authorizations", hash))

    def settlement(self, hash: str) -> Settlement | None:
        """Return the settlement of the authorization with this digest, None until it is known."""
        with self._file.reading() as connection:
            row = journal.row(connection, "settlements", hash)
            return None if row is None else rows.settlement_of(row)

    def money(self, hash: str) -> MoneyState:
        """Return the state of an authorization's money."""
        with self._file.reading() as connection:
            return self._money(connection, hash)

    def pending(self) -> list[Authorization]:
        """Return the authorizations that are neither settled nor expired, oldest first."""
        return self._authorizations(f"expired = 0 AND {_UNSETTLED}")

    def chains(self) -> list[str]:
        """Return the chains (CAIP-2 names) for which something was signed."""
        with self._file.reading() as connection:
            return [row["network"] for row in connection.execute("SELECT DISTINCT network FROM authorizations")]

    def expired(self, network: str) -> list[Authorization]:
        """Return the authorizations on a chain (its CAIP-2 name) that count as not paid, oldest first."""
        return self._authorizations(f"network = ? AND expired != 0 AND {_UNSETTLED}", network)

    def used_at(self, network: str) -> dict[str, int]:
        """Return, by hash, the block in which the nonces were seen as used whose transactions were not found yet."""
        with self._file.reading() as connection:
            found = connection.execute(
                "SELECT hash, evidence FROM authorizations WHERE network = ? AND money = 'used'", (network,)
            )
            return {row["hash"]: _block_of(row["evidence"]) for row in found}

    def committed(self, network: str, since: float | None = None) -> int:
        """Return the total of `commitment`, in base units."""
        return self.commitment(network, since).total

    def commitment(self, network: str, since: float | None = None) -> Commitment:
        """Return what the authorizations on a chain have cost or may still cost.

        Args:
            network: CAIP-2 name of the chain, "eip155:84532".
            since: unix seconds; only those created then or later count.
        """
        with self._file.reading() as connection:
            return commitment(connection, network, since)

    def check_money(self) -> None:
        """Hold what budgets count against the journal's chain of hashes; see `money_check.py`.

        Raises:
            LedgerError: it was changed by hand.
        """
        with self._file.reading() as connection:
            self._require_sound(connection)

    def wallet_commitment(self, account: WalletAccount, since: float | None = None) -> Commitment:
        """Return what the authorizations of a wallet have cost or may still cost, in all its notebooks.

        Where the wallet's file cannot be read and the money is not real, it is what this ledger has.

        Raises:
            LedgerError: that file cannot be read.
        """
        own = self._own_payments(account, since)
        try:
            return self._wallets.commitment(account, since, own)
        except WalletFileError:
            if account.real_money:
                raise
            return commitment_of(own.payments)

    def wallet_ledgers(self, account: WalletAccount) -> list[Path]:
        """Return the paths of other ledgers that are there, with payments of the wallet that are still open."""
        try:
            return [path for path in self._wallets.ledgers(account) if path != self.path and path.is_file()]
        except WalletFileError:
            return []

    def enter_in_wallet(self, account: WalletAccount) -> None:
        """Note in the wallet's file what this ledger says of its payments; nothing where it was changed by hand."""
        with contextlib.suppress(LedgerError):
            self.check_money()
            self._wallets.enter(account, self._own_payments(account, None))

    def settled_since(self, block_number: int, network: str) -> list[Settlement]:
        """Return the settlements on a chain in this block or a later one that are not final, by block."""
        with self._file.reading() as connection:
            found = connection.execute(
                """SELECT s.* FROM settlements s JOIN authorizations a ON a.hash = s.authorization_hash
                WHERE a.network = ? AND s.block_number >= ? AND coalesce(a.money, '') != 'final'
                ORDER BY s.block_number, s.rowid""",
                (network, block_number),
            )
            return [rows.settlement_of(row) for row in found]

    # -- within --------------------------------------------------------------------------------

    def _own_payments(self, account: WalletAccount, since: float | None) -> LedgerPayments:
        with self._file.reading() as connection:
            return LedgerPayments(payments_of(connection, account, since), self.path, self._check.known)

    def _require_sound(self, connection: Connection) -> None:
        try:
            self._check.require(connection, lambda: self._wallets.checkpoint(self.path))
        except Edited as error:
            raise LedgerError(
                f"{named(self.path)} was changed by hand, so the budgets cannot be counted. {error}",
                money="Nothing was signed and nothing was paid.",
                remedy="%og verify names all that was changed. Put a copy from before back, or move the file away: "
                "then a new one is begun.",
            ) from error
        if self._check.replaced:
            self._check.replaced = False
            self._file.add_note(LEDGER_REPLACED.of(path=named(self.path)))

    def _note(self, hash: str, event: MoneyEvent, block: Block, why: str) -> None:
        with self._file.writing() as connection:
            row = self._row(connection, "authorizations", hash)
            settlement = journal.row(connection, "settlements", hash)
            after = transition(rows.money_of(row, settlement), event)
            if after is None or (event is MoneyEvent.UNUSED and not is_past(row["deadline"], block)):
                return
            if event is MoneyEvent.UNDONE and block.number < _seen_at(row, settlement):
                return
            evidence = {"event": event.value, "block": block.number, "hash": block.hash, "time": block.time, "why": why}
            values = {
                "expired": int(after is MoneyState.EXPIRED),
                "money": after.value if after is MoneyState.USED else None,
                "evidence": rows.canonical(evidence),
            }
            changes: dict[str, Mapping[str, Any] | None] = {"authorizations": values}
            if settlement is not None:
                changes["settlements"] = None
            journal.write(connection, _KINDS[event], changes, authorization=hash)
        self._wallets.note(hash, 0 if after is MoneyState.EXPIRED else None)

    def _authorizations(self, where: str, *values: Any) -> list[Authorization]:
        with self._file.reading() as connection:
            found = connection.execute(
                f"SELECT * FROM authorizations WHERE {where} ORDER BY created, rowid",  # noqa: S608 - our own words
                values,
            )
            return [rows.authorization_of(row) for row in found]

    def _money(self, connection: Connection, hash: str) -> MoneyState:
        row = self._row(connection, "authorizations", hash)
        return rows.money_of(row, journal.row(connection, "settlements", hash))

    def _row(self, connection: Connection, table: str, key: str) -> Row:
        return self._known(journal.row(connection, table, key), table, key)

    def _known(self, row: Row | None, table: str, key: str) -> Row:
        if row is None:
            raise LedgerError(
                f"{named(self.path)} has no {table[:-1]} {key!r}.", remedy="Was it written to another file?"
            )
        return row


_KINDS = {MoneyEvent.USED: "used", MoneyEvent.UNDONE: "unsettled", MoneyEvent.UNUSED: "expired"}
"""The kinds of entries in the journal."""


def _seen_at(authorization: Row, settlement: Row | None) -> int:
    return int(settlement["block_number"]) if settlement is not None else _block_of(authorization["evidence"])


def _block_of(evidence: str | None) -> int:
    try:
        return int(json.loads(evidence or "")["block"])
    except (ValueError, TypeError, LookupError):
        return 2**63 - 1  # nothing is known to be later
