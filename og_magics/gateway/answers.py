"""From the gateway's JSON to the result types, streamed or whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import GatewayProtocolError, StreamError
from ..types import (
    Enclave,
    Outcome,
    StreamChoice,
    StreamChunk,
    StreamDelta,
    StreamUsage,
    TextGenerationOutput,
)
from .client import MAY_BE_CHARGED

_SETTLED_HEADER = "X-Settlement-Tx-Hash"
_BLOB_HEADER = "X-Settlement-Walrus-Blob-ID"


class Transcript:
    """Collects one answer. `add` takes a stream's events, `take` a whole body; either way `outcome` is what came.

    Attributes:
        texted: True once a piece of the answer has arrived.
    """

    def __init__(self, enclave: Enclave) -> None:
        self._enclave = enclave
        self._pieces: list[str] = []
        self._calls: dict[int, dict[str, Any]] = {}
        self._images: list[str] = []
        self._proof: dict[str, Any] = {}
        self._final: StreamChunk | None = None
        self._role = "assistant"
        self._is_completion = False
        self.texted = False

    def add(self, event: Mapping[str, Any], headers: Mapping[str, str]) -> StreamChunk | None:
        """The chunk of one event; None for one that ends the answer, which `final` gives when the stream has ended.

        Raises:
            StreamError: it is not of the protocol's form.
        """
        try:
            chunk = _chunk(event, self._enclave)
            self._collect(chunk)
        except _MALFORMED:
            raise StreamError(
                "The gateway sent an event that is not of the protocol.",
                body=str(event)[:500],
                money=MAY_BE_CHARGED,
                remedy="What had arrived is kept; ask again.",
            ) from None
        if not chunk.is_final:
            return chunk
        self._note_proof(event, headers)
        if self._final is None:
            self._final = chunk
        else:
            _merge(self._final, chunk)
        return None

    def final(self) -> StreamChunk:
        """The last chunk, with usage and proof.

        Raises:
            StreamError: the stream ended without one.
        """
        if self._final is None or self.finish_reason is None:
            raise StreamError(
                "The stream ended before the answer was complete.",
                money=MAY_BE_CHARGED,
                remedy="What had arrived is kept; ask again for the rest.",
            )
        proof = self._proof
        final = self._final
        final.tee_signature, final.tee_timestamp = proof.get("tee_signature"), proof.get("tee_timestamp")
        final.tee_request_hash, final.tee_output_hash = proof.get("tee_request_hash"), proof.get("tee_output_hash")
        final.tee_id = proof.get("tee_id") or self._enclave.tee_id or None
        final.data_settlement_transaction_hash = proof.get("data_settlement_transaction_hash")
        final.data_settlement_blob_id = proof.get("data_settlement_blob_id")
        final.images = self._images or None
        return final

    def take(self, body: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        """A whole, unstreamed answer.

        Raises:
            GatewayProtocolError: it has no choice, or is not of the protocol's form.
        """
        choices = body.get("choices")
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], Mapping):
            raise _no_answer("The gateway's answer has no choices.", body)
        if "text" in choices[0]:
            self._is_completion = True
            choice = {**choices[0], "message": {"role": "assistant", "content": choices[0].get("text")}}
            body = {**body, "choices": [choice]}
        try:
            chunk = _chunk(body, self._enclave)
            self._collect(chunk)
        except _MALFORMED:
            raise _no_answer("The gateway's answer is not of the protocol.", body) from None
        self._final = chunk
        self._note_proof(body, headers)

    @property
    def finish_reason(self) -> str | None:
        reasons = [c.finish_reason for c in self._final.choices] if self._final else []
        return next((reason for reason in reasons if reason), None)

    @property
    def tool_calls(self) -> list[dict[str, Any]]:
        """The calls, joined from their deltas, without `index`."""
        return [self._calls[index] for index in sorted(self._calls)]

    def outcome(self, latency: float, ttft: float | None) -> Outcome:
        """What has come so far, or in all."""
        usage = self._final.usage if self._final else None
        proof = self._proof
        return Outcome(
            text="".join(self._pieces),
            tool_calls=tuple(self.tool_calls),
            finish_reason=self.finish_reason,
            images=tuple(self._images),
            prompt_tokens=usage.prompt_tokens if usage else None,
            completion_tokens=usage.completion_tokens if usage else None,
            latency=latency,
            ttft=ttft,
            enclave=self._enclave,
            tee_id=proof.get("tee_id") or self._enclave.tee_id or None,
            tee_signature=proof.get("tee_signature"),
            tee_timestamp=proof.get("tee_timestamp"),
            tee_request_hash=proof.get("tee_request_hash"),
            tee_output_hash=proof.get("tee_output_hash"),
            data_settlement_hash=proof.get("data_settlement_transaction_hash"),
            blob_id=proof.get("data_settlement_blob_id"),
        )

    def output(self) -> TextGenerationOutput:
        """The whole answer as the result type."""
        outcome = self.outcome(0.0, None)
        message: dict[str, Any] = {"role": self._role, "content": outcome.text}
        if outcome.tool_calls:
            message["tool_calls"] = list(outcome.tool_calls)
        usage = self._final.usage if self._final else None
        return TextGenerationOutput(
            data_settlement_transaction_hash=outcome.data_settlement_hash,
            data_settlement_blob_id=outcome.blob_id,
            finish_reason=outcome.finish_reason,
            chat_output=None if self._is_completion else message,
            completion_output=outcome.text if self._is_completion else None,
            images=list(outcome.images) or None,
            usage=vars(usage).copy() if usage else None,
            tee_signature=outcome.tee_signature,
            tee_timestamp=outcome.tee_timestamp,
            tee_id=outcome.tee_id,
            tee_endpoint=self._enclave.endpoint,
            tee_payment_address=self._enclave.payment_address or None,
            tee_request_hash=outcome.tee_request_hash,
            tee_output_hash=outcome.tee_output_hash,
            model=self._final.model if self._final else None,
        )

    def _collect(self, chunk: StreamChunk) -> None:
        self._images += chunk.images or []
        for delta in (choice.delta for choice in chunk.choices):
            if delta.content:
                self._pieces.append(delta.content)
                self.texted = True
            if delta.role:
                self._role = delta.role
            for position, call in enumerate(delta.tool_calls or []):
                index = call.get("index")
                self._collect_call(call, index if isinstance(index, int) else position)
                self.texted = True

    def _collect_call(self, delta: Mapping[str, Any], index: int) -> None:
        call = self._calls.setdefault(index, {})
        for name, value in delta.items():
            if name == "function" and isinstance(value, Mapping):
                function = call.setdefault("function", {})
                for part, text in value.items():
                    if isinstance(text, str) and isinstance(function.get(part), str):
                        function[part] += text
                    elif text is not None:
                        function[part] = text
            elif name != "index" and value is not None:
                call[name] = value

    def _note_proof(self, body: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        for name in ("tee_signature", "tee_timestamp", "tee_request_hash", "tee_output_hash", "tee_id"):
            value = body.get(name)
            if isinstance(value, str) if name != "tee_timestamp" else _is_count(value):
                self._proof[name] = value
        for name, header in (
            ("data_settlement_transaction_hash", _SETTLED_HEADER),
            ("data_settlement_blob_id", _BLOB_HEADER),
        ):
            value = _string(body.get(name)) or headers.get(header)
            if value:
                self._proof[name] = value


def _no_answer(what: str, body: Mapping[str, Any]) -> GatewayProtocolError:
    return GatewayProtocolError(
        what,
        status=200,
        body=str(body)[:500],
        money=MAY_BE_CHARGED,
        remedy="Ask again; %og network shows which gateway is used.",
    )


def _chunk(event: Mapping[str, Any], enclave: Enclave) -> StreamChunk:
    """A chunk has at least one choice, so that `chunk.choices[0]` always works."""
    images = _texts(event.get("images"))
    choices = []
    for told in event.get("choices") or []:
        piece = told.get("delta") or told.get("message") or {}
        images += _texts(piece.get("images"))
        calls = [dict(call) for call in piece.get("tool_calls") or []] or None
        delta = StreamDelta(_text(piece.get("content")), _string(piece.get("role")), calls)
        choices.append(StreamChoice(delta, int(told.get("index") or 0), _string(told.get("finish_reason"))))
    usage = event.get("usage")
    # Usage may come with every event; only one that brings nothing else belongs to the end.
    final = (
        any(c.finish_reason for c in choices)
        or bool(event.get("tee_signature"))
        or (usage is not None and not any(c.delta.content or c.delta.tool_calls for c in choices))
    )
    return StreamChunk(
        choices=choices or [StreamChoice(StreamDelta())],
        model=str(event.get("model", "")),
        usage=StreamUsage(*(_count(usage.get(n)) for n in _USAGE)) if isinstance(usage, Mapping) else None,
        is_final=final,
        tee_endpoint=enclave.endpoint if final else None,
        tee_payment_address=enclave.payment_address or None if final else None,
        images=images or None,
    )


_USAGE = ("prompt_tokens", "completion_tokens", "total_tokens")

_MALFORMED = (AttributeError, TypeError, ValueError, OverflowError)
"""What taking a value apart raises that has another form."""


def _is_count(value: Any) -> bool:
    """Whether it is a number that the ledger can hold."""
    return isinstance(value, int) and 0 <= value < 2**63


def _count(value: Any) -> int:
    if value is None:
        return 0
    if not _is_count(value):
        raise ValueError("not a count")
    return int(value)


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _texts(values: Any) -> list[str]:
    return [value for value in values or [] if isinstance(value, str)]


def _text(content: Any) -> str | None:
    """Content is text, or a list of parts of which the text ones count."""
    if isinstance(content, list):
        return "".join(part.get("text") or "" for part in content if isinstance(part, Mapping))
    return content if isinstance(content, str) else None


def _merge(final: StreamChunk, later: StreamChunk) -> None:
    """Some providers spread the end over several events: the reason in one, the usage in the next."""
    final.usage = later.usage or final.usage
    first, told = final.choices[0], later.choices[0]
    first.finish_reason = first.finish_reason or told.finish_reason
    if told.delta.content:
        first.delta.content = (first.delta.content or "") + told.delta.content
    if told.delta.tool_calls:
        first.delta.tool_calls = (first.delta.tool_calls or []) + told.delta.tool_calls
