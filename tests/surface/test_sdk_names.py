"""The table of the official SDK's exports in the manual, and the names of it that are here."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest

import og_magics as og
from og_magics.core import networks
from og_magics.core.runtime import runtime
from og_magics.devnet import Devnet
from og_magics.verification import pem_to_der
from og_magics.verification.enclave import tee_id_of

from ..conftest import CI

MANUAL = Path(__file__).parents[2] / "docs" / "python.md"
ROWS = re.findall(r"^\| `(\w+)` \| (here|different|not here) \|(.*)\|$", MANUAL.read_text(), re.M)
STATES = {name: state for name, state, _ in ROWS}
ASK = [{"role": "user", "content": "What is x402?"}]
BODIES: list[dict[str, Any]] = [
    {"model": "gpt-5", "messages": ASK},
    {"model": "gpt-5", "messages": ASK, "temperature": 1, "max_tokens": 9, "stop": ["x"], "top_p": 0.1, "n": 2},
    {"model": "gpt-5", "messages": [{"role": "developer", "content": "s"}, *ASK], "tool_choice": "auto"},
    {"model": "gpt-5", "messages": [{"role": "user", "content": [{"type": "text", "text": "é"}, {"type": "image_url"}]}]},
    {"model": "gpt-5", "messages": [*ASK, {"role": "assistant", "content": None, "tool_calls": [
        {"function": {"name": "f", "arguments": "{}"}}]}, {"role": "tool", "content": "1", "tool_call_id": "c"}]},
    {"model": "gpt-5", "messages": ASK, "response_format": {"type": "json_object"}, "web_search": True},
]  # fmt: skip


def pem_of(der: bytes) -> str:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

    return load_der_public_key(der).public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def test_the_table_has_each_export_once_and_says_why_one_is_not_here() -> None:
    assert len(ROWS) == len(STATES) == 28
    assert [name for name, state, why in ROWS if state != "here" and not why.strip()] == []


@pytest.mark.parametrize("name", [name for name, state in STATES.items() if state != "not here"])
def test_what_the_table_claims_can_be_imported(name: str) -> None:
    namespace: dict[str, Any] = {}
    exec(f"from og_magics import {name}", namespace)
    assert namespace[name] is not None
    assert name in og.__all__


@pytest.mark.parametrize("name", [name for name, state in STATES.items() if state == "not here"])
def test_what_it_says_is_not_here_is_not(name: str) -> None:
    assert not hasattr(og, name)


def test_agents_can_be_imported_without_langchain() -> None:
    from og_magics import agents

    assert callable(agents.langchain_adapter)
    with pytest.raises(AttributeError):
        agents.nothing  # noqa: B018 - the look-up itself is the test


class TestRegistry:
    def test_it_lists_the_enclaves_with_their_keys_and_certificates(self, devnet: Devnet) -> None:
        registry = og.TEERegistry(devnet.rpc_url, devnet.tee_registry)
        found = registry.get_llm_tee()
        assert found is not None
        assert (found.tee_id, found.endpoint, found.payment_address) == (
            devnet.tee_id, devnet.gateway_url, devnet.pay_to,
        )  # fmt: skip
        assert tee_id_of(found.signing_public_key_der) == found.tee_id
        assert found.tls_cert_der
        assert registry.get_active_tees_by_type(1) == []

    def test_a_node_that_cannot_be_reached_is_an_error_and_no_empty_list(self) -> None:
        with pytest.raises(og.errors.ChainError):
            og.TEERegistry("http://127.0.0.1:1", "0x" + 40 * "1").get_llm_tee()

    def test_without_an_address_it_is_the_main_networks(self) -> None:
        assert og.TEERegistry()._network.registry_address == networks.with_real_money().registry_address


@pytest.fixture(scope="module")
def asked(devnet: Devnet, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A request, a response to it as a gateway sends it, and the key."""
    settings = og.Settings(devnet=json.dumps(devnet.info), ledger=str(tmp_path_factory.mktemp("sdk") / "l.db"))
    llm = og.LLM(settings=settings)
    output = llm.chat_sync("openai/gpt-5", ASK, max_tokens=9)
    _, canonical = og.build_inner_request({"model": "gpt-5", "messages": ASK, "max_tokens": 9})
    body = {
        name: getattr(output, name)
        for name in ("tee_id", "tee_signature", "tee_timestamp", "tee_request_hash", "tee_output_hash")
    }
    choice = {"message": output.chat_output, "finish_reason": output.finish_reason}
    key = og.TEERegistry(devnet.rpc_url, devnet.tee_registry).get_llm_tee()
    assert key is not None
    llm.settle(30)
    runtime.wait(llm.close())
    return {
        "canonical_request": canonical, "response_body": body | {"choices": [choice]},
        "signing_key_pem": pem_of(key.signing_public_key_der),
    }  # fmt: skip


class TestResponses:
    def test_what_the_enclave_signed_holds(self, asked: dict[str, Any]) -> None:
        proof = og.verify_response(**asked, tee_host="here")
        assert (proof.tee_id, proof.tee_host) == (asked["response_body"]["tee_id"], "here")
        text = asked["response_body"]["choices"][0]["message"]["content"]
        assert og.verify_response(**asked, response_content=text, expected_tee_id=proof.tee_id).timestamp > 0
        assert tee_id_of(pem_to_der(proof.signing_key_pem)) == proof.tee_id

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"response_content": "another"}, "another answer"),
            ({"canonical_request": {"model": "gpt-5"}}, "another request"),
            ({"expected_tee_id": "0x" + 64 * "0"}, "not the one"),
            ({"signing_key_pem": "no key"}, "key cannot be read"),
        ],
    )
    def test_another_text_request_or_key_is_refused(
        self, asked: dict[str, Any], change: dict[str, Any], said: str
    ) -> None:
        with pytest.raises(og.VerificationError, match=said) as refused:
            og.verify_response(**(asked | change))
        assert isinstance(refused.value, og.errors.ProofError)

    @pytest.mark.parametrize(
        "change",
        [
            {"tee_signature": "AAAA"}, {"tee_timestamp": 1}, {"tee_timestamp": None}, {"tee_id": None},
            {"tee_request_hash": "0x12"}, {"tee_output_hash": 7}, {"choices": []}, {"choices": "none"},
        ],
    )  # fmt: skip
    def test_a_proof_that_was_changed_or_is_missing_is_refused(
        self, asked: dict[str, Any], change: dict[str, Any]
    ) -> None:
        with pytest.raises(og.VerificationError):
            og.verify_response(**(asked | {"response_body": asked["response_body"] | change}))

    @pytest.mark.parametrize(
        "body", [{}, {"model": "gpt-5"}, {"model": "gpt-5", "messages": [{"role": "nobody"}]}, "text"]
    )
    def test_a_request_that_no_gateway_takes_is_refused(self, body: Any) -> None:
        with pytest.raises(og.errors.ConfigError):
            og.build_inner_request(body)


@pytest.mark.skipif(not CI and importlib.util.find_spec("langchain_core") is None, reason="langchain-core is missing")
def test_the_sdks_adapter_makes_a_model_that_pays_and_keeps_receipts(devnet: Devnet, tmp_path: Path) -> None:
    settings = og.Settings(devnet=json.dumps(devnet.info), ledger=str(tmp_path / "l.db"))
    client = og.LLM(settings=settings)
    model = og.agents.langchain_adapter(model_cid=og.TEE_LLM.GPT_5, client=client, max_tokens=9)
    assert isinstance(model, og.agents.OpenGradientChatModel)
    assert model.invoke("What is x402?").content == model.receipts[0].text
    runtime.wait(client.close())
    with pytest.raises(og.errors.ConfigError):
        og.agents.langchain_adapter()
