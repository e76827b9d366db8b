"""A call on its way, and the moment from which on its answer is paid."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import httpx

from ..core import log
from ..core.errors import StreamError
from ..core.protocols import Endpoint
from ..core.types import ChatRequest, Outcome, StreamChunk
from ..gateway.reading import body_of
from ..gateway.transcript import Transcript
from ..payment import PaymentAuth
from .attestation import NOT_ASKED, Attested
from .web_search import SEARCH, as_answer


@dataclass
class CallState:
    """A call on its way.

    Attributes:
        begun: a good answer (2xx) has begun.
        attested: how the enclave's hardware vouches for it.
        usd: the price of its answer by the list; None where it is not known, or there is none yet.
    """

    request: ChatRequest
    receipt_id: str
    transcript: Transcript
    began: float
    ttft: float | None = None
    auth: PaymentAuth | None = None
    endpoint: Endpoint | None = None
    begun: bool = False
    deltas: list[tuple[float, str]] = field(default_factory=list)
    attested: Attested = NOT_ASKED
    usd: Decimal | None = None

    @property
    def was_sent(self) -> bool:
        """True once the request went out with a payment, and may have been served."""
        return self.auth is not None and self.auth.was_sent

    @property
    def repeatable(self) -> bool:
        """True while asking again neither shows something twice nor pays twice: no good answer (2xx) has begun."""
        return not self.transcript.texted and not (self.begun and self.paid)

    @property
    def paid(self) -> bool:
        """False where a plain server answers, which takes no payment."""
        return self.endpoint is None or self.endpoint.paid

    def outcome(self) -> Outcome:
        """Return what has come so far."""
        arrived = self.transcript.outcome(time.perf_counter() - self.began, self.ttft)
        if self.paid:
            return replace(arrived, attestation=self.attested.document, paid_by=None, offered_key=b"")
        # A server that asks for others hands the enclave's key on: worth as much as one that a gateway shows itself.
        key = arrived.offered_key or arrived.enclave.public_key
        return replace(arrived, enclave=replace(arrived.enclave, public_key=key))

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
    """An answer of which the first chunk has arrived. From its first byte on it is paid, and is not asked for again.

    An answer that is not streamed has no chunk but its last, which the transcript holds.

    Attributes:
        streamed: the answer came as a stream, whatever was asked for.
    """

    def __init__(self, response: httpx.Response, call: CallState) -> None:
        self._call = call
        self._response = response
        self.streamed = False
        self._chunks: AsyncGenerator[StreamChunk, None] | None = None
        self._first: StreamChunk | None = None

    async def wait(self) -> None:
        """Wait for the first chunk, or for the end of an answer that has only its last."""
        headers, searched = self._response.headers, self._call.request.path == SEARCH
        answer = await body_of(
            self._response,
            lambda part: self._call.transcript.take_cut(as_answer(part) if searched else part, headers),
        )
        if isinstance(answer, dict):
            self._call.transcript.take(as_answer(answer) if searched else answer, headers)
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
        try:
            async for event in events:
                chunk = self._call.transcript.add(event, self._response.headers)
                self._call.note_first_token()
                if chunk is not None:
                    yield chunk
        except StreamError as error:
            if not error.cut or self._call.transcript.finish_reason is None:
                raise
            # The answer itself is complete: its end was cut, not its text.
