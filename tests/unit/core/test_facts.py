"""What others run is known in one file, each fact with its date and source, and stands nowhere else in the package."""

from __future__ import annotations

import ast
import re
import runpy
from collections.abc import Iterator, Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from eth_utils.address import is_checksum_address

import og_magics
from og_magics.core.facts import facts
from og_magics.core.networks import NETWORKS
from og_magics.core.urls import is_loopback

HOUSE = Path(og_magics.__file__).parent
TABLE = HOUSE / "core" / "facts.json"
ENTRIES = [
    (f"{section}.{name}", entry)
    for section, entries in facts().items()
    if isinstance(entries, dict) and section != "catalogue"
    for name, entry in entries.items()
] + [("catalogue", facts()["catalogue"])]

ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}(?![0-9a-fA-F])")
URL = re.compile(r"https?://(?:[A-Za-z0-9-]+\.)+[A-Za-z0-9-]+")


def leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for one in value.values():
            yield from leaves(one)
    elif isinstance(value, list):
        for one in value:
            yield from leaves(one)
    else:
        yield value


HOSTS = {urlsplit(one).hostname for one in leaves(facts()) if isinstance(one, str) and one.startswith("http")}
CHAIN_IDS = {row["chain_id"] for row in facts()["chains"].values()}
PRICES = {
    Decimal(one)
    for row in facts()["catalogue"]["models"].values()
    for field, one in row.items()
    if field in ("input", "output", "image", "image_tokens") and "." in one
} | {Decimal(facts()["catalogue"]["web_search"])}


def constants(source: str) -> Iterator[tuple[int, Any]]:
    """The constants of a module with their lines, without its docstrings."""
    tree = ast.parse(source)
    told = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and id(node) not in told:
            yield node.lineno, node.value


def is_price(value: Any) -> bool:
    try:
        return isinstance(value, str) and "." in value and Decimal(value) in PRICES
    except InvalidOperation:
        return False


def strays(source: str, *, code: bool) -> list[str]:
    """The facts that a file holds by itself."""
    found = [f"address {one}" for one in ADDRESS.findall(source)]
    found += [f"host {host}" for host in sorted(filter(None, HOSTS)) if host in source]
    if not code:
        return found + [f"host of {one}" for one in URL.findall(source) if not is_loopback(one)]
    for line, value in constants(source):
        text = value if isinstance(value, str) else ""
        found += [f"line {line}: host of {one}" for one in URL.findall(text) if not is_loopback(one)]
        if value in CHAIN_IDS or any(re.search(rf"(?<!\d){one}(?!\d)", text) for one in CHAIN_IDS):
            found.append(f"line {line}: a chain's id in {value!r}")
        if is_price(value):
            found.append(f"line {line}: price {value}")
    return found


@pytest.mark.parametrize(("name", "entry"), ENTRIES)
def test_every_fact_says_where_and_when_it_is_from(name: str, entry: dict[str, Any]) -> None:
    assert entry["source"].strip()
    assert date.fromisoformat(entry["as_of"]) <= date.fromisoformat(facts()["read"])


def test_addresses_have_the_checksum_that_finds_a_slip_of_the_pen() -> None:
    found = ADDRESS.findall(TABLE.read_text("utf-8"))
    assert len(found) >= 8
    assert [one for one in found if not is_checksum_address(one)] == []


def test_every_network_that_is_known_beforehand_has_all_of_its_facts() -> None:
    for network in NETWORKS.values():
        if not network.local:
            assert network.chain_id in CHAIN_IDS
            assert network.registry_chain_id in CHAIN_IDS
            assert all((network.rpc_url, network.genesis_hash, network.opg_token, network.registry_address))
            assert all((network.registry_rpc_url, network.explorer, network.blob_url))


@pytest.mark.ci
def test_no_other_file_of_the_package_holds_a_fact() -> None:
    found = []
    for path in sorted(HOUSE.rglob("*")):
        room = path.relative_to(HOUSE).parts[0]
        # The devnet is its own world: accounts and contracts of its own, and ids that it imitates.
        if not path.is_file() or path == TABLE or room == "devnet" or path.suffix == ".pyc":
            continue
        found += [
            f"{path.relative_to(HOUSE)}: {one}" for one in strays(path.read_text("utf-8"), code=path.suffix == ".py")
        ]
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        '"""See 0xFbC2051AE2265686a469421b2C5A2D5462FbF5eB."""',
        "CHAIN = 8453",
        'NAME = "eip155:10740"',
        'URL = "https://basescan.org/tx/"',
        'OTHER = "https://rpc.example.org"',
        'PRICE = Decimal("0.015")',
        "# ask aggregator.suicore.com",
    ],
)
def test_a_fact_elsewhere_is_found(source: str) -> None:
    assert len(strays(source, code=True)) >= 1


def test_the_manual_shows_every_fact_with_its_date_and_source() -> None:
    table = runpy.run_path(str(HOUSE.parent / "docs" / "generated.py"))["facts_table"]()
    for name, entry in ENTRIES:
        (row,) = [line for line in table.splitlines() if line.startswith(f"| {name.replace('.', ': ')} |")]
        assert f"| {entry['as_of']} | {entry['source']} |" in row
        shown = {one for one in leaves(entry) if name != "catalogue"} - {""}
        assert [one for one in shown if str(one) not in row] == []
