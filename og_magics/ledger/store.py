"""The receipts' file. Its storage contract:

- An authorization is written once, synced to disk before `authorize` returns, and never rewritten. Later only the
  state of its money is marked (`money.py`), as the table in `core/payment_states.py` allows.
- A receipt is written when its question is asked. After that three things are filled in, each once: the authorization
  that pays (its session may follow; only `detach` takes it back), the end (served or failed; the first one stands), and
  the payment that was verified.
- A settlement is one row an authorization. Another one in its place (the chain was reorganized) replaces it, and only
  `unsettle` removes it.
- Nothing else is ever deleted but threads, which are the user's to change (`threads.py`). A process that dies leaves
  its receipts "unpaid" or "authorized", which is what they are.
- What follows from other rows is worked out when read: status, payment hash, payer, cap, and the cost, a share of what
  the settlement moved (`core/shares.py`). So shares always add up to it, whichever came last.
- Signatures and keys are not stored, nor are images. Of a payment session's id there is a hash, salted by ledger.
- How an answer ended is not lost where the file cannot be written then: it is kept beside it, and is taken in later,
  once (`spool.py`).
- Every write is one transaction, or a part of one that several share (`together`): it is there as a whole, or not at
  all. The same transaction enters what it changed in the journal, where each entry holds the hash of the one before
  (`journal.py`). What a write finds already so, it neither writes nor enters.
- So `audit` finds a row or an entry that was changed, added, removed or moved by other hands, and names it. It cannot
  find what was done by someone who made the journal anew from there on, or who cut its end off together with the rows:
  for that, note its `head` elsewhere, and give it to `audit`.
"""

from __future__ import annotations

import functools
import os
import secrets
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Self

from ..core.accounts import Committed, WalletCheck
from ..core.cell_notes import WALLET_FILE_UNUSED
from ..core.errors import LedgerError
from ..core.fork import new_lock
from ..core.protocols import EnclaveVerdict
from ..core.receipt import Authorization
from ..core.secret import fingerprint
from ..core.shared_ledger import shared_at
from ..core.types import ChatRequest, Outcome
from . import attestations, file_writes, journal, recordings, rows, server_writes, spool
from .database import Connection, remember
from .money import commitment, payments_of
from .notebook_index import NotebookIdentity
from .ownership import Foreign, adopt, foreign_in
from .reader import ReceiptReader
from .recording_store import RecordingStore
from .running import Running
from .server_file import ledger_file
from .threads import ThreadStore
from .transactions import RECORD
from .wallet_errors import UNSENT, WalletFileError
from .wallet_file import LedgerPayments, commitment_of

_REPORT = "Please report it: the program should not have asked for this."


class Ledger(ReceiptReader):
    """`ports.Journal` on an SQLite file, for any number of threads and processes.

    The file, and its folder, come into being at the first use; after `close()` the next use opens it again. Every
    method raises `LedgerError` when the file cannot be read or written, or when it has no such receipt or
    authorization.

    Attributes:
        notebook: that asks, and is noted with its receipts; None in a terminal and in a script.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(ledger_file(path))
        self._pid, self._last_id, self._naming, self._salt = os.getpid(), 0, new_lock(), ""
        self._running: dict[str, Running] = {}
        self._attached: dict[str, tuple[dict[str, Any], str]] = {}  # on a server: what pays, and the salt of sessions
        self.notebook: NotebookIdentity | None = None

    @property
    def calls_at_once(self) -> int:
        """Calls that are worth making at the same time: a server takes steps of many receipts together."""
        return server_writes.AT_ONCE if server_writes.on_server(self._file) else 1

    @property
    def threads(self) -> ThreadStore:
        """The conversations in the file."""
        return ThreadStore(self._file, "" if self.notebook is None else self.notebook.scope)

    @property
    def recordings(self) -> RecordingStore:
        """The answers in the file, to be shown again."""
        return RecordingStore(self._file, self.receipt)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def read_only(self) -> bool:
        """True where its folder cannot be written: it is read as it is until a question begins another place."""
        return self._file.read_only

    def note(self) -> str:
        """Return, once, what the user should know of the file's place before the next question; else ""."""
        return self._file.note()

    def foreign(self) -> Foreign:
        """Return the answers and conversations that this user's machine did not write; see `ownership.py`."""
        with self._file.reading_beside(own=True) as connection:
            return foreign_in(connection)

    def adopt(self, foreign: Foreign) -> None:
        """Take over what another user or machine wrote, as this user's own."""
        with self._file.writing() as connection:
            adopt(connection, foreign.answers, foreign.turns)

    def together(self) -> AbstractContextManager[None] | None:
        """Open one transaction for several of `open`, `attach` and `serve`; return None where each has one of its own.

        An error of any of them undoes them all; each is then to be made anew.
        """
        return None if server_writes.on_server(self._file) else self._file.together()

    def close(self) -> None:
        """Close the file. It is also closed when the ledger is no longer used, and when the interpreter ends."""
        self._file.close()

    # -- the port: writing ---------------------------------------------------------------------

    def open(self, question: ChatRequest, network: str, time: float) -> str:
        """Open a receipt in the state "unpaid".

        Return its id: 32 hex digits that sort by time, and by order in a process.
        """
        known = self.notebook is None or self.notebook.is_noted()
        tried: dict[str, Any] | None = None
        if known and server_writes.on_server(self._file):
            tried = self._opened(question, network, time, None if self.notebook is None else self.notebook.id)
            if server_writes.opened(self._file, tried, question):
                self._running[tried["receipt_id"]] = Running(tried)
                return str(tried["receipt_id"])
        with self._file.writing(money=UNSENT, begins=True) as connection:
            notebook_id = None if self.notebook is None else self.notebook.note(connection)
            row = tried or self._opened(question, network, time, notebook_id)
            receipt_id = str(row["receipt_id"])
            # Of one that was tried, the server may have written it, and its answer been lost on the way.
            is_there = tried is not None and journal.row(connection, "receipts", receipt_id) is not None
            if not is_there and not file_writes.opened(connection, row, question):
                journal.write(connection, "opened", {"receipts": row}, receipt=receipt_id, held={"receipts": None})
                recordings.note(connection, receipt_id, question)
        if self.notebook is not None:
            self._file.after(self.notebook.confirm)
        self._file.after(functools.partial(self._running.__setitem__, receipt_id, Running(row)))
        return receipt_id

    def authorize(
        self,
        authorization: Authorization,
        check: Callable[[Committed], None] | None = None,
        wallet: WalletCheck | None = None,
    ) -> None:
        """Write an authorization down, synced to disk before this returns. A second time changes nothing.

        Args:
            check: raises what forbids it, for what was committed on its chain since a time, or in all. It is called in
                the transaction that writes: kernels that ask at once stay within one budget.
            wallet: the same for what all notebooks of the wallet have committed. The authorization is first reserved in
                the wallet's file (`wallet_file.py`), in the transaction that calls this. Where that file cannot be
                written, real money is refused, and other money is held against what this ledger has.

        Raises:
            LedgerError: besides, what the budgets count was changed by hand.
        """
        if wallet is None:
            self._write_authorization(authorization, check, counted=check is not None)
            return
        with self._file.reading() as connection:
            if journal.row(connection, "authorizations", authorization.hash) is not None:
                return
            self._require_sound(connection)

        def own(since: float | None) -> LedgerPayments:
            with self._file.reading() as connection:
                self._require_sound(connection)
                return LedgerPayments(payments_of(connection, wallet.account, since), self.path, self._check.known)

        try:
            self._wallets.reserve(authorization, wallet.account, self.path, wallet.check, own)
        except WalletFileError as error:
            if wallet.account.real_money:
                raise
            self._file.add_note(WALLET_FILE_UNUSED.of(why=error.what))
            self._write_authorization(authorization, check, wallet, counted=True)
            return
        try:
            # Other machines have wallet's files of their own, and this ledger in common.
            also = None if shared_at(self.path) is None else wallet
            self._write_authorization(authorization, check, also, counted=True)
        except BaseException:
            self._wallets.release(authorization.hash)
            raise
        self.check_money()  # up to the authorization itself: the next process begins there
        self._wallets.confirm(authorization, wallet.account, self.path, self._check.checkpoint)

    def _write_authorization(
        self,
        authorization: Authorization,
        check: Callable[[Committed], None] | None,
        wallet: WalletCheck | None = None,
        *,
        counted: bool,
    ) -> None:
        """Write it in one transaction with the checks; `counted`: a budget counts what is in the file."""
        hash, row = authorization.hash, rows.authorization_row(authorization)
        with self._file.writing(money=UNSENT, synced=True) as connection:
            if journal.row(connection, "authorizations", hash) is not None:
                return
            if counted:
                self._require_sound(connection)
            if check is not None:
                check(lambda since: commitment(connection, authorization.network, since))
            if wallet is not None:
                account = wallet.account
                wallet.check(lambda since: commitment_of(payments_of(connection, account, since)))
            new = {"authorizations": None}
            journal.write(connection, "authorized", {"authorizations": row}, authorization=hash, held=new)
            if server_writes.on_server(self._file) and not self._salt:
                self._salt = journal.salt(connection)
        if self._salt:
            signed = {name: rows.storable(row[name]) for name in spool.SIGNED}
            remember(self._attached, hash, (signed, self._salt))

    def attach(self, receipt_id: str, authorization_hash: str, session_id: str | None) -> None:
        """Note the authorization that pays a request. Again with the same one may bring the session that came later.

        Once it is noted, a failure to note the session as well is not raised: the answer is on its way by then.

        Raises:
            LedgerError: it is paid by another authorization already; that one stays.
        """
        running = self._running.get(receipt_id)
        is_known = running is not None and running.signed is not None and running.signed["hash"] == authorization_hash
        try:
            self._attach(receipt_id, authorization_hash, session_id, running, brief=is_known)
        except LedgerError:
            if running is None or not is_known:
                raise
            running.session_id = running.salted(session_id)

    def _attach(
        self, receipt_id: str, authorization_hash: str, session_id: str | None, running: Running | None, *, brief: bool
    ) -> None:
        known = self._attached.get(authorization_hash)
        if known is not None and running is not None and running.signed is None and running.session_id is None:
            signed_then, salt = known
            session = None if session_id is None else fingerprint(session_id, salt)
            if server_writes.attached(self._file, receipt_id, authorization_hash, session):
                running.signed, running.salt, running.session_id = signed_then, salt, session
                return
        with self._file.writing(brief=brief) as connection:
            paying = file_writes.paying(connection)
            fresh = running is not None and running.signed is None and running.session_id is None
            known = paying.get(authorization_hash) if fresh else None
            session = None if known is None or session_id is None else fingerprint(session_id, known[1])
            if known is None or not file_writes.attached(connection, receipt_id, authorization_hash, session):
                known = self._attach_looking(connection, receipt_id, authorization_hash, session_id)
            remember(paying, authorization_hash, known)
        if running is not None:
            if server_writes.on_server(self._file):
                remember(self._attached, authorization_hash, known)
            self._file.after(functools.partial(running.note, *known, session_id))

    def _attach_looking(
        self, connection: Connection, receipt_id: str, authorization_hash: str, session_id: str | None
    ) -> tuple[dict[str, Any], str]:
        """Attach, and return the columns of the authorization that a spool needs, and the salt of sessions."""
        row = self._row(connection, "receipts", receipt_id)
        if row["authorization_hash"] not in (None, authorization_hash):
            raise LedgerError(
                f"Receipt {receipt_id} is paid by authorization {row['authorization_hash']} already.",
                money=f"Authorization {authorization_hash} does not pay for it.",
                remedy=_REPORT,
            )
        held = rows.dict_of(self._row(connection, "authorizations", authorization_hash))
        salt = journal.salt(connection)
        changes = {"authorization_hash": authorization_hash}
        if session_id is not None:
            changes["session_id"] = fingerprint(session_id, salt)
        journal.write(
            connection, "attached", {"receipts": changes}, receipt=receipt_id, authorization=authorization_hash,
            held={"receipts": row},
        )  # fmt: skip
        return {name: held[name] for name in spool.SIGNED}, salt

    def detach(self, receipt_id: str, authorization_hash: str) -> None:
        """Undo `attach`: the authorization did not pay this request. Nothing happens where it was not attached."""
        none = {"authorization_hash": None, "session_id": None}
        with self._file.writing() as connection:
            if self._row(connection, "receipts", receipt_id)["authorization_hash"] == authorization_hash:
                journal.write(
                    connection, "detached", {"receipts": none}, receipt=receipt_id, authorization=authorization_hash
                )
        if receipt_id in self._running:
            self._running[receipt_id].signed = self._running[receipt_id].session_id = None

    def serve(
        self, receipt_id: str, outcome: Outcome, *, cost_usd: str | None, weight: int, enclave: EnclaveVerdict
    ) -> None:
        """Note a complete answer. `weight`, 0 or more, is its share when the settlement is split.

        Of a receipt that was opened here, it is also kept where the file cannot be written now.
        """
        end = {
            "cost_usd": cost_usd, "enclave_ok": enclave.ok, "enclave_form": enclave.form,
            "enclave_reason": enclave.reason,
        }  # fmt: skip
        self._end(receipt_id, "served", weight, end | rows.outcome_row(outcome), outcome.attestation)

    def fail(self, receipt_id: str, error: str, outcome: Outcome | None, *, weight: int = 0) -> None:
        """Note a request that ended in an error.

        `outcome` is what had arrived. A receipt that was served stays served. As `serve`, it is kept in any case.
        """
        arrived = {} if outcome is None else rows.outcome_row(outcome)
        attestation = b"" if outcome is None else outcome.attestation
        self._end(receipt_id, "failed", weight, {"error": error} | arrived, attestation)

    def mark_verified(self, receipt_id: str) -> None:
        """Mark a settled receipt as "verified": its proofs hold. Others stay as they are."""
        with self._file.writing() as connection:
            row = self._receipt_row(connection, receipt_id)
            if rows.status_of(row) == "settled":
                checked, hash = {"verified_hash": row["payment_hash"]}, row["authorization_hash"]
                journal.write(connection, "verified", {"receipts": checked}, receipt=receipt_id, authorization=hash)

    # -- within --------------------------------------------------------------------------------

    def _opened(self, question: ChatRequest, network: str, time: float, notebook_id: str | None) -> dict[str, Any]:
        """Return the columns of a new receipt."""
        return {
            "receipt_id": self._new_id(time), "time": time, "cell": question.cell,
            "notebook": (self.notebook and self.notebook.name) or question.notebook, "network": network,
            "provider": question.provider, "model": question.model, "settlement": question.settlement.value,
            "path": question.path, "request": rows.as_sent(dict(question.body)), "turn": question.turn or None,
            "notebook_id": notebook_id, "paid_for": question.paid_for or None,
        }  # fmt: skip

    def _new_id(self, time: float) -> str:
        """Return milliseconds, then 80 random bits. Within one process each is above the last, even if no clock is."""
        with self._naming:
            last = self._last_id if self._pid == os.getpid() else 0  # children of one fork would go on with the same
            self._pid, self._last_id = os.getpid(), max(int(time * 1000) << 80 | secrets.randbits(80), last + 1)
            return f"{self._last_id:032x}"

    def _end(self, receipt_id: str, end: str, weight: int, values: Mapping[str, Any], attestation: bytes) -> None:
        if weight < 0:
            raise LedgerError(f"Receipt {receipt_id} cannot have the weight {weight}.", money=RECORD, remedy=_REPORT)
        if self._file.spool.find(receipt_id) is not None:
            return  # the first end stands
        running = self._running.get(receipt_id)
        ended = {"ended": end, "weight": str(weight), **values}
        session_id = None if running is None else running.session_id
        try:
            if running is not None and self._end_at_once(running, ended, attestation):
                self._running.pop(receipt_id, None)
                return
            with self._file.writing(brief=running is not None) as connection:
                hash = None if running is None or running.signed is None else str(running.signed["hash"])
                if running is None or not file_writes.ended(
                    connection, running.opened, hash, session_id, ended, attestation
                ):
                    row = self._row(connection, "receipts", receipt_id)
                    attestations.keep(connection, attestation)
                    spool.end(connection, row, ended, session_id=session_id)
        except LedgerError as error:
            if running is None or isinstance(error.__cause__, OverflowError):  # a number that no file can hold
                raise
            self._file.set_aside(running.entry(ended, attestation), error.what)
        self._file.after(functools.partial(self._running.pop, receipt_id, None))

    def _end_at_once(self, running: Running, ended: Mapping[str, Any], attestation: bytes) -> bool:
        """Write an end on a server in one way there; return False where it has to be written otherwise."""
        if not server_writes.on_server(self._file):
            return False
        hash = None if running.signed is None else str(running.signed["hash"])
        document = attestations.attestation_hash(attestation)
        kept = None if document is None else (document, attestation)
        return server_writes.ended(self._file, running.opened, hash, running.session_id, ended, kept)
