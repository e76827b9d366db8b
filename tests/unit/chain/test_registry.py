"""The registry reads the same in both of its versions, and its answers are not believed blindly."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from og_magics.chain import abi, active_enclaves, enclave_by_id, enclaves_by_id, listed_enclaves
from og_magics.client.known_keys import is_registered
from og_magics.core.errors import ChainError
from og_magics.core.networks import BASE, Network
from og_magics.core.onchain import Unavailable
from og_magics.core.receipt import Receipt
from og_magics.core.settings import Settings

OLD = "(address,address,string,bytes,bytes,bytes32,uint8,bool,uint256,uint256"
SHAPES = {"without OHTTP": OLD + ")", "with OHTTP": OLD + ",(uint8,uint16,uint16,uint16,bytes,bytes,uint256))"}
OWNER, PAYEE = "0x" + "11" * 20, "0x9965507D1a55bcC2695C58ba16FB37d819B0A4dc"
KEY = b"DER of a key, longer than one word of 32 bytes"
TEE_ID = "0x" + keccak(KEY).hex()


def info(shape: str, **changes: Any) -> tuple[Any, ...]:
    fields = {"payee": PAYEE, "endpoint": "https://1.2.3.4", "key": KEY, "certificate": b"DER", "pcr": b"\x0a" * 32}
    fields |= changes
    payee, endpoint, key, certificate, pcr = fields.values()
    ohttp = ((1, 32, 1, 3, b"k" * 32, b"config", 7),) if "with OHTTP" in shape else ()
    return (OWNER, payee, endpoint, key, certificate, pcr, 0, True, 5, 6, *ohttp)


def data(types: str, value: Any) -> str:
    return "0x" + encode([types], [value]).hex()


@pytest.fixture
def network(node: Any) -> Network:
    return replace(BASE, registry_rpc_url=node.url)


@pytest.mark.parametrize("shape", SHAPES)
def test_active_enclaves_are_read_from_both_versions(node: Any, network: Network, shape: str) -> None:
    entries = [
        info(shape),
        info(shape, key=b"2", endpoint="https://5.6.7.8:8443", payee="0x" + "00" * 20, pcr=bytes(32)),
    ]
    node.methods["eth_call"] = data(SHAPES[shape] + "[]", entries)
    first, second = active_enclaves(network)
    assert (first.tee_id, first.endpoint, first.public_key) == (TEE_ID, "https://1.2.3.4", KEY)
    assert (first.tls_certificate, first.payment_address, first.registered) == (b"DER", PAYEE, True)
    assert first.pcr_hash == "0x" + "0a" * 32
    assert (second.endpoint, second.payment_address, second.pcr_hash) == ("https://5.6.7.8:8443", "", "")


@pytest.mark.parametrize("shape", SHAPES)
def test_entries_that_cannot_be_connected_to_or_trusted_are_left_out(node: Any, network: Network, shape: str) -> None:
    wrong = {
        "": "not https", "http://1.2.3.4": "not https", "https://": "not https", "https://me@1.2.3.4": "not https",
        "ftp://1.2.3.4": "not https", "https://[": "not https",
    }  # fmt: skip
    entries = [info(shape, endpoint=one) for one in wrong]
    entries += [info(shape, certificate=b""), info(shape, key=b""), info(shape)]
    validator, disabled = list(info(shape)), list(info(shape))
    validator[6], disabled[7] = 1, False
    entries += [tuple(validator), tuple(disabled)]
    node.methods["eth_call"] = data(SHAPES[shape] + "[]", entries)
    assert len(active_enclaves(network)) == 1
    reasons = [why for _, why in listed_enclaves(network).refused]
    assert all(said in why for said, why in zip(wrong.values(), reasons, strict=False))
    assert reasons[len(wrong) :] == [
        "it has no certificate", "it has no key", "it is of type 1, which serves no models", "it is disabled",
    ]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_an_empty_registry_is_an_empty_list(node: Any, network: Network, shape: str) -> None:
    node.methods["eth_call"] = data(SHAPES[shape] + "[]", [])
    assert active_enclaves(network) == []


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("written", [TEE_ID, TEE_ID[2:], TEE_ID.upper().replace("0X", "0x")])
def test_an_enclave_is_found_by_its_id(node: Any, network: Network, shape: str, written: str) -> None:
    node.methods["eth_call"] = data(SHAPES[shape], info(shape, certificate=b""))
    enclave = enclave_by_id(network, written)
    assert enclave is not None
    assert (enclave.tee_id, enclave.public_key, enclave.tls_certificate) == (TEE_ID, KEY, None)


def newest(node: Any, age: float = 0) -> None:
    """The node's newest block is so many seconds old."""
    node.methods["eth_getBlockByNumber"] = lambda *_: {"number": "0x64", "timestamp": hex(int(time.time() - age))}


def test_an_id_that_is_unknown_or_no_id_is_none(node: Any, network: Network, refusal: Any) -> None:
    newest(node)
    node.methods["eth_call"] = data(SHAPES["with OHTTP"], info("with OHTTP", key=b""))
    assert enclave_by_id(network, TEE_ID) is None

    def revert(*_: Any) -> None:
        raise refusal(3, "execution reverted")

    node.methods["eth_call"] = revert
    assert enclave_by_id(network, TEE_ID) is None
    assert enclave_by_id(network, "0x12") is None
    assert enclave_by_id(network, "my enclave") is None


def test_a_registry_that_answers_with_another_key_is_an_error(node: Any, network: Network) -> None:
    node.methods["eth_call"] = data(SHAPES["with OHTTP"], info("with OHTTP", key=b"another"))
    with pytest.raises(ChainError, match="with the key of"):
        enclave_by_id(network, TEE_ID)


def standing_of(node: Any, refusal: Any, **changes: Any) -> None:
    """The node answers as one that has `getTEE`, and of the rest what `changes` names."""
    selectors = {"0x" + abi.function("tee_registry", name).selector.hex(): name for name in ("getTEE", *changes)}

    def call(request: Any, _block: str) -> str:
        name = selectors.get(request["data"][:10])
        if name is None:
            raise refusal(3, "execution reverted")
        return changes.get(name) or data(SHAPES["without OHTTP"], info("without OHTTP"))

    node.methods["eth_call"] = call


def test_what_a_registry_does_not_tell_is_not_known(node: Any, network: Network, refusal: Any) -> None:
    for lacking in ({}, {"isTEEActive": "0x", "heartbeatMaxAge": "0x12"}):
        standing_of(node, refusal, **lacking)
        enclave = enclave_by_id(network, TEE_ID)
        assert enclave is not None
        assert enclave.standing is not None
        assert (enclave.standing.active, enclave.standing.approved, enclave.standing.heartbeat_max_age) == (None,) * 3
        assert (enclave.standing.registered_at, enclave.standing.heartbeat_at, enclave.standing.endings) == (5, 6, {})


def test_a_node_that_contradicts_itself_is_not_believed(node: Any, network: Network, refusal: Any) -> None:
    disabled = list(info("without OHTTP"))
    disabled[7] = False
    standing_of(node, refusal, getTEE=data(SHAPES["without OHTTP"], tuple(disabled)), isTEEActive=data("bool", True))
    with pytest.raises(ChainError, match="active, and disabled"):
        enclave_by_id(network, TEE_ID)
    future = list(info("without OHTTP"))
    future[9] = 2_000_000_000
    standing_of(node, refusal, getTEE=data(SHAPES["without OHTTP"], tuple(future)))
    with pytest.raises(ChainError, match="after the newest block"):
        enclave_by_id(network, TEE_ID)


def test_a_node_that_lags_cannot_say_that_an_enclave_is_unknown(node: Any, network: Network, refusal: Any) -> None:
    newest(node, age=3600)

    def revert(*_: Any) -> None:
        raise refusal(3, "execution reverted")

    node.methods["eth_call"] = revert
    (found,) = enclaves_by_id(network, [TEE_ID]).values()
    assert isinstance(found, Unavailable)
    assert "60 minutes old" in found.reason
    newest(node)
    assert enclaves_by_id(network, [TEE_ID]) == {TEE_ID: None}


def test_active_enclaves_are_looked_up_in_one_request_however_many(node: Any, network: Network, refusal: Any) -> None:
    standing_of(node, refusal, isTEEActive=data("bool", True))
    enclaves_by_id(network, [f"0x{n:064x}" for n in range(40)])
    assert len(node.requests) == 1


def test_the_abi_has_the_selectors_and_topics_of_the_networks_registry() -> None:
    functions = {
        "getActiveTEEs": "4b6014da", "getEnabledTEEs": "63b86b89", "getTEEsByType": "b82644b7",
        "getTEEsByOwner": "e44cc482", "getTEE": "418b207d", "isTEEActive": "a3bf31f1", "isTEEEnabled": "927d3c95",
        "getTEEPublicKey": "2cbe7552", "computeTEEId": "f33d2c00", "heartbeatMaxAge": "87267aca",
        "isValidTEEType": "e10a2ea4", "getTEETypes": "971cfbf1", "isPCRApproved": "9831ced5",
        "getApprovedPCRs": "5766275a", "pcrRecords": "2068b3db", "computePCRHash": "476cb030",
        "awsRootCertificate": "f44a0780",
    }  # fmt: skip
    events = {
        "TEETypeAdded": "ed016166", "PCRApproved": "98c6d69c", "PCRRevoked": "d5a6741f", "TEERegistered": "97d0af70",
        "TEEDisabled": "01c23533", "TEEEnabled": "cfe7e61b", "AWSCertificateUpdated": "378c4547",
        "HeartbeatReceived": "3cf0bf77",
    }  # fmt: skip
    assert {name: abi.function("tee_registry", name).selector.hex() for name in functions} == functions
    assert {name: abi.topic("tee_registry", name)[2:10] for name in events} == events


def test_a_chain_without_the_registry_is_an_error_and_not_an_empty_list(node: Any, network: Network) -> None:
    node.methods["eth_call"] = "0x"
    with pytest.raises(ChainError, match="does not answer getActiveTEEs") as caught:
        active_enclaves(network)
    assert "OG_REGISTRY_RPC_URL" in caught.value.remedy


def test_data_that_is_not_a_list_of_enclaves_is_an_error(node: Any, network: Network) -> None:
    node.methods["eth_call"] = "0x" + "ff" * 320
    with pytest.raises(ChainError, match="does not answer getActiveTEEs"):
        active_enclaves(network)


def test_a_recorded_answers_key_is_known_where_the_registry_of_its_network_has_it(node: Any) -> None:
    settings = Settings(network="base", registry_rpc_url=node.url, private_key="0x" + "01" * 32)
    node.methods["eth_call"] = data(SHAPES["without OHTTP"], info("without OHTTP"))
    receipt = Receipt(
        receipt_id="1", time=1.0, cell="", notebook="", network="base", provider="openai", model="openai/gpt-5",
        settlement="batch", status="served", tee_id=TEE_ID, public_key=KEY.hex(),
    )  # fmt: skip
    assert is_registered(settings, receipt)
    assert not is_registered(settings, replace(receipt, network="devnet"))
    assert not is_registered(settings, replace(receipt, public_key="ab"))
    assert not is_registered(settings, replace(receipt, tee_id=None))
    node.methods["eth_call"] = "0x"
    assert not is_registered(settings, receipt)
