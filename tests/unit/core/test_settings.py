"""Settings and networks."""

from __future__ import annotations

import dataclasses
import traceback
from pathlib import Path

import pytest

from og_magics.core import networks
from og_magics.core.amounts import OPG
from og_magics.core.errors import ConfigError
from og_magics.core.options import ENVIRONMENT
from og_magics.core.settings import Secret, Settings, ledger_path, notebook_path
from og_magics.core.types import x402SettlementMode

KEY = "0x" + "c5" * 32
DEVNET = {
    "chain_id": 31337,
    "rpc_url": "http://r",
    "opg_token": "0xa",
    "tee_registry": "0xb",
    "blob_url": "http://b",
    "settlement_relay": "0xc",
    "started": 7,
}


def test_without_a_key_the_network_is_the_devnet():
    assert Settings.from_env({}).network_name() == "devnet"


@pytest.mark.parametrize("wallet", [{"OG_PRIVATE_KEY": KEY}, {"OG_KEYSTORE": "key.json"}])
def test_having_a_key_chooses_no_network(wallet):
    settings = Settings.from_env(wallet)
    assert settings.network_name() == "devnet"
    note = settings.unused_key_note()
    assert "your key is not used" in note
    assert "OG_NETWORK=base" in note
    assert "real money" in note


@pytest.mark.parametrize("env", [{}, {"OG_PRIVATE_KEY": KEY, "OG_NETWORK": "devnet"}, {"OG_NETWORK": "base"}])
def test_where_a_network_is_named_or_no_key_is_there_nothing_is_said_of_it(env):
    assert Settings.from_env(env).unused_key_note() == ""


def test_the_network_that_was_abandoned_says_so():
    assert "abandoned" in networks.BASE_SEPOLIA.about
    assert "no gateway" in networks.BASE_SEPOLIA.about


def test_real_money_is_used_only_when_named():
    assert Settings.from_env({"OG_PRIVATE_KEY": KEY, "OG_NETWORK": "base"}).network_name() == "base"
    assert networks.BASE.real_money
    assert not networks.BASE_SEPOLIA.real_money


def test_an_unknown_network_is_refused_with_the_choices():
    with pytest.raises(ConfigError, match=r"devnet.*base \(REAL MONEY\).*base-sepolia \(abandoned\)"):
        Settings.from_env({"OG_NETWORK": "mainnet"}).network_name()


def test_a_variable_that_cannot_be_read_is_named():
    with pytest.raises(ConfigError, match="OG_SETTLEMENT"):
        Settings.from_env({"OG_SETTLEMENT": "loud"})
    with pytest.raises(ConfigError, match="OG_TIMEOUT"):
        Settings.from_env({"OG_TIMEOUT": "soon"})
    with pytest.raises(ConfigError, match="OG_GATEWAY_VERIFY"):
        Settings.from_env({"OG_GATEWAY_VERIFY": "maybe"})


def test_the_environment_is_read_by_type():
    settings = Settings.from_env(
        {
            "OG_SETTLEMENT": "INDIVIDUAL_FULL",
            "OG_TIMEOUT": "3.5",
            "OG_GATEWAY_VERIFY": "0",
            "OG_MAX_AUTHORIZATION": "0.25",
        }
    )
    assert settings.settlement is x402SettlementMode.INDIVIDUAL_FULL
    assert settings.timeout == 3.5
    assert settings.gateway_verify is False
    assert settings.max_authorization == OPG // 4


def test_our_rpc_variable_beats_the_sdks():
    settings = Settings.from_env({"BASE_MAINNET_RPC": "http://a", "OG_RPC_URL": "http://b"})
    assert settings.apply(networks.BASE).rpc_url == "http://b"


@pytest.mark.parametrize("network", [*networks.NETWORKS.values(), networks.devnet(DEVNET)], ids=lambda one: one.name)
def test_the_sdks_rpc_variable_is_of_base_only(network):
    applied = Settings.from_env({"BASE_MAINNET_RPC": "http://a"}).apply(network)
    assert applied.rpc_url == ("http://a" if network is networks.BASE else network.rpc_url)


def test_every_variable_belongs_to_a_setting():
    assert set(ENVIRONMENT.values()) <= {field.name for field in dataclasses.fields(Settings)}


def test_a_secret_shows_itself_nowhere():
    settings = Settings(private_key=Secret(KEY))
    for shown in (repr(settings), str(settings.private_key), f"{settings.private_key}", f"{settings.private_key!r}"):
        assert KEY[2:] not in shown
    assert settings.private_key is not None
    assert settings.private_key.reveal() == KEY
    try:
        raise ValueError(settings.private_key)
    except ValueError:
        assert KEY[2:] not in traceback.format_exc()


def test_a_notebook_is_found_by_what_its_front_end_tells(tmp_path):
    assert notebook_path({}, {}) is None
    assert notebook_path({"__vsc_ipynb_file__": "/a/b.ipynb"}, {"JPY_SESSION_NAME": "/c.ipynb"}) == Path("/a/b.ipynb")
    assert notebook_path({}, {"JPY_SESSION_NAME": "/x/n.ipynb"}) == Path("/x/n.ipynb")
    assert notebook_path({}, {"JPY_SESSION_NAME": "console-1-6f2a"}) is None


def test_receipts_are_kept_beside_the_notebook(tmp_path, monkeypatch):
    notebook = tmp_path / "study.ipynb"
    assert ledger_path(Settings(), notebook) == tmp_path / ".og" / "study.db"
    monkeypatch.chdir(tmp_path)
    assert ledger_path(Settings(), None) == tmp_path / ".og" / "ledger.db"
    assert ledger_path(Settings(), Path("elsewhere/that/is/not/here.ipynb")) == tmp_path / ".og" / "here.db"
    assert ledger_path(Settings(ledger="/a/file.db"), notebook) == Path("/a/file.db")


def test_a_devnet_is_described_by_its_json_line():
    network = networks.devnet(DEVNET)
    assert (network.caip2, network.registry_rpc_url, network.genesis_time) == ("eip155:31337", "http://r", 7)
    with pytest.raises(ConfigError, match="chain_id"):
        networks.devnet({})


def test_what_is_set_replaces_a_networks_own():
    network = Settings(rpc_url="http://mine", explorer="https://e").apply(networks.BASE)
    assert (network.rpc_url, network.chain_id) == ("http://mine", 8453)
    assert network.transaction_url("0x1") == "https://e/tx/0x1"


@pytest.mark.parametrize("typed", ["batch", "BATCH_HASHED", "batch-hashed", "Batch_Hashed"])
def test_a_settlement_mode_is_read_as_people_type_it(typed):
    assert x402SettlementMode.parse(typed) is x402SettlementMode.BATCH_HASHED


def test_budgets_are_safe_where_tokens_are_worth_something():
    assert Settings().budgets(networks.BASE) == (100 * OPG, 30 * OPG, None)
    assert Settings(budget_day=OPG, budget_wallet=9).budgets(networks.BASE_SEPOLIA) == (100 * OPG, OPG, 9)
    assert Settings().budgets(networks.devnet(DEVNET)) == (None, None, None)


def test_a_settlement_is_final_at_a_depth_that_can_be_set():
    assert Settings().confirmations_for(networks.BASE) == 5
    assert Settings(confirmations=9).confirmations_for(networks.BASE) == 9
    assert Settings().confirmations_for(networks.devnet(DEVNET)) == 0
    assert Settings.from_env({"OG_CONFIRMATIONS": "0"}).confirmations_for(networks.BASE) == 0


def test_measurements_are_hashes_or_pcr0():
    hash, pcr0 = "aB" * 32, "07" * 48
    assert Settings.from_env({"OG_PCR": f"0x{hash}, {pcr0}"}).pcr == (f"0x{hash}", f"0x{pcr0}")
    for text in ("0x12", "g" * 64, hash + "0"):
        with pytest.raises(ConfigError, match=r"OG_PCR.*64 or 96 hex digits"):
            Settings.from_env({"OG_PCR": text})
    with pytest.raises(ConfigError, match=r"OG_ATTEST.*off, mark, require"):
        Settings.from_env({"OG_ATTEST": "yes"})


def test_payees_are_addresses():
    payee = "0x" + "aB" * 20
    assert Settings.from_env({"OG_PAYEES": f"{payee}, {payee}"}).payees == (payee, payee)
    with pytest.raises(ConfigError, match="OG_PAYEES"):
        Settings.from_env({"OG_PAYEES": "0x12"})
