"""Failures to connect, as httpx and requests really raise them, and certificates that are not there."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import Any

import pytest

from og_magics.chain.rpc import Node, guard
from og_magics.core.connection_failure import connection_failure, root_of
from og_magics.core.errors import ChainError, ConfigError, GatewayUnreachable
from og_magics.core.types import Enclave
from og_magics.core.urls import is_loopback
from og_magics.gateway.client import GatewayClient

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "no_proxy")
CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*PROXIES, *CERTIFICATES):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def no_names(monkeypatch: pytest.MonkeyPatch) -> Callable[[OSError], None]:
    """A machine on which looking up a name, or an address, fails like this."""

    def fail(error: OSError) -> None:
        def getaddrinfo(*_: Any, **__: Any) -> Any:
            raise error

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    return fail


def asked_gateway(url: str) -> str:
    async def ask() -> None:
        client = GatewayClient(Enclave(url), timeout=5)
        try:
            await client.health()
        finally:
            await client.close()

    with pytest.raises(GatewayUnreachable) as caught:
        asyncio.run(ask())
    return str(caught.value)


def asked_node(url: str) -> str:
    with pytest.raises(ChainError) as caught:
        Node(url).one("eth_chainId", retry=False)
    return str(caught.value)


@pytest.mark.parametrize("ask", [asked_gateway, asked_node])
@pytest.mark.parametrize(
    ("error", "words"),
    [
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), "this machine is probably offline"),
        (
            socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
            "no address is known for the name far.invalid",
        ),
        (OSError(errno.ENETUNREACH, "Network is unreachable"), "this machine is probably offline"),
    ],
)
def test_a_machine_without_a_network_hears_of_it_and_of_the_practice_network(
    no_names: Callable[[OSError], None], ask: Callable[[str], str], error: OSError, words: str
) -> None:
    no_names(error)
    said = ask("https://far.invalid:8443")
    assert words in said
    assert "OG_NETWORK=devnet" in said
    assert "No money moved" in said or "nothing was paid" in said


def test_a_server_that_refuses_on_this_machine_is_not_called_offline() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and not listening
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        for said in (asked_gateway(url), asked_node(url)):
            assert "cannot be reached" in said
            assert "offline" not in said


def test_certificates_that_are_not_there_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/roots.pem")
    with pytest.raises(ConfigError, match="SSL_CERT_FILE") as caught:
        GatewayClient(Enclave("https://far.invalid"), timeout=5)
    assert "nothing was paid" in str(caught.value)
    GatewayClient(Enclave("http://far.invalid"), timeout=5)  # without TLS none are read


def test_a_bundle_that_is_not_there_is_named_for_a_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/roots.pem")
    assert "REQUESTS_CA_BUNDLE" in asked_node("https://bundle.invalid")


def test_a_proxy_that_is_no_url_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "gopher://proxy")
    with pytest.raises(ConfigError, match="HTTPS_PROXY"):
        GatewayClient(Enclave("https://far.invalid"), timeout=5)


def test_a_page_in_place_of_json_names_the_login_page() -> None:
    with pytest.raises(ChainError, match="login page"), guard("https://far.invalid"):
        raise ValueError("<html>")


def test_causes_in_groups_and_in_circles_have_an_end() -> None:
    inner = OSError(errno.EHOSTUNREACH, "No route to host")
    outer = OSError("All connection attempts failed")
    outer.__cause__ = ExceptionGroup("attempts", [inner])
    assert root_of(outer) is inner
    assert "offline" in connection_failure(outer, "far").reason
    inner.__context__ = outer
    assert isinstance(root_of(outer), (OSError, ExceptionGroup))


@pytest.mark.parametrize(
    ("url", "own"),
    [
        ("http://127.0.0.1:8545", True),
        ("https://127.9.9.9", True),
        ("http://[::1]:1", True),
        ("http://localhost/v1", True),
        ("http://LOCALHOST:1", True),
        ("http://a.localhost", True),
        ("https://localhost.example", False),
        ("https://10.0.0.1", False),
        ("http://[::1", False),
        ("", False),
    ],
)
def test_this_machines_own_addresses(url: str, own: bool) -> None:
    assert is_loopback(url) is own
