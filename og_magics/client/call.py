"""One call, from its request to its receipt: open the receipt, pay, read, prove, close the receipt."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import httpx

from ..core import log
from ..core.errors import (
    GatewayUnreachable,
    OGError,
    PaymentRejected,
    ProofError,
    StreamError,
    UnknownModel,
)
from ..core.models import UNLISTED, refuse_removed
from ..core.networks import Network
from ..core.progress import Progress
from ..core.protocols import Clock, Endpoint, Journal
from ..core.settings import Settings
from ..core.types import ChatRequest, Enclave, Outcome, StreamChunk, TextGenerationOutput
from ..gateway.bounds import MAY_BE_CHARGED
from ..gateway.reading import whole, whole_or_events
from ..gateway.transcript import Transcript
from ..payment import PaymentAuth, Payments
from ..payment.spending import policy_for
from ..verification import EnclaveCheck, EnclaveEvidence, check_enclave
from .attestation import Attestations
from .costs import NOTHING, failed_cost, served_cost
from .funds import Funds
from .gateway_pool import GatewayPool
from .requests import whole_where_calls_are_joined
from .retry import ReportedError, attempts
from .settlement_watcher import SettlementWatcher
from .web_search import SEARCH, as_answer, unavailable

_ResultT = TypeVar("_ResultT", StreamChunk, TextGenerationOutput)

NOT_PAID = "Nothing was paid: this server takes no payment."

_LOOK_SECONDS = 5.0
"""Time for which a complete answer waits for a look at the chain."""


@dataclass
class CallState:
    """A call on its way.

    Attributes:
        unattested: why the hardware of the enclave is not attested; "" where it is, or was not asked.
    """

    request: ChatRequest
    receipt_id: str
    transcript: Transcript
    began: float
    ttft: float | None = None
    auth: PaymentAuth | None = None
    endpoint: Endpoint | None = None
    deltas: list[tuple[float, str]] = field(default_factory=list)
    unattested: str = ""

    @property
    def was_sent(self) -> bool:
        """True once the request went out with a payment, and may have been served."""
        return self.auth is not None and self.auth.was_sent

    @property
    def paid(self) -> bool:
        """False where a plain server answers, which takes no payment."""
        return self.endpoint is None or self.endpoint.paid

    def outcome(self) -> Outcome:
        """Return what has come so far."""
        return self.transcript.outcome(time.perf_counter() - self.began, self.ttft)

    def note_first_token(self) -> None:
        """Note the time of the first piece of the answer."""
        if self.ttft is None and self.transcript.texted:
            self.ttft = time.perf_counter() - self.began
            self.log("first token")

    def note_delta(self, chunk: StreamChunk) -> None:
        """Note a piece of the answer, with its time: that is how it is replayed."""
        if text := chunk.choices[0].delta.content:
            self.deltas.append((time.perf_counter() - self.began, text))

    def log(self, name: str, **facts: object) -> None:
        """Write one step of this call to the log."""
        log.step(name, self.receipt_id, self.began, **facts)


class FirstChunkBarrier:
    """An answer of which the first chunk has arrived: up to there an attempt can be repeated, from there on not.

    An answer that is not streamed has no chunk but its last, which the transcript holds.

    Attributes:
        streamed: False too where a stream was asked for, and the whole came as one.
    """

    def __init__(self, response: httpx.Response, call: CallState) -> None:
        self._call = call
        self._response = response
        self.streamed = False
        self._chunks: AsyncGenerator[StreamChunk, None] | None = None
        self._first: StreamChunk | None = None

    async def wait(self) -> None:
        """Wait for the first chunk, or for the end of an answer that has only its last."""
        answer: dict[str, Any] | AsyncIterator[dict[str, Any]]
        if self._call.request.stream:
            answer = await whole_or_events(self._response)
        else:
            answer = await whole(self._response)
            if self._call.request.path == SEARCH:
                answer = as_answer(answer)
        if isinstance(answer, dict):
            self._call.transcript.take(answer, self._response.headers)
            self._call.note_first_token()
        else:
            self.streamed = True
            self._chunks = self._read(answer)
            self._first = await anext(self._chunks, None)

    async def __aiter__(self) -> AsyncIterator[StreamChunk]:
        if self._first is not None and self._chunks is not None:
            yield self._first
            async for chunk in self._chunks:
                yield chunk

    async def _read(self, events: AsyncIterator[dict[str, Any]]) -> AsyncGenerator[StreamChunk, None]:
        async for event in events:
            chunk = self._call.transcript.add(event, self._response.headers)
            self._call.note_first_token()
            if chunk is not None:
                yield chunk


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
        self._watcher = watcher
        self._settings = settings
        self._attestations = attestations
        self._clock = clock

    async def stream(self, request: ChatRequest, progress: Progress) -> AsyncGenerator[StreamChunk, None]:
        """Yield the chunks of an answer; the last has usage, proof, receipt and, in `output`, the whole.

        An answer that is not streamed comes as its last chunk alone. Closing this early keeps what had arrived, and its
        receipt. An attempt that fails before anything arrived is repeated, with the same payment.

        Raises:
            OGError: the call failed; a StreamError has what had arrived in `partial`.
        """
        if self._payments is not None:
            request = whole_where_calls_are_joined(request)
        async with self._receipt(request, progress) as call, contextlib.AsyncExitStack() as stack:
            reported = ReportedError()
            async for attempt in attempts(
                self._settings().retries, lambda: not call.transcript.texted, reported, progress.note
            ):
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
        final.output = self._with_receipt(call.transcript.output(), call)
        yield self._with_receipt(final, call)

    @contextlib.asynccontextmanager
    async def _receipt(self, request: ChatRequest, progress: Progress) -> AsyncGenerator[CallState, None]:
        """Open a receipt around the call: whatever happens, it says how it ended."""
        receipt_id = self._journal.open(request, self._network.name, self._clock())
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
            self._failed(call, "interrupted", error)
            raise
        except Exception as error:
            if isinstance(error, StreamError):
                error.partial = self._with_receipt(call.transcript.output(), call)
            reason = error.what if isinstance(error, OGError) else str(error)
            self._failed(call, f"{type(error).__name__}: {reason}", error)
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
                    call.unattested = await self._attestations.require(endpoint, call.receipt_id)
                self._prepare(call, endpoint, progress)
                return await opened.enter_async_context(endpoint.post(call.request, call.auth))
            except ProofError:  # before anything was sent
                self._pool.mark_failed(endpoint)
                if last or not self._pool.has_alternatives:
                    raise
                last = True
            except GatewayUnreachable as error:
                if not _unsent(error):
                    raise
                if call.auth is not None:
                    call.auth.withdraw()
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
        if call.unattested:
            check = replace(check, reason=f"{check.reason} {call.unattested}")
        usd, weight = served_cost(call.request, outcome) if call.paid else NOTHING
        self._journal.serve(
            call.receipt_id, outcome, cost_usd=None if usd is None else str(usd), weight=weight, enclave=check
        )
        call.log(
            "end", finish=outcome.finish_reason, prompt_tokens=outcome.prompt_tokens,
            completion_tokens=outcome.completion_tokens, enclave_ok=check.ok,
        )  # fmt: skip
        if call.deltas or outcome.images:
            self._journal.recordings.keep(call.receipt_id, call.deltas, outcome.images)
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
            other = replace(outcome, enclave=enclave)
            if (again := _check(call.request, other)).ok:
                call.endpoint.enclave = enclave
                call.log("enclave changed", tee_id=enclave.tee_id)
                return other, again
        return outcome, check

    def _failed(self, call: CallState, reason: str, error: BaseException) -> None:
        outcome = call.outcome()
        if call.auth is not None:
            call.auth.note_end(outcome.reported_cost)
        call.log("failed", error=reason.partition(":")[0])
        sent = call.auth is not None and call.auth.session is not None
        cost = failed_cost(call.request, outcome, error, was_sent=sent) if call.paid else NOTHING
        self._journal.fail(call.receipt_id, reason, outcome, weight=cost.weight)
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
