"""The gateway over real HTTP and a real chain, paid by the official x402 client."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from eth_abi.abi import encode
from eth_account import Account
from eth_utils.crypto import keccak
from web3 import HTTPProvider, Web3
from x402 import x402ClientSync
from x402.http.utils import (
    decode_payment_required_header,
    decode_payment_response_header,
    encode_payment_signature_header,
)
from x402.mechanisms.evm import EthAccountSigner
from x402.mechanisms.evm.exact import ExactEvmClientScheme
from x402.mechanisms.evm.upto import UptoEvmClientScheme
from x402.schemas import PaymentRequired

from og_magics.devnet import Devnet, contracts
from og_magics.devnet.chain import start_chain
from og_magics.devnet.gateway.prices import Usage, cost
from og_magics.errors import DevnetError

CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def devnet() -> Iterator[Devnet]:
    """Settles late: long enough after its last use for a test to use a session twice."""
    with Devnet(settle_after=1.5, batch_after=0.3, token_delay=0) as running:
        yield running


@pytest.fixture(scope="module")
def at_once() -> Iterator[Devnet]:
    with Devnet(settle_after=0, token_delay=0) as running:
        yield running


class Payer:
    """A client of the gateway: plain httpx, and the official x402 client to sign."""

    def __init__(self, devnet: Devnet, account: int = 0) -> None:
        self.devnet = devnet
        self.address = devnet.accounts[account]["address"]
        signer = EthAccountSigner(Account.from_key(devnet.accounts[account]["private_key"]))
        network = f"eip155:{devnet.chain_id}"
        self.x402 = x402ClientSync()
        self.x402.register(network, UptoEvmClientScheme(signer))
        self.x402.register(network, ExactEvmClientScheme(signer))
        self.x402.set_spend_controls({"allowed_assets": [{"network": network, "asset": devnet.opg_token}]})
        self.http = httpx.Client(base_url=devnet.gateway_url_http, timeout=30)
        self.signed = ""
        self.web3 = Web3(HTTPProvider(devnet.rpc_url))

    def __enter__(self) -> Payer:
        return self

    def __exit__(self, *_error: object) -> None:
        self.http.close()

    def post(self, body: dict[str, Any], path: str = CHAT, mode: str = "private", **headers: str) -> httpx.Response:
        sent = {"Authorization": "Bearer any", "X-SETTLEMENT-TYPE": mode}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.post(path, json=body, headers={k: v for k, v in sent.items() if v})

    def signature(self, path: str = CHAT) -> str:
        """A fresh authorization, encoded for the PAYMENT-SIGNATURE header."""
        required = offered(self.post(ask(), path))
        self.signed = encode_payment_signature_header(self.x402.create_payment_payload(required))
        return self.signed

    def pay(self, body: dict[str, Any], path: str = CHAT, mode: str = "private", **headers: str) -> httpx.Response:
        return self.post(body, path, mode, PAYMENT_SIGNATURE=self.signature(path), **headers)

    def logs(self, name: str, event: str, from_block: int = 0) -> list[Any]:
        address = {"OPG": self.devnet.opg_token, "SettlementRelay": self.devnet.settlement_relay}[name]
        contract = self.web3.eth.contract(address=address, abi=contracts.load(name).abi)
        return list(contract.events[event]().get_logs(from_block=from_block))

    @property
    def payments(self) -> list[int]:
        """What was settled of the last authorization, in base units: one number a transaction."""
        permit = json.loads(base64.b64decode(self.signed))["payload"]["permit2Authorization"]
        nonce = int(permit["nonce"]).to_bytes(32, "big")
        found = []
        for log in self.logs("OPG", "Transfer"):
            sender, to, amount = log["args"].values()
            if (sender, to) == (self.address, self.devnet.pay_to):
                found += [amount] if nonce in self.web3.eth.get_transaction(log["transactionHash"])["input"] else []
        return found

    @property
    def next_block(self) -> int:
        return self.web3.eth.block_number + 1


@pytest.fixture
def payer(devnet: Devnet) -> Iterator[Payer]:
    with Payer(devnet) as client:
        yield client


@pytest.fixture
def prompt_payer(at_once: Devnet) -> Iterator[Payer]:
    with Payer(at_once) as client:
        yield client


def ask(content: Any = "What is x402?", model: str = "gpt-5", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": content}], "temperature": 0.0, **more}


def offered(response: httpx.Response) -> PaymentRequired:
    assert response.status_code == 402
    required = decode_payment_required_header(response.headers["PAYMENT-REQUIRED"])
    assert isinstance(required, PaymentRequired)
    return required


def events(response: httpx.Response) -> list[Any]:
    """The JSON events of a stream; "[DONE]" stays a string."""
    lines = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


def streamed_text(found: list[Any]) -> str:
    return "".join(e["choices"][0]["delta"].get("content", "") for e in found if e != "[DONE]")


def eventually(check: Callable[[], Any], within: float = 15.0) -> Any:
    """The first true value of `check`; the wait is as long as it takes, up to a limit that only a failure meets."""
    deadline = time.monotonic() + within
    while not (value := check()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)
    return value


def price(answer: dict[str, Any]) -> int:
    usage = answer["usage"]
    return cost(answer["model"], Usage(usage["prompt_tokens"], usage["completion_tokens"]))


def check_proof(devnet: Devnet, proof: dict[str, Any], canonical: dict[str, Any], output: str) -> None:
    request_hash = keccak(json.dumps(canonical, sort_keys=True).encode())
    assert proof["tee_request_hash"] == request_hash.hex()
    output_hash = keccak(output.encode())
    assert proof["tee_output_hash"] == output_hash.hex()
    served = httpx.get(devnet.gateway_url_http + "/signing-key").json()
    key = serialization.load_pem_public_key(served["public_key"].encode())
    assert isinstance(key, rsa.RSAPublicKey)
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    assert proof["tee_id"] == served["tee_id"] == devnet.tee_id == "0x" + keccak(der).hex()
    key.verify(
        base64.b64decode(proof["tee_signature"]),
        keccak(request_hash + output_hash + int(proof["tee_timestamp"]).to_bytes(32, "big")),
        padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32),
        hashes.SHA256(),
    )


class TestOffers:
    def test_an_unpaid_request_is_told_the_terms(self, payer: Payer) -> None:
        response = payer.post(ask())
        required = json.loads(base64.b64decode(response.headers["PAYMENT-REQUIRED"]))
        assert response.json() == {}
        assert list(required) == ["x402Version", "error", "resource", "accepts", "extensions"]
        assert required["error"] == "Payment required"
        assert required["resource"]["url"] == payer.devnet.gateway_url_http + CHAT
        assert required["accepts"] == [
            {
                "scheme": "upto",
                "network": "eip155:31337",
                "asset": payer.devnet.opg_token,
                "amount": str(10**17),
                "payTo": payer.devnet.pay_to,
                "maxTimeoutSeconds": 300,
                "extra": {
                    "name": "OpenGradient",
                    "version": "1",
                    "assetTransferMethod": "permit2",
                    "facilitatorAddress": required["accepts"][0]["extra"]["facilitatorAddress"],
                },
            }
        ]
        assert list(required["extensions"]["erc20ApprovalGasSponsoring"]) == ["info", "schema"]

    @pytest.mark.parametrize(
        ("account", "reason"), [(1, "permit2_allowance_required"), (2, "permit2_allowance_required")]
    )
    def test_a_wallet_that_cannot_pay_is_told_the_reason(self, devnet: Devnet, account: int, reason: str) -> None:
        with Payer(devnet, account) as poor:
            assert offered(poor.pay(ask())).error == reason

    def test_a_signature_of_another_wallet_is_refused(self, payer: Payer) -> None:
        payload = json.loads(base64.b64decode(payer.signature()))
        payload["payload"]["permit2Authorization"]["from"] = payer.devnet.accounts[1]["address"]
        header = base64.b64encode(json.dumps(payload).encode()).decode()
        assert offered(payer.post(ask(), PAYMENT_SIGNATURE=header)).error == "invalid_permit2_signature"

    @pytest.mark.parametrize("header", ["not base64", base64.b64encode(b"[]").decode()])
    def test_a_payment_that_cannot_be_read_is_refused(self, payer: Payer, header: str) -> None:
        response = payer.post(ask(), PAYMENT_SIGNATURE=header)
        assert offered(response).error == "No matching payment requirements"

    def test_a_payment_for_other_terms_is_refused(self, payer: Payer) -> None:
        payload = json.loads(base64.b64decode(payer.signature()))
        payload["accepted"]["amount"] = "1"
        header = base64.b64encode(json.dumps(payload).encode()).decode()
        assert offered(payer.post(ask(), PAYMENT_SIGNATURE=header)).error == "No matching payment requirements"


class TestAnswers:
    def test_a_paid_chat_is_answered_and_signed(self, payer: Payer) -> None:
        body = ask([{"type": "text", "text": "Hello"}, {"type": "image_url", "image_url": {"url": "data:,"}}])
        response = payer.pay(body | {"max_tokens": 50, "web_search": True, "tool_choice": "none"})
        answer = response.json()
        assert response.status_code == 200
        assert "PAYMENT-RESPONSE" not in response.headers
        text = answer["choices"][0]["message"]["content"]
        assert text.startswith("[simulated gpt-5]")
        parts = [{"type": "text", "text": "Hello"}, {"type": "image_url"}]
        canonical = ask(parts) | {"max_tokens": 50, "web_search": True}
        check_proof(payer.devnet, answer, canonical, text)

    def test_a_paid_stream_ends_with_the_proof(self, payer: Payer) -> None:
        response = payer.pay(ask(stream=True, max_tokens=9), mode="batch")
        assert response.headers["content-type"].startswith("text/event-stream")
        *pieces, final, done = events(response)
        assert done == "[DONE]"
        assert list(pieces[0]) == ["choices", "model"]
        assert final["choices"] == [{"delta": {}, "index": 0, "finish_reason": "length"}]
        assert final["usage"]["completion_tokens"] == len(pieces) == 9
        check_proof(payer.devnet, final, ask() | {"max_tokens": 9}, streamed_text(pieces))

    def test_a_completion_is_hashed_with_its_prompt(self, payer: Payer) -> None:
        answer = payer.pay({"model": "grok-4", "prompt": "Say hi", "max_tokens": 5}, "/v1/completions").json()
        canonical = {"model": "grok-4", "prompt": "Say hi", "temperature": 0.0, "max_tokens": 5}
        assert answer["object"] == "text_completion"
        check_proof(payer.devnet, answer, canonical, answer["choices"][0]["text"])

    def test_streamed_tool_calls_join_to_what_was_signed(self, payer: Payer) -> None:
        schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
        tools = [{"type": "function", "function": {"name": "get_weather", "parameters": schema}}]
        *pieces, final, _done = events(payer.pay(ask("The weather?", tools=tools, stream=True)))
        deltas = [piece["choices"][0]["delta"]["tool_calls"][0] for piece in pieces]
        assert deltas[0]["function"] == {"name": "get_weather", "arguments": ""}
        arguments = "".join(delta["function"]["arguments"] for delta in deltas)
        assert json.loads(arguments) == {"city": "city"}
        call = {"id": deltas[0]["id"], "type": "function"}
        call["function"] = {"name": "get_weather", "arguments": arguments}
        check_proof(payer.devnet, final, ask("The weather?", tools=tools), json.dumps([call], sort_keys=True))
        assert final["choices"][0]["finish_reason"] == "tool_calls"

    def test_an_image_model_answers_with_a_picture(self, payer: Payer) -> None:
        message = payer.pay(ask(model="gpt-image-2")).json()["choices"][0]["message"]
        assert message["images"][0].startswith("data:image/png;base64,iVBOR")
        assert events(payer.pay(ask(model="seedream-4.0", stream=True)))[-2]["images"]

    def test_the_health_page_tells_the_price_of_opg(self, payer: Payer) -> None:
        assert payer.http.get("/health").json()["price_feed"] == {"price_usd": 0.2}

    def test_the_registry_vouches_for_the_certificate_that_is_served(self, payer: Payer) -> None:
        registry = payer.web3.eth.contract(address=payer.devnet.tee_registry, abi=contracts.load("TEERegistry").abi)
        (info,) = registry.functions.getActiveTEEs(0).call()
        _owner, pay_to, endpoint, public_key, certificate = info[:5]
        assert (pay_to, endpoint) == (payer.devnet.pay_to, payer.devnet.gateway_url)
        assert "0x" + keccak(public_key).hex() == payer.devnet.tee_id
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=ssl.DER_cert_to_PEM_cert(certificate))
        assert httpx.get(endpoint + "/health", verify=context).json()["status"] == "OK"
        host, port = endpoint.removeprefix("https://").split(":")
        assert ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate((host, int(port)))) == certificate


class TestSessions:
    def test_a_session_pays_for_the_next_call_without_a_signature(self, payer: Payer) -> None:
        session = payer.pay(ask()).headers["X-Upto-Session"]
        again = payer.post(ask("And then?"), X_Upto_Session=session)
        assert (again.status_code, again.headers["X-Upto-Session"]) == (200, session)

    def test_a_session_serves_no_other_path(self, payer: Payer) -> None:
        session = payer.pay(ask()).headers["X-Upto-Session"]
        response = payer.post({"model": "gpt-5", "prompt": "hi"}, "/v1/completions", X_Upto_Session=session)
        assert (response.status_code, response.json()) == (402, {"error": "Session expired or exhausted"})

    def test_an_unknown_session_is_refused_without_terms(self, payer: Payer) -> None:
        response = payer.post(ask(), X_Upto_Session="00000000-0000-0000-0000-000000000000")
        assert (response.status_code, response.json()) == (402, {"error": "Session expired or exhausted"})
        assert "PAYMENT-REQUIRED" not in response.headers

    def test_the_same_signature_resumes_its_session(self, payer: Payer) -> None:
        signature = payer.signature()
        first, second = (payer.post(ask(), PAYMENT_SIGNATURE=signature) for _ in range(2))
        assert first.headers["X-Upto-Session"] == second.headers["X-Upto-Session"]

    async def test_one_signature_sent_many_times_at_once_makes_one_session(self, payer: Payer) -> None:
        headers = {"Authorization": "Bearer any", "PAYMENT-SIGNATURE": payer.signature()}
        async with httpx.AsyncClient(base_url=payer.devnet.gateway_url_http, timeout=30) as http:
            answers = await asyncio.gather(*(http.post(CHAT, json=ask(), headers=headers) for _ in range(8)))
        assert [answer.status_code for answer in answers] == [200] * 8
        assert len({answer.headers["X-Upto-Session"] for answer in answers}) == 1
        paid = eventually(lambda: payer.payments)
        assert paid == [sum(price(answer.json()) for answer in answers)]

    def test_a_session_is_settled_in_one_transaction_and_is_dead_then(self, payer: Payer) -> None:
        signature = payer.signature()
        first = payer.post(ask(), PAYMENT_SIGNATURE=signature)
        session = first.headers["X-Upto-Session"]
        second = payer.post(ask("More", model="claude-opus-4-5"), X_Upto_Session=session)
        assert payer.payments == []
        assert eventually(lambda: payer.payments) == [price(first.json()) + price(second.json())]
        assert payer.post(ask(), X_Upto_Session=session).status_code == 402
        assert offered(payer.post(ask(), PAYMENT_SIGNATURE=signature)).error != "Payment required"

    def test_a_session_that_reaches_its_cap_settles_the_cap(self, payer: Payer) -> None:
        response = payer.pay(ask("[[words:1200]]", model="claude-opus-4-5"))
        assert price(response.json()) > 10**17
        dead = payer.post(ask(), X_Upto_Session=response.headers["X-Upto-Session"])
        assert dead.json() == {"error": "Session expired or exhausted"}
        assert eventually(lambda: payer.payments) == [10**17]

    def test_closing_the_devnet_settles_what_is_owed_and_buffered(self) -> None:
        chain = start_chain("embedded", 31337, 0)
        try:
            with (
                Devnet(chain=chain.rpc_url, settle_after=600, batch_after=600) as running,
                Payer(running) as payer,
            ):
                answer = payer.pay(ask(), mode="batch").json()
                assert payer.payments == []
            assert payer.payments == [price(answer)]
            assert len(payer.logs("SettlementRelay", "BatchSettlement")) == 1
            registry = payer.web3.eth.contract(address=running.tee_registry, abi=contracts.load("TEERegistry").abi)
            assert registry.functions.getActiveTEEs(0).call() == []
        finally:
            chain.close()


class TestSettlingAtOnce:
    def test_the_answer_tells_the_transaction_that_paid_for_it(self, prompt_payer: Payer) -> None:
        payer = prompt_payer
        response = payer.pay(ask())
        settled = decode_payment_response_header(response.headers["PAYMENT-RESPONSE"])
        assert payer.web3.eth.get_transaction_receipt(settled.transaction)["status"] == 1
        assert payer.payments == [price(response.json())] == [int(settled.amount or 0)]
        assert "X-Upto-Session" not in response.headers

    def test_a_signature_pays_only_once(self, prompt_payer: Payer) -> None:
        payer = prompt_payer
        signature = payer.signature()
        assert payer.post(ask(), PAYMENT_SIGNATURE=signature).status_code == 200
        assert offered(payer.post(ask(), PAYMENT_SIGNATURE=signature)).error != "Payment required"
        assert len(payer.payments) == 1

    async def test_one_signature_sent_twice_at_once_pays_only_once(self, prompt_payer: Payer) -> None:
        payer = prompt_payer
        headers = {"Authorization": "Bearer any", "PAYMENT-SIGNATURE": payer.signature()}
        async with httpx.AsyncClient(base_url=payer.devnet.gateway_url_http, timeout=30) as http:
            answers = await asyncio.gather(*(http.post(CHAT, json=ask(), headers=headers) for _ in range(3)))
        assert sorted(answer.status_code for answer in answers) == [200, 402, 402]
        assert len(payer.payments) == 1

    def test_a_stream_is_settled_before_its_final_event(self, prompt_payer: Payer) -> None:
        payer = prompt_payer
        headers = {"Authorization": "Bearer any", "PAYMENT-SIGNATURE": payer.signature()}
        with payer.http.stream("POST", CHAT, json=ask(stream=True), headers=headers) as response:
            for line in response.iter_lines():
                if "tee_signature" in line:
                    assert len(payer.payments) == 1
                    break
            else:
                pytest.fail("there was no final event")

    def test_a_call_that_failed_leaves_its_signature_good(self, prompt_payer: Payer) -> None:
        payer = prompt_payer
        signature = payer.signature()
        assert payer.post(ask("[[fail:500]]"), PAYMENT_SIGNATURE=signature).status_code == 500
        assert payer.post(ask(), PAYMENT_SIGNATURE=signature).status_code == 200

    @pytest.mark.parametrize("stream", [False, True])
    def test_the_exact_scheme_takes_its_price_for_each_call(self, stream: bool) -> None:
        with Devnet(scheme="exact", cap="0.02", token_delay=0) as exact, Payer(exact) as payer:
            signature = payer.signature()
            response = payer.post(ask(stream=stream), PAYMENT_SIGNATURE=signature)
            settled = decode_payment_response_header(response.headers["PAYMENT-RESPONSE"])
            assert settled.success
            assert payer.web3.eth.get_transaction_receipt(settled.transaction)["status"] == 1
            assert payer.payments == [2 * 10**16]
            assert offered(payer.post(ask(), PAYMENT_SIGNATURE=signature)).error != "Payment required"


class TestData:
    def test_a_private_answer_leaves_nothing_on_chain(self, payer: Payer) -> None:
        block = payer.next_block
        answer = payer.pay(ask("private"), mode="private").json()
        eventually(lambda: payer.payments)
        for event in ("BatchSettlement", "IndividualSettlement"):
            found = payer.logs("SettlementRelay", event, block)
            assert answer["tee_output_hash"] not in repr(found)

    def test_a_batch_has_the_answer_as_a_leaf_under_its_root(self, payer: Payer) -> None:
        block = payer.next_block
        answers = [payer.pay(ask(f"batched {i}"), mode="batch").json() for i in range(3)]
        logs = eventually(lambda: payer.logs("SettlementRelay", "BatchSettlement", block))
        blobs = {log["args"]["walrusBlobId"].decode(): log["args"] for log in logs}
        leaves = set()
        for blob_id, args in blobs.items():
            tree = payer.http.get(f"/v1/blobs/{blob_id}").json()
            assert tree["format"] == "standard-v1"
            assert tree["tree"][0] == "0x" + args["merkleRoot"].hex()
            assert args["batchSize"] == len(tree["values"])
            leaves |= {tree["tree"][value["treeIndex"]] for value in tree["values"]}
        for answer in answers[:1]:
            values = [
                bytes.fromhex(answer[f].removeprefix("0x")) for f in ("tee_id", "tee_request_hash", "tee_output_hash")
            ]
            signature = base64.b64decode(answer["tee_signature"])
            leaf = encode(
                ["bytes32", "bytes32", "bytes32", "bytes", "uint256"], [*values, signature, answer["tee_timestamp"]]
            )
            assert "0x" + keccak(keccak(leaf)).hex() in leaves

    def test_a_full_batch_does_not_wait(self) -> None:
        with Devnet(batch_size=2, batch_after=600, token_delay=0) as running, Payer(running) as payer:
            session = payer.pay(ask("one"), mode="batch").headers["X-Upto-Session"]
            payer.post(ask("two"), mode="batch", X_Upto_Session=session)
            (log,) = eventually(lambda: payer.logs("SettlementRelay", "BatchSettlement"))
            assert log["args"]["batchSize"] == 2

    @pytest.mark.parametrize("stream", [False, True])
    def test_an_individual_answer_is_on_chain_and_in_full_in_a_blob(self, payer: Payer, stream: bool) -> None:
        block = payer.next_block
        response = payer.pay(ask("in full", stream=stream), mode="individual")
        proof = events(response)[-2] if stream else response.json()
        (log,) = payer.logs("SettlementRelay", "IndividualSettlement", block)
        transaction, blob_id = log["transactionHash"].to_0x_hex(), log["args"]["walrusBlobId"].decode()
        assert response.headers["X-Settlement-Tx-Hash"] == transaction
        assert response.headers["X-Settlement-Walrus-Blob-ID"] == blob_id
        assert response.headers["X-TEE-Output-Hash"] == "0x" + proof["tee_output_hash"]
        if stream:
            assert proof["data_settlement_transaction_hash"] == transaction
            assert proof["data_settlement_blob_id"] == blob_id
        assert log["args"]["teeId"].hex() == payer.devnet.tee_id[2:]
        blob = httpx.get(f"{payer.devnet.blob_url}/v1/blobs/{blob_id}").json()
        assert keccak(blob["input"].encode()) == log["args"]["inputHash"]
        assert keccak(blob["output"].encode()) == log["args"]["outputHash"]
        job = payer.http.get(f"/settle/{response.headers['X-Settlement-Job-ID']}").json()
        assert (job["status"], job["txHash"], job["walrusBlobId"]) == ("succeeded", transaction, blob_id)

    def test_an_unknown_blob_or_job_is_not_found(self, payer: Payer) -> None:
        assert payer.http.get("/v1/blobs/none").status_code == 404
        assert payer.http.get("/settle/none").status_code == 404


class TestFailures:
    def test_a_token_is_asked_for_after_the_payment(self, payer: Payer) -> None:
        assert payer.post(ask(), Authorization="").status_code == 402
        assert payer.pay(ask(), Authorization="").status_code == 401

    def test_an_unknown_mode_or_model_or_body_is_told_after_the_payment(self, payer: Payer) -> None:
        session = payer.pay(ask()).headers["X-Upto-Session"]
        assert payer.post(ask(), mode="public", X_Upto_Session=session).status_code == 400
        unknown = payer.post(ask(model="gpt-nope"), X_Upto_Session=session)
        assert (unknown.status_code, unknown.json()) == (400, {"error": "Model 'gpt-nope' is not supported"})
        assert unknown.headers["X-Upto-Session"] == session
        assert payer.post({"model": "gpt-5"}, X_Upto_Session=session).status_code == 400
        assert payer.post({"model": "gpt-5", "messages": ["hi"]}, X_Upto_Session=session).status_code == 400

    @pytest.mark.parametrize("stream", [False, True])
    def test_failures_before_the_answer_have_a_status(self, payer: Payer, stream: bool) -> None:
        session = payer.pay(ask()).headers["X-Upto-Session"]
        no_price = payer.post(ask("[[fail:503]]", stream=stream), X_Upto_Session=session)
        assert no_price.status_code == 503
        assert no_price.json()["error"].startswith("Pricing unavailable: ")
        page = payer.post(ask("[[fail:html]]", stream=stream), X_Upto_Session=session)
        assert page.status_code == 502
        assert page.headers["content-type"].startswith("text/html")

    def test_a_failing_model_is_a_500_or_an_event(self, payer: Payer) -> None:
        session = payer.pay(ask()).headers["X-Upto-Session"]
        whole = payer.post(ask("[[fail:500]]"), X_Upto_Session=session)
        assert (whole.status_code, whole.json()) == (500, {"error": "Request processing failed"})
        at_start = payer.post(ask("[[fail:500]]", stream=True), X_Upto_Session=session)
        assert (at_start.status_code, events(at_start)) == (200, [{"error": "Stream processing failed"}])
        midway = events(payer.post(ask("[[fail:stream]]", stream=True), X_Upto_Session=session))
        assert len(midway) > 2
        assert midway[-1] == {"error": "Stream processing failed"}

    @pytest.mark.parametrize("stream", [False, True])
    def test_a_connection_can_break_midway(self, payer: Payer, stream: bool) -> None:
        session = payer.pay(ask()).headers["X-Upto-Session"]
        with pytest.raises(httpx.RemoteProtocolError):
            payer.post(ask("[[fail:cut]]", stream=stream), X_Upto_Session=session)

    def test_a_stream_can_lack_its_final_event_or_carry_broken_json(self, payer: Payer) -> None:
        session = payer.pay(ask()).headers["X-Upto-Session"]
        found = events(payer.post(ask("[[fail:nofinal]]", stream=True), X_Upto_Session=session))
        assert found[-1] == "[DONE]"
        assert not any("tee_signature" in event for event in found)
        with pytest.raises(json.JSONDecodeError):
            events(payer.post(ask("[[fail:badjson]]", stream=True), X_Upto_Session=session))
        with pytest.raises(json.JSONDecodeError):
            payer.post(ask("[[fail:badjson]]"), X_Upto_Session=session).json()

    def test_a_reader_that_leaves_does_not_keep_its_session_from_settling(self, payer: Payer) -> None:
        signature = payer.signature()
        answered = payer.post(ask(), PAYMENT_SIGNATURE=signature).json()
        headers = {"Authorization": "Bearer any", "PAYMENT-SIGNATURE": signature}
        body = ask("[[words:20]] [[slow:0.2]]", stream=True)
        with payer.http.stream("POST", CHAT, json=body, headers=headers) as response:
            assert response.status_code == 200
        assert eventually(lambda: payer.payments)[0] >= price(answered)


class _OpenAI(BaseHTTPRequestHandler):
    """A tiny OpenAI-compatible server that echoes the model's name."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if body["model"] == "broken":
            self.send_error(500)
            return
        usage = {"prompt_tokens": 7, "completion_tokens": 2}
        if body.get("stream"):
            pieces = [{"choices": [{"delta": {"content": word}}]} for word in ("from ", body["model"])]
            pieces += [{"choices": [{"delta": {}, "finish_reason": "stop"}]}, {"choices": [], "usage": usage}]
            content = "".join(f"data: {json.dumps(piece)}\n\n" for piece in pieces) + "data: [DONE]\n\n"
        else:
            message = {"role": "assistant", "content": f"from {body['model']}"}
            content = json.dumps({"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage})
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content.encode())

    def log_message(self, *_args: Any) -> None:
        pass


def test_another_server_can_answer_in_place_of_the_simulation() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _OpenAI) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with Devnet(upstream=f"http://127.0.0.1:{server.server_port}") as running, Payer(running) as payer:
            answered = payer.pay(ask(model="llama3"))
            session, answer = answered.headers["X-Upto-Session"], answered.json()
            assert answer["choices"][0]["message"]["content"] == "from llama3"
            assert answer["usage"] == {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
            *pieces, final, _done = events(payer.post(ask(model="llama3", stream=True), X_Upto_Session=session))
            assert streamed_text(pieces) == "from llama3"
            check_proof(running, final, ask(model="llama3"), "from llama3")
            assert payer.post(ask(model="broken"), X_Upto_Session=session).status_code == 500
        server.shutdown()


class TestCommand:
    def test_it_serves_until_sigterm_and_leaves_no_process(self) -> None:
        fund = "0x00000000000000000000000000000000000A11cE"
        command = [sys.executable, "-m", "og_magics.devnet", "--json", "--fund", fund, "--settle-after", "600"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            info = json.loads(process.stdout.readline())
            told = "gateway_url gateway_url_http rpc_url chain_id tee_registry settlement_relay blob_url opg_token"
            assert " ".join(info) == f"{told} permit2 upto_proxy pay_to tee_id accounts"
            assert httpx.get(info["gateway_url_http"] + "/health").status_code == 200
            assert Web3(HTTPProvider(info["rpc_url"])).eth.get_balance(fund) == 10**18
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
            assert process.stderr.read() == ""
        with pytest.raises(httpx.ConnectError):
            httpx.get(info["gateway_url_http"] + "/health")

    def test_it_stops_when_its_parent_is_gone(self) -> None:
        parent = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        command = [sys.executable, "-m", "og_magics.devnet", "--parent-pid", str(parent.pid)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            while "Ctrl-C" not in process.stdout.readline():
                assert process.poll() is None
            parent.communicate(b"\n")
            assert process.wait(30) == 0
        assert parent.returncode == 0

    def test_a_taken_port_is_told_and_not_served(self, devnet: Devnet) -> None:
        port = int(devnet.gateway_url.rsplit(":", 1)[1])
        with pytest.raises(DevnetError, match=f"Port {port} cannot be used"):
            Devnet(port=port).start()
        answer = subprocess.run(
            [sys.executable, "-m", "og_magics.devnet", "--port", str(port)],
            capture_output=True, text=True, check=False, timeout=60, env=dict(os.environ),
        )  # fmt: skip
        assert answer.returncode == 1
        assert f"Port {port} cannot be used" in answer.stderr
