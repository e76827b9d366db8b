"""Making an LLM: what is refused at once, and that nothing is touched before the first call."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from og_magics import LLM, Settings
from og_magics.core.errors import ConfigError

KEY = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.startswith("OG_") or name == "BASE_MAINNET_RPC":
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_making_one_touches_nothing(tmp_path: Path) -> None:
    LLM(KEY)
    LLM(KEY, network="base")
    LLM()
    LLM.from_url(KEY, "https://127.0.0.1:1")
    assert list(tmp_path.iterdir()) == []


def test_a_key_chooses_no_network() -> None:
    assert LLM().settings.network_name() == "devnet"
    assert LLM(KEY).settings.network_name() == "devnet"
    assert LLM(KEY, network="base").settings.network_name() == "base"


def test_arguments_outdo_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OG_NETWORK", "base")
    monkeypatch.setenv("OG_PRIVATE_KEY", "0x" + "1" * 64)
    assert LLM().settings.network_name() == "base"
    llm = LLM(KEY, network="base-sepolia", rpc_url="http://registry", tee_registry_address="0xabc")
    assert llm.settings.private_key is not None
    assert llm.settings.private_key.reveal() == KEY
    assert llm.network.registry_rpc_url == "http://registry"
    assert llm.network.registry_address == "0xabc"
    assert llm.wallet.address == "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"


@pytest.mark.parametrize("name", ["base-sepolia", "base"])
def test_without_a_key_a_network_that_costs_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=f"no wallet to pay with on {name}") as caught:
        LLM(network=name)
    assert "OG_PRIVATE_KEY" in caught.value.remedy
    assert "devnet" in caught.value.remedy


@pytest.mark.parametrize("name", ["mainnet", "Base", " "])
def test_a_network_that_does_not_exist_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="There is no network") as caught:
        LLM(KEY, network=name)
    assert "base-sepolia" in caught.value.remedy


@pytest.mark.parametrize("key", ["", " ", KEY[:-2], "0x70997970C51812dc3A010C7d01b50e0d17dc79C8", "junk " * 12])
def test_a_malformed_key_is_refused_at_once_and_never_repeated(key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        LLM(key)
    assert caught.value.remedy
    assert not key.strip() or key.strip() not in str(caught.value)


def test_a_malformed_key_in_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OG_PRIVATE_KEY", "abcd1234")
    with pytest.raises(ConfigError, match="malformed") as caught:
        LLM()
    assert "abcd1234" not in str(caught.value)


def test_settings_may_be_given_whole() -> None:
    assert LLM(settings=Settings(network="devnet", timeout=5)).settings.timeout == 5
