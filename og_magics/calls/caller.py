"""Asking one question: open the receipt, pay, read, prove, close the receipt."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeVar

import httpx

from .. import chain
from ..amounts import format_opg
from ..catalogue import Price, price_usd
from ..errors import (
    AllowanceRequired,
    ChainError,
    GatewayUnreachable,
    InsufficientBalance,
    OGError,
    PaymentRejected,
    StreamError,
)
from ..gateway import GatewayClient
from ..gateway.answers import Transcript
from ..gateway.client import MAY_BE_CHARGED, events, read_json
from ..networks import Network
from ..payment import Payments, QuestionAuth
from ..ports import Clock, Journal
from ..progress import Progress
from ..proofs import EnclaveCheck, EnclaveEvidence, check_enclave
from ..settings import Settings
from ..types import Enclave, Outcome, Question, StreamChunk, TextGenerationOutput
from .gateways import Gateways
from .limits import policy_for
from .retries import repeated
from .settlement import SettlementWatch

T = TypeVar("T")
_ResultT = TypeVar("_ResultT", StreamChunk, TextGenerationOutput)

_TYPICAL = Price(Decimal(1), Decimal(5))
"""USD per million tokens where the catalogue has no price: only to split a session's settlement among its calls."""

_WEIGHT_UNITS = 10**15

_LOOK = 5.0
"""Seconds that a complete answer waits for a look at the chain."""


@dataclass
class _Asked:
    """A question on its way."""

    question: Question
    receipt_id: str
    transcript: Transcript
    began: float
    first: float | None = None
    auth: QuestionAuth | None = None
    client: GatewayClient | None = None
    deltas: list[tuple[float, str]] = field(default_factory=list)

    def outcome(self) -> Outcome:
        return self.transcript.outcome(time.perf_counter() - self.began, self.first)

    def progress(self) -> None:
        if self.first is None and self.transcript.texted:
            self.first = time.perf_counter() - self.began

    def came(self, chunk: StreamChunk) -> None:
        """A piece of the answer arrived."""
        if text := chunk.choices[0].delta.content:
            self.deltas.append((time.perf_counter() - self.began, text))


class _Reading:
    """A stream of which the first chunk has arrived: up to there an attempt can be repeated, from there on not."""

    def __init__(self, response: httpx.Response, asked: _Asked) -> None:
        self._asked = asked
        self._chunks = self._read(response)
        self._first: StreamChunk | None = None

    async def begin(self) -> None:
        """Wait for the first chunk, or for the end of an answer that has only its last."""
        self._first = await anext(self._chunks, None)

    async def __aiter__(self) -> AsyncIterator[StreamChunk]:
        if self._first is not None:
            yield self._first
            async for chunk in self._chunks:
                yield chunk

    async def _read(self, response: httpx.Response) -> AsyncGenerator[StreamChunk, None]:
        async for event in events(response):
            chunk = self._asked.transcript.add(event, response.headers)
            self._asked.progress()
            if chunk is not None:
                yield chunk


class Caller:
    """Asks questions over one network with one wallet. Its coroutines run on the background loop."""

    def __init__(
        self,
        network: Network,
        gateways: Gateways,
        payments: Payments,
        journal: Journal,
        watch: SettlementWatch,
        settings: Callable[[], Settings],
        clock: Clock = time.time,
    ) -> None:
        self._network = network
        self._gateways = gateways
        self._payments = payments
        self._journal = journal
        self._watch = watch
        self._settings = settings
        self._clock = clock

    async def stream(self, question: Question, progress: Progress) -> AsyncGenerator[StreamChunk, None]:
        """The chunks of a streamed answer; the last one has the proof and the receipt.

        Closing this early keeps what had arrived, and its receipt.

        Raises:
            OGError: see the tree; a StreamError has what had arrived in `partial`.
        """
        async with self._asking(question, progress) as asked, contextlib.AsyncExitStack() as stack:

            async def begin() -> _Reading:
                async with contextlib.AsyncExitStack() as attempt:
                    reading = _Reading(await attempt.enter_async_context(self._answered(asked, progress)), asked)
                    await reading.begin()
                    stack.push_async_exit(attempt.pop_all())
                    return reading

            reading = await self._repeated(begin, asked)
            progress.note("answering")
            async for chunk in reading:
                asked.came(chunk)
                yield chunk
            final = asked.transcript.final()
            await stack.aclose()
            await self._served(asked)
        final.output = self._with_receipt(asked.transcript.output(), asked)
        yield self._with_receipt(final, asked)

    async def answer(self, question: Question, progress: Progress) -> TextGenerationOutput:
        """A whole answer.

        Raises:
            OGError: see the tree.
        """
        async with self._asking(question, progress) as asked:

            async def attempt() -> None:
                async with self._answered(asked, progress) as response:
                    content = await response.aread()
                    asked.transcript.take(read_json(content, response.status_code), response.headers)
                    asked.progress()

            await self._repeated(attempt, asked)
            await self._served(asked)
        return self._with_receipt(asked.transcript.output(), asked)

    @contextlib.asynccontextmanager
    async def _asking(self, question: Question, progress: Progress) -> AsyncGenerator[_Asked, None]:
        """A receipt around the work: whatever happens, it says how it ended."""
        receipt_id = self._journal.open(question, self._network.name, self._clock())
        progress.opened(receipt_id)
        asked = _Asked(question, receipt_id, Transcript(Enclave("")), time.perf_counter())
        try:
            try:
                yield asked
            except OGError as error:
                explained = await self._explained(error)
                if explained is error:
                    raise
                raise explained from error
        except (asyncio.CancelledError, GeneratorExit):
            self._failed(asked, "interrupted")
            raise
        except Exception as error:
            if isinstance(error, StreamError):
                error.partial = self._with_receipt(asked.transcript.output(), asked)
            told = error.what if isinstance(error, OGError) else str(error)
            self._failed(asked, f"{type(error).__name__}: {told}")
            raise

    @contextlib.asynccontextmanager
    async def _answered(self, asked: _Asked, progress: Progress) -> AsyncGenerator[httpx.Response, None]:
        """A good response. A gateway that could not be connected to at all is left for another one, once."""
        progress.note("connecting")
        async with contextlib.AsyncExitStack() as stack:
            for last in (False, True):
                client = await self._client(asked)
                try:
                    opened = await stack.enter_async_context(self._connection(client, asked, progress))
                    break
                except GatewayUnreachable as error:
                    if not _unsent(error) or (asked.auth is not None and asked.auth.was_sent):
                        raise  # another gateway would be asked, and paid, a second time
                    self._gateways.give_up(client)
                    if last or not self._gateways.can_change:
                        raise
            yield opened

    async def _client(self, asked: _Asked) -> GatewayClient:
        """The gateway to ask: once the question was sent with a payment, the one that has it, whatever others use."""
        if asked.client is not None and asked.auth is not None and asked.auth.was_sent:
            return asked.client
        return await self._gateways.current()

    @contextlib.asynccontextmanager
    async def _connection(
        self, client: GatewayClient, asked: _Asked, progress: Progress
    ) -> AsyncGenerator[httpx.Response, None]:
        question, enclave = asked.question, client.enclave
        asked.transcript = Transcript(enclave)
        if asked.auth is None or asked.client is not client:
            policy = policy_for(question, enclave, self._network, self._settings())
            asked.client = client
            asked.auth = self._payments.question(
                asked.receipt_id, policy, gateway=enclave.endpoint, path=question.path, note=progress.note
            )
        try:
            async with client.post(question.path, question.body, question.settlement, asked.auth) as response:
                yield response
        except GatewayUnreachable as error:
            if _unsent(error):
                asked.auth.withdraw()
                if asked.auth.was_sent:  # by an attempt before this one
                    raise GatewayUnreachable(
                        error.what, transient=error.transient, money=MAY_BE_CHARGED, remedy=error.remedy
                    ) from error.__cause__
            raise

    async def _repeated(self, attempt: Callable[[], Awaitable[T]], asked: _Asked) -> T:
        """An attempt's result; where it fails before anything is shown, it is made again with the same payment."""
        return await repeated(attempt, self._settings().retries, lambda: not asked.transcript.texted)

    async def _served(self, asked: _Asked) -> None:
        outcome = asked.outcome()
        usd, weight = _cost(asked.question, outcome)
        self._journal.serve(
            asked.receipt_id,
            outcome,
            cost_usd=None if usd is None else str(usd),
            weight=weight,
            enclave=_check(asked.question, outcome),
        )
        if asked.deltas or outcome.images:
            self._journal.recordings.keep(asked.receipt_id, asked.deltas, outcome.images)
        if asked.auth is not None and asked.auth.settled:
            # The gateway says that it is settled already, so one look finds it; the claim itself is not believed. The
            # answer does not wait long for it, nor fail with it: the watch goes on looking.
            with contextlib.suppress(OGError, TimeoutError):
                async with asyncio.timeout(_LOOK):
                    await self._watch.look()
        self._wake()

    def _failed(self, asked: _Asked, error: str) -> None:
        outcome = asked.outcome()
        self._journal.fail(asked.receipt_id, error, outcome, weight=_cost(asked.question, outcome)[1])
        self._wake()

    def _wake(self) -> None:
        if self._settings().watch:
            self._watch.wake()

    def _with_receipt(self, result: _ResultT, asked: _Asked) -> _ResultT:
        journal, receipt_id = self._journal, asked.receipt_id
        result._lookup = lambda: journal.receipt(receipt_id)
        return result

    async def _explained(self, error: OGError) -> OGError:
        """A refused payment, explained by the wallet's state: gateways call an empty wallet a lack of allowance."""
        if not isinstance(error, PaymentRejected) or not error.reason.startswith("permit2_"):
            return error
        try:
            balances = await asyncio.to_thread(chain.balances, self._network, self._payments.payer)
        except ChainError:
            return error
        wallet = f"The wallet {self._payments.payer} on {self._network.name}"
        if "balance" in error.reason or balances.opg == 0:
            faucet = self._network.faucet
            return InsufficientBalance(
                f"{wallet} holds {format_opg(balances.opg)} OPG, too little for the payment that the gateway asks for.",
                money="Nothing was paid.",
                remedy=f"Get test tokens at {faucet}" if faucet else "Send OPG to it; %og wallet shows the balance.",
            )
        if "allowance" in error.reason:
            return AllowanceRequired(
                f"{wallet} allows Permit2 to move {format_opg(balances.allowance)} OPG, too little for the payment.",
                money="Nothing was paid.",
                remedy="Approve once with `%og approve`, or llm.ensure_opg_approval(min_allowance=5).",
            )
        return error


def _unsent(error: GatewayUnreachable) -> bool:
    """Whether the last request of the handshake, the only one that may carry a payment, never left."""
    return isinstance(error.__cause__, (httpx.ConnectError, httpx.ConnectTimeout))


def _check(question: Question, outcome: Outcome) -> EnclaveCheck:
    """The enclave's proof against what was sent and what is shown."""
    return check_enclave(
        EnclaveEvidence(
            path=question.path,
            body=question.body,
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


def _cost(question: Question, outcome: Outcome) -> tuple[Decimal | None, int]:
    """USD by the catalogue, and the call's weight when a settlement is split among a session's calls.

    An answer that broke off has no usage: it weighs what its text is worth at four characters a token.
    """
    prompt, completion = outcome.prompt_tokens, outcome.completion_tokens
    counted = prompt is not None and completion is not None
    if prompt is None or completion is None:
        if not outcome.text:
            return None, 0
        prompt, completion = len(str(question.body)) // 4, len(outcome.text) // 4
    usd = price_usd(question.model, prompt, completion)
    basis = usd
    if basis is None:
        basis = (_TYPICAL.input * prompt + _TYPICAL.output * completion) / 1_000_000
    return (usd if counted else None), int(basis * _WEIGHT_UNITS)
