"""What a notebook stands on: its account, its budgets, and the health of what it needs, on a real devnet."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from og_magics import Settings
from og_magics.conversation import Options
from og_magics.core.amounts import OPG
from og_magics.core.runtime import runtime
from og_magics.devnet import Devnet
from og_magics.magics.budget import budget
from og_magics.session import Session


@pytest.fixture
def notebook_of(tmp_path: Path) -> Iterator[Callable[..., Session]]:
    """A maker of notebooks that pay from one of a devnet's accounts."""
    made: list[Session] = []

    def make(devnet: Devnet, /, info: dict[str, Any] | None = None, **settings: Any) -> Session:
        own = {"devnet": json.dumps(devnet.info | (info or {})), "ledger": str(tmp_path / f"{len(made)}.db")}
        made.append(Session(Settings(**{"network": "devnet", "retries": 0, **own, **settings})))
        return made[-1]

    yield make
    for app in made:
        if app._llm is not None:
            runtime.wait(app._llm.close(), 10)
        app.ledger.close()


def test_the_account_is_what_the_chain_says(notebook_of: Callable[..., Session], devnet: Devnet) -> None:
    account = notebook_of(devnet, budget_notebook=3 * OPG).account()
    assert account.address == devnet.accounts[0]["address"]
    assert account.network.name == "devnet"
    assert account.opg > 0
    assert account.gas > 0
    assert account.allowance >= account.needed == 5 * OPG
    notebook, day, wallet = account.budgets
    assert (notebook.name, notebook.limit, notebook.used, notebook.left) == ("notebook", 3 * OPG, 0, 3 * OPG)
    assert (day.name, day.limit, day.left) == ("wallet, 24 h", None, None)
    assert (wallet.name, wallet.limit, wallet.left) == ("wallet, all", None, None)


def test_the_wallets_budgets_stand_beside_the_notebooks(
    notebook_of: Callable[..., Session], devnet: Devnet, state_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("og_magics.core.settings._limits", {})  # limits hold for a process
    one, other = notebook_of(devnet, budget_wallet=40 * OPG), notebook_of(devnet)
    one.llm.chat_sync("openai/gpt-5", [{"role": "user", "content": "hello"}], max_tokens=3)
    shown = budget(other, "--notebook 9 --day 8 --wallet 30").splitlines()
    assert shown[1:4] == [
        "notebook      0 of 9 OPG paid or signed, 9 left",
        "wallet, 24 h  5 of 8 OPG paid or signed, 3 left",
        "wallet, all   5 of 30 OPG paid or signed, 25 left",
    ]
    assert "of all its notebooks" in shown[-1]


def test_everything_that_is_there_is_told_with_its_facts(notebook_of: Callable[..., Session], devnet: Devnet) -> None:
    parts = {part.name: part for part in notebook_of(devnet).health()}
    assert {name: part.ok for name, part in parts.items()} == dict.fromkeys(
        ("gateway", "enclave", "price feed", "payment chain", "receipts"), True
    )
    assert "in the public list of gateways" in parts["enclave"].summary
    assert "1 OPG is $" in parts["price feed"].summary
    assert "chain 31337" in parts["payment chain"].summary


def test_a_gateway_that_is_gone_fails_alone_with_a_remedy(notebook_of: Callable[..., Session], devnet: Devnet) -> None:
    parts = {part.name: part for part in notebook_of(devnet, gateway_url="https://127.0.0.1:9").health()}
    assert parts["gateway"].ok is False
    assert parts["gateway"].remedy
    assert [parts[name].ok for name in ("enclave", "price feed", "payment chain", "receipts")] == [
        None,
        None,
        True,
        True,
    ]


def test_a_chain_that_is_gone_fails_alone_with_a_remedy(notebook_of: Callable[..., Session], devnet: Devnet) -> None:
    parts = {part.name: part for part in notebook_of(devnet, rpc_url="http://127.0.0.1:9").health()}
    assert parts["payment chain"].ok is False
    assert "OG_RPC_URL" in parts["payment chain"].remedy
    assert parts["receipts"].ok is True


def test_a_gateway_by_url_is_not_called_registered(notebook_of: Callable[..., Session], devnet: Devnet) -> None:
    url = {part.name: part for part in notebook_of(devnet).health()}["gateway"].summary.split()[0]
    named = notebook_of(devnet, gateway_url=url, gateway_verify=False)
    parts = {part.name: part for part in named.health()}
    assert parts["gateway"].ok is True
    assert parts["enclave"].ok is None
    assert "own word" in parts["enclave"].summary


def test_whoever_watches_hears_of_changes_until_it_stops(notebook_of: Callable[..., Session], devnet: Devnet) -> None:
    app, heard = notebook_of(devnet), []
    forget = app.watch(lambda: heard.append(app.settings.model))
    app.watch(lambda: 1 / 0)  # who watches badly breaks nothing
    app.update_settings(model="x-ai/grok-4")
    forget()
    app.update_settings(model="openai/gpt-5")
    assert heard == ["x-ai/grok-4"]


def test_what_is_known_of_a_model_is_said_once_and_nothing_where_nothing_is_paid(
    notebook_of: Callable[..., Session], devnet: Devnet
) -> None:
    app = notebook_of(devnet)
    assert "grok-4.3" in app.model_notice("x-ai/grok-4")
    assert app.model_notice("x-ai/grok-4") == ""
    assert app.model_notice("openai/gpt-5") == app.model_notice("acme/new") == ""
    paying = Session(Settings(network="base"))
    assert "price is not known" in paying.model_notice("acme/new")
    assert Session(Settings(network="base", gateway_url="http://127.0.0.1:9")).model_notice("acme/new") == ""


def test_pictures_go_along_with_a_prompt_and_the_answer_is_proven(
    notebook_of: Callable[..., Session], devnet: Devnet
) -> None:
    app = notebook_of(devnet)
    turn = app.build_turn("Draw it.", Options(model="gpt-image-2", images=b"\x89PNG\r\n\x1a\n", aspect_ratio="16:9"))
    answer = app.start(turn).result()
    assert answer.images
    (receipt,) = answer.receipts
    assert receipt.enclave_ok is True
    assert receipt.request["aspect_ratio"] == "16:9"
    assert [part["type"] for part in receipt.request["messages"][0]["content"]] == ["text", "image_url"]
    assert receipt.usd is not None
    assert receipt.usd == Decimal("0.05") * len(answer.images)
