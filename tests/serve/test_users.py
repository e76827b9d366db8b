"""Users of a server: keys, models, rates and budgets, the owner's page, and the table for the bookkeeper."""

from __future__ import annotations

import csv
import io
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from og_magics.core.amounts import OPG, parse_opg
from og_magics.core.receipt import Receipt
from og_magics.devnet import Devnet
from og_magics.serve.keys import hash_of

from ..serving import ASK, Server, serving

KEYS = {name: f"og-serve-{name}-of-this-test" for name in ("anna", "bert", "cora", "dora", "eva", "owner")}
USERS = f"""
opg_usd = 0.2
[owner]
key = "sha256:{hash_of(KEYS["owner"])}"
[defaults]
day = 1
total = 2.5
[users.anna]
key = "sha256:{hash_of(KEYS["anna"])}"
[users.bert]
key = "sha256:{hash_of(KEYS["bert"])}"
models = ["anthropic/*"]
[users.cora]
key = "sha256:{hash_of(KEYS["cora"])}"
requests_a_minute = 2
[users.dora]
key = "sha256:{hash_of(KEYS["dora"])}"
day = 0.0000001
[users.eva]
key = "sha256:{hash_of(KEYS["eva"])}"
"""


def bearer(name: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {KEYS[name]}"}


@pytest.fixture(scope="module")
def devnet() -> Iterator[Devnet]:
    """On a busy machine a session that ends after half a second ends between two calls."""
    with Devnet(settle_after=2, batch_after=0.3, token_delay=0.002) as devnet:
        yield devnet


@pytest.fixture(scope="module")
def server(devnet: Devnet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("users")
    (folder / "users.toml").write_text(USERS)
    with serving(devnet, folder, "--users", "users.toml") as server:
        yield server


def ask(server: Server, name: str, **more: Any) -> httpx.Response:
    return server.post(ASK | more, headers=bearer(name))


def usage(server: Server) -> list[dict[str, str]]:
    response = server.client.get("/usage.csv", headers=bearer("owner"))
    assert response.status_code == 200
    return list(csv.DictReader(io.StringIO(response.text)))


def settled(server: Server) -> list[Receipt]:
    """The receipts, once all that was signed is paid."""
    for _ in range(300):
        receipts = server.receipts()
        if all(one.cost is not None for one in receipts):
            break
        threading.Event().wait(0.2)
    return receipts


class TestKeys:
    def test_each_user_asks_with_their_own_and_the_receipt_says_whose_it_is(self, server: Server) -> None:
        for name in ("anna", "eva"):
            response = ask(server, name)
            assert response.status_code == 200, response.text
            (receipt,) = [one for one in server.receipts() if one.receipt_id == response.headers["x-og-receipt-id"]]
            assert (receipt.paid_for, response.headers["x-og-paid-for"]) == (name, name)
            assert response.json()["opengradient"]["payer"] == receipt.payer

    def test_no_other_key_is_good(self, server: Server) -> None:
        assert "OPENAI_API_KEY=(the key of each user)" in server.output
        assert server.post(ASK).status_code == 401  # that of OG_SERVE_KEY, which is for a server of one user
        assert ask(server, "owner").status_code == 401
        assert ask(server, "anna").status_code == 200

    def test_the_receipt_of_another_is_not_given_out(self, server: Server) -> None:
        receipt_id = ask(server, "anna").headers["x-og-receipt-id"]
        found = [server.client.get(f"/v1/receipts/{receipt_id}", headers=bearer(one)) for one in ("anna", "eva")]
        assert [one.status_code for one in found] == [200, 404]

    def test_none_is_in_a_file_of_the_server(self, server: Server) -> None:
        ask(server, "anna")
        texts = [path.read_bytes() for path in server.ledger.path.parent.rglob("*") if path.is_file()]
        assert not [key for key in KEYS.values() for text in texts if key.encode() in text]

    def test_a_new_one_is_printed_once_with_the_lines_for_the_file(self, tmp_path: Path) -> None:
        made = subprocess.run(
            [sys.executable, "-m", "og_magics", "serve", "--new-key", "fritz"],
            capture_output=True, text=True, check=True, cwd=tmp_path,
        )  # fmt: skip
        (key,) = re.findall(r"og-serve-\S+", made.stderr)
        assert made.stdout == f'[users.fritz]\nkey = "sha256:{hash_of(key)}"\n'
        assert list(tmp_path.iterdir()) == []


class TestLimits:
    def test_models_that_are_not_allowed_are_neither_asked_nor_listed(self, server: Server) -> None:
        refused = ask(server, "bert")
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "model_not_allowed")
        assert ask(server, "bert", model="anthropic/claude-sonnet-4-6").status_code == 200
        listed = server.client.get("/v1/models", headers=bearer("bert")).json()["data"]
        assert {one["owned_by"] for one in listed} == {"anthropic"}
        assert server.client.get("/v1/models/openai/gpt-5", headers=bearer("bert")).status_code == 404

    def test_more_requests_than_a_minute_has_are_refused_with_the_time_to_wait(self, server: Server) -> None:
        answers = [ask(server, "cora") for _ in range(3)]
        assert [one.status_code for one in answers] == [200, 200, 429]
        assert answers[-1].json()["error"]["code"] == "rate_limit_exceeded"
        assert 0 < int(answers[-1].headers["retry-after"]) <= 60

    def test_a_request_that_could_go_over_the_budget_is_refused_before_anything_is_signed(self, server: Server) -> None:
        before = len(server.receipts())
        refused = ask(server, "dora")
        assert (refused.status_code, refused.json()["error"]["code"]) == (402, "budget_exceeded")
        assert "Nothing was signed and nothing was paid." in refused.json()["error"]["message"]
        assert refused.headers["x-should-retry"] == "false"
        assert len(server.receipts()) == before

    def test_a_changed_file_holds_from_the_next_request_and_a_broken_one_changes_nothing(self, server: Server) -> None:
        path = server.ledger.path.with_name("users.toml")
        try:
            path.write_text(USERS.replace("day = 0.0000001", "day = 1"))
            assert ask(server, "dora").status_code == 200
            path.write_text("[users.dora")
            assert ask(server, "dora").status_code == 200
        finally:
            path.write_text(USERS)


class TestSpending:
    @pytest.mark.ci
    def test_in_the_end_it_is_what_was_paid(self, server: Server) -> None:
        receipts = [ask(server, "anna").headers["x-og-receipt-id"] for _ in range(2)]
        paid = [one for one in settled(server) if one.paid_for == "anna"]
        assert {*receipts} <= {one.receipt_id for one in paid}
        counted = sum(parse_opg(row["opg"]) for row in usage(server) if row["user"] == "anna")
        assert counted == sum(one.cost or 0 for one in paid) > 0
        assert sum(int(row["calls"]) for row in usage(server) if row["user"] == "anna") == len(paid)

    def test_the_page_is_the_owners_and_holds_nothing_that_runs(self, server: Server) -> None:
        ask(server, "anna")
        page = server.client.get("/usage", headers={}, auth=("any", KEYS["owner"]))
        assert page.status_code == 200
        policy = page.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; style-src 'sha256-")
        assert "<script" not in page.text
        assert "<td>anna</td><td>openai/gpt-5</td>" in page.text
        for name in ("anna", "bert"):
            refused = server.client.get("/usage", headers=bearer(name))
            assert (refused.status_code, "anna" in refused.text) == (401, False)
        assert server.client.get("/usage.csv", headers=bearer("anna")).status_code == 401
        assert (
            server.client.get("/usage", headers={"Authorization": ""}).headers["www-authenticate"].startswith("Basic")
        )


@pytest.mark.ci
def test_fifty_at_the_edge_of_one_budget_never_go_over_it(devnet: Devnet, tmp_path: Path) -> None:
    """One user has a budget for some twenty requests at most, and asks fifty at once."""
    (tmp_path / "users.toml").write_text(
        f'opg_usd = 0.2\n[users.anna]\ntotal = 0.05\nkey = "sha256:{hash_of(KEYS["anna"])}"\n'
    )
    with serving(devnet, tmp_path, "--users", "users.toml") as server, ThreadPoolExecutor(50) as fifty:
        posts = list(fifty.map(lambda _: ask(server, "anna"), range(50)))
        assert {post.status_code for post in posts} == {200, 402}
        assert {one["code"] for post in posts if (one := post.json().get("error"))} == {"budget_exceeded"}
        receipts = settled(server)
        assert len(receipts) == sum(post.status_code == 200 for post in posts)
        assert 0 < sum(one.cost or 0 for one in receipts) <= OPG // 20


@pytest.mark.ci
def test_a_server_that_is_killed_loses_no_receipt_and_releases_nothing_that_was_paid(
    devnet: Devnet, tmp_path: Path
) -> None:
    (tmp_path / "users.toml").write_text(USERS)
    slow = {"messages": [{"role": "user", "content": "a [[slow:2]]"}], "stream": True, "max_tokens": 400}
    with serving(devnet, tmp_path, "--users", "users.toml") as server:
        first = ask(server, "anna").headers["x-og-receipt-id"]
        with server.client.stream("POST", "/v1/chat/completions", json=ASK | slow, headers=bearer("anna")) as response:
            next(response.iter_lines())
            second = response.headers["x-og-receipt-id"]
            os.kill(server.process.pid, signal.SIGKILL)
            server.process.wait(30)
    with serving(devnet, tmp_path, "--users", "users.toml") as server:
        held = sum(parse_opg(row["opg"]) for row in usage(server) if row["user"] == "anna")
        again = ask(server, "anna")
        assert again.status_code == 200, again.text
        third = again.headers["x-og-receipt-id"]
        receipts = {one.receipt_id: one for one in server.receipts()}
        assert {first, second, third} == {*receipts}
        assert {one.paid_for for one in receipts.values()} == {"anna"}
        assert receipts[second].authorization is not None
        assert held >= (receipts[first].reported_cost or 0) > 0
        paid = settled(server)
        counted = sum(parse_opg(row["opg"]) for row in usage(server) if row["user"] == "anna")
        assert counted == sum(one.cost or 0 for one in paid)
