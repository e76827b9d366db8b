"""Answers in OpenAI's form: whole, as the events of a stream, and as errors; each with its receipt's proof."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import asdict
from typing import Any
from urllib.parse import quote

from ..client.requests import CHAT
from ..core.errors import (
    AllowanceRequired,
    ChainError,
    ConfigError,
    GatewayError,
    InsufficientBalance,
    LedgerError,
    ModelNotSupported,
    NotRecorded,
    OGError,
    PaymentError,
    UnknownModel,
    WalletError,
)
from ..core.progress import Progress
from ..core.types import StreamChoice, StreamChunk, TextGenerationOutput
from .admission import ModelNotAllowed, TooManyRequests
from .budget_file import BudgetExceeded
from .openai_request import Asked, UnsupportedParameter

PROOF = "opengradient"
"""The field with the receipt and the enclave's proof, beside OpenAI's own."""
_DONE = "data: [DONE]\n\n"

_KINDS: tuple[tuple[type[OGError], int, str, str], ...] = (
    (ModelNotAllowed, 403, "invalid_request_error", "model_not_allowed"),
    (TooManyRequests, 429, "rate_limit_error", "rate_limit_exceeded"),
    (BudgetExceeded, 402, "insufficient_quota", "budget_exceeded"),
    (UnsupportedParameter, 400, "invalid_request_error", "unsupported_parameter"),
    (UnknownModel, 404, "invalid_request_error", "model_not_found"),
    (ModelNotSupported, 404, "invalid_request_error", "model_not_found"),
    (ConfigError, 400, "invalid_request_error", "invalid_value"),
    (NotRecorded, 404, "invalid_request_error", "not_recorded"),
    (InsufficientBalance, 402, "insufficient_quota", "insufficient_balance"),
    (AllowanceRequired, 402, "insufficient_quota", "allowance_required"),
    (PaymentError, 402, "insufficient_quota", "payment_refused"),
    (WalletError, 402, "insufficient_quota", "wallet_error"),
    (LedgerError, 500, "server_error", "ledger_error"),
    (ChainError, 502, "server_error", "chain_error"),
    (GatewayError, 502, "server_error", "gateway_error"),
    (OGError, 500, "server_error", "error"),
)
"""The status, the type and the code of each kind of error; the first that fits."""


def error_of(error: OGError) -> tuple[int, dict[str, Any]]:
    """Return an error's status and body, in OpenAI's form. A gateway's refusal of the request keeps its status."""
    status, kind, code = next((s, k, c) for of, s, k, c in _KINDS if isinstance(error, of))
    refused = getattr(error, "status", None) if status == 502 else None
    if isinstance(refused, int) and (400 <= refused < 500) and refused not in (401, 402, 403, 407):
        status = refused
    return status, error_body(str(error), kind, code, getattr(error, "name", None) if status == 400 else None)


def error_body(message: str, kind: str, code: str, parameter: str | None = None) -> dict[str, Any]:
    """Return the body of an error in OpenAI's form."""
    return {"error": {"message": message, "type": kind, "param": parameter, "code": code}}


def as_whole(output: TextGenerationOutput, asked: Asked, receipt_id: str) -> dict[str, Any]:
    """Return the body of an answer that is not streamed."""
    chat = asked.request.path == CHAT
    choice: dict[str, Any] = {"index": 0, "finish_reason": output.finish_reason or "stop", "logprobs": None}
    if chat:
        choice["message"] = {"content": None, "refusal": None} | (output.chat_output or {"role": "assistant"})
    else:
        choice["text"] = output.completion_output or ""
    return {
        "id": receipt_id,
        "object": "chat.completion" if chat else "text_completion",
        "created": int(time.time()),
        "model": asked.request.model,
        "choices": [choice],
        "usage": output.usage,
        **proof_of(output, asked, receipt_id),
    }


def as_event(answer: Mapping[str, Any]) -> str:
    """Return a whole answer as the events of a stream: one, and the end."""
    return f"{_event(answer)}{_DONE}"


async def as_events(
    chunks: AsyncGenerator[list[StreamChunk], None], first: list[StreamChunk], asked: Asked, receipt_id: str
) -> AsyncGenerator[str, None]:
    """Yield a chat's answer as server-sent events; those of chunks that came together, together.

    Args:
        chunks: of the answer; closed at the end. first: those that were read already.

    A failure after the first event is an event too, since the status is long sent.
    """
    form = {
        "id": receipt_id, "object": "chat.completion.chunk", "created": int(time.time()), "model": asked.request.model,
    }  # fmt: skip
    async with aclosing(chunks):
        some: list[StreamChunk] | None = first
        events: list[str] = []
        try:
            while some is not None:
                for chunk in some:
                    # Its receipt is read for the proof, which may have to wait for the disk.
                    output = chunk.output
                    more = {} if output is None else await asyncio.to_thread(proof_of, output, asked, receipt_id)
                    events.append(_event(form | {"choices": [_choice(one) for one in chunk.choices]} | more))
                    if chunk.usage is not None and asked.with_usage:
                        events.append(_event(form | {"choices": [], "usage": asdict(chunk.usage)}))
                if events:
                    yield "".join(events)
                    events.clear()
                some = await anext(chunks, None)
        except OGError as error:
            yield "".join([*events, _event(error_of(error)[1])])
            return
    yield _DONE


def _event(body: Mapping[str, Any]) -> str:
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"


def _choice(choice: StreamChoice) -> dict[str, Any]:
    parts = {"role": choice.delta.role, "content": choice.delta.content, "tool_calls": choice.delta.tool_calls}
    delta = {name: value for name, value in parts.items() if value is not None}
    return {"index": choice.index, "delta": delta, "finish_reason": choice.finish_reason, "logprobs": None}


def proof_of(output: TextGenerationOutput, asked: Asked, receipt_id: str) -> dict[str, Any]:
    """Return what proves an answer and who paid for it.

    The enclave's fields stand where gateways have them, for whoever reads those; `opengradient` has them, too, and what
    has been paid by now.
    """
    receipt = output.receipt
    signed = {
        "tee_id": output.tee_id,
        "tee_signature": output.tee_signature,
        "tee_timestamp": output.tee_timestamp,
        "tee_request_hash": output.tee_request_hash,
        "tee_output_hash": output.tee_output_hash,
        "data_settlement_transaction_hash": output.data_settlement_transaction_hash,
        "data_settlement_blob_id": output.data_settlement_blob_id,
    }
    found: Mapping[str, Any] = asked.payer.fields() | {
        "receipt_id": receipt_id,
        **signed,
        "tee_public_key": None if receipt is None else receipt.public_key or None,
        "enclave_ok": None if receipt is None else receipt.enclave_ok,
        "authorization_hash": None if receipt is None else receipt.authorization_hash,
        "payment_hash": None if receipt is None else receipt.payment_hash,
        "cost_opg": None if receipt is None or receipt.reported_cost is None else str(receipt.reported_cost),
        "replayed": False if receipt is None else receipt.replayed,
    }
    notes = {} if receipt is None else receipt.gateway_notes
    noted = {name: notes[name] for name in ("citations", "moderation", "answered_by") if name in notes}
    fields = signed | noted | {PROOF: {name: value for name, value in found.items() if value is not None}}
    return {name: value for name, value in fields.items() if value is not None}


def headers_of(progress: Progress, asked: Asked, output: TextGenerationOutput | None = None) -> dict[str, str]:
    """Return the headers of an answer: its receipt, who paid for whom, and what is known of its data on chain."""
    values = {"receipt-id": progress.receipt_id, **asked.payer.fields()}
    found = {f"x-og-{name.replace('_', '-')}": quote(str(value)) for name, value in values.items() if value}
    if output is not None and output.data_settlement_transaction_hash:
        found["x-settlement-tx-hash"] = quote(output.data_settlement_transaction_hash)
    if output is not None and output.data_settlement_blob_id:
        found["x-settlement-walrus-blob-id"] = quote(output.data_settlement_blob_id)
    return found
