"""The Protocols by which rooms use each other. None imports a neighbour; the session passes one in."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from .accounts import Committed, WalletAccount, WalletCheck
from .payment_states import Block, Commitment
from .receipt import Authorization, Receipt
from .recording import Deltas, RecordingSource
from .types import ChatRequest, Enclave, Outcome, Settlement

if TYPE_CHECKING:
    import httpx


class Endpoint(Protocol):
    """A server that answers chat requests: what a gateway is to the client. Used on one event loop.

    Attributes:
        enclave: who answers: address, signing key and payee, as far as they are known.
        paid: True where calls are paid by x402 and signed by an enclave; False where they are neither.
    """

    enclave: Enclave
    paid: bool

    def post(self, request: ChatRequest, auth: httpx.Auth | None) -> AbstractAsyncContextManager[httpx.Response]:
        """Send a request; its answer is good (2xx) and not yet read.

        Args:
            auth: pays for it; None where nothing is paid.

        Raises:
            GatewayUnreachable: no connection, or no answer in time.
            GatewayError: any other status.
        """

    async def health(self) -> dict[str, Any]:
        """Return what the server says of itself, which is untrusted.

        Raises:
            GatewayError: it cannot be reached, or its answer is no JSON.
        """

    async def close(self) -> None:
        """Close all connections."""


class Journal(Protocol):
    """The written record of what was asked, signed, served and paid. Safe to call from any thread.

    Order in a question's life: `open`, then `authorize` (first payment of a session only), `attach`, and one of
    `serve` and `fail`. `settle`, `expire` and `unsettle` come whenever the chain is read.
    """

    def open(self, question: ChatRequest, network: str, time: float) -> str:
        """A new receipt in the state "unpaid"; its id."""

    def authorize(
        self,
        authorization: Authorization,
        check: Callable[[Committed], None] | None = None,
        wallet: WalletCheck | None = None,
    ) -> None:
        """Write an authorization down, synced to disk before this returns. Call it before the signature is sent.

        Args:
            check: called in the same transaction, so that no other process signs in between, with a function of a time
                (unix seconds, or None) that returns what was committed on its chain since; what it raises is raised,
                and nothing is written.
            wallet: called before that with what all notebooks of the wallet have committed, in the transaction that
                reserves the authorization in the wallet's file.
        """

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
        """Note that the call ended in an error, or was interrupted; `outcome` is what had arrived."""

    def settle(self, settlement: Settlement, *, final: bool = False) -> None:
        """The payment of an authorization was found on chain; all its receipts get their hash and share."""

    def mark_used(self, authorization_hash: str, block: Block, why: str = "") -> None:
        """Note that the nonce is used at this block: paid, the transaction is not found yet."""

    def unsettle(self, authorization_hash: str, block: Block, why: str = "") -> None:
        """This deep block shows a nonce as unused that was seen as used: the chain was reorganized. It is pending."""

    def expire(self, authorization_hash: str, block: Block, why: str = "") -> None:
        """This deep block, past the deadline, shows the nonce as unused: nothing was paid."""

    def receipt(self, receipt_id: str) -> Receipt:
        """A snapshot. Raises LedgerError when there is no such receipt."""

    def receipts(self) -> list[Receipt]:
        """Return all receipts, oldest first."""

    def pending(self) -> list[Authorization]:
        """Authorizations that are neither settled nor expired, oldest first."""

    def chains(self) -> list[str]:
        """The chains (CAIP-2 names) for which something was signed."""

    def expired(self, network: str) -> list[Authorization]:
        """Authorizations on a chain that count as not paid, oldest first."""

    def used_at(self, network: str) -> dict[str, int]:
        """The block, by hash, in which nonces were seen as used whose transactions were not found yet."""

    def authorization(self, hash: str) -> Authorization:
        """The authorization with this EIP-712 digest. Raises LedgerError when there is none."""

    def commitment(self, network: str, since: float | None = None) -> Commitment:
        """Return what the authorizations on a chain have cost or may still cost.

        Args:
            network: CAIP-2 name of the payment chain.
            since: unix seconds; only authorizations created then or later count.
        """

    def check_money(self) -> None:
        """Hold what budgets count against the journal's chain of hashes.

        Raises:
            LedgerError: it was changed by hand.
        """

    def wallet_commitment(self, account: WalletAccount, since: float | None = None) -> Commitment:
        """Return what the authorizations of a wallet have cost or may still cost, in all its notebooks."""

    def wallet_ledgers(self, account: WalletAccount) -> list[Path]:
        """Return the paths of other ledgers that are there, with payments of the wallet that are still open."""

    def price_paid(self, network: str) -> Decimal | None:
        """USD of an OPG as the last settlement on a network (by its name) came out; None where there is none."""

    def settled_since(self, block_number: int, network: str) -> list[Settlement]:
        """The settlements on a chain (CAIP-2 name) in this block or a later one that are not final."""

    @property
    def recordings(self) -> Recordings:
        """The answers that are kept, to be shown again."""


class Recordings(RecordingSource, Protocol):
    """A shelf to which answers are added."""

    def keep(self, receipt_id: str, deltas: Deltas, images: Sequence[str]) -> None:
        """Keep the stream and the images of the answer with this receipt."""


class EnclaveVerdict(Protocol):
    """The outcome of a check of an enclave's proof.

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
