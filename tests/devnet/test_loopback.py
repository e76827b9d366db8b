"""The devnet's servers answer programs on this machine, and no web page of somebody else."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import ssl
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from og_magics.client import devnet_process
from og_magics.core.loopback import _is_loopback
from og_magics.devnet import Devnet

REBOUND = {"Host": "attacker.example"}
PAGE = {"Origin": "https://attacker.example"}
IMAGE = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
LINK = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
FRAME = LINK | {"Sec-Fetch-Dest": "iframe"}


def ask(url: str, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> tuple[int, str]:
    """Send a request with just these headers; the status, and what may be read across origins."""
    where = urlsplit(url)
    assert where.hostname is not None
    if where.scheme == "https":
        context = ssl._create_unverified_context()
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            where.hostname, where.port, context=context, timeout=20
        )
    else:
        connection = http.client.HTTPConnection(where.hostname, where.port, timeout=20)
    connection.putrequest(method, path, skip_host="Host" in headers)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.status, answer.getheader("Access-Control-Allow-Origin") or ""


@pytest.fixture(params=["gateway_url", "gateway_url_http", "rpc_url"])
def server(request: pytest.FixtureRequest, devnet: Devnet) -> str:
    return str(getattr(devnet, request.param))


@pytest.fixture
def served(server: str, devnet: Devnet) -> tuple[str, str, bytes]:
    """A request that each server answers: method, path, body."""
    if server == devnet.rpc_url:
        return "POST", "/", json.dumps({"jsonrpc": "2.0", "id": 1, "method": "evm_mine", "params": []}).encode()
    return "GET", "/health", b""


@pytest.mark.parametrize("headers", [REBOUND, PAGE, IMAGE, FRAME, {"Origin": "null"}, {"Host": "127.0.0.1@attacker"}])
def test_a_web_page_of_somebody_else_is_not_answered(
    server: str, served: tuple[str, str, bytes], headers: dict[str, str]
) -> None:
    method, path, body = served
    assert ask(server, method, path, headers, body) == (403, "")


def test_a_program_and_a_page_of_the_same_origin_are(server: str, served: tuple[str, str, bytes]) -> None:
    method, path, body = served
    host = urlsplit(server).netloc
    for headers in ({}, {"Host": f"localhost:{urlsplit(server).port}"}, {"Origin": server, "Host": host}):
        assert ask(server, method, path, headers, body) == (200, "")


def test_a_page_cannot_move_the_chain_and_a_person_can_follow_a_link(devnet: Devnet) -> None:
    mine = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "evm_mine", "params": []}).encode()
    for headers in (PAGE, REBOUND, LINK):
        assert ask(devnet.rpc_url, "POST", "/", headers | {"Content-Type": "text/plain"}, mine)[0] == 403
    assert ask(devnet.gateway_url_http, "GET", "/health", LINK)[0] == 200
    assert ask(devnet.gateway_url_http, "OPTIONS", "/v1/chat/completions", PAGE) == (403, "")


@given(st.text(alphabet="abx127.:[]@/\\ 0", max_size=24))
def test_only_loopback_names_are_local(host: str) -> None:
    if _is_loopback(host):
        name = host.rsplit(":", 1)[0] if not host.endswith("]") and host.count(":") == 1 else host
        assert name == "localhost" or name.startswith(("127.", "[")) or name == "::1"


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with files of a user that have the names of modules."""
    for name in ("random", "secrets", "email", "token", "json", "socket", "asyncio", "logging", "web3"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('this is a file of the user')\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.ci
def test_a_users_files_do_not_keep_the_devnet_from_starting(beside: Path) -> None:
    process, info = devnet_process._start(None)
    try:
        assert info["gateway_url"].startswith("https://127.0.0.1:")
    finally:
        devnet_process._stop(process)


def test_nor_its_command(beside: Path) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "og_magics.devnet", "--help"], capture_output=True, text=True, check=False
    )
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "--upstream" in shown.stdout


def test_text_that_is_nested_without_end_ends_no_server(server: str, devnet: Devnet) -> None:
    deep = b"[" * 200_000
    signature = base64.b64encode(b'{"a":' * 9_000).decode()
    for path, headers in (
        ("/", {}),
        ("/v1/chat/completions", {}),
        ("/v1/chat/completions", {"PAYMENT-SIGNATURE": signature}),
    ):
        with contextlib.suppress(OSError):  # it may refuse, and close the connection, before it has read all
            ask(server, "POST", path, headers, deep)
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_chainId"}).encode()
    assert ask(devnet.rpc_url, "POST", "/", {}, body)[0] == 200
    assert ask(devnet.gateway_url_http, "GET", "/health", {})[0] == 200
