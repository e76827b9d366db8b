"""What a notebook stands on: its account, its budgets, and the health of what it needs, on a real devnet."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from og_magics import Settings
from og_magics.amounts import OPG
from og_magics.app import App
from og_magics.devnet import Devnet
from og_magics.runtime import runtime


@pytest.fixture
def app_of(tmp_path: Path) -> Iterator[Callable[..., App]]:
    """A maker of notebooks that pay from one of a devnet's accounts."""
    made: list[App] = []

    def make(devnet: Devnet, /, info: dict[str, Any] | None = None, **settings: Any) -> App:
        told = {"devnet": json.dumps(devnet.info | (info or {})), "ledger": str(tmp_path / f"{len(made)}.db")}
        made.append(App(Settings(**{"network": "devnet", "retries": 0, **told, **settings})))
        return made[-1]

    yield make
    for app in made:
        if app._llm is not None:
            runtime.wait(app._llm.close(), 10)
        app.ledger.close()


def test_the_account_is_what_the_chain_says(app_of: Callable[..., App], devnet: Devnet) -> None:
    account = app_of(devnet, budget_notebook=3 * OPG).account()
    assert account.address == devnet.accounts[0]["address"]
    assert account.network.name == "devnet"
    assert account.opg > 0
    assert account.gas > 0
    assert account.allowance >= account.needed == OPG
    notebook, day = account.budgets
    assert (notebook.name, notebook.limit, notebook.used, notebook.left) == ("notebook", 3 * OPG, 0, 3 * OPG)
    assert (day.name, day.limit, day.left) == ("24 hours", None, None)


def test_everything_that_is_there_is_told_with_its_facts(app_of: Callable[..., App], devnet: Devnet) -> None:
    parts = {part.name: part for part in app_of(devnet).health()}
    assert {name: part.ok for name, part in parts.items()} == dict.fromkeys(
        ("gateway", "enclave", "price feed", "payment chain", "receipts"), True
    )
    assert "in the registry" in parts["enclave"].told
    assert "1 OPG is $" in parts["price feed"].told
    assert "chain 31337" in parts["payment chain"].told


def test_a_gateway_that_is_gone_fails_alone_with_a_remedy(app_of: Callable[..., App], devnet: Devnet) -> None:
    parts = {part.name: part for part in app_of(devnet, gateway_url="https://127.0.0.1:9").health()}
    assert parts["gateway"].ok is False
    assert parts["gateway"].remedy
    assert [parts[name].ok for name in ("enclave", "price feed", "payment chain", "receipts")] == [
        None,
        None,
        True,
        True,
    ]


def test_a_chain_that_is_gone_fails_alone_with_a_remedy(app_of: Callable[..., App], devnet: Devnet) -> None:
    parts = {part.name: part for part in app_of(devnet, rpc_url="http://127.0.0.1:9").health()}
    assert parts["payment chain"].ok is False
    assert "OG_RPC_URL" in parts["payment chain"].remedy
    assert parts["receipts"].ok is True


def test_a_gateway_by_url_is_not_called_registered(app_of: Callable[..., App], devnet: Devnet) -> None:
    url = {part.name: part for part in app_of(devnet).health()}["gateway"].told.split()[0]
    named = app_of(devnet, gateway_url=url, gateway_verify=False)
    parts = {part.name: part for part in named.health()}
    assert parts["gateway"].ok is True
    assert parts["enclave"].ok is None
    assert "own word" in parts["enclave"].told


def test_whoever_watches_hears_of_changes_until_it_stops(app_of: Callable[..., App], devnet: Devnet) -> None:
    app, heard = app_of(devnet), []
    forget = app.watch(lambda: heard.append(app.settings.model))
    app.watch(lambda: 1 / 0)  # who watches badly breaks nothing
    app.use(model="x-ai/grok-4")
    forget()
    app.use(model="openai/gpt-5")
    assert heard == ["x-ai/grok-4"]
