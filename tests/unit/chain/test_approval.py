"""An approval against a node that is slow, old, of another chain, or says no."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from eth_account import Account

from og_magics.chain import ensure_approval, wallet
from og_magics.core.amounts import OPG
from og_magics.core.errors import ConfigError, InsufficientBalance, OGError, WalletError
from og_magics.core.networks import BASE, BASE_SEPOLIA, PERMIT2, Network

ACCOUNT = Account.from_key("0x" + "42" * 32)


def word(value: int) -> str:
    return f"0x{value:064x}"


@pytest.fixture
def network(node: Any) -> Network:
    """Base, where the wallet has 10 OPG, 1 ETH and no allowance until an approval is sent."""
    sent: list[str] = []

    def call(transaction: dict[str, str], _block: str) -> str:
        if transaction["data"].startswith("0x70a08231"):
            return word(10 * OPG)
        return word(4 * OPG if sent else 0)

    def send(raw: str) -> str:
        sent.append(raw)
        return word(0)

    node.methods |= {
        "eth_call": call,
        "eth_getBalance": hex(OPG),
        "eth_chainId": hex(8453),
        "eth_getTransactionCount": "0x7",
        "eth_estimateGas": hex(50_000),
        "eth_gasPrice": hex(1_100),
        "eth_maxPriorityFeePerGas": hex(300),
        "eth_getBlockByNumber": {"number": "0x1", "timestamp": "0x1", "baseFeePerGas": hex(1_000)},
        "eth_sendRawTransaction": send,
        "eth_getTransactionReceipt": {"status": "0x1"},
    }
    node.sent = sent
    return replace(BASE, rpc_url=node.url)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wallet, "_POLL", (0.0,) * 5)


def signed(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What the account is given to sign from now on."""
    seen: list[dict[str, Any]] = []
    sign = ACCOUNT.sign_transaction

    class Recorder:
        address = ACCOUNT.address

        def sign_transaction(self, transaction_dict: dict[str, Any]) -> Any:
            seen.append(transaction_dict)
            return sign(transaction_dict)

    monkeypatch.setitem(globals(), "ACCOUNT", Recorder())
    return seen


def test_the_approval_is_of_opg_for_permit2_with_fees_that_last(
    node: Any, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = signed(monkeypatch)
    result = ensure_approval(network, ACCOUNT, 2 * OPG)
    assert (result.allowance_before, result.allowance_after) == (0, 4 * OPG)
    data = "0x095ea7b3" + PERMIT2[2:].lower().rjust(64, "0") + f"{4 * OPG:064x}"
    assert seen == [
        {"chainId": 8453, "nonce": 7, "to": network.opg_token, "value": 0, "data": data, "gas": 60_000}
        | {"maxFeePerGas": 2_300, "maxPriorityFeePerGas": 300}
    ]


def test_a_chain_without_a_base_fee_gets_a_plain_gas_price(
    node: Any, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = signed(monkeypatch)
    del node.methods["eth_getBlockByNumber"]["baseFeePerGas"]
    ensure_approval(network, ACCOUNT, 2 * OPG)
    assert seen[0]["gasPrice"] == 1_100
    assert "maxFeePerGas" not in seen[0]


def test_a_node_without_a_priority_fee_method_is_asked_for_its_gas_price(
    node: Any, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = signed(monkeypatch)
    del node.methods["eth_maxPriorityFeePerGas"]
    ensure_approval(network, ACCOUNT, 2 * OPG)
    assert (seen[0]["maxFeePerGas"], seen[0]["maxPriorityFeePerGas"]) == (2_100, 100)


def test_an_rpc_of_another_chain_is_told_before_anything_is_signed(node: Any, network: Network) -> None:
    node.methods["eth_chainId"] = "0x1"
    with pytest.raises(ConfigError, match="is of chain 1; base is chain 8453"):
        ensure_approval(network, ACCOUNT, 2 * OPG)
    assert node.sent == []


def test_an_approval_that_fails_on_chain_is_an_error_with_its_hash(node: Any, network: Network) -> None:
    node.methods["eth_getTransactionReceipt"] = {"status": "0x0"}
    with pytest.raises(WalletError, match=r"failed on chain: 0x[0-9a-f]{64}") as caught:
        ensure_approval(network, ACCOUNT, 2 * OPG)
    assert "basescan.org/tx/0x" in caught.value.remedy


def test_an_approval_that_is_not_mined_in_time_is_an_error_with_its_hash(
    node: Any, network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wallet, "RECEIPT_TIMEOUT", 0.1)
    node.methods["eth_getTransactionReceipt"] = None
    with pytest.raises(WalletError, match=r"0x[0-9a-f]{64} is not mined"):
        ensure_approval(network, ACCOUNT, 2 * OPG)


def test_a_node_that_stumbles_while_the_approval_is_mined_does_not_matter(
    node: Any, network: Network, refusal: Any
) -> None:
    looks: list[str] = []

    def receipt(tx_hash: str) -> Any:
        looks.append(tx_hash)
        if len(looks) < 3:
            raise refusal(-32000, "header not found")
        return {"status": "0x1"}

    node.methods["eth_getTransactionReceipt"] = receipt
    assert ensure_approval(network, ACCOUNT, 2 * OPG).tx_hash == looks[0]


def test_an_allowance_that_shows_late_is_read_again(node: Any, network: Network) -> None:
    reads: list[int] = []
    answer = node.methods["eth_call"]

    def lagging(transaction: dict[str, str], block: str) -> Any:
        reads.append(1)
        return word(0) if len(reads) <= 5 and "dd62ed3e" in transaction["data"] else answer(transaction, block)

    node.methods["eth_call"] = lagging
    assert ensure_approval(network, ACCOUNT, 2 * OPG).allowance_after == 4 * OPG
    assert len(reads) > 5


def test_an_approval_of_more_than_the_wallet_holds_is_cut_to_what_it_holds(
    network: Network, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = signed(monkeypatch)
    ensure_approval(network, ACCOUNT, 2 * OPG, 50 * OPG)
    assert seen[0]["data"].endswith(f"{10 * OPG:064x}")


def test_gas_that_does_not_reach_is_told_before_anything_is_signed(node: Any, network: Network) -> None:
    node.methods["eth_getBalance"] = hex(60_000 * 2_300 - 1)
    with pytest.raises(InsufficientBalance, match="not enough for the fee"):
        ensure_approval(network, ACCOUNT, 2 * OPG)
    assert node.sent == []


def test_gas_that_the_node_finds_too_little_is_told_as_that(node: Any, network: Network, refusal: Any) -> None:
    def refuse(_raw: str) -> None:
        raise refusal(-32000, "insufficient funds for gas * price + value")

    node.methods["eth_sendRawTransaction"] = refuse
    with pytest.raises(InsufficientBalance, match="not enough for the fee"):
        ensure_approval(network, ACCOUNT, 2 * OPG)


def test_a_refused_transaction_is_a_wallet_error_with_the_nodes_words(
    node: Any, network: Network, refusal: Any
) -> None:
    def refuse(_raw: str) -> None:
        raise refusal(-32000, "replacement transaction underpriced")

    node.methods["eth_sendRawTransaction"] = refuse
    with pytest.raises(WalletError, match="underpriced") as caught:
        ensure_approval(network, ACCOUNT, 2 * OPG)
    assert caught.value.money == "Nothing was sent."


def test_a_send_without_an_answer_says_that_it_may_have_been_sent(node: Any, network: Network) -> None:
    node.intercept = lambda request: (502, b"") if "eth_sendRawTransaction" in str(request) else None
    with pytest.raises(Exception, match=r"approval 0x[0-9a-f]{64} may have been sent"):
        ensure_approval(network, ACCOUNT, 2 * OPG)


def test_a_wallet_without_opg_is_sent_to_the_faucet_where_there_is_one(node: Any, network: Network) -> None:
    node.methods["eth_call"] = word(0)
    with pytest.raises(InsufficientBalance, match=r"holds 0 OPG") as caught:
        ensure_approval(replace(BASE_SEPOLIA, rpc_url=node.url), ACCOUNT, OPG)
    assert BASE_SEPOLIA.faucet in caught.value.remedy
    assert node.sent == []


@pytest.mark.parametrize(("least", "amount"), [(0, None), (OPG // 10 - 1, None), (2 * OPG, OPG)])
def test_amounts_that_make_no_sense_are_refused_before_any_request(
    node: Any, network: Network, least: int, amount: int | None
) -> None:
    with pytest.raises(ValueError, match=r"min_allowance|approve_amount"):
        ensure_approval(network, ACCOUNT, least, amount)
    assert node.requests == []


LIES: dict[str, dict[str, Any]] = {
    "a negative nonce": {"eth_getTransactionCount": "-0x1"},
    "a nonce with underscores": {"eth_getTransactionCount": "0x1_0"},
    "a nonce that is a number": {"eth_getTransactionCount": 7},
    "no nonce": {"eth_getTransactionCount": None},
    "a nonce of 300 bits": {"eth_getTransactionCount": hex(2**300)},
    "a nonce of 64 bits": {"eth_getTransactionCount": hex(2**64)},
    "negative gas": {"eth_estimateGas": "-0x5208"},
    "gas without end": {"eth_estimateGas": hex(2**255)},
    "a negative gas price": {"eth_gasPrice": "-0x1"},
    "a tip of 17 ETH": {"eth_maxPriorityFeePerGas": hex(17 * OPG)},
    "a negative tip": {"eth_maxPriorityFeePerGas": "-0x5"},
    "a base fee of 17 ETH": {"eth_getBlockByNumber": {"number": "0x1", "baseFeePerGas": hex(17 * OPG)}},
    "a negative base fee": {"eth_getBlockByNumber": {"number": "0x1", "baseFeePerGas": "-0x5"}},
    "a block that is a list": {"eth_getBlockByNumber": [1]},
    "no block": {"eth_getBlockByNumber": None},
    "a negative chain": {"eth_chainId": "-0x2105"},
    "a chain in words": {"eth_chainId": "base"},
    "a negative balance": {"eth_getBalance": "-0x1"},
}


@pytest.mark.parametrize("lie", LIES)
def test_a_node_that_lies_has_nothing_signed(
    node: Any, network: Network, monkeypatch: pytest.MonkeyPatch, lie: str
) -> None:
    seen = signed(monkeypatch)
    node.methods |= LIES[lie]
    with pytest.raises(OGError) as caught:
        ensure_approval(network, ACCOUNT, 2 * OPG)
    assert (seen, node.sent) == ([], [])
    assert "OG_RPC_URL" in caught.value.remedy or "OG_MAX_FEE" in caught.value.remedy


def test_the_most_that_a_transaction_may_cost_can_be_set(node: Any, network: Network) -> None:
    node.methods["eth_maxPriorityFeePerGas"] = hex(OPG // 100_000)
    with pytest.raises(WalletError, match=r"up to 0\.6 ETH, over the limit of 0\.001 ETH") as caught:
        ensure_approval(network, ACCOUNT, 2 * OPG)
    assert "OG_MAX_FEE" in caught.value.remedy
    assert "Nothing was signed" in caught.value.money
    ensure_approval(network, ACCOUNT, 2 * OPG, max_fee=OPG)
    assert len(node.sent) == 1


def test_what_the_account_raises_is_told_without_its_words_or_its_frames(node: Any, network: Network) -> None:
    class Leaky:
        address = ACCOUNT.address

        def sign_transaction(self, transaction_dict: dict[str, Any]) -> Any:
            private_key = "0x" + "42" * 32
            raise TypeError(f"cannot sign with {private_key}")

    with pytest.raises(WalletError, match="could not be signed") as caught:
        ensure_approval(network, Leaky(), 2 * OPG)
    at, names = caught.value.__traceback__, []
    while at is not None:
        names.append(at.tb_frame.f_code.co_name)
        at = at.tb_next
    assert "42424242" not in str(caught.value)
    assert "sign_transaction" not in names
    assert caught.value.__context__ is None


@pytest.mark.parametrize("receipt", ["0x1", [], 5, {"status": "0x0"}])
def test_a_receipt_that_is_none_is_looked_for_again(
    node: Any, network: Network, monkeypatch: pytest.MonkeyPatch, receipt: Any
) -> None:
    monkeypatch.setattr(wallet, "RECEIPT_TIMEOUT", 0.05)
    node.methods["eth_getTransactionReceipt"] = receipt
    with pytest.raises(WalletError):
        ensure_approval(network, ACCOUNT, 2 * OPG)
