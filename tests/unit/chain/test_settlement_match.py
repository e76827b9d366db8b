"""Which transactions use an authorization: judged on the captured settlement and on ones made with x402's own ABIs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_utils.abi import collapse_if_tuple, function_abi_to_4byte_selector

from og_magics.chain import find_settlements
from og_magics.chain.settlements import carries
from og_magics.core.errors import ChainError, ConfigError
from og_magics.core.networks import BASE, UPTO_PROXY
from og_magics.core.receipt import Authorization

CAPTURED = Authorization(
    hash="0x01",
    scheme="upto",
    network="eip155:8453",
    payer="0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC",
    pay_to="0x9dEEBB5d1B22e4a6e027977CEaD13893A7E4cC1a",
    token="0xFbC2051AE2265686a469421b2C5A2D5462FbF5eB",
    cap=10**17,
    nonce=0x659D8418A5B1CED9A66F150415171371CC243FF7BC976575B7758842AA54B3FF,
    deadline=0x6B02AED7,
    gateway="http://127.0.0.1",
    path="/v1/chat/completions",
    created=0x6B02ADAB,
    spender=UPTO_PROXY,
    facilitator="0x70997970C51812dc3A010C7d01b50e0d17dc79C8",
)


def settle_with_permit(authorization: Authorization) -> dict[str, str]:
    from x402.mechanisms.evm.constants import X402_UPTO_PERMIT2_PROXY_SETTLE_WITH_PERMIT_ABI

    abi: Any = X402_UPTO_PERMIT2_PROXY_SETTLE_WITH_PERMIT_ABI[0]
    permit = ((authorization.token, authorization.cap), authorization.nonce, authorization.deadline)
    witness = (authorization.pay_to, authorization.facilitator, 0)
    arguments = [(1, 2, b"r" * 32, b"s" * 32, 27), permit, 5, authorization.payer, witness, b"signature"]
    types = [collapse_if_tuple(part) for part in abi["inputs"]]
    return {"to": UPTO_PROXY, "input": "0x" + (function_abi_to_4byte_selector(abi) + encode(types, arguments)).hex()}


def test_the_captured_settlement_uses_its_authorization(vector: Callable[[str], Any]) -> None:
    assert carries(vector("settle_tx")["tx"], CAPTURED)


def test_data_appended_to_the_calldata_changes_nothing(vector: Callable[[str], Any]) -> None:
    transaction = vector("settle_tx")["tx"]
    assert carries({**transaction, "input": transaction["input"] + "c0ffee"}, CAPTURED)


@pytest.mark.parametrize(
    "change",
    [
        {"nonce": CAPTURED.nonce + 1},
        {"payer": CAPTURED.pay_to},
        {"pay_to": CAPTURED.payer},
        {"token": CAPTURED.payer},
    ],
)
def test_another_authorization_is_not_used_by_it(vector: Callable[[str], Any], change: dict[str, Any]) -> None:
    assert not carries(vector("settle_tx")["tx"], replace(CAPTURED, **change))


@pytest.mark.parametrize("to", [None, CAPTURED.token])
def test_the_same_calldata_sent_elsewhere_settles_nothing(vector: Callable[[str], Any], to: str | None) -> None:
    assert not carries({**vector("settle_tx")["tx"], "to": to}, CAPTURED)


@pytest.mark.parametrize("calldata", ["0x", "0xff11e7b4", "0xff11e7b4" + "ff" * 64, "0xdeadbeef" + "00" * 500])
def test_calldata_that_is_no_settlement_settles_nothing(calldata: str) -> None:
    assert not carries({"to": UPTO_PROXY, "input": calldata}, CAPTURED)


def test_a_settlement_with_a_gasless_approval_uses_its_authorization() -> None:
    assert carries(settle_with_permit(CAPTURED), CAPTURED)
    assert not carries(settle_with_permit(replace(CAPTURED, nonce=1)), CAPTURED)


def test_an_exact_payment_is_known_by_its_nonce_wherever_it_is_sent() -> None:
    exact = replace(CAPTURED, scheme="exact", spender="")
    assert carries({"to": None, "input": "0x12345678" + "00" * 32 + f"{exact.nonce:064x}"}, exact)
    assert not carries({"to": None, "input": "0x12345678" + f"{exact.nonce + 1:064x}"}, exact)


def test_an_authorization_of_another_network_is_refused_before_any_request() -> None:
    with pytest.raises(ConfigError, match=r"eip155:84532.*eip155:8453"):
        find_settlements(BASE, [CAPTURED, replace(CAPTURED, network="eip155:84532")])


def test_nothing_is_asked_for_no_authorizations() -> None:
    assert find_settlements(replace(BASE, rpc_url="http://127.0.0.1:1"), []) == {}


def test_a_node_with_absurdly_many_blocks_is_an_error_and_no_endless_search(
    node: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("og_magics.chain.settlements.MOST_RANGES", 5)
    head, per_second = 2**60, 2**29

    def block(number: str, _full: bool) -> dict[str, str]:
        n = head if number == "latest" else int(number, 16)
        hash = BASE.genesis_hash if n == 0 else "0x1"
        return {"number": hex(n), "hash": hash, "timestamp": hex(n // per_second)}

    node.methods |= {"eth_call": "0x" + "f" * 64, "eth_getBlockByNumber": block, "eth_getLogs": []}
    with pytest.raises(ChainError, match="more blocks may hold a settlement"):
        find_settlements(replace(BASE, rpc_url=node.url), [CAPTURED])
    assert node.called().count("eth_getLogs") == 5


@pytest.mark.parametrize(
    "changes",
    [{"blockNumber": "-0x5"}, {"gasUsed": "-0x1"}, {"blockNumber": hex(2**70)}, {"blockNumber": None}, {"gasUsed": 5}],
)
def test_a_receipt_with_numbers_that_are_none_settles_nothing(
    node: Any, vector: Callable[[str], Any], changes: dict[str, Any]
) -> None:
    word = "0x" + "0" * 24
    log = {
        "address": CAPTURED.token, "data": "0x1", "transactionHash": "0x" + "7" * 64,
        "topics": ["0x0", word + CAPTURED.payer[2:].lower(), word + CAPTURED.pay_to[2:].lower()],
    }  # fmt: skip
    node.methods |= {
        "eth_call": "0x" + "f" * 64,
        "eth_getBlockByNumber": lambda number, _full: {
            "number": "0x64" if number == "latest" else number,
            "hash": BASE.genesis_hash if number == "0x0" else "0x1",
            "timestamp": hex(CAPTURED.created + (100 if number == "latest" else int(number, 16))),
        },
        "eth_getLogs": [log],
        "eth_getTransactionByHash": vector("settle_tx")["tx"],
        "eth_getTransactionReceipt": {"blockNumber": "0x5", "gasUsed": "0x5", "blockHash": "0x1", **changes},
    }
    with pytest.raises(ChainError):
        find_settlements(replace(BASE, rpc_url=node.url), [CAPTURED])
