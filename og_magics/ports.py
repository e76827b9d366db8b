"""What the rooms ask of each other, as Protocols. Nobody imports a neighbour; the wiring passes one in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from .receipt import Receipt
from .recording import Deltas, Shelf
from .types import Authorization, Outcome, Question, Settlement


class Journal(Protocol):
    """The written record of what was asked, signed, served and paid. Safe to call from any thread.

    Order in a question's life: `open`, then `authorize` (first payment of a session only), `attach`, and one of
    `serve` and `fail`. `settle`, `expire` and `unsettle` come whenever the chain is read.
    """

    def open(self, question: Question, network: str, time: float) -> str:
        """A new receipt in the state "unpaid"; its id."""

    def authorize(self, authorization: Authorization) -> None:
        """Write an authorization down, synced to disk before this returns. Call it before the signature is sent."""

    def attach(self, receipt_id: str, authorization_hash: str, session_id: str | None) -> None:
        """This question is paid by that authorization; its receipt becomes "authorized".

        Raises:
            LedgerError: it is paid by another authorization already.
        """

    def detach(self, receipt_id: str, authorization_hash: str) -> None:
        """The gateway proved that this authorization does not pay this question; the receipt is "unpaid" again."""

    def serve(
        self, receipt_id: str, outcome: Outcome, *, cost_usd: str | None, weight: int, enclave: EnclaveVerdict
    ) -> None:
        """The answer is complete. `weight` is the call's share when a session's settlement is split."""

    def fail(self, receipt_id: str, error: str, outcome: Outcome | None, *, weight: int = 0) -> None:
        """The question ended in an error (or was interrupted); `outcome` is what had arrived."""

    def settle(self, settlement: Settlement) -> None:
        """The payment of an authorization was found on chain; all its receipts get their hash and share."""

    def unsettle(self, authorization_hash: str) -> None:
        """The transaction that settled it is on the chain no more (a reorganization): it is pending again."""

    def expire(self, authorization_hash: str) -> None:
        """The deadline of an authorization passed and nothing was paid."""

    def receipt(self, receipt_id: str) -> Receipt:
        """A snapshot. Raises LedgerError when there is no such receipt."""

    def receipts(self) -> list[Receipt]:
        """All, oldest first."""

    def pending(self) -> list[Authorization]:
        """Authorizations that are neither settled nor expired, oldest first."""

    def authorization(self, hash: str) -> Authorization:
        """The authorization with this EIP-712 digest. Raises LedgerError when there is none."""

    def committed(self, network: str, since: float | None = None) -> int:
        """What the authorizations on a chain have cost or may still cost, in base units: what a budget is held against.

        For each: the amount settled, if it is settled; 0, if it expired; else its cap.

        Args:
            network: CAIP-2 name of the payment chain.
            since: unix seconds; only authorizations created then or later count.
        """

    def settled_since(self, block_number: int, network: str) -> list[Settlement]:
        """The settlements on a chain (CAIP-2 name) in this block or a later one: those that may still be undone."""

    @property
    def recordings(self) -> Recordings:
        """The answers that are kept, to be shown again."""


class Recordings(Shelf, Protocol):
    """A shelf to which answers are added."""

    def keep(self, receipt_id: str, deltas: Deltas, images: Sequence[str]) -> None:
        """How the answer with this receipt came."""


class EnclaveVerdict(Protocol):
    """What the check of an enclave's proof found.

    Attributes:
        ok: True, False, or None where there was nothing to check with.
        form: the canonical form of the request that held, or None.
        reason: in a person's words.
    """

    @property
    def ok(self) -> bool | None: ...
    @property
    def form(self) -> str | None: ...
    @property
    def reason(self) -> str: ...


class Clock(Protocol):
    """Unix seconds; a test's clock can be moved."""

    def __call__(self) -> float: ...
