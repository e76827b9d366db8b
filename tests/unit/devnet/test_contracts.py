"""The committed artifacts: made from the committed sources, with the ABI that real clients speak."""

from __future__ import annotations

from typing import Any

import pytest
from eth_utils import keccak
from eth_utils.abi import event_abi_to_log_topic, function_abi_to_4byte_selector

from og_magics.devnet import accounts, addresses, contracts
from og_magics.devnet.contracts import build

SIZE_LIMIT = 24_576  # EIP-170


def functions(name: str) -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry for entry in contracts.load(name).abi if entry["type"] == "function"}


@pytest.mark.ci
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", contracts.NAMES)
def test_recompiling_gives_the_committed_artifact(name: str) -> None:
    pytest.importorskip("vyper", reason="the compiler is a development dependency")
    assert build.encode(build.compile_contract(name)) == build.artifact_path(name).read_text("utf-8")


@pytest.mark.parametrize("name", contracts.NAMES)
def test_runtime_code_fits_on_a_real_chain(name: str) -> None:
    assert 0 < len(contracts.load(name).runtime) <= SIZE_LIMIT


@pytest.mark.parametrize("name", ["OPG", "SettlementRelay", "TEERegistry"])
def test_the_operator_of_the_sources_is_the_operator_account(name: str) -> None:
    assert bytes.fromhex(accounts.OPERATOR.address[2:]) in contracts.load(name).runtime


def test_settle_has_the_selector_and_event_of_the_captured_transaction(vector: Any) -> None:
    captured = vector("settle_tx")
    proxy = contracts.load("UptoPermit2Proxy")
    settled = next(entry for entry in proxy.abi if entry.get("name") == "Settled")
    selector = function_abi_to_4byte_selector(functions("UptoPermit2Proxy")["settle"])
    assert captured["tx"]["input"].startswith("0x" + selector.hex())
    assert captured["receipt"]["logs"][1]["topics"] == ["0x" + event_abi_to_log_topic(settled).hex()]
    assert captured["tx"]["to"] == addresses.UPTO_PROXY


def test_proxies_have_the_functions_that_the_x402_package_calls() -> None:
    from x402.mechanisms.evm import constants

    for name, abis in {
        "UptoPermit2Proxy": [
            constants.X402_UPTO_PERMIT2_PROXY_ABI,
            constants.X402_UPTO_PERMIT2_PROXY_SETTLE_WITH_PERMIT_ABI,
        ],
        "ExactPermit2Proxy": [
            constants.X402_EXACT_PERMIT2_PROXY_ABI,
            constants.X402_EXACT_PERMIT2_PROXY_SETTLE_WITH_PERMIT_ABI,
        ],
    }.items():
        for (wanted,) in abis:
            assert functions(name)[wanted["name"]]["inputs"] == wanted["inputs"]
    assert constants.PERMIT2_ADDRESS == addresses.PERMIT2
    assert constants.X402_UPTO_PERMIT2_PROXY_ADDRESS == addresses.UPTO_PROXY
    assert constants.X402_EXACT_PERMIT2_PROXY_ADDRESS == addresses.EXACT_PROXY


def test_token_parameters_have_the_names_of_the_standards() -> None:
    token = functions("OPG")
    names = {name: [parameter["name"] for parameter in entry["inputs"]] for name, entry in token.items()}
    assert names["allowance"] == ["owner", "spender"]
    assert names["permit"] == ["owner", "spender", "value", "deadline", "v", "r", "s"]
    assert names["transferWithAuthorization"][:3] == ["from", "to", "value"]
    assert names["authorizationState"] == ["authorizer", "nonce"]


def test_custom_errors_are_in_the_abi_with_their_real_selectors() -> None:
    permit2 = {
        e["name"]: [i["type"] for i in e["inputs"]] for e in contracts.load("Permit2").abi if e["type"] == "error"
    }
    assert permit2["InvalidNonce"] == []
    assert permit2["SignatureExpired"] == ["uint256"]
    assert keccak(text="InvalidNonce()")[:4] == bytes.fromhex("756688fe")


def test_relay_events_are_those_of_the_network() -> None:
    events = {entry["name"]: entry for entry in contracts.load("SettlementRelay").abi if entry["type"] == "event"}
    signature = "IndividualSettlement(bytes32,address,bytes32,bytes32,uint256,bytes,bytes)"
    assert event_abi_to_log_topic(events["IndividualSettlement"]) == keccak(text=signature)
    assert event_abi_to_log_topic(events["BatchSettlement"]) == keccak(text="BatchSettlement(bytes32,uint256,bytes)")
    indexed = [i["name"] for i in events["IndividualSettlement"]["inputs"] if i["indexed"]]
    assert indexed == ["teeId", "ethAddress"]


def test_each_chain_imitates_the_network_of_its_id() -> None:
    assert addresses.opg_token(84532) == "0x240b09731D96979f50B2C649C9CE10FcF9C7987F"
    assert addresses.opg_token(8453) == addresses.opg_token(31337) == "0xFbC2051AE2265686a469421b2C5A2D5462FbF5eB"
    assert addresses.tee_registry(31337) == "0x703cB174AEadB35D611858369B4b1111dC9Abda6"


def test_account_keys_belong_to_their_addresses() -> None:
    from eth_account import Account

    for account in accounts.EVERYONE:
        assert Account.from_key(account.private_key).address == account.address
    assert len({account.address for account in accounts.EVERYONE}) == len(accounts.EVERYONE)


def test_check_fails_when_an_artifact_is_stale(tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    stale = {"value": 1}
    monkeypatch.setattr(build, "compile_contract", lambda name: stale)
    monkeypatch.setattr(build, "artifact_path", lambda name: tmp_path / f"{name}.json")
    assert build.main(["--check"]) == 1
    assert "differ from their sources" in capsys.readouterr().out
    assert build.main([]) == 0
    assert build.main(["--check"]) == 0
