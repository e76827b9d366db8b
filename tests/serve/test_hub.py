"""A real JupyterHub starts the server as its service; a user who logs in there asks with a token of the Hub."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from og_magics import LLM, Settings
from og_magics.core.runtime import runtime
from og_magics.devnet import Devnet
from og_magics.ledger import Ledger
from og_magics.serve.keys import hash_of

from ..conftest import CI
from ..serving import ASK

PROXY = os.environ.get("OG_CHP") or shutil.which("configurable-http-proxy") or ""
"""The Hub's proxy, of Node.js: `npm i configurable-http-proxy`, and the path of its command in OG_CHP."""
MISSING = not CI and (importlib.util.find_spec("jupyterhub") is None or not PROXY)
pytestmark = [pytest.mark.ci, pytest.mark.skipif(MISSING, reason="needs jupyterhub and configurable-http-proxy")]

OWNER = "og-serve-of-the-owner"
USERS = f"""
opg_usd = 0.2
[owner]
key = "sha256:{hash_of(OWNER)}"
[defaults]
day = 0.5
[users.bert]
models = ["anthropic/*"]
"""
CONFIGURATION = """
import json
said = json.loads({said!r})
c.JupyterHub.bind_url = said["url"]
c.JupyterHub.hub_port = said["ports"][1]
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{{said['ports'][2]}}"
c.ConfigurableHTTPProxy.command = [said["proxy"]]
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = "of this test"
c.Authenticator.allow_all = True
c.JupyterHub.db_url = "sqlite://"
c.JupyterHub.services = [{{
    "name": "og", "url": f"http://127.0.0.1:{{said['ports'][3]}}", "environment": said["environment"],
    "command": [said["python"], "-m", "og_magics", "serve", "--jupyterhub", "--users", said["users"]],
}}]
"""


def free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


@pytest.fixture(scope="module")
def hub(devnet: Devnet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of a running Hub, and its folder."""
    folder, ports = tmp_path_factory.mktemp("hub"), free_ports(4)
    url = f"http://127.0.0.1:{ports[0]}"
    paths = {"OG_LEDGER": str(folder / "serve.db"), "OG_STATE_DIR": str(folder / "state"), "PYTHONPATH": os.getcwd()}
    said = {
        "url": url, "ports": ports, "proxy": PROXY, "python": sys.executable, "users": str(folder / "users.toml"),
        "environment": {"OG_DEVNET": json.dumps(devnet.info), **paths},
    }  # fmt: skip
    (folder / "users.toml").write_text(USERS)
    (folder / "config.py").write_text(CONFIGURATION.format(said=json.dumps(said)))
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyterhub", "-f", "config.py"], cwd=folder, stdout=log, stderr=log
        )
        try:
            for _ in range(600):
                if process.poll() is not None:
                    break
                try:
                    if httpx.get(f"{url}/services/og/health", timeout=5).status_code == 200:
                        break
                except httpx.HTTPError:
                    pass
                threading.Event().wait(0.2)
            else:
                pytest.fail((folder / "log.txt").read_text()[-4000:])
            assert process.poll() is None, (folder / "log.txt").read_text()[-4000:]
            yield url, folder
        finally:
            process.terminate()
            process.wait(60)


def token_of(url: str, name: str) -> str:
    """Log in as a person does, and make a token as the Hub's page does."""
    with httpx.Client(base_url=url, follow_redirects=True, timeout=60) as browser:
        browser.get("/hub/login")

        def xsrf() -> str:
            return next(one.value or "" for one in browser.cookies.jar if one.name == "_xsrf" and one.path == "/hub/")

        form = {"username": name, "password": "of this test", "_xsrf": xsrf()}
        browser.post("/hub/login", params={"next": "/hub/token"}, data=form)
        made = browser.post(
            f"/hub/api/users/{name}/tokens", json={"note": "asks"},
            headers={"X-XSRFToken": xsrf(), "Referer": f"{url}/hub/token"},
        )  # fmt: skip
        assert made.status_code == 201, made.text
        return str(made.json()["token"])


def test_a_user_asks_with_a_token_of_the_hub_within_the_limits_of_all(hub: tuple[str, Path], tmp_path: Path) -> None:
    url, folder = hub
    token, bert = token_of(url, "anna"), token_of(url, "bert")
    served = f"{url}/services/og"

    def ask(header: str, **more: object) -> httpx.Response:
        return httpx.post(
            f"{served}/v1/chat/completions", json=ASK | more, headers={"Authorization": header}, timeout=60
        )

    for header in (f"Bearer {token}", f"token {token}"):
        answer = ask(header)
        assert answer.status_code == 200, answer.text
        assert answer.headers["x-og-paid-for"] == "anna"
    assert ask("Bearer of-nobody").status_code == 401
    assert ask("").status_code == 401
    assert ask(f"Bearer {bert}").json()["error"]["code"] == "model_not_allowed"
    assert ask(f"Bearer {token}", max_tokens=100_000).json()["error"]["code"] == "budget_exceeded"

    llm = LLM(settings=Settings(gateway_url=served, gateway_key=token), journal=Ledger(tmp_path / "student.db"))  # type: ignore[arg-type]  # as read
    receipt = llm.chat_sync("openai/gpt-5", ASK["messages"], max_tokens=5).receipt
    runtime.wait(llm.close())
    assert receipt.enclave_ok is True
    ledger = Ledger(folder / "serve.db")
    assert receipt.paid_by.endswith(f"receipt {ledger.receipts()[-1].receipt_id}")
    assert {one.paid_for for one in ledger.receipts()} == {"anna"}
    table = httpx.get(f"{served}/usage.csv", headers={"Authorization": f"Bearer {OWNER}"}, timeout=60).text
    assert "anna," in table
    assert not [path for path in folder.glob("*.db*") if token.encode() in path.read_bytes()]
