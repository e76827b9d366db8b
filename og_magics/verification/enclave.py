"""The enclave's signature: was this answer given to this request, by the holder of this key, at this time?

The enclave signs three things at once: a hash of the request in a canonical form, a hash of the answer, and the
second it signed. So the check has four parts that fail apart: the request, the output, the signature and the key.

Pure: values in, values out. Which key to trust for which `tee_id` is the caller's question (the registry's, on
the network); this module only holds the key against the id.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ..core.receipt import Receipt
from .canonical import CanonicalForm, output_hash, request_form
from .hashing import NO_ENCLAVE, hash_bytes, keccak, key_hash
from .verdict import Verdict

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.padding import PSS
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.hazmat.primitives.hashes import SHA256

_PEM = re.compile(r"-----BEGIN PUBLIC KEY-----([A-Za-z0-9+/=\s]+)-----END PUBLIC KEY-----")
_PSS_SALT_BYTES = 32
_CALLS_UNSIGNED = "The enclave signed the text; the function calls beside it are covered by nothing."
_UINT256_BYTES = 32


@dataclass(frozen=True, slots=True)
class EnclaveEvidence:
    """One answer with the proof fields that came with it.

    Attributes:
        path: the request's path, `/v1/chat/completions`, `/v1/completions` or `/v1/web_search`.
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
    """The outcome of a check of an enclave's proof.

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
    return f"0x{key_hash(public_key_der).hex()}"


def verify_signature(
    public_key_der: bytes, request_hash: bytes, output_hash: bytes, timestamp: int, signature_b64: str
) -> bool:
    """Say whether this RSA key signed the two hashes (32 bytes each) and the time (unix seconds).

    A key, a time or a signature that cannot be read is an answer too: False.
    """
    from cryptography.exceptions import InvalidSignature

    try:
        signature = base64.b64decode(signature_b64, validate=True)
        when = timestamp.to_bytes(_UINT256_BYTES, "big")
    except (ValueError, TypeError, OverflowError):
        return False
    key = _rsa_key(public_key_der)
    if key is None:
        return False
    try:
        key.verify(signature, keccak(request_hash + output_hash + when), *_scheme())
    except InvalidSignature:
        return False
    return True


def check_enclave(evidence: EnclaveEvidence) -> EnclaveCheck:
    """Check an answer against its enclave signature. Never raises: what cannot be read fails, and says so.

    The signature is checked over the hashes that came with the answer, and these against the request and the
    answer themselves, so that a changed prompt, a changed answer and a forged signature can be distinguished.
    """
    problems: list[str] = []
    form, request_hash = _check_request(evidence, problems)
    doubts: list[str] = []
    output, signed_output = _check_output(evidence, problems, doubts)
    if missing := _missing_proof(evidence):
        return EnclaveCheck(None, form, None, form is not None, output, _key_matches(evidence), missing)
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
    elif doubts and evidence.public_key_der is not None:
        ok, reason = None, doubts[0]
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


def _missing_proof(evidence: EnclaveEvidence) -> str:
    """Return why there is nothing to check; "" where there is a signature."""
    if not evidence.tee_signature:
        return "The gateway sent no enclave signature with this answer, so there is nothing to verify."
    if evidence.tee_signature == "0x" or hash_bytes(evidence.tee_id) == NO_ENCLAVE:
        return "A placeholder stands in place of an enclave's name or signature: it proves nothing."
    return ""


def _check_request(evidence: EnclaveEvidence, problems: list[str]) -> tuple[CanonicalForm | None, bytes | None]:
    """Return the form that held and the signed hash; note what failed."""
    signed = hash_bytes(evidence.tee_request_hash)
    if signed is None:
        problems.append(f"Request: {evidence.tee_request_hash!r} is not a hash of 64 hex digits.")
        return None, None
    try:
        form = request_form(evidence.path, evidence.body, signed)
    except ValueError as error:
        problems.append(f"Request: {error}.")
        return None, signed
    if form is not None:
        return form, signed
    problems.append("Request: the enclave signed another request than the one that was sent.")
    return None, signed


def check_output(evidence: EnclaveEvidence) -> tuple[bool, str]:
    """Return whether the answer is the one of the signed hash, and what else gateways are known to sign it is."""
    doubts: list[str] = []
    held, _ = _check_output(evidence, [], doubts)
    return held, doubts[0] if doubts else ""


def _check_output(evidence: EnclaveEvidence, problems: list[str], doubts: list[str]) -> tuple[bool, bytes | None]:
    """Return whether the answer holds, and the signed hash; note what failed, and what is not covered."""
    signed = hash_bytes(evidence.tee_output_hash)
    if signed is None:
        problems.append(f"Output: {evidence.tee_output_hash!r} is not a hash of 64 hex digits.")
        return False, None
    try:
        if output_hash(evidence.text, evidence.tool_calls, evidence.finish_reason) == signed:
            if not evidence.tool_calls or evidence.finish_reason == "tool_calls":
                return True, signed
            doubts.append(_CALLS_UNSIGNED)  # of an answer that does not end in its calls, gateways sign the text
        elif _signed_as_calls(evidence, signed):
            if not evidence.text or evidence.finish_reason == "tool_calls":
                return True, signed
            doubts.append("The enclave signed the function calls; the text beside them is covered by nothing.")
        else:
            doubts += [note for hashed, note in _as_gateways_sign(evidence) if hashed == signed][:1]
    except ValueError as error:
        problems.append(f"Output: {error}.")
        return False, signed
    if not doubts:
        problems.append("Output: the enclave signed another answer than this one.")
    return False, signed


def _signed_as_calls(evidence: EnclaveEvidence, signed: bytes) -> bool:
    """Return True where these very calls were signed, whatever stood in place of what their provider left out."""
    calls = [dict(call) for call in evidence.tool_calls or ()]
    return bool(calls) and any(output_hash("", form, "tool_calls") == signed for form in _forms_of_calls(calls))


def _as_gateways_sign(evidence: EnclaveEvidence) -> Iterator[tuple[bytes, str]]:
    """Yield hashes of what gateways are known to sign in place of an answer, and what each leaves uncovered."""
    calls = [dict(call) for call in evidence.tool_calls or ()]
    if calls:
        for joined in _joined(calls):
            function = joined[0]["function"]
            for form in _forms_of_calls(joined):
                yield (
                    output_hash("", form, "tool_calls"),
                    f"The gateway joined these {len(calls)} function calls into one before it signed: "
                    f"{str(function.get('name'))[:60]}({str(function['arguments'])[:200]}). Which call has which name "
                    "and which arguments is covered by nothing.",
                )
        yield output_hash(evidence.text, None, "stop"), _CALLS_UNSIGNED
    if evidence.text:
        yield output_hash("", None, "stop"), "The enclave signed an empty answer; the text shown is covered by nothing."


def _forms_of_calls(calls: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Yield calls in the forms that gateways sign where a provider left a part out: as null, empty, or as it should be;
    arguments as the object that they are.
    """
    yield calls
    yield [{"id": None, "type": "function", **call} for call in calls]
    yield [{"id": "", "type": "function", **call} for call in calls]
    yield [{"id": None, "type": None, **call} for call in calls]
    with contextlib.suppress(ValueError, RecursionError, KeyError, TypeError):
        yield [
            call | {"function": call["function"] | {"arguments": json.loads(call["function"]["arguments"])}}
            for call in calls
        ]


def _joined(calls: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Yield several calls as one: arguments in a row, and the id and the name of the last, or of the first."""
    if len(calls) < 2:
        return
    given = [call.get("function") for call in calls]
    functions = [dict(one) if isinstance(one, Mapping) else {} for one in given]
    arguments = "".join(str(function.get("arguments") or "") for function in functions)
    for call, function in ((calls[-1], functions[-1]), (calls[0], functions[0])):
        yield [call | {"function": function | {"arguments": arguments}}]
    names = "".join(str(function.get("name") or "") for function in functions)
    yield [calls[-1] | {"function": functions[-1] | {"name": names, "arguments": arguments}}]


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
    key, signature = evidence.public_key_der, evidence.tee_signature or ""
    held = verify_signature(key, request_hash, signed_output, timestamp, signature)
    if not held:
        problems.append("Signature: the key did not sign these hashes at this time.")
    return held


def _key_matches(evidence: EnclaveEvidence) -> bool | None:
    if evidence.public_key_der is None:
        return None
    named = hash_bytes(evidence.tee_id)
    return named is not None and named == key_hash(evidence.public_key_der)


@lru_cache(maxsize=1)
def _scheme() -> tuple[PSS, SHA256]:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    return padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=_PSS_SALT_BYTES), hashes.SHA256()


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


def evidence_of(receipt: Receipt) -> EnclaveEvidence:
    """Return the fields of a receipt that the enclave signs."""
    try:
        key = bytes.fromhex(receipt.public_key)
    except ValueError:
        key = b"\x00"  # no key of any enclave: the check says so
    return EnclaveEvidence(
        path=receipt.path,
        body=receipt.request,
        text=receipt.text,
        tool_calls=receipt.tool_calls,
        finish_reason=receipt.finish_reason,
        tee_id=receipt.tee_id,
        tee_signature=receipt.tee_signature,
        tee_timestamp=receipt.tee_timestamp,
        tee_request_hash=receipt.request_hash,
        tee_output_hash=receipt.output_hash,
        public_key_der=key or None,
    )


def check_scrubbed(evidence: EnclaveEvidence) -> Verdict:
    """Check the signature over the hashes. It says nothing of any text: only that some exchange has these hashes.

    For receipts that hold no text. One that does is checked with its text, by `check_enclave`.
    """
    if missing := _missing_proof(evidence):
        return Verdict(None, missing)
    request, output = hash_bytes(evidence.tee_request_hash), hash_bytes(evidence.tee_output_hash)
    timestamp = unix_seconds(evidence.tee_timestamp)
    if request is None or output is None or timestamp is None:
        return Verdict(False, "A hash or the time that was signed is not one.")
    key = evidence.public_key_der
    if key is None:
        return Verdict(None, f"No key is known for the enclave {evidence.tee_id}; the text was removed.")
    if hash_bytes(evidence.tee_id) != hash_bytes(tee_id_of(key)):
        return Verdict(False, f"Key: the known key is not that of the enclave {evidence.tee_id!r}.")
    if not verify_signature(key, request, output, timestamp, evidence.tee_signature or ""):
        return Verdict(False, "Signature: the key did not sign these hashes at this time.")
    return Verdict(
        True,
        f"The enclave {evidence.tee_id} signed these hashes (signature over the hashes; the text was removed, so which "
        "model was asked what, and what it answered, is not shown).",
    )
