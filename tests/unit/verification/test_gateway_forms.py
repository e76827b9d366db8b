"""What gateways sign in place of an answer is no forgery: it is said what is covered, and never called false."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from og_magics.verification.canonical import CanonicalForm, request_hash
from og_magics.verification.enclave import EnclaveCheck, EnclaveEvidence, check_enclave, tee_id_of
from og_magics.verification.hashing import keccak

KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
DER = KEY.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
BODY = {"model": "gemini-2.5-flash", "messages": [{"role": "user", "content": "hi"}]}
PATH = "/v1/chat/completions"


def call(name: str, arguments: Any, **fields: Any) -> dict[str, Any]:
    return fields | {"function": {"name": name, "arguments": arguments}}


def check(signed: Any, calls: Any = (), text: str = "", finish: str = "tool_calls") -> EnclaveCheck:
    """Check an answer that is shown as `text` and `calls`, where an enclave signed `signed`."""
    output = keccak((signed if isinstance(signed, str) else json.dumps(signed, sort_keys=True)).encode())
    asked = request_hash(PATH, BODY, CanonicalForm.STANDARD)
    message = keccak(asked + output + (7).to_bytes(32, "big"))
    scheme = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
    signature = base64.b64encode(KEY.sign(message, scheme, hashes.SHA256())).decode()
    return check_enclave(
        EnclaveEvidence(PATH, BODY, text, calls, finish, tee_id_of(DER), signature, 7, asked.hex(), output.hex(), DER)
    )


F, G = call("f", '{"a": 1}', id="1", type="function"), call("g", "{}", id="2", type="function")


@pytest.mark.parametrize("finish", ["tool_calls", "stop", "function_call"])
def test_the_very_calls_hold_whatever_ended_the_answer(finish: str) -> None:
    assert check([F, G], [F, G], finish=finish).ok is True


@pytest.mark.parametrize(
    "signed",
    [
        [call("f", '{"a": 1}', id=None, type="function")],
        [call("f", '{"a": 1}', id="", type="function")],
        [call("f", '{"a": 1}', id=None, type=None)],
        [call("f", {"a": 1})],
    ],
)
def test_what_a_provider_left_out_is_signed_in_some_form(signed: Any) -> None:
    assert check(signed, [call("f", '{"a": 1}')]).ok is True


@pytest.mark.parametrize(
    ("name", "call_id"),
    [("g", "2"), ("f", "1"), ("fg", "2")],
)
def test_calls_that_the_gateway_joined_are_not_called_false_and_what_was_signed_is_said(
    name: str, call_id: str
) -> None:
    joined = check([call(name, '{"a": 1}{}', id=call_id, type="function")], [F, G])
    assert joined.ok is None
    assert f'joined these 2 function calls into one before it signed: {name}({{"a": 1}}{{}})' in joined.reason


def test_words_of_a_refusal_that_were_not_signed() -> None:
    refused = check("", text="I cannot help with that.", finish="stop")
    assert refused.ok is None
    assert "signed an empty answer" in refused.reason


@pytest.mark.parametrize(
    ("calls", "text"),
    [([F], "said"), ([call("h", "{}", id="2", type="function")], ""), ([], "another"), ([G, F], "")],
)
def test_another_answer_is_still_found(calls: Any, text: str) -> None:
    assert check([F, G], calls, text, finish="stop").ok is False
