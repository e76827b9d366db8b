"""Messages, tool calls and answers, from LangChain's form to the gateway's and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.exceptions import OutputParserException
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, convert_to_openai_messages
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import ToolCallChunk, tool_call_chunk
from langchain_core.output_parsers.openai_tools import make_invalid_tool_call, parse_tool_call

from ..core.errors import ConfigError
from ..core.types import StreamChunk, TextGenerationOutput

_NOT_SENT = {
    "thinking", "redacted_thinking", "reasoning", "reasoning_content", "tool_call", "tool_call_chunk",
    "invalid_tool_call", "tool_use", "function_call",
}  # fmt: skip
"""Parts of an assistant's message that gateways have no place for: thoughts, and calls that stand in `tool_calls`."""

PROVIDER = "opengradient"


def sent_messages(messages: Sequence[BaseMessage]) -> list[dict[str, Any]]:
    """Return messages in the form that a gateway takes and an enclave signs.

    Names of messages are left out: they are not signed, and gateways do not pass them on.

    Raises:
        ConfigError: a message that has no such form.
    """
    try:
        converted = convert_to_openai_messages(messages)
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigError(
            f"A message has a form that no gateway takes: {str(error)[:200]}",
            remedy="Give it text, or parts of the types text and image.",
        ) from None
    return [_sent(one) for one in converted]


def _sent(message: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in message.items() if name != "name" or message["role"] == "function"}
    content = kept.get("content")
    if kept["role"] == "assistant" and isinstance(content, list):
        parts = [part for part in content if part.get("type") not in _NOT_SENT]
        texts = [part["text"] for part in parts if part.get("type") == "text"]
        kept["content"] = "\n".join(texts) if len(texts) == len(parts) else parts
    return kept


def whole_message(output: TextGenerationOutput, metadata: Mapping[str, Any]) -> AIMessage:
    """Return an answer as a message; calls whose arguments are no JSON stand among its `invalid_tool_calls`."""
    valid, invalid = [], []
    for call in output.tool_calls:
        try:
            if (parsed := parse_tool_call(call)) is not None:
                valid.append(parsed)
        except OutputParserException as error:
            invalid.append(make_invalid_tool_call(call, str(error)))
    return AIMessage(
        content=_content(output.text, output.images),
        tool_calls=valid,
        invalid_tool_calls=invalid,
        usage_metadata=_usage(output.usage),
        response_metadata=dict(metadata),
    )


def message_piece(chunk: StreamChunk) -> AIMessageChunk:
    """Return one chunk of a stream as a piece of a message."""
    deltas = [choice.delta for choice in chunk.choices[:1]]
    text = "".join(delta.content or "" for delta in deltas)
    calls = [_call_piece(call) for delta in deltas for call in delta.tool_calls or ()]
    return AIMessageChunk(content=_content(text, chunk.images if chunk.is_final else None), tool_call_chunks=calls)


def last_piece(chunk: StreamChunk, output: TextGenerationOutput, metadata: Mapping[str, Any]) -> AIMessageChunk:
    """Return the last chunk of a stream, with what is known at the end alone: tokens, receipt and proof."""
    piece = message_piece(chunk)
    piece.usage_metadata = _usage(output.usage)
    piece.response_metadata = dict(metadata)
    piece.chunk_position = "last"
    return piece


def _content(text: str, images: Sequence[str] | None) -> Any:
    if not images:
        return text
    pictures = [{"type": "image_url", "image_url": {"url": url}} for url in images]
    return [{"type": "text", "text": text}, *pictures] if text else pictures


def _call_piece(call: Mapping[str, Any]) -> ToolCallChunk:
    function = call.get("function") or {}
    return tool_call_chunk(
        name=function.get("name"), args=function.get("arguments"), id=call.get("id"), index=call.get("index")
    )


def _usage(usage: Mapping[str, int] | None) -> UsageMetadata | None:
    if usage is None:
        return None
    return UsageMetadata(
        input_tokens=usage["prompt_tokens"],
        output_tokens=usage["completion_tokens"],
        total_tokens=usage["total_tokens"],
    )


def answer_metadata(output: TextGenerationOutput, model: str, receipt_id: str) -> dict[str, Any]:
    """Return what a message says of its call: model, ending, receipt, proof and payment, as known when it ended."""
    receipt = output.receipt
    return {
        "model_name": model,
        "model_provider": PROVIDER,
        "finish_reason": output.finish_reason,
        "receipt_id": receipt_id,
        "payment_hash": output.payment_hash,
        "authorization_hash": output.authorization_hash,
        "tee_id": output.tee_id,
        "enclave_ok": None if receipt is None else receipt.enclave_ok,
        "replayed": False if receipt is None else receipt.replayed,
    }
