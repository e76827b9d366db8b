"""One table of networks: an entry that is added is met where networks are, and nothing else compares their names."""

from __future__ import annotations

import ast
import runpy
from pathlib import Path

import pytest

import og_magics
from og_magics.core import networks
from og_magics.core.amounts import OPG
from og_magics.core.errors import ConfigError
from og_magics.core.networks import NETWORKS, Network, described, network_by_name
from og_magics.core.settings import Settings

HOUSE = Path(og_magics.__file__).parent
TABLE = HOUSE / "core" / "networks.py"
CONSTANTS = {"DEVNET", "BASE", "BASE_SEPOLIA"}


def comparisons(source: str) -> list[int]:
    """Lines on which code compares with a network's name, or takes one network by its constant."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Compare):
            texts = {
                one.value for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str)
            }
            found += [node.lineno] if texts & set(NETWORKS) else []
        elif isinstance(node, ast.ImportFrom) and (node.module or "").endswith("networks"):
            found += [node.lineno for alias in node.names if alias.name in CONSTANTS]
        elif isinstance(node, ast.Attribute) and node.attr in CONSTANTS:
            found.append(node.lineno)
    return found


@pytest.mark.ci
def test_nothing_outside_the_table_compares_the_name_of_a_network() -> None:
    files = [path for path in HOUSE.rglob("*.py") if path != TABLE and "devnet" not in path.relative_to(HOUSE).parts]
    found = [f"{path.relative_to(HOUSE)}:{line}" for path in files for line in comparisons(path.read_text())]
    # A verb of the command line has the devnet's name, and is compared with what was typed.
    assert found == [line for line in found if line.startswith("cli/__init__.py")]


@pytest.mark.parametrize(
    "source",
    ['if network.name == "base": ...', 'x = name in ("", "devnet")', "from og_magics.core.networks import BASE"],
)
def test_a_comparison_with_a_name_is_found(source: str) -> None:
    assert comparisons(source) == [1]


@pytest.fixture
def added(monkeypatch: pytest.MonkeyPatch) -> Network:
    """A network that was added in one place."""
    one = Network(
        "moon", chain_id=7, rpc_url="http://moon", explorer="http://scan", label="moon tokens", about="for tests",
        real_money=True, confirmations=9, budget_notebook=3 * OPG, budget_day=None, faucet="http://faucet",
    )  # fmt: skip
    monkeypatch.setitem(networks.NETWORKS, one.name, one)
    return one


def test_an_added_network_is_used_where_the_environment_names_it(added: Network) -> None:
    settings = Settings.from_env({"OG_NETWORK": "moon"})
    assert settings.network_name() == "moon"
    assert settings.budgets(network_by_name("moon")) == (3 * OPG, None, None)
    assert settings.confirmations_for(added) == 9


def test_an_added_network_is_offered_by_the_help_the_panel_and_errors(added: Network) -> None:
    from og_magics.magics.og import help_text
    from og_magics.widgets.wallet import network_badge

    assert "moon (moon tokens)" in help_text()
    assert "moon · moon tokens" in network_badge("moon")
    with pytest.raises(ConfigError, match=r"moon \(moon tokens\)"):
        network_by_name("mars")


def test_an_added_network_has_its_row_in_the_manual(added: Network) -> None:
    table = runpy.run_path(str(HOUSE.parent / "docs" / "generated.py"))["networks_table"]()
    assert "| `moon` | 7 | yes |" in table


def test_a_name_that_is_not_known_has_no_address_to_ask() -> None:
    assert described("mars") == Network("mars")
    assert described("mars").transaction_url("0x1") == ""
