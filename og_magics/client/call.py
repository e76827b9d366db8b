"""One call, from its request to its receipt: open the receipt, pay, read, prove, close the receipt."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from typing import TypeVar

import httpx

from ..core.endings import note_of
from ..core.errors import (
    GatewayUnreachable,
    LedgerError,
    OGError,
    PaymentRejected,
    ProofError,
    StreamError,
    UnknownModel,
)
from ..core.models import UNLISTED, refuse_removed
from ..core.networks import Network
from ..core.off_loop import thread_of
from ..core.progress import Progress
from ..core.protocols import Clock, Endpoint, Journal
from ..core.settings import Settings
from ..core.types import ChatRequest, Enclave, Outcome, StreamChunk, TextGenerationOutput
from ..gateway.bounds import MAY_BE_CHARGED
from ..gateway.transcript import Transcript
from ..payment import Payments
from ..payment.spending import policy_for
from ..verification import EnclaveCheck, EnclaveEvidence, check_enclave
from .approval import agree
from .attestation import Attestations, Attested
from .call_state import CallState, FirstChunkBarrier
from .costs import NOTHING, failed_cost, served_cost
from .funds import Funds
from .gateway_pool import GatewayPool
from .requests import whole_where_calls_are_joined
from .retry import ReportedError, attempts
from .settlement_watcher import SettlementWatcher
from .web_search import SEARCH, unavailable

_ResultT = TypeVar("_ResultT", StreamChunk, TextGenerationOutput)

NOT_PAID = "Nothing was paid: this server takes no payment."

_DETAILS = 300
"""Characters of what the system said that a receipt keeps, at most."""
_LOOK_SECONDS = 5.0
"""Time for which a complete answer waits for a look at the chain."""


class CallRunner:
    """Runs calls over one network with one wallet. Its coroutines run on the background loop.

    Args:
        payments, watcher, attestations: None where nothing is paid.
    """

    def __init__(
        self,
        network: Network,
        pool: GatewayPool,
        payments: Payments | None,
        journal: Journal,
        watcher: SettlementWatcher | None,
        settings: Callable[[], Settings],
        attestations: Attestations | None = None,
        clock: Clock = time.time,
    ) -> None:
        self._network = network
        self._pool = pool
        self._payments = payments
        self._journal = journal
        self._disk = thread_of(journal)
        self._watcher = watcher
        self._settings = settings
        self._attestations = attestations
        self._clock = clock

    async def stream(self, request: ChatRequest, progress: Progress) -> AsyncGenerator[StreamChunk, None]:
        """Yield the chunks of an answer; the last has usage, proof, receipt and, in `output`, the whole.

        An answer that is not streamed comes as its last chunk alone. Closing this early keeps what had arrived, and its
        receipt. An attempt that the gateway refuses is repeated, with the same payment; one whose answer had begun is
        not, since it is paid.

        Raises:
            PaymentRefused: it could cost more than a person has to agree to, and nobody did; it has no receipt then.
            OGError: the call failed; a StreamError has what had arrived in `partial`.
        """
        if self._payments is not None:
            request = whole_where_calls_are_joined(request)
            await agree(request, progress, self._settings(), self._journal, self._network.name)
        async with self._receipt(request, progress) as call, contextlib.AsyncExitStack() as stack:
            reported = ReportedError()
            retries = self._settings().retries
            async for attempt in attempts(retries, lambda: call.repeatable, reported, progress.note, progress.refused):
                with attempt, reported.remember():
                    async with contextlib.AsyncExitStack() as opened:
                        answer = FirstChunkBarrier(await self._open(call, progress, opened), call)
                        await answer.wait()
                        stack.push_async_exit(opened.pop_all())
            progress.note("answering")
            async for chunk in answer:
                call.note_delta(chunk)
                yield chunk
            final = call.transcript.final() if answer.streamed else call.transcript.whole()
            await stack.aclose()
            await self._served(call)
        final.output = output = self._with_receipt(call.transcript.output(), call)
        output._usd = call.usd
        output._ending = note_of(call.outcome(), request.body, images=bool(output.images))
        yield self._with_receipt(final, call)

    @contextlib.asynccontextmanager
    async def _receipt(self, request: ChatRequest, progress: Progress) -> AsyncGenerator[CallState, None]:
        """Open a receipt around the call: whatever happens, it says how it ended."""
        receipt_id = await self._opened(request)
        progress.opened(receipt_id)
        call = CallState(request, receipt_id, Transcript(Enclave("")), time.perf_counter())
        call.log("request", model=request.model, settlement=request.settlement.value, network=self._network.name)
        try:
            try:
                yield call
            except OGError as error:
                explained = await self._explained(error, call)
                if explained is error:
                    raise
                raise explained from error
        except (asyncio.CancelledError, GeneratorExit) as error:
            await self._failed(call, "interrupted", error)
            raise
        except Exception as error:
            if isinstance(error, StreamError):
                error.partial = self._with_receipt(call.transcript.output(), call)
            await self._failed(call, f"{type(error).__name__}: {_reason(error)}", error)
            raise

    async def _opened(self, request: ChatRequest) -> str:
        """Return the id of a new receipt. One that is interrupted while it is written says so."""
        asked, opened, written = self._clock(), list[str](), threading.Event()

        def write() -> str:
            try:
                opened[:] = [self._journal.open(request, self._network.name, asked)]
                return opened[0]
            finally:
                written.set()

        def fail() -> None:
            written.wait()  # on a server they may be made at the same time
            for receipt_id in opened:
                self._journal.fail(receipt_id, "interrupted", None)

        try:
            return await self._disk.run(write, together=True)
        except asyncio.CancelledError:
            with contextlib.suppress(LedgerError):
                await self._disk.run(fail)
            raise

    async def _open(self, call: CallState, progress: Progress, opened: contextlib.AsyncExitStack) -> httpx.Response:
        """Open a good response. An endpoint that cannot be connected to at all is left for another one, once."""
        progress.note("connecting")
        last = False
        while True:
            # Once the request was sent with a payment, only the gateway that has it is asked again.
            endpoint = call.endpoint if call.endpoint is not None and call.was_sent else await self._pool.current()
            try:
                if self._attestations is not None and not call.was_sent:
                    call.attested = await self._attestations.require(endpoint, call.receipt_id)
                self._prepare(call, endpoint, progress)
                response = await opened.enter_async_context(endpoint.post(call.request, call.auth))
                call.begun = True
                return response
            except ProofError:  # before anything was sent
                self._pool.mark_failed(endpoint)
                if last or not self._pool.has_alternatives:
                    raise
                last = True
            except GatewayUnreachable as error:
                if not _unsent(error):
                    # An answer may have begun: nothing distinguishes it from one that had not.
                    error.transient = error.transient and not call.was_sent
                    raise
                if call.auth is not None:
                    await call.auth.withdraw()
                    if call.auth.was_sent:  # by an attempt before this one
                        raise GatewayUnreachable(
                            error.what, transient=error.transient, money=MAY_BE_CHARGED, remedy=error.remedy
                        ) from error.__cause__
                self._pool.mark_failed(endpoint)
                if last or not self._pool.has_alternatives:
                    raise
                last = True

    def _prepare(self, call: CallState, endpoint: Endpoint, progress: Progress) -> None:
        """Start a new transcript for this endpoint, and what pays there unless an attempt before this one had it."""
        call.transcript = Transcript(endpoint.enclave)
        if call.endpoint is endpoint:
            return
        call.endpoint, call.auth = endpoint, None
        if not endpoint.paid:
            return
        if call.request.provider == UNLISTED:
            model = call.request.model.partition("/")[2]
            raise UnknownModel(
                f"There is no model {model!r}.", money="Nothing was sent.", remedy="%og models lists them."
            )
        refuse_removed(call.request.model)
        if self._payments is None:
            raise GatewayUnreachable(
                f"The server {endpoint.enclave.endpoint} asks for payments now, and took none before.",
                transient=False,
                money="Nothing was sent and nothing was paid.",
                remedy="Restart the kernel, or set OG_GATEWAY_URL again.",
            )
        policy = policy_for(call.request, endpoint.enclave, self._network, self._settings())
        call.auth = self._payments.pay_for(
            call.receipt_id, policy, gateway=endpoint.enclave.endpoint, path=call.request.path, note=progress.note
        )

    async def _served(self, call: CallState) -> None:
        if call.auth is not None:
            call.auth.note_end(call.outcome().reported_cost)
        outcome, check = await self._checked(call)
        if outcome.unsettled:
            unsettled = f"The gateway says that it could not leave the answer's data on chain: {outcome.unsettled}."
            check = replace(check, reason=f"{check.reason} {unsettled}")
        if call.attested.note:
            check = replace(check, reason=f"{check.reason} {call.attested.note}")
        usd, weight = served_cost(call.request, outcome) if call.paid else NOTHING
        call.usd, cost_usd = usd, None if usd is None else str(usd)

        def write() -> None:
            self._journal.serve(call.receipt_id, outcome, cost_usd=cost_usd, weight=weight, enclave=check)
            if call.deltas or outcome.images:
                self._journal.recordings.keep(call.receipt_id, call.deltas, outcome.images)

        await self._disk.run(write, together=True)
        call.log(
            "end", finish=outcome.finish_reason, prompt_tokens=outcome.prompt_tokens,
            completion_tokens=outcome.completion_tokens, enclave_ok=check.ok,
        )  # fmt: skip
        if call.auth is not None and call.auth.settled and self._watcher is not None:
            # The gateway says that it is settled already, so one look finds it; the claim itself is not believed. The
            # answer does not wait long for it, nor fail with it: the watcher goes on looking.
            with contextlib.suppress(OGError, TimeoutError):
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._watcher.poll_once()
        self._wake()

    async def _checked(self, call: CallState) -> tuple[Outcome, EnclaveCheck]:
        """Check the enclave's proof. A key that does not fit is looked up again before anything is called false.

        Return the outcome with the enclave that signed it.
        """
        outcome = call.outcome()
        check = _check(call.request, outcome)
        suspect = check.ok is False and (check.key is False or check.signature is False)
        if call.endpoint is None or not suspect:
            return outcome, check
        try:
            found = await self._pool.successors(call.endpoint)
        except OGError as error:
            if check.request and check.output:  # the key alone is in question
                unknown = f"Its key may have changed, and could not be looked up: {error.what}"
                check = replace(check, ok=None, reason=f"{check.reason} {unknown}")
            return outcome, check
        for enclave in found:
            other = replace(outcome, enclave=enclave, attestation=b"")  # it was of the key before
            if (again := _check(call.request, other)).ok:
                call.endpoint.enclave = enclave
                call.log("enclave changed", tee_id=enclave.tee_id)
                call.attested = Attested(note="Not attested: its key was replaced after the hardware was asked.")
                return other, again
        return outcome, check

    async def _failed(self, call: CallState, reason: str, error: BaseException) -> None:
        outcome = call.outcome()
        if call.auth is not None:
            call.auth.note_end(outcome.reported_cost)
        call.log("failed", error=reason.partition(":")[0])
        sent = call.auth is not None and call.auth.session is not None
        cost = failed_cost(call.request, outcome, error, was_sent=sent) if call.paid else NOTHING
        with contextlib.suppress(LedgerError):  # what led here says more
            await self._disk.run(lambda: self._journal.fail(call.receipt_id, reason, outcome, weight=cost.weight))
        self._wake()

    def _wake(self) -> None:
        if self._watcher is not None and self._settings().watch:
            self._watcher.wake()

    def _with_receipt(self, result: _ResultT, call: CallState) -> _ResultT:
        journal, receipt_id = self._journal, call.receipt_id
        result._lookup = lambda: journal.receipt(receipt_id)
        return result

    async def _explained(self, error: OGError, call: CallState) -> OGError:
        """Return the error with what it means for the user's money.

        A refused payment is explained by the wallet's state.
        """
        if call.request.path == SEARCH and call.endpoint is not None:
            error = unavailable(error, call.endpoint.enclave.endpoint)
        if call.endpoint is not None and not call.endpoint.paid:
            return error.with_money(NOT_PAID)
        if self._payments is None or not isinstance(error, PaymentRejected):
            return error
        shortage = await Funds(self._network, self._payments.payer).explain(error.reason, error.cap)
        return error if shortage is None else shortage.with_money(error.money)


def _unsent(error: GatewayUnreachable) -> bool:
    """Return True where the last request of the handshake, the only one that may carry a payment, never left."""
    return isinstance(error.__cause__, (httpx.ConnectError, httpx.ConnectTimeout))


def _check(request: ChatRequest, outcome: Outcome) -> EnclaveCheck:
    """Check the enclave's proof against what was sent and what is shown."""
    return check_enclave(
        EnclaveEvidence(
            path=request.path,
            body=request.body,
            text=outcome.text,
            tool_calls=outcome.tool_calls,
            finish_reason=outcome.finish_reason,
            tee_id=outcome.tee_id,
            tee_signature=outcome.tee_signature,
            tee_timestamp=outcome.tee_timestamp,
            tee_request_hash=outcome.tee_request_hash,
            tee_output_hash=outcome.tee_output_hash,
            public_key_der=outcome.enclave.public_key or None,
        )
    )


def _reason(error: Exception) -> str:
    """Return what a receipt keeps of a failure: what happened, and what the system said of it."""
    if not isinstance(error, OGError):
        return str(error)
    return f"{error.what} ({error.details[:_DETAILS]})" if error.details else error.what
