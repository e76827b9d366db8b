"""The blob of an individual settlement: is it the exchange of the event on chain?

Its input and output are texts, whose hashes are those of the event; or, as most gateways hand them over, the request's
and the answer's JSON, from which the hashes are made again. Of a streamed answer that JSON is its last event alone.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from ..core.onchain import IndividualEvent
from ..core.receipt import Receipt
from ..core.untrusted_json import read_json
from .canonical import request_form
from .enclave import EnclaveEvidence, check_output, unix_seconds
from .hashing import hash_bytes, is_placeholder, keccak

WHOLE = "hold this very exchange, in full"
WITHOUT_TEXT = (
    "hold its request and its hashes; the blob does not hold the answer's text: of a streamed answer, gateways leave "
    "the last event alone there"
)
_DEEP = (ValueError, TypeError, KeyError, AttributeError, IndexError)


class BlobMismatch(Exception):
    """A blob differs from its event; the message says in what."""


def check_blob(content: bytes, event: IndividualEvent, receipt: Receipt) -> str:
    """Return what the event and its blob hold, in words.

    Raises:
        BlobMismatch: the blob is not the exchange of the event.
    """
    try:
        held: Any = read_json(content)
        given, answer = held["input"], held["output"]
    except _DEEP:
        raise BlobMismatch("it holds no input and output") from None
    if not isinstance(given, str | Mapping) or not isinstance(answer, str | Mapping):
        raise BlobMismatch("it holds no input and output")
    if not _is_input(given, event, receipt):
        raise BlobMismatch("its input has another hash")
    whole = _is_output(answer, event, receipt)
    # The rest is repeated in the blob for convenience; where it is there it has to agree.
    _compare(held, event, ("teeId", "teeSignature", "timestamp"))
    if isinstance(answer, Mapping):
        _compare(answer, event, ("tee_id", "tee_signature", "tee_timestamp"))
    return WHOLE if whole else WITHOUT_TEXT


def _is_input(given: str | Mapping[str, Any], event: IndividualEvent, receipt: Receipt) -> bool:
    if isinstance(given, str):
        return _hash(given) == event.input_hash
    try:
        if request_form(receipt.path, given, event.input_hash) is not None:
            return True
    except ValueError:
        return False
    # What JavaScript wrote again has 1 for 1.0, and perhaps another order of keys: it is the request nevertheless.
    return given == receipt.request and event.input_hash == hash_bytes(receipt.request_hash)


def _is_output(answer: str | Mapping[str, Any], event: IndividualEvent, receipt: Receipt) -> bool:
    """Return True where the hash was made again from the answer, False where only its hash is there."""
    if isinstance(answer, str):
        if _hash(answer) == event.output_hash:
            return True
        raise BlobMismatch("its output has another hash")
    named = answer.get("tee_output_hash")
    if named is not None and hash_bytes(named) != event.output_hash:
        raise BlobMismatch("its output names another hash")
    try:
        shown = _shown(answer)
    except _DEEP:
        raise BlobMismatch("its output is no answer") from None
    if shown is None:
        if named is None:
            raise BlobMismatch("its output is no answer")
        return False
    text, calls, finish = shown
    evidence = EnclaveEvidence(
        receipt.path, {}, text, calls, finish, None, None, None, None, event.output_hash.hex(), None
    )
    held, doubt = check_output(evidence)
    if not held and not doubt:
        raise BlobMismatch("its output has another hash")
    return True


def _shown(answer: Mapping[str, Any]) -> tuple[str, list[Mapping[str, Any]], str | None] | None:
    """Return the text, the calls and the end of a whole answer; None for the last event of a stream."""
    if isinstance(answer.get("content"), str):  # of a search
        return answer["content"], [], "stop"
    choice = answer["choices"][0]
    if "text" in choice:
        return choice["text"] or "", [], choice.get("finish_reason")
    if "message" not in choice:
        return None
    message = choice["message"]
    return message.get("content") or "", list(message.get("tool_calls") or []), choice.get("finish_reason")


def _compare(held: Mapping[str, Any], event: IndividualEvent, names: tuple[str, str, str]) -> None:
    for name, read, written in zip(
        names, (hash_bytes, _base64, unix_seconds), (event.tee_id, event.signature, event.timestamp), strict=True
    ):
        if held.get(name) is not None and not is_placeholder(held[name]) and read(held[name]) != written:
            raise BlobMismatch(f"its {name} is another")


def _hash(text: str) -> bytes:
    return keccak(text.encode("utf-8", "surrogatepass"))


def _base64(text: object) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True) if isinstance(text, str) else None
    except (binascii.Error, ValueError):
        return None
