"""Reorganizations: a settlement that the chain takes back is pending again, one that is deep enough is final."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from web3 import HTTPProvider, Web3

from og_magics.devnet import Devnet
from og_magics.devnet.anvil import find_anvil

if TYPE_CHECKING:
    from .conftest import LLMOf

ASK = [{"role": "user", "content": "What is x402?"}]

pytestmark = pytest.mark.skipif(find_anvil() is None, reason="anvil is not on PATH, nor in OG_ANVIL")


@pytest.fixture
def anvil(devnet_with: Callable[..., Devnet]) -> Devnet:
    return devnet_with(chain="anvil", settle_after=0.2)


def node(devnet: Devnet) -> Callable[..., object]:
    provider = HTTPProvider(devnet.rpc_url)
    return lambda method, *params: provider.make_request(method, list(params))["result"]


def test_a_settlement_that_is_taken_back_is_pending_again_and_found_again(llm_of: LLMOf, anvil: Devnet) -> None:
    llm = llm_of(anvil, confirmations=3, watch=False)
    rpc = node(anvil)
    result = llm.chat_sync("openai/gpt-5", ASK)
    before = rpc("evm_snapshot")
    assert llm.settle(20) == 0
    first = result.payment_hash
    assert first is not None
    settled = Web3(HTTPProvider(anvil.rpc_url)).eth.get_raw_transaction(first)
    rpc("evm_revert", before)
    rpc("anvil_mine", "0x2")  # the other branch is longer, and does not have it, but it is not deep yet
    assert llm.settle(0) == 0
    assert result.payment_hash == first
    rpc("anvil_mine", "0x3")
    assert llm.settle(0) == 1
    assert result.payment_hash is None
    assert result.receipt.status == "served"
    rpc("eth_sendRawTransaction", "0x" + bytes(settled).hex())
    assert llm.settle(20) == 0
    assert result.payment_hash == first


def test_a_settlement_that_is_deep_enough_is_final(llm_of: LLMOf, anvil: Devnet) -> None:
    llm = llm_of(anvil, confirmations=2, watch=False)
    rpc = node(anvil)
    result = llm.chat_sync("openai/gpt-5", ASK)
    before = rpc("evm_snapshot")
    assert llm.settle(20) == 0
    rpc("anvil_mine", "0x4")
    assert llm.settle(0) == 0
    rpc("evm_revert", before)
    rpc("anvil_mine", "0x9")
    assert llm.settle(0) == 0
    assert result.payment_hash is not None
