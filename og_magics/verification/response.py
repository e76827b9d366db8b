"""Verification of a raw response by the names of the official SDK, for code that talks to a gateway itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from ..core.errors import ConfigError, ProofError
from .canonical import canonical_chat, output_hash
from .enclave import pem_to_der, tee_id_of, unix_seconds, verify_signature
from .hashing import hash_bytes, keccak

_WIRE_ONLY = ("tool_choice",)
"""Fields that are sent, and that no signature covers."""


class VerificationError(ProofError):
    """A response that is not what an enclave signed. Nothing of it should be shown as its answer."""


@dataclass(frozen=True, slots=True)
class TeeProof:
    """The parts of a response that were verified.

    Attributes:
        tee_id: the enclave. request_hash, output_hash: what was signed, hex without 0x. timestamp: unix seconds.
        signature: base64 RSA-PSS. signing_key_pem: the key that made it. tee_host: as it was given.
    """

    tee_id: str
    request_hash: str
    output_hash: str
    timestamp: int
    signature: str
    signing_key_pem: str
    tee_host: str | None = None


def build_inner_request(body: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a chat request as it is sent, and as an enclave signs it.

    Fields that no signature covers are left out, but for `tool_choice`, which is sent.

    Raises:
        ConfigError: no gateway takes such a request.
    """
    if not isinstance(body, Mapping) or not body.get("model") or not body.get("messages"):
        raise ConfigError("The request has no model or no messages.", remedy="Give both.")
    try:
        canonical = canonical_chat({**body, "messages": [_with_whole_calls(one) for one in body["messages"]]})
    except (ValueError, TypeError, AttributeError) as error:
        raise ConfigError(f"The request cannot be signed: {error}.", remedy="Give it OpenAI's form.") from None
    wire = dict(canonical)
    wire["messages"] = [
        {**signed, "content": given.get("content")} if signed["role"] == "user" else signed
        for signed, given in zip(canonical["messages"], body["messages"], strict=True)
    ]
    return wire | {name: body[name] for name in _WIRE_ONLY if body.get(name) is not None}, canonical


def _with_whole_calls(message: Any) -> Any:
    """Return a message whose calls have the members that are signed, where who asks left one out."""
    if not isinstance(message, Mapping) or not message.get("tool_calls"):
        return message
    return {**message, "tool_calls": [{"id": "", "type": "function", **call} for call in message["tool_calls"]]}


def verify_response(
    *,
    canonical_request: Mapping[str, Any],
    response_body: Mapping[str, Any],
    signing_key_pem: str,
    response_content: str | None = None,
    expected_tee_id: str | None = None,
    tee_host: str | None = None,
) -> TeeProof:
    """Verify a response against the enclave's key: its id, the hash of the request, of the answer, and the signature.

    Args:
        canonical_request: the second that `build_inner_request` returned.
        response_body: the JSON that came, or the last event of a stream.
        signing_key_pem: the key, from the registry: that of a response proves nothing.
        response_content: the text that was streamed; without it, what the body holds.
        expected_tee_id: the enclave that it must be of.
        tee_host: noted in the proof.

    Raises:
        VerificationError: it is not what this key signed, or has no proof.
    """
    signed_request, signed_output = (_hash(response_body, name) for name in ("tee_request_hash", "tee_output_hash"))
    tee_id, signature = (_text(response_body, name) for name in ("tee_id", "tee_signature"))
    timestamp = unix_seconds(response_body.get("tee_timestamp"))
    if timestamp is None:
        _refuse("The response has no time that was signed.")
    try:
        key = pem_to_der(signing_key_pem)
    except ValueError as error:
        _refuse(f"The key cannot be read. {error}")
    ids = {hash_bytes(one) for one in (tee_id, tee_id_of(key), expected_tee_id or tee_id)}
    if len(ids) != 1 or None in ids:
        _refuse(f"The response says that it is of the enclave {tee_id[:70]!r}: that is not the one with this key.")
    if _request_hash(canonical_request) != signed_request:
        _refuse("The enclave signed another request than the one that was sent.")
    if _content_hash(response_body, response_content) != signed_output:
        _refuse("The enclave signed another answer than this one.")
    if not verify_signature(key, signed_request, signed_output, timestamp, signature):
        _refuse("The key did not sign these hashes at this time.")
    return TeeProof(tee_id, signed_request.hex(), signed_output.hex(), timestamp, signature, signing_key_pem, tee_host)


def _request_hash(canonical: Mapping[str, Any]) -> bytes:
    try:
        return keccak(json.dumps(canonical, sort_keys=True).encode())
    except (TypeError, ValueError, RecursionError):
        _refuse("The request is no JSON.")


def _content_hash(body: Mapping[str, Any], content: str | None) -> bytes:
    if content is not None:
        return keccak(content.encode("utf-8", errors="surrogatepass"))
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], Mapping) else {}
    message = choice.get("message")
    message = message if isinstance(message, Mapping) else {}
    text, calls = message.get("content"), message.get("tool_calls")
    if isinstance(text, list):
        text = "".join(str(part.get("text") or "") for part in text if isinstance(part, Mapping))
    calls = calls if isinstance(calls, list) else None
    try:
        return output_hash(text if isinstance(text, str) else "", calls, choice.get("finish_reason"))
    except ValueError as error:
        _refuse(f"The answer cannot be read: {error}.")


def _text(body: Mapping[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        _refuse(f"The response has no {name}.")
    return value


def _hash(body: Mapping[str, Any], name: str) -> bytes:
    found = hash_bytes(_text(body, name))
    if found is None:
        _refuse(f"The response's {name} is no hash.")
    return found


def _refuse(why: str) -> NoReturn:
    raise VerificationError(
        why, money="What was paid for it is in its receipt, if it has one.", remedy="Do not use this answer."
    )
