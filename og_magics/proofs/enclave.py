"""The enclave's signature: was this answer given to this request, by the holder of this key, at this time?

The enclave signs three things at once: a hash of the request in a canonical form, a hash of the answer, and the
second it signed. So the check has four parts that fail apart: the request, the output, the signature and the key.

Pure: values in, values out. Which key to trust for which `tee_id` is the caller's question (the registry's, on
the network); this module only holds the key against the id.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from .hashing import hash_bytes, keccak

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

CHAT_PATH = "/v1/chat/completions"
COMPLETION_PATH = "/v1/completions"

_PEM = re.compile(r"-----BEGIN PUBLIC KEY-----([A-Za-z0-9+/=\s]+)-----END PUBLIC KEY-----")
_PSS_SALT_BYTES = 32
_UINT256_BYTES = 32


class CanonicalForm(StrEnum):
    """How a gateway writes a request down before it hashes it. Most requests come out the same in both forms."""

    STANDARD = "standard"
    """Attachments are reduced to type and file name; `web_search` is covered."""
    APRIL = "april-2026"
    """A user message that is a list is hashed as Python prints it; `web_search` is not covered."""


@dataclass(frozen=True, slots=True)
class EnclaveEvidence:
    """One answer and what came with it.

    Attributes:
        path: the request's path, `/v1/chat/completions` or `/v1/completions`.
        body: the request's JSON body as it was sent.
        text: the answer's text, all deltas joined; of a completion, `choices[0].text`.
        tool_calls: the answer's tool calls; of a stream, put together from their pieces.
        finish_reason: why the answer ended, as the gateway said.
        tee_id: 0x and 64 hex digits, the enclave's name in the registry.
        tee_signature: base64.
        tee_timestamp: unix seconds, as a number or digits, or an ISO 8601 time (UTC where it names no zone).
        tee_request_hash: 64 hex digits, with or without 0x.
        tee_output_hash: likewise.
        public_key_der: the key that is trusted for `tee_id`, DER SubjectPublicKeyInfo; None when none is known.
    """

    path: str
    body: Mapping[str, Any]
    text: str | None
    tool_calls: Sequence[Mapping[str, Any]] | None
    finish_reason: str | None
    tee_id: str | None
    tee_signature: str | None
    tee_timestamp: int | str | None
    tee_request_hash: str | None
    tee_output_hash: str | None
    public_key_der: bytes | None


@dataclass(frozen=True, slots=True)
class EnclaveCheck:
    """What held.

    Attributes:
        ok: True if all parts held; False if one did not; None if nothing is disproved and something is missing:
            a signature, or the key to check it with.
        form: the canonical form that gave the signed request hash, None if none did.
        signature: whether the key signed these hashes at this time; None if that could not be asked.
        request: whether the signed request hash is that of the request that was sent.
        output: whether the signed output hash is that of the answer.
        key: whether the key is the one that `tee_id` names; None without a key.
        reason: the outcome in a sentence or more, one for each part that failed.
    """

    ok: bool | None
    form: CanonicalForm | None
    signature: bool | None
    request: bool
    output: bool
    key: bool | None
    reason: str


def pem_to_der(pem: str) -> bytes:
    """Return the DER bytes inside a PEM public key, as `GET /signing-key` delivers it.

    Raises:
        ValueError: this is no PEM public key.
    """
    found = _PEM.search(pem)
    if found is None:
        raise ValueError("This is not a PEM public key (no BEGIN PUBLIC KEY block).")
    try:
        return base64.b64decode("".join(found[1].split()), validate=True)
    except binascii.Error as error:
        raise ValueError(f"The PEM public key's base64 is broken: {error}") from error


def tee_id_of(public_key_der: bytes) -> str:
    """Return the id under which the registry lists this signing key: 0x and the keccak256 of its DER bytes."""
    return f"0x{keccak(public_key_der).hex()}"


def request_hashes(path: str, body: Mapping[str, Any]) -> dict[CanonicalForm, bytes]:
    """Return the hash (32 bytes) that a gateway would sign for this request, in each canonical form.

    Raises:
        ValueError: no gateway signs such a request (an unknown path or role, a value of the wrong kind).
    """
    return {form: _request_hash(path, body, form) for form in CanonicalForm}


def _request_hash(path: str, body: Mapping[str, Any], form: CanonicalForm) -> bytes:
    if path not in (CHAT_PATH, COMPLETION_PATH):
        raise ValueError(f"the path {path!r} is not one whose answers are signed")
    try:
        return keccak(json.dumps(_canonical(path, body, form), sort_keys=True).encode("ascii"))
    except (TypeError, AttributeError, KeyError, OverflowError, RecursionError) as error:
        raise ValueError(f"the request body is malformed ({type(error).__name__}: {error})") from error


def output_hash(text: str | None, tool_calls: Sequence[Mapping[str, Any]] | None, finish_reason: str | None) -> bytes:
    """Return the hash (32 bytes) of an answer: of its tool calls if it ended in them, else of its text.

    Raises:
        ValueError: the text is no text, or a tool call is not JSON.
    """
    try:
        if finish_reason == "tool_calls" and tool_calls:
            # `index` is how a stream numbers its pieces, not part of the call.
            calls = [{name: part for name, part in call.items() if name != "index"} for call in tool_calls]
            signed = json.dumps(calls, sort_keys=True)
        else:
            signed = text or ""
        # A lone surrogate cannot have been signed; it gets a hash that matches nothing, not an exception.
        return keccak(signed.encode("utf-8", errors="surrogatepass"))
    except (TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"the answer is malformed ({type(error).__name__}: {error})") from error


def verify_signature(
    public_key_der: bytes, request_hash: bytes, output_hash: bytes, timestamp: int, signature_b64: str
) -> bool:
    """Say whether this RSA key signed the two hashes (32 bytes each) and the time (unix seconds).

    A key, a time or a signature that cannot be read is an answer too: False.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    try:
        signature = base64.b64decode(signature_b64, validate=True)
        when = timestamp.to_bytes(_UINT256_BYTES, "big")
    except (ValueError, TypeError, OverflowError):
        return False
    key = _rsa_key(public_key_der)
    if key is None:
        return False
    scheme = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=_PSS_SALT_BYTES)
    try:
        key.verify(signature, keccak(request_hash + output_hash + when), scheme, hashes.SHA256())
    except InvalidSignature:
        return False
    return True


def check_enclave(evidence: EnclaveEvidence) -> EnclaveCheck:
    """Check an answer against its enclave signature. Never raises: what cannot be read fails, and says so.

    The signature is checked over the hashes that came with the answer, and these against the request and the
    answer themselves, so that a changed prompt, a changed answer and a forged signature can be told apart.
    """
    problems: list[str] = []
    form, request_hash = _check_request(evidence, problems)
    output, signed_output = _check_output(evidence, problems)
    if not evidence.tee_signature:
        return EnclaveCheck(
            ok=None,
            form=form,
            signature=None,
            request=form is not None,
            output=output,
            key=_key_matches(evidence),
            reason="The gateway sent no enclave signature with this answer, so there is nothing to verify.",
        )
    timestamp = unix_seconds(evidence.tee_timestamp)
    if timestamp is None:
        problems.append(f"Signature: the time {evidence.tee_timestamp!r} is not a time.")
    key = _key_matches(evidence)
    if key is False:
        problems.append(f"Key: the known key is not that of the enclave {evidence.tee_id!r}.")
    signature = _check_signature(evidence, request_hash, signed_output, timestamp, problems)
    ok: bool | None = not problems
    if problems:
        reason = " ".join(problems)
    elif evidence.public_key_der is None:
        ok = None
        reason = (
            "The hashes agree with the request and the answer, but no key is known for the enclave "
            f"{evidence.tee_id}, so its signature could not be checked."
        )
    else:
        reason = f"The enclave {evidence.tee_id} signed this request and this answer."
    return EnclaveCheck(
        ok=ok,
        form=form,
        signature=signature,
        request=form is not None,
        output=output,
        key=key,
        reason=reason,
    )


def _check_request(evidence: EnclaveEvidence, problems: list[str]) -> tuple[CanonicalForm | None, bytes | None]:
    """Return the form that held and the signed hash; note what failed."""
    signed = hash_bytes(evidence.tee_request_hash)
    if signed is None:
        problems.append(f"Request: {evidence.tee_request_hash!r} is not a hash of 64 hex digits.")
        return None, None
    try:
        for form in CanonicalForm:  # STANDARD first: it is the one to name where both hold
            if _request_hash(evidence.path, evidence.body, form) == signed:
                return form, signed
    except ValueError as error:
        problems.append(f"Request: {error}.")
        return None, signed
    problems.append("Request: the enclave signed another request than the one that was sent.")
    return None, signed


def _check_output(evidence: EnclaveEvidence, problems: list[str]) -> tuple[bool, bytes | None]:
    """Return whether the answer holds, and the signed hash; note what failed."""
    signed = hash_bytes(evidence.tee_output_hash)
    if signed is None:
        problems.append(f"Output: {evidence.tee_output_hash!r} is not a hash of 64 hex digits.")
        return False, None
    try:
        held = output_hash(evidence.text, evidence.tool_calls, evidence.finish_reason) == signed
    except ValueError as error:
        problems.append(f"Output: {error}.")
        return False, signed
    if not held:
        problems.append("Output: the enclave signed another answer than this one.")
    return held, signed


def _check_signature(
    evidence: EnclaveEvidence,
    request_hash: bytes | None,
    signed_output: bytes | None,
    timestamp: int | None,
    problems: list[str],
) -> bool | None:
    if timestamp is None:
        return False
    if evidence.public_key_der is None or request_hash is None or signed_output is None:
        return None
    held = verify_signature(
        evidence.public_key_der, request_hash, signed_output, timestamp, evidence.tee_signature or ""
    )
    if not held:
        problems.append("Signature: the key did not sign these hashes at this time.")
    return held


def _key_matches(evidence: EnclaveEvidence) -> bool | None:
    if evidence.public_key_der is None:
        return None
    named = hash_bytes(evidence.tee_id)
    return named is not None and named == _key_hash(evidence.public_key_der)


@lru_cache(maxsize=64)  # thousands of answers, a few keys
def _key_hash(public_key_der: bytes) -> bytes:
    return keccak(public_key_der)


@lru_cache(maxsize=64)
def _rsa_key(public_key_der: bytes) -> RSAPublicKey | None:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    try:
        key = load_der_public_key(public_key_der)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None
    return key if isinstance(key, rsa.RSAPublicKey) else None


def unix_seconds(when: int | str | None) -> int | None:
    """Read a time as a uint256 of unix seconds; None if it is none."""
    try:
        if isinstance(when, str):
            if when.isascii() and when.isdigit():
                seconds = int(when)
            else:
                moment = datetime.fromisoformat(when)
                seconds = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
        elif isinstance(when, int) and not isinstance(when, bool):
            seconds = when
        else:
            return None
        seconds.to_bytes(_UINT256_BYTES, "big")
    except (ValueError, OverflowError):
        return None
    return seconds


def _canonical(path: str, body: Mapping[str, Any], form: CanonicalForm) -> dict[str, Any]:
    """Write the request down as the gateway does: only what the signature covers, each field in one shape."""
    if path == COMPLETION_PATH:
        # The completions endpoint, unlike chat, fills in OpenAI's defaults for what was left out (not for null).
        body = {"temperature": 1, "max_tokens": 16, **body}
        asked: dict[str, Any] = {"prompt": body.get("prompt")}
        optional: tuple[str, ...] = ("stop",)
    else:
        asked = {"messages": [_canonical_message(message, form) for message in body.get("messages", [])]}
        optional = ("stop", "tools", "response_format")
    temperature = body.get("temperature")
    asked["model"] = body.get("model")
    asked["temperature"] = 0.0 if temperature is None else float(temperature)
    if body.get("max_tokens") is not None:
        asked["max_tokens"] = body["max_tokens"]
    asked |= {name: body[name] for name in optional if body.get(name)}
    if form is CanonicalForm.STANDARD and body.get("web_search"):
        asked["web_search"] = True
    return asked


def _canonical_message(message: Mapping[str, Any], form: CanonicalForm) -> dict[str, Any]:
    role, content = message.get("role"), message.get("content")
    match role:
        case "system" | "developer":
            return {"role": "system", "content": content}
        case "user":
            return {"role": "user", "content": _canonical_content(content, form)}
        case "assistant":
            said: dict[str, Any] = {"role": "assistant", "content": content or ""}
            if message.get("tool_calls"):
                said["tool_calls"] = [_canonical_tool_call(call) for call in message["tool_calls"]]
            return said
        case "tool":
            return {"role": "tool", "content": content, "tool_call_id": message.get("tool_call_id")}
        case "function":
            # The one role whose `name` is covered: it says which function answers.
            return {"role": "function", "content": content, "name": message.get("name")}
    raise ValueError(f"a message has the unknown role {role!r}")


def _canonical_tool_call(call: Mapping[str, Any]) -> dict[str, Any]:
    function = call.get("function", {})
    return {
        "id": call.get("id"),
        "type": call.get("type"),
        "function": {"name": function.get("name"), "arguments": function.get("arguments")},
    }


def _canonical_content(content: Any, form: CanonicalForm) -> Any:
    if isinstance(content, str):
        return content
    if form is CanonicalForm.APRIL or not isinstance(content, list):
        return str(content)
    return [_canonical_part(part) for part in content]


def _canonical_part(part: Any) -> dict[str, Any]:
    if not isinstance(part, Mapping):
        return {"type": "text", "text": str(part)}
    if part.get("type") == "text":
        return {"type": "text", "text": part.get("text") or ""}
    # An attachment's bytes are not covered, only that a file of this name was there.
    file = part.get("file")
    file_name = (file.get("filename") if isinstance(file, Mapping) else None) or part.get("filename")
    return {"type": part.get("type")} | ({"filename": file_name} if file_name else {})
