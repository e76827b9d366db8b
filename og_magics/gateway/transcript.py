"""From the gateway's JSON to the result types, streamed or whole."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from ..core.deltas import CallDeltas
from ..core.errors import GatewayProtocolError, StreamError
from ..core.failure_reason import reason_of
from ..core.gateway_notes import gateway_notes
from ..core.paid_by import offered_key, paid_by_of
from ..core.shares import reported_cost
from ..core.types import Enclave, Outcome, StreamChoice, StreamChunk, StreamDelta, StreamUsage, TextGenerationOutput
from .bounds import KEPT, MAY_BE_CHARGED

_SETTLED_HEADER = "X-Settlement-Tx-Hash"
_BLOB_HEADER = "X-Settlement-Walrus-Blob-ID"


class Transcript:
    """One answer as it is collected. `add` takes a stream's events, `take` a whole body; `outcome` is what came.

    Attributes:
        texted: True once a piece of the answer has arrived.
    """

    def __init__(self, enclave: Enclave) -> None:
        self._enclave = enclave
        self._pieces: list[str] = []
        self._calls = CallDeltas()
        self._choice: int | None = None
        self._others: dict[int, list[str]] = {}
        self._images: list[str] = []
        self._notes: dict[str, Any] = {}
        self._proof: dict[str, Any] = {}
        self._cost: int | None = None
        self._final: StreamChunk | None = None
        self._role = "assistant"
        self._is_completion = False
        self.texted = False

    def add(self, event: Mapping[str, Any], headers: Mapping[str, str]) -> StreamChunk | None:
        """Return the chunk of one event; None for one that ends the answer, which `final` returns when the stream has
        ended.

        Raises:
            StreamError: it is not of the protocol's form.
        """
        try:
            answer = self._first_answer(event)
            chunk = _chunk(answer, self._enclave)
            self._note_refusal(answer)
            self._note_cost(event)
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
        """Return the last chunk, with usage and proof.

        Raises:
            StreamError: the stream ended without one.
        """
        if self._final is None or self.finish_reason is None:
            raise StreamError(
                "The stream ended before the answer was complete.", money=MAY_BE_CHARGED, remedy=KEPT, cut=True
            )
        self._add_others(self._final)
        return self._with_proof(self._final)

    def whole(self) -> StreamChunk:
        """Return a whole, unstreamed answer as the one chunk that it is, with usage and proof.

        Raises:
            StreamError: none was taken.
        """
        if self._final is None:
            raise StreamError("The answer ended without a result.", money=MAY_BE_CHARGED, remedy="Ask again.")
        self._final.is_final = True
        self._add_others(self._final)
        return self._with_proof(self._final)

    def _with_proof(self, final: StreamChunk) -> StreamChunk:
        proof = self._proof
        final.tee_signature, final.tee_timestamp = proof.get("tee_signature"), proof.get("tee_timestamp")
        final.tee_request_hash, final.tee_output_hash = proof.get("tee_request_hash"), proof.get("tee_output_hash")
        final.tee_id = proof.get("tee_id") or self._enclave.tee_id or None
        final.data_settlement_transaction_hash = proof.get("data_settlement_transaction_hash")
        final.data_settlement_blob_id = proof.get("data_settlement_blob_id")
        final.images = self._images or None
        return final

    def take(self, body: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        """Take a whole, unstreamed answer.

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
            answer = self._first_answer(body)
            chunk = _chunk(answer, self._enclave)
            self._note_refusal(answer)
            self._note_cost(body)
            self._collect(chunk)
        except _MALFORMED:
            raise _no_answer("The gateway's answer is not of the protocol.", body) from None
        self._final = chunk
        self._note_proof(body, headers)

    def take_cut(self, body: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        """Take what can be read of a whole answer that was cut; what is not of the protocol is left out."""
        with contextlib.suppress(GatewayProtocolError):
            self.take(body, headers)

    @property
    def finish_reason(self) -> str | None:
        reasons = [c.finish_reason for c in self._final.choices] if self._final else []
        return next((reason for reason in reasons if reason), None)

    @property
    def tool_calls(self) -> list[dict[str, Any]]:
        """The calls, joined from their deltas, without `index`."""
        return self._calls.calls

    def outcome(self, latency: float, ttft: float | None) -> Outcome:
        """Return what has come so far, or in all."""
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
            reported_cost=self._cost,
            unsettled=proof.get("data_settlement_error", ""),
            gateway_notes=self._notes,
            paid_by=proof.get("paid_by"),
            offered_key=proof.get("offered_key", b""),
        )

    def output(self) -> TextGenerationOutput:
        """Return the whole answer as the result type."""
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
            citations=self._notes.get("citations"),
            moderation=self._notes.get("moderation"),
        )

    def _collect(self, chunk: StreamChunk) -> None:
        self._images += chunk.images or []
        for delta in (choice.delta for choice in chunk.choices):
            if delta.content:
                self._pieces.append(delta.content)
                self.texted = True
            if delta.role:
                self._role = delta.role
            if delta.tool_calls:
                self._calls.add(delta.tool_calls)
                self.texted = True

    def _first_answer(self, event: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return an event without the choices of further answers (`n`), which are kept: they follow the first."""
        choices = event.get("choices")
        if not isinstance(choices, list) or not choices:
            return event
        if self._choice is None:
            self._choice = _index(choices[0].get("index"))
        first = []
        for choice in choices:
            index = _index(choice.get("index"))
            if index == self._choice:
                first.append(choice)
            else:
                piece = choice.get("delta") or choice.get("message") or {"content": choice.get("text")}
                self._others.setdefault(index, []).append(_text(piece.get("content")) or "")
        return {**event, "choices": first}

    def _add_others(self, final: StreamChunk) -> None:
        """Add the other answers to the text, after the first: they were paid too."""
        texts = ["".join(self._others[index]) for index in sorted(self._others)]
        self._others.clear()
        added = "".join(f"\n\n{text}" for text in texts if text)
        if added:
            self._pieces.append(added)
            final.choices[0].delta.content = (final.choices[0].delta.content or "") + added

    def _note_refusal(self, event: Mapping[str, Any]) -> None:
        pieces = [choice.get("delta") or choice.get("message") or {} for choice in event.get("choices") or ()]
        if any(_text(piece.get("refusal")) for piece in pieces):
            self._notes["refused"] = True

    def _note_cost(self, body: Mapping[str, Any]) -> None:
        cost = reported_cost(body.get("opengradient"))
        self._cost = self._cost if cost is None else cost

    def _note_proof(self, body: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        self._notes |= gateway_notes(body, headers)
        block = body.get("opengradient")
        self._proof |= {"paid_by": paid_by_of(block), "offered_key": offered_key(block)} if block else {}
        for name in ("tee_signature", "tee_timestamp", "tee_request_hash", "tee_output_hash", "tee_id"):
            value = body.get(name)
            if isinstance(value, str) if name != "tee_timestamp" else _is_count(value):
                self._proof[name] = value
        if body.get("data_settlement_success") is False:
            reason = reason_of((_string(body.get("data_settlement_error")) or "").encode("utf-8", "replace"), "")
            self._proof["data_settlement_error"] = reason.text or "it gave no reason"
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
    """Return the chunk of an event. It has at least one choice, so that `chunk.choices[0]` always works."""
    images = _texts(event.get("images"))
    choices = []
    for choice in event.get("choices") or []:
        piece = choice.get("delta") or choice.get("message") or {}
        images += _texts(piece.get("images"))
        content = [_text(piece.get("content")), _text(piece.get("refusal"))]  # a refusal is an answer, in words
        text = "".join(part for part in content if part) if any(part is not None for part in content) else None
        calls = _calls(piece)
        if calls and not choice.get("delta"):  # of a whole message, each is a call, whatever it lacks
            calls = [call | {"index": place} for place, call in enumerate(calls)]
        delta = StreamDelta(text, _string(piece.get("role")), calls)
        choices.append(StreamChoice(delta, 0, _string(choice.get("finish_reason"))))
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
        usage=_usage(usage),
        is_final=final,
        tee_endpoint=enclave.endpoint if final else None,
        tee_payment_address=enclave.payment_address or None if final else None,
        images=images or None,
    )


def _calls(piece: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """Return the pieces of function calls; the form of before 2023, one `function_call`, is one too."""
    calls = piece.get("tool_calls") or []
    found = [dict(call) for call in (calls if isinstance(calls, list) else [calls]) if isinstance(call, Mapping)]
    legacy = piece.get("function_call")
    if isinstance(legacy, Mapping):
        found.append({"index": 0, "function": dict(legacy)})
    return found or None


def _index(value: Any) -> int:
    return value if _is_count(value) else 0


def _usage(usage: Any) -> StreamUsage | None:
    """Return the counts of tokens; two of the three give the third. None where only one is there."""
    if not isinstance(usage, Mapping):
        return None
    prompt, completion, total = (
        _count(usage.get(name)) for name in ("prompt_tokens", "completion_tokens", "total_tokens")
    )
    if total is not None and prompt is not None and completion is None and total > prompt:
        completion = total - prompt
    if total is not None and completion is not None and prompt is None and total >= completion:
        prompt = total - completion
    if prompt is None or completion is None:
        return None
    return StreamUsage(prompt, completion, prompt + completion if total is None else total)


_MALFORMED = (AttributeError, TypeError, ValueError, OverflowError)
"""Exceptions of taking apart a value that has another form."""


def _is_count(value: Any) -> bool:
    """Return True for a number that the ledger can hold."""
    return isinstance(value, int) and 0 <= value < 2**63


def _count(value: Any) -> int | None:
    """Return a count of tokens; None for what is none. Some servers write 12.0."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if _is_count(value) and not isinstance(value, bool) else None


def _string(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _texts(values: Any) -> list[str]:
    return [value for value in values or [] if isinstance(value, str)]


def _text(content: Any) -> str | None:
    """Return content's text: content is text, or a list of parts of which the text ones count."""
    if isinstance(content, list):
        return "".join(filter(None, map(_text, content)))
    if isinstance(content, Mapping):
        return _text(content.get("text") or content.get("refusal"))
    return content if isinstance(content, str) else None


def _merge(final: StreamChunk, later: StreamChunk) -> None:
    """Merge a later final event into the first: some providers send the reason in one, the usage in the next."""
    final.usage = later.usage or final.usage
    first, last = final.choices[0], later.choices[0]
    first.finish_reason = first.finish_reason or last.finish_reason
    if last.delta.content:
        first.delta.content = (first.delta.content or "") + last.delta.content
    if last.delta.tool_calls:
        first.delta.tool_calls = (first.delta.tool_calls or []) + last.delta.tool_calls
