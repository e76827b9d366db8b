"""The registry reads the same in both of its versions, and its answers are not believed blindly."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak

from og_magics.chain import active_enclaves, enclave_by_id
from og_magics.client.known_keys import is_registered
from og_magics.core.errors import ChainError
from og_magics.core.networks import BASE, Network
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
    entries = [info(shape, endpoint=""), info(shape, certificate=b""), info(shape)]
    node.methods["eth_call"] = data(SHAPES[shape] + "[]", entries)
    assert len(active_enclaves(network)) == 1


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


def test_an_id_that_is_unknown_or_no_id_is_none(node: Any, network: Network, refusal: Any) -> None:
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
