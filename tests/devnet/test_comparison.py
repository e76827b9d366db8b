"""Facts held against a chain: those that are right hold, and a wrong one of each kind is named with what the chain says."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from og_magics import chain
from og_magics.chain import comparison
from og_magics.core.networks import BASE, PERMIT2, Network
from og_magics.devnet import Devnet
from og_magics.devnet import chain as devnet
from og_magics.session.health import facts_check
from tests.rpc_server import serving

NOBODY = "0x00000000000000000000000000000000000000A1"


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    """Base, with its chain and the registry's imitated by one."""
    running = devnet.start_chain("embedded", BASE.chain_id)
    block = devnet.connect(running).eth.get_block(0)
    yield replace(
        BASE,
        rpc_url=running.rpc_url,
        registry_rpc_url=running.rpc_url,
        registry_chain_id=BASE.chain_id,
        genesis_hash="0x" + bytes(block["hash"]).hex(),
    )
    running.close()


def test_right_facts_hold(network: Network) -> None:
    found = chain.compare(network)
    assert (found.differ, found.unread) == ((), ())
    assert len(found.hold) == 11
    told = facts_check(network)
    assert told.ok is True
    assert "of 2026-07-15 hold on chain 8453" in told.summary


WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "chain": ({"chain_id": 84532}, "the payment chain's id", "'8453' on chain, '84532' is known"),
    "first block": ({"genesis_hash": "0x" + "12" * 32}, "the payment chain's first block", "is known"),
    "token": ({"opg_token": NOBODY}, "the token", f"there is no contract at {NOBODY}"),
    "another contract": ({"opg_token": PERMIT2}, "the token's symbol", "does not answer symbol"),
    "symbol": ({"token_symbol": "OPX"}, "the token's symbol", "'OPG' on chain, 'OPX' is known"),
    "decimals": ({"token_decimals": 6}, "the token's decimals", "'18' on chain, '6' is known"),
    "registry's chain": ({"registry_chain_id": 10740}, "the registry chain's id", "'8453' on chain"),
    "registry": ({"registry_address": NOBODY}, "the registry", f"there is no contract at {NOBODY}"),
    "no registry": ({"registry_address": PERMIT2}, "the registry's list of enclaves", "does not answer getActiveTEEs"),
    "relay": ({"settlement_relay": NOBODY}, "the relay of settlements", f"there is no contract at {NOBODY}"),
}


@pytest.mark.parametrize(("planted", "fact", "said"), WRONG.values(), ids=WRONG)
def test_a_wrong_fact_is_named_with_what_the_chain_says(
    network: Network, planted: dict[str, Any], fact: str, said: str
) -> None:
    wrong = replace(network, **planted)
    found = chain.compare(wrong)
    assert any(one.startswith(f"{fact}: ") and said in one for one in found.differ), found
    assert found.unread == ()
    told = facts_check(wrong)
    assert told.ok is False
    assert said in told.summary
    assert "Pay nothing yet" in told.remedy


@pytest.mark.parametrize("name", comparison.CONTRACTS)
def test_a_contract_of_payments_that_is_not_there_is_named(
    network: Network, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(comparison.CONTRACTS, name, NOBODY)
    assert chain.compare(network).differ == (f"{name}: there is no contract at {NOBODY}",)


def test_a_node_that_does_not_answer_contradicts_nothing(network: Network) -> None:
    with serving(lambda body: (200, b"<html>sign in</html>")) as url:
        found = chain.compare(replace(network, registry_rpc_url=url))
    assert found.differ == ()
    assert len(found.hold) == 8
    assert "the registry chain's id and 2 more" in found.unread[0]
    told = facts_check(replace(network, registry_rpc_url="http://127.0.0.1:9"))
    assert told.ok is None


def test_a_node_that_refuses_a_call_leaves_that_fact_alone_open(network: Network) -> None:
    def answer(body: bytes) -> tuple[int, bytes]:
        error = {"code": -32601, "message": "not available"}
        calls = json.loads(body)
        return 200, json.dumps(
            [
                {"id": call["id"], "error": error}
                if call["method"] == "eth_getCode"
                else {"id": call["id"], "result": hex(network.registry_chain_id)}
                for call in calls
            ]
        ).encode()

    with serving(answer) as url:
        found = chain.compare(replace(network, registry_rpc_url=url))
    assert "the registry chain's id" in found.hold
    assert any(one.startswith("the registry: ") for one in found.unread)


@pytest.mark.ci
def test_the_doctor_of_the_command_line_says_what_differs(
    run_module: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OG_")}
    with Devnet(settle_after=1, batch_after=0.5, token_delay=0) as running:
        setting = {"OG_DEVNET": json.dumps(running.info), "OG_NETWORK": "devnet"}
        for more, status in ({}, "ok"), ({"OG_TOKEN_ADDRESS": NOBODY}, "fails"):
            told = run_module("og_magics", "doctor", "--json", env=kept | setting | more, cwd=tmp_path)
            (part,) = [one for one in json.loads(told.stdout) if one["name"] == "facts"]
            assert part["status"] == status, part
    assert f"the token: there is no contract at {NOBODY}" in part["summary"]
