"""A devnet, and a payer that knows nothing of the project's own client."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from eth_account import Account
from eth_utils.crypto import keccak
from web3 import HTTPProvider, Web3
from x402 import x402ClientSync
from x402.http.utils import decode_payment_required_header, encode_payment_signature_header
from x402.mechanisms.evm import EthAccountSigner
from x402.mechanisms.evm.exact import ExactEvmClientScheme
from x402.mechanisms.evm.upto import UptoEvmClientScheme
from x402.schemas import PaymentRequired

from og_magics.devnet import Devnet, contracts
from og_magics.devnet.gateway.prices import cost
from og_magics.devnet.model.protocol import Usage


@pytest.fixture(scope="module")
def devnet() -> Iterator[Devnet]:
    """Settles late: long enough after its last use for a test to use a session twice."""
    with Devnet(settle_after=2.5, batch_after=0.3, token_delay=0) as running:
        yield running


class Payer:
    """A client of the gateway: plain httpx, and the official x402 client to sign."""

    CHAT = "/v1/chat/completions"

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
        required = self.offered(self.post(self.ask(), path))
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

    @staticmethod
    def ask(content: Any = "What is x402?", model: str = "gpt-5", **more: Any) -> dict[str, Any]:
        return {"model": model, "messages": [{"role": "user", "content": content}], "temperature": 0.0, **more}

    @staticmethod
    def offered(response: httpx.Response) -> PaymentRequired:
        assert response.status_code == 402
        required = decode_payment_required_header(response.headers["PAYMENT-REQUIRED"])
        assert isinstance(required, PaymentRequired)
        return required

    @staticmethod
    def events(response: httpx.Response) -> list[Any]:
        """The JSON events of a stream; "[DONE]" stays a string."""
        lines = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
        return [line if line == "[DONE]" else json.loads(line) for line in lines]

    @staticmethod
    def streamed_text(found: list[Any]) -> str:
        return "".join(e["choices"][0]["delta"].get("content", "") for e in found if e != "[DONE]")

    @staticmethod
    def eventually(check: Callable[[], Any], within: float = 15.0) -> Any:
        """The first true value of `check`; the wait is as long as it takes, up to a limit that only a failure meets."""
        deadline = time.monotonic() + within
        while not (value := check()):
            assert time.monotonic() < deadline, "it did not happen"
            time.sleep(0.05)
        return value

    def price(self, answer: dict[str, Any]) -> int:
        usage = answer["usage"]
        counted = Usage(usage["prompt_tokens"], usage["completion_tokens"])
        return cost(answer["model"], counted, current=self.devnet.profile.tells_costs)

    def check_proof(self, proof: dict[str, Any], canonical: dict[str, Any], output: str) -> None:
        """Every claim of a proof, by the gateway's own key."""
        request_hash = keccak(json.dumps(canonical, sort_keys=True).encode())
        assert proof["tee_request_hash"] == request_hash.hex()
        output_hash = keccak(output.encode())
        assert proof["tee_output_hash"] == output_hash.hex()
        served = httpx.get(self.devnet.gateway_url_http + "/signing-key").json()
        key = serialization.load_pem_public_key(served["public_key"].encode())
        assert isinstance(key, rsa.RSAPublicKey)
        der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        assert proof["tee_id"] == served["tee_id"] == self.devnet.tee_id == "0x" + keccak(der).hex()
        key.verify(
            base64.b64decode(proof["tee_signature"]),
            keccak(request_hash + output_hash + int(proof["tee_timestamp"]).to_bytes(32, "big")),
            padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32),
            hashes.SHA256(),
        )


@pytest.fixture
def payer_of() -> type[Payer]:
    """The client's class, for a test with a devnet of its own."""
    return Payer


@pytest.fixture
def payer(devnet: Devnet) -> Iterator[Payer]:
    """The funded and approved account, at the module's devnet."""
    with Payer(devnet) as client:
        yield client
