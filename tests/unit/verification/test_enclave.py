"""The enclave's signature: the real gateway's answers hold, and each kind of tampering fails in its own field."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from eth_hash.auto import keccak
from hypothesis import example, given
from hypothesis import strategies as st

from og_magics.verification import (
    CanonicalForm,
    EnclaveEvidence,
    check_enclave,
    output_hash,
    pem_to_der,
    request_hashes,
    tee_id_of,
    verify_signature,
)

VECTORS = Path(__file__).parents[2] / "vectors"
CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
TIME = 1_795_337_684


def load(name: str) -> Any:
    return json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))


SIGNING_KEY = load("signing_key")
KEY_DER = pem_to_der(SIGNING_KEY["public_key"])


def evidence_of(exchange: Mapping[str, Any]) -> EnclaveEvidence | None:
    """Read an exchange as a client would; None if the gateway signed nothing."""
    body = "".join(exchange["response"]["chunks"])
    if body.startswith("data:"):
        parts = [json.loads(event[6:]) for event in body.split("\n\n") if event and event != "data: [DONE]"]
        deltas = [choice["delta"] for part in parts for choice in part.get("choices", [])]
        message = {"content": "".join(delta.get("content", "") for delta in deltas)}
    else:
        parts = [json.loads(body)]
        choice = parts[0].get("choices", [{}])[0]
        message = choice.get("message", {"content": choice.get("text")})
    final = parts[-1]
    if "tee_signature" not in final:
        return None
    return EnclaveEvidence(
        path=exchange["request"]["path"],
        body=json.loads(exchange["request"]["body"]),
        text=message["content"],
        tool_calls=message.get("tool_calls"),
        finish_reason=final["choices"][0]["finish_reason"],
        public_key_der=KEY_DER,
        **{field.name: final[field.name] for field in fields(EnclaveEvidence) if field.name.startswith("tee_")},
    )


SIGNED = {
    f"{path.stem}[{number}]": found
    for path in sorted(VECTORS.glob("*_*.json"))
    for number, exchange in enumerate(load(path.stem).get("exchanges", []))
    if (found := evidence_of(exchange)) is not None
}
ANSWER = SIGNED["ok_batch_stream[1]"]
TOOL_ANSWER = SIGNED["err_ok_tools[1]"]
OWN_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
OWN_DER = OWN_KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def signed_by_own_key(path: str, body: dict[str, Any], canonical_json: str, text: str = "hi") -> EnclaveEvidence:
    """What a gateway with `OWN_KEY` answers if `canonical_json` is how it writes the request down."""
    request, output = keccak(canonical_json.encode()), keccak(text.encode())
    message = keccak(request + output + TIME.to_bytes(32, "big"))
    pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
    return EnclaveEvidence(
        path=path,
        body=body,
        text=text,
        tool_calls=None,
        finish_reason="stop",
        tee_id=tee_id_of(OWN_DER),
        tee_signature=base64.b64encode(OWN_KEY.sign(message, pss, hashes.SHA256())).decode(),
        tee_timestamp=TIME,
        tee_request_hash=request.hex(),
        tee_output_hash=output.hex(),
        public_key_der=OWN_DER,
    )


def user(content: Any, **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": content}], **more}


def verdicts(evidence: EnclaveEvidence) -> tuple[bool | None, bool, bool, bool | None, bool | None]:
    check = check_enclave(evidence)
    return check.ok, check.request, check.output, check.signature, check.key


def flip(text: str, place: int) -> str:
    """Change one character for another that is as valid in text, hex and base64."""
    place %= len(text)
    return text[:place] + ("7" if text[place] != "7" else "3") + text[place + 1 :]


class TestTheRealGateway:
    def test_the_captures_hold_signed_answers_of_each_kind(self) -> None:
        assert len(SIGNED) == 16
        assert {evidence.path for evidence in SIGNED.values()} == {CHAT, COMPLETIONS}

    @pytest.mark.parametrize("evidence", SIGNED.values(), ids=SIGNED)
    def test_every_signed_answer_verifies(self, evidence: EnclaveEvidence) -> None:
        check = check_enclave(evidence)
        assert check.ok is True, check.reason
        assert (check.request, check.output, check.signature, check.key) == (True, True, True, True)
        assert check.form is CanonicalForm.STANDARD
        assert str(evidence.tee_id) in check.reason

    def test_the_key_has_the_id_that_the_gateway_names(self) -> None:
        assert tee_id_of(KEY_DER) == SIGNING_KEY["tee_id"]

    def test_a_completion_hashes_its_prompt(self) -> None:
        evidence = SIGNED["ok_completion[1]"]
        expected = bytes.fromhex("eaba25c721b42565227e4b837c6f3d3eb476a6e636a78fac4092115742682d42")
        assert request_hashes(evidence.path, evidence.body) == dict.fromkeys(CanonicalForm, expected)


class TestTampering:
    @given(st.integers(min_value=0))
    def test_with_the_answer_fails_the_output(self, place: int) -> None:
        changed = replace(ANSWER, text=flip(ANSWER.text or "", place))
        assert verdicts(changed) == (False, True, False, True, True)
        assert check_enclave(changed).reason.startswith("Output: ")

    @given(st.integers(min_value=0))
    def test_with_the_prompt_fails_the_request(self, place: int) -> None:
        prompt = flip(ANSWER.body["messages"][0]["content"], place)
        changed = replace(ANSWER, body={**ANSWER.body, "messages": [{"role": "user", "content": prompt}]})
        assert verdicts(changed) == (False, False, True, True, True)
        assert check_enclave(changed).form is None
        assert check_enclave(changed).reason.startswith("Request: ")

    @given(st.integers(min_value=0, max_value=340))
    def test_with_the_signature_fails_the_signature(self, place: int) -> None:
        changed = replace(ANSWER, tee_signature=flip(ANSWER.tee_signature or "", place))
        assert verdicts(changed) == (False, True, True, False, True)
        assert check_enclave(changed).reason.startswith("Signature: ")

    @given(st.integers(min_value=0, max_value=2**256 - 1).filter(lambda when: when != ANSWER.tee_timestamp))
    def test_with_the_time_fails_the_signature(self, when: int) -> None:
        assert verdicts(replace(ANSWER, tee_timestamp=when)) == (False, True, True, False, True)

    def test_with_the_key_fails_key_and_signature(self) -> None:
        assert verdicts(replace(ANSWER, public_key_der=OWN_DER)) == (False, True, True, False, False)

    def test_with_the_id_fails_the_key(self) -> None:
        assert verdicts(replace(ANSWER, tee_id=tee_id_of(OWN_DER))) == (False, True, True, True, False)

    @pytest.mark.parametrize("field", ["tee_request_hash", "tee_output_hash"])
    def test_with_a_hash_fails_it_and_the_signature(self, field: str) -> None:
        changed = replace(ANSWER, **{field: "ab" * 32})
        request_held = field != "tee_request_hash"
        assert verdicts(changed) == (False, request_held, not request_held, False, True)

    def test_with_a_tool_call_fails_the_output(self) -> None:
        assert TOOL_ANSWER.tool_calls
        call = TOOL_ANSWER.tool_calls[0]
        other = {**call, "function": {**call["function"], "arguments": '{"city": "Rome"}'}}
        assert verdicts(replace(TOOL_ANSWER, tool_calls=[other])) == (False, True, False, True, True)

    def test_with_everything_names_every_part(self) -> None:
        changed = replace(ANSWER, text="no", body={}, tee_timestamp=1, public_key_der=OWN_DER)
        reason = check_enclave(changed).reason
        assert [part in reason for part in ("Request:", "Output:", "Signature:", "Key:")] == [True] * 4


class TestCanonicalForms:
    @pytest.mark.parametrize(
        ("body", "canonical"),
        [
            pytest.param(
                user("é"),
                r'{"messages": [{"content": "\u00e9", "role": "user"}], "model": "m", "temperature": 0.0}',
                id="absent temperature is 0.0, text is escaped",
            ),
            pytest.param(
                user("q", temperature=1, max_tokens=5, stop=["x"], response_format={"type": "json_object"}),
                '{"max_tokens": 5, "messages": [{"content": "q", "role": "user"}], "model": "m", '
                '"response_format": {"type": "json_object"}, "stop": ["x"], "temperature": 1.0}',
                id="integer temperature is a float, options are covered",
            ),
            pytest.param(
                user("q", temperature=None, max_tokens=None, stop=[], tools=[], response_format=None),
                '{"messages": [{"content": "q", "role": "user"}], "model": "m", "temperature": 0.0}',
                id="null and empty options are left out",
            ),
            pytest.param(
                user("q", stream=True, tool_choice="auto", top_p=0.5, seed=1, user="u", n=1, web_search=False),
                '{"messages": [{"content": "q", "role": "user"}], "model": "m", "temperature": 0.0}',
                id="other options are not covered",
            ),
            pytest.param(
                {
                    "model": "m",
                    "temperature": 0.5,
                    "messages": [
                        {"role": "developer", "content": "d", "name": "dropped"},
                        {"role": "user", "content": "u", "name": "dropped"},
                        {
                            "role": "assistant",
                            "content": None,
                            "tool_calls": [
                                {
                                    "index": 0,
                                    "id": "c1",
                                    "type": "function",
                                    "function": {"name": "f", "arguments": "{}", "more": 1},
                                }
                            ],
                        },
                        {"role": "tool", "content": "t", "tool_call_id": "c1", "name": "dropped"},
                        {"role": "function", "content": "r", "name": "kept"},
                    ],
                },
                '{"messages": [{"content": "d", "role": "system"}, {"content": "u", "role": "user"}, '
                '{"content": "", "role": "assistant", "tool_calls": [{"function": {"arguments": "{}", "name": "f"}, '
                '"id": "c1", "type": "function"}]}, {"content": "t", "role": "tool", "tool_call_id": "c1"}, '
                '{"content": "r", "name": "kept", "role": "function"}], "model": "m", "temperature": 0.5}',
                id="every role",
            ),
        ],
    )
    def test_agree_on_most_requests(self, body: dict[str, Any], canonical: str) -> None:
        check = check_enclave(signed_by_own_key(CHAT, body, canonical))
        assert (check.ok, check.form) == (True, CanonicalForm.STANDARD), check.reason

    PARTS = (
        {"type": "text", "text": "what is it?"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "BBBB"}},
    )

    def test_standard_reduces_attachments_to_type_and_file_name(self) -> None:
        canonical = (
            '{"messages": [{"content": [{"text": "what is it?", "type": "text"}, {"type": "image_url"}, '
            '{"filename": "a.pdf", "type": "file"}], "role": "user"}], "model": "m", "temperature": 0.0}'
        )
        check = check_enclave(signed_by_own_key(CHAT, user(list(self.PARTS)), canonical))
        assert (check.ok, check.form) == (True, CanonicalForm.STANDARD), check.reason

    def test_april_writes_a_list_as_python_does(self) -> None:
        printed = json.dumps(
            "[{'type': 'text', 'text': 'what is it?'}, "
            "{'type': 'image_url', 'image_url': {'url': 'data:image/png;base64,AAAA'}}, "
            "{'type': 'file', 'file': {'filename': 'a.pdf', 'file_data': 'BBBB'}}]"
        )
        canonical = f'{{"messages": [{{"content": {printed}, "role": "user"}}], "model": "m", "temperature": 0.0}}'
        check = check_enclave(signed_by_own_key(CHAT, user(list(self.PARTS)), canonical))
        assert (check.ok, check.form) == (True, CanonicalForm.APRIL), check.reason

    @pytest.mark.parametrize(
        ("tail", "form"), [(', "web_search": true', CanonicalForm.STANDARD), ("", CanonicalForm.APRIL)]
    )
    def test_differ_on_web_search(self, tail: str, form: CanonicalForm) -> None:
        canonical = f'{{"messages": [{{"content": "q", "role": "user"}}], "model": "m", "temperature": 0.0{tail}}}'
        check = check_enclave(signed_by_own_key(CHAT, user("q", web_search=True), canonical))
        assert (check.ok, check.form) == (True, form), check.reason

    def test_a_completion_left_to_its_defaults_hashes_the_endpoints_own(self) -> None:
        evidence = signed_by_own_key(
            COMPLETIONS,
            {"model": "m", "prompt": "p", "stream": False},
            '{"max_tokens": 16, "model": "m", "prompt": "p", "temperature": 1.0}',
        )
        assert check_enclave(evidence).ok is True

    @pytest.mark.parametrize(
        ("sent", "ok"), [({}, True), ({"query": "other"}, False), ({"num_results": 7}, False), ({"x": 1}, False)]
    )
    def test_a_search_is_hashed_whole_with_its_keys_sorted(self, sent: dict[str, Any], ok: bool) -> None:
        body = {"query": "caf\u00e9", "num_results": 6} | sent
        check = check_enclave(signed_by_own_key("/v1/web_search", body, '{"num_results": 6, "query": "caf\\u00e9"}'))
        assert (check.ok, check.request) == (ok, ok), check.reason

    @given(st.text(), st.text(), st.floats(0, 2) | st.integers(0, 2) | st.none())
    def test_two_prompts_never_share_a_hash(self, one: str, other: str, temperature: float | None) -> None:
        first, second = (request_hashes(CHAT, user(text, temperature=temperature)) for text in (one, other))
        assert (first == second) == (one == other)

    @pytest.mark.parametrize(
        ("path", "body"),
        [("/v1/models", user("q")), (CHAT, {"messages": [{"role": "wizard"}]}), (CHAT, {"messages": ["q"]})],
    )
    def test_a_request_that_no_gateway_signs_is_an_error(self, path: str, body: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match=r"path|role|malformed"):
            request_hashes(path, body)


class TestOutput:
    @given(st.text(st.characters(exclude_categories=["Cs"])))
    def test_is_the_hash_of_the_text(self, text: str) -> None:
        assert output_hash(text, None, "stop") == keccak(text.encode())

    def test_of_tool_calls_leaves_out_the_index(self) -> None:
        call = {"index": 0, "type": "function", "id": "c", "function": {"name": "f", "arguments": "{}"}}
        written = b'[{"function": {"arguments": "{}", "name": "f"}, "id": "c", "type": "function"}]'
        assert output_hash("", [call], "tool_calls") == keccak(written)

    def test_is_that_of_the_text_if_the_answer_did_not_end_in_tool_calls(self) -> None:
        assert output_hash("t", [{"id": "c"}], "stop") == output_hash("t", None, "stop")
        assert output_hash(None, [], "tool_calls") == keccak(b"")


class TestWhatIsMissing:
    def test_no_signature_is_no_verdict(self) -> None:
        check = check_enclave(replace(ANSWER, tee_signature=None))
        assert (check.ok, check.signature) == (None, None)
        assert "no enclave signature" in check.reason

    def test_no_key_is_no_verdict(self) -> None:
        check = check_enclave(replace(ANSWER, public_key_der=None))
        assert (check.ok, check.signature, check.key) == (None, None, None)
        assert (check.request, check.output) == (True, True)
        assert "no key is known" in check.reason

    def test_a_changed_answer_is_disproved_without_a_key(self) -> None:
        assert verdicts(replace(ANSWER, text="other", public_key_der=None)) == (False, True, False, None, None)


class TestReading:
    @pytest.mark.parametrize(
        "when", [str(ANSWER.tee_timestamp), "2026-11-22T08:54:44Z", "2026-11-22T08:54:44", "2026-11-22T09:54:44+01:00"]
    )
    def test_a_time_may_be_digits_or_iso(self, when: str) -> None:
        assert check_enclave(replace(ANSWER, tee_timestamp=when)).ok is True

    def test_a_hash_may_have_its_0x_and_any_case(self) -> None:
        upper = replace(
            ANSWER,
            tee_request_hash="0x" + str(ANSWER.tee_request_hash).upper(),
            tee_id=str(ANSWER.tee_id).removeprefix("0x").upper(),
        )
        assert check_enclave(upper).ok is True

    @pytest.mark.parametrize("when", [None, True, -1, 2**256, "soon", "", "9" * 5000, "0001-01-01T00:00:00+10:00"])
    def test_a_malformed_time_fails_the_signature(self, when: Any) -> None:
        check = check_enclave(replace(ANSWER, tee_timestamp=when))
        assert (check.ok, check.signature, check.request, check.output) == (False, False, True, True)
        assert "is not a time" in check.reason

    @pytest.mark.parametrize("text", [None, "", "0x", "zz" * 32, "ab" * 31, "ab" * 33, " " + "ab" * 32, 7])
    def test_a_malformed_hash_fails_its_part(self, text: Any) -> None:
        assert verdicts(replace(ANSWER, tee_request_hash=text)) == (False, False, True, None, True)
        assert verdicts(replace(ANSWER, tee_output_hash=text)) == (False, True, False, None, True)

    @pytest.mark.parametrize("text", ["?", "AAAA", "é", "A A", "AAAA\n", 7])
    def test_a_malformed_signature_fails(self, text: Any) -> None:
        assert verdicts(replace(ANSWER, tee_signature=text)) == (False, True, True, False, True)

    def test_a_key_that_is_not_rsa_fails(self) -> None:
        curve = ec.generate_private_key(ec.SECP256R1()).public_key()
        for der in (b"", b"junk", curve.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)):
            assert verdicts(replace(ANSWER, public_key_der=der)) == (False, True, True, False, False)
            assert verify_signature(der, b"\0" * 32, b"\0" * 32, TIME, "AAAA") is False

    anything = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=8,
    )

    @example("tool_calls", [{}, {}])
    @example("tool_calls", [{"function": 1}, {"function": []}])
    @given(st.sampled_from([f.name for f in fields(EnclaveEvidence) if f.name != "public_key_der"]), anything)
    def test_no_json_value_in_any_field_raises(self, field: str, value: Any) -> None:
        evidence = TOOL_ANSWER if field == "tool_calls" else ANSWER
        check = check_enclave(replace(evidence, **{field: value}))
        assert check.ok is not True or value == getattr(evidence, field) or field == "finish_reason"
        assert check.reason

    @pytest.mark.parametrize("pem", ["", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"])
    def test_a_text_that_is_no_pem_key_is_an_error(self, pem: str) -> None:
        with pytest.raises(ValueError, match="not a PEM public key"):
            pem_to_der(pem)

    def test_a_pem_key_with_broken_base64_is_an_error(self) -> None:
        with pytest.raises(ValueError, match="base64 is broken"):
            pem_to_der("-----BEGIN PUBLIC KEY-----\nAAA\n-----END PUBLIC KEY-----")
