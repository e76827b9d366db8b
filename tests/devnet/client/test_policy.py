"""A gateway that asks for what it must not have: nothing is signed, and the reason is told."""

from __future__ import annotations

import base64
import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from web3 import HTTPProvider, Web3

from og_magics import LLM, errors
from og_magics.devnet import Devnet, chain
from og_magics.devnet.accounts import OPERATOR

if TYPE_CHECKING:
    from .conftest import LLMOf

ASK = [{"role": "user", "content": "What is x402?"}]
BURN = "0x000000000000000000000000000000000000dEaD"


def terms(devnet: Devnet, **changes: Any) -> dict[str, Any]:
    return {
        "scheme": "upto",
        "network": f"eip155:{devnet.chain_id}",
        "asset": devnet.opg_token,
        "amount": str(10**17),
        "payTo": devnet.pay_to,
        "maxTimeoutSeconds": 300,
        "extra": {"name": "OpenGradient", "version": "1", "facilitatorAddress": devnet.accounts[1]["address"]},
    } | changes


def challenge(*offers: dict[str, Any], version: int = 2) -> str:
    resource = {"url": "http://gateway", "description": "", "mimeType": "application/json"}
    required = {"x402Version": version, "error": "Payment required", "resource": resource, "accepts": offers}
    return base64.b64encode(json.dumps(required).encode()).decode()


def refused(llm: LLM, signed: Any, kind: type[errors.OGError] = errors.PaymentRefused) -> errors.OGError:
    with pytest.raises(kind) as caught:
        llm.chat_sync("openai/gpt-5", ASK)
    error = caught.value
    assert "othing was" in error.money
    assert signed(llm) == []
    (receipt,) = llm.journal.receipts()
    assert receipt.status == "failed"
    assert receipt.authorization_hash is None
    assert receipt.error == f"{type(error).__name__}: {error.what}"
    return error


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"asset": "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913"}, "only OPG"),
        ({"asset": "not an address"}, "only OPG"),
        ({"amount": str(900 * 10**18)}, "up to 900 OPG, over the limit of 10 OPG"),
        ({"amount": str(10**19 + 1)}, "over the limit"),
        ({"amount": "0"}, "over the limit"),
        ({"amount": "-1"}, "over the limit"),
        ({"amount": "0.1"}, "not a number"),
        ({"maxTimeoutSeconds": 365 * 24 * 3600}, "valid for 31536000 s"),
        ({"maxTimeoutSeconds": -1}, "valid for -1 s"),
        ({"network": "eip155:8453"}, "eip155:8453"),
        ({"scheme": "subscription"}, "not supported"),
        ({"scheme": "batch-settlement"}, "payment channels (batch-settlement), which this version does not open"),
        ({"extra": {}}, "names no facilitator"),
        ({"extra": {"facilitatorAddress": "nobody"}}, "cannot be signed"),
        ({"payTo": "nobody"}, "cannot be signed"),
        ({"scheme": "exact", "extra": {}}, "cannot be signed"),
    ],
)
def test_an_offer_outside_the_policy_is_refused(
    llm_of: LLMOf, devnet: Devnet, serve: Any, reply: Any, signed: Any, changes: dict[str, Any], words: str
) -> None:
    offer = challenge(terms(devnet, **changes))
    server = serve(lambda asked: reply(402 if asked.method == "POST" else 404, headers={"PAYMENT-REQUIRED": offer}))
    error = refused(llm_of(devnet, gateway_url=server.url), signed)
    assert words in error.what
    assert [asked.headers.get("payment-signature") for asked in server.posts] == [None]


def test_all_reasons_are_told_and_a_good_offer_among_bad_ones_is_taken(
    llm_of: LLMOf, devnet: Devnet, serve: Any, reply: Any, signed: Any
) -> None:
    bad = [terms(devnet, amount=str(900 * 10**18)), terms(devnet, network="eip155:1")]
    offers = [challenge(*bad), challenge(*bad, terms(devnet))]
    first = serve(lambda _: reply(402, headers={"PAYMENT-REQUIRED": offers[0]}))
    error = refused(llm_of(devnet, gateway_url=first.url), signed)
    assert "900 OPG" in error.what
    assert "eip155:1 " in error.what
    second = serve(
        lambda asked: (
            reply(500) if "payment-signature" in asked.headers else reply(402, headers={"PAYMENT-REQUIRED": offers[1]})
        )
    )
    llm = llm_of(devnet, gateway_url=second.url)
    with pytest.raises(errors.GatewayError):
        llm.chat_sync("openai/gpt-5", ASK)
    assert len(signed(llm)) == 1
    sent = json.loads(base64.b64decode(second.posts[1].headers["payment-signature"]))
    assert sent["accepted"]["amount"] == str(10**17)
    assert sent.get("extensions") is None


@pytest.mark.parametrize("header", ["no base64", base64.b64encode(b"[]").decode(), challenge(), challenge(version=1)])
def test_a_challenge_that_cannot_be_read_is_refused(
    llm_of: LLMOf, devnet: Devnet, serve: Any, reply: Any, signed: Any, header: str
) -> None:
    server = serve(lambda _: reply(402, headers={"PAYMENT-REQUIRED": header}))
    refused(llm_of(devnet, gateway_url=server.url), signed, errors.OGError)


def test_a_402_without_an_offer_is_told(llm_of: LLMOf, devnet: Devnet, serve: Any, reply: Any, signed: Any) -> None:
    server = serve(lambda _: reply(402, b'{"error": "pay me"}'))
    error = refused(llm_of(devnet, gateway_url=server.url), signed, errors.GatewayError)
    assert "pay me" in error.what


def test_another_payee_than_the_registered_one_is_refused(
    llm_of: LLMOf, devnet_with: Any, serve: Any, reply: Any, signed: Any, identity: Any, tmp_path: Any
) -> None:
    own = devnet_with(settle_after=30)
    pinned = identity.make()
    offer = challenge(terms(own, payTo=BURN))
    server = serve(lambda _: reply(402, headers={"PAYMENT-REQUIRED": offer}), pinned.context(tmp_path))
    web3 = Web3(HTTPProvider(own.rpc_url))
    functions = chain.contract(web3, "TEERegistry").functions
    chain.transact(web3, OPERATOR, functions.disableTEE(bytes.fromhex(own.tee_id[2:])))
    told = (own.pay_to, server.url, os.urandom(32), pinned.der, b"\0" * 32, 0, (0, 0, 0, 0, b"", b"", 0))
    chain.transact(web3, OPERATOR, functions.registerTEE(*told))
    assert BURN in refused(llm_of(own), signed).what


def test_the_limit_of_an_authorization_can_be_raised(llm_of: LLMOf, devnet_with: Any, signed: Any) -> None:
    own = devnet_with(cap="10.5")
    refused(llm_of(own), signed)
    assert llm_of(own, max_authorization=11 * 10**18).chat_sync("openai/gpt-5", ASK).text
