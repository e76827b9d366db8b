"""Every way in which a node fails is a ChainError with a way out; what is transient is tried again."""

from __future__ import annotations

import gzip
import json
import resource
import socket
import subprocess
import sys
from typing import Any

import pytest
import requests

from og_magics.chain import abi, rpc
from og_magics.core.errors import ChainError


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc, "_PAUSES", (0.0, 0.0))


def test_importing_the_room_imports_neither_web3_nor_requests() -> None:
    code = (
        "import sys, og_magics.chain; sys.exit(bool({'web3', 'requests', 'eth_abi', 'eth_utils'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-W", "error", "-c", code], check=False).returncode == 0


def test_one_connection_is_kept_for_each_url(node: Any) -> None:
    assert rpc.connect(node.url) is rpc.connect(node.url)


def test_a_node_that_is_down_is_an_error_with_its_host_and_the_way_out() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        host = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(ChainError) as caught:
            rpc.Node(f"http://{host}/v2/secret-key").one("eth_chainId")
    assert host in caught.value.what
    assert "OG_RPC_URL" in caught.value.remedy
    assert "No money moved" in caught.value.money
    assert "secret-key" not in str(caught.value)


def test_a_node_that_never_answers_is_an_error_after_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc, "TIMEOUT", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(ChainError, match="did not answer within"):
        rpc.Node(f"http://127.0.0.1:{silent.getsockname()[1]}").one("eth_chainId")


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, b"<html>Welcome</html>", "not Ethereum JSON-RPC"),
        (200, b"\xff\xfe", "not Ethereum JSON-RPC"),
        (200, b"[]", "not Ethereum JSON-RPC"),
        (200, b'"hello"', "not Ethereum JSON-RPC"),
        (200, b'{"jsonrpc":"2.0","id":0}', "not Ethereum JSON-RPC"),
        (403, b"no", "HTTP 403"),
        (404, b"", "HTTP 404"),
        (429, b"slow", "allows no more requests"),
        (503, b"", "HTTP 503"),
        (400, b'{"jsonrpc":"2.0","id":0,"error":{"code":-32000,"message":"no such block"}}', "no such block"),
    ],
)
def test_bad_answers_are_chain_errors(node: Any, status: int, body: bytes, words: str) -> None:
    node.intercept = lambda request: (status, body)
    with pytest.raises(ChainError, match=words) as caught:
        rpc.Node(node.url, "OG_REGISTRY_RPC_URL").one("eth_chainId")
    assert "OG_REGISTRY_RPC_URL" in caught.value.remedy


def test_an_error_of_the_node_keeps_its_words_and_code(node: Any, refusal: Any) -> None:
    def refuse(*_: Any) -> None:
        raise refusal(3, "execution reverted: TEERegistry: unknown enclave")

    node.methods["eth_call"] = refuse
    with pytest.raises(rpc.NodeError, match="unknown enclave") as caught:
        rpc.Node(node.url).one("eth_call", {}, "latest")
    assert (caught.value.code, caught.value.reverted, caught.value.rate_limited) == (3, True, False)


@pytest.mark.parametrize(
    "first",
    [
        (429, b""),
        (502, b"bad gateway"),
        (200, b'{"jsonrpc":"2.0","id":0,"error":{"code":-32016,"message":"over rate limit"}}'),
        (429, b'{"jsonrpc":"2.0","id":0,"error":{"code":-32016,"message":"over rate limit"}}'),
    ],
)
def test_a_read_is_tried_again_after_a_transient_failure(node: Any, first: tuple[int, bytes]) -> None:
    node.methods["eth_chainId"] = "0x7a69"
    node.intercept = lambda request: first if len(node.requests) == 1 else None
    assert rpc.Node(node.url).one("eth_chainId") == "0x7a69"
    assert len(node.requests) == 2


def test_a_call_that_must_not_be_repeated_is_made_once(node: Any) -> None:
    node.intercept = lambda request: (502, b"")
    with pytest.raises(ChainError, match="HTTP 502"):
        rpc.Node(node.url).one("eth_sendRawTransaction", "0x00", retry=False)
    assert len(node.requests) == 1


def test_several_calls_go_as_one_batch_and_keep_their_order(node: Any) -> None:
    node.methods["echo"] = lambda value: value
    answered = node.answer
    node.answer = lambda body: (200, json.dumps(list(reversed(json.loads(answered(body)[1])))).encode())
    assert rpc.Node(node.url).ask([("echo", [n]) for n in range(5)]) == [0, 1, 2, 3, 4]
    assert len(node.requests) == 1


def test_a_batch_is_never_longer_than_public_nodes_allow(node: Any) -> None:
    node.methods["echo"] = lambda value: value
    assert rpc.Node(node.url).ask([("echo", [n]) for n in range(25)]) == list(range(25))
    assert [len(request) for request in node.requests] == [10, 10, 5]


@pytest.mark.parametrize(
    "refused",
    [
        (200, b'{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"batches are not supported"}}'),
        (400, b"no batches"),
    ],
)
def test_a_node_without_batches_is_asked_one_by_one_from_then_on(node: Any, refused: tuple[int, bytes]) -> None:
    node.methods["echo"] = lambda value: value
    node.intercept = lambda request: refused if isinstance(request, list) else None
    for _ in range(2):
        assert rpc.Node(node.url).ask([("echo", [1]), ("echo", [2])]) == [1, 2]
    assert [isinstance(request, list) for request in node.requests] == [True, False, False, False, False]


def test_an_address_without_the_contract_is_told_as_that(node: Any) -> None:
    node.methods["eth_call"] = "0x"
    with pytest.raises(ChainError, match="does not answer balanceOf") as caught:
        rpc.Node(node.url).read("0x" + "11" * 20, abi.function("erc20", "balanceOf"), "0x" + "22" * 20)
    assert "right chain" in caught.value.remedy


def test_selectors_and_topics_are_those_of_the_standards() -> None:
    assert abi.function("erc20", "balanceOf").selector.hex() == "70a08231"
    assert abi.function("erc20", "approve").selector.hex() == "095ea7b3"
    assert abi.function("permit2", "nonceBitmap").selector.hex() == "4fe02b44"
    assert abi.function("upto_proxy", "settle").selector.hex() == "ff11e7b4"
    assert abi.topic("erc20", "Transfer").startswith("0xddf252ad1be2c89b")


@pytest.mark.parametrize(
    ("url", "told"), [("http://127.0.0.1:1", "og-magics devnet"), ("http://rpc.test", "Check the connection")]
)
def test_a_node_that_is_gone_has_the_remedy_of_its_place(url: str, told: str) -> None:
    with pytest.raises(ChainError) as caught, rpc.guard(url):
        raise requests.ConnectionError
    assert told in caught.value.remedy
    assert "OG_RPC_URL" in caught.value.remedy


def test_a_small_answer_that_unpacks_to_gigabytes_is_an_error_and_takes_no_memory(node: Any) -> None:
    packed = b"".join([gzip.compress(b'{"jsonrpc":"2.0","id":0,"result":"', 9), gzip.compress(bytes(2**25), 9) * 64])
    assert len(packed) < 3_000_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    node.intercept = lambda request: (200, packed)  # of 2 GiB
    with pytest.raises(ChainError, match=r"not Ethereum JSON-RPC \(AnswerTooLarge\)"):
        rpc.Node(node.url).one("eth_chainId")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 600_000  # KiB


def test_a_packed_answer_within_the_bounds_is_read(node: Any) -> None:
    body = gzip.compress(b'{"jsonrpc":"2.0","id":0,"result":"0x1"}')
    node.intercept = lambda request: (200, body)
    assert rpc.Node(node.url).one("eth_chainId") == "0x1"
