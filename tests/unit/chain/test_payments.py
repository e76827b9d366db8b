"""Facts about many transactions, in few requests, whatever the node answers."""

from __future__ import annotations

import http.server
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from eth_abi.abi import encode
from eth_account import Account

from og_magics.chain import abi, data_events, enclaves_by_id, payment_facts
from og_magics.chain import blobs as blob_room
from og_magics.chain.payments import payment_call
from og_magics.core.networks import BASE, UPTO_PROXY, Network
from og_magics.core.onchain import Blob, OnchainPayment, Unavailable
from og_magics.core.receipt import Authorization, Receipt
from og_magics.verification import payment as proofs

RELAY = "0x5e771e5E771e5E771e5E771e5e771E5E771E5E77"
ONE, TWO = "0x" + "11" * 32, "0x" + "22" * 32


@pytest.fixture
def network(node: Any) -> Network:
    return replace(BASE, rpc_url=node.url, registry_rpc_url=node.url, settlement_relay=RELAY)


@pytest.fixture
def real(vector: Callable[[str], dict[str, Any]]) -> dict[str, Any]:
    """The real gateway's settlement, as JSON-RPC gives it."""

    def hexed(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: hexed(one) for key, one in value.items()}
        if isinstance(value, list):
            return [hexed(one) for one in value]
        return hex(value) if type(value) is int else value

    found: dict[str, Any] = hexed(vector("settle_tx"))
    return found


class TestPayments:
    def test_the_real_gateways_settlement_is_read(self, node: Any, network: Network, real: Any) -> None:
        node.methods |= {"eth_getTransactionByHash": real["tx"], "eth_getTransactionReceipt": real["receipt"]}
        payment = real["tx"]["hash"]
        facts = payment_facts(network, [payment, payment])[payment]
        assert isinstance(facts, OnchainPayment)
        assert facts.call is not None
        (moved,) = facts.transfers
        assert (facts.to, facts.succeeded, facts.block_number) == (UPTO_PROXY.lower(), True, 10)
        assert (moved.token, moved.source, moved.target) == (facts.call.token, facts.call.owner, facts.call.payee)
        assert moved.amount == facts.call.amount == 310_000_000_000_000
        assert facts.call.cap == 10**17
        assert node.called().count("eth_getTransactionByHash") == 1

    def test_the_digest_of_the_real_settlement_is_what_its_payer_signed(self, real: Any) -> None:
        call = payment_call(real["tx"])
        assert call is not None
        digest = proofs._digest(call, _authorization(call))
        assert digest is not None
        signature = bytes.fromhex(real["tx"]["input"][2:])[-96:-31]
        assert Account._recover_hash(digest, signature=signature).lower() == call.owner

    def test_a_transaction_that_is_not_there_is_none_and_a_node_that_is_down_is_unread(self, network: Network) -> None:
        found = payment_facts(replace(network, rpc_url="http://127.0.0.1:9"), [ONE, "nonsense"])
        assert isinstance(found[ONE], Unavailable)
        assert found["nonsense"] is None

    @pytest.mark.parametrize(
        ("transaction", "receipt", "expected"),
        [
            (None, None, None),
            ({"hash": ONE}, None, "no block yet"),
            ({"hash": TWO, "to": None, "input": "0x"}, {"transactionHash": ONE}, "another transaction"),
            ({"hash": ONE}, {"transactionHash": ONE}, "not Ethereum JSON-RPC"),
            ("text", "text", "not Ethereum JSON-RPC"),
        ],
    )
    def test_strange_answers_are_told(
        self, node: Any, network: Network, transaction: Any, receipt: Any, expected: str | None
    ) -> None:
        node.methods |= {"eth_getTransactionByHash": transaction, "eth_getTransactionReceipt": receipt}
        found = payment_facts(network, [ONE])[ONE]
        assert found is None if expected is None else isinstance(found, Unavailable) and expected in found.reason

    def test_an_error_about_one_transaction_leaves_the_others(self, node: Any, network: Network, refusal: Any) -> None:
        def by_hash(payment: str) -> None:
            if payment == ONE:
                raise refusal(-32000, "pruned")

        node.methods |= {"eth_getTransactionByHash": by_hash, "eth_getTransactionReceipt": None}
        found = payment_facts(network, [ONE, TWO])
        assert isinstance(found[ONE], Unavailable)
        assert found[TWO] is None

    @pytest.mark.parametrize("most", [100, 30, 10])
    def test_a_node_that_takes_fewer_calls_at_once_is_asked_for_fewer(
        self, node: Any, network: Network, most: int
    ) -> None:
        node.methods |= {"eth_getTransactionByHash": None, "eth_getTransactionReceipt": None}
        node.intercept = lambda request: (413, b"too large") if len(request) > most else None
        payments = [f"0x{n:064x}" for n in range(150)]
        assert payment_facts(network, payments) == dict.fromkeys(payments)
        node.requests.clear()
        payment_facts(network, payments)
        assert len(node.requests) <= 300 // (most // 2)
        assert max(map(len, node.requests)) <= most


class TestRegistry:
    def test_unknown_ids_and_what_is_none_are_none(self, node: Any, network: Network, refusal: Any) -> None:
        def call(*_: Any) -> None:
            raise refusal(3, "execution reverted: unknown enclave")

        node.methods["eth_call"] = call
        newest = {"number": "0x64", "timestamp": hex(int(time.time()))}
        node.methods["eth_getBlockByNumber"] = lambda *_: newest
        assert enclaves_by_id(network, [ONE, "zz", ONE]) == {ONE: None, "zz": None}

    def test_a_registry_that_is_down_is_unread(self, network: Network) -> None:
        found = enclaves_by_id(replace(network, registry_rpc_url="http://127.0.0.1:9"), [ONE])
        assert isinstance(found[ONE], Unavailable)


class TestData:
    def test_an_unknown_relay_is_told_and_nothing_is_asked(self, node: Any, network: Network) -> None:
        facts = data_events(replace(network, settlement_relay=""), [])
        assert "not known" in facts.problem
        assert node.requests == []

    def test_no_receipts_cost_no_requests(self, node: Any, network: Network) -> None:
        facts = data_events(network, [])
        assert (facts.problem, facts.batches, node.requests) == ("", (), [])

    def test_events_are_found_by_time_and_those_of_other_times_are_left(self, node: Any, network: Network) -> None:
        moment = GENESIS + 2 * 5_000_000
        serve(node, [block_at(moment + 900), block_at(moment - 40_000), block_at(moment + 40_000)])
        facts = data_events(replace(network, blob_url=""), [receipt("batch", moment)])
        assert [event.block_number for event in facts.batches] == [block_at(moment + 900)]
        (event,) = facts.batches
        assert (event.root, event.size, event.blob_id) == (ROOT, 7, "blob")
        assert "no blob aggregator" in facts.blobs["blob"].problem

    def test_a_thousand_receipts_of_a_month_take_few_requests(self, node: Any, network: Network) -> None:
        serve(node, [])
        month = [receipt("batch", GENESIS + 50_000_000 + 2_600 * n) for n in range(1_000)]
        assert data_events(network, month).problem == ""
        assert len(node.requests) <= 20

    def test_an_event_of_another_form_is_a_problem_and_not_a_missing_event(self, node: Any, network: Network) -> None:
        moment = GENESIS + 2_000
        serve(node, [block_at(moment + 900)], data="0x")
        assert data_events(network, [receipt("batch", moment)]).problem

    def test_an_individual_settlement_is_read_from_its_own_transaction_alone(self, node: Any, network: Network) -> None:
        individual = abi.event("settlement_relay", "IndividualSettlement")
        values = (b"\3" * 32, b"\4" * 32, 5, b"blob-id", b"signature")
        log = {
            "address": RELAY.lower(),
            "topics": [individual.topic, "0x" + "01" * 32, "0x" + "00" * 12 + "02" * 20],
            "data": "0x" + encode([*individual.plain.values()], values).hex(),
            "transactionHash": ONE,
            "blockNumber": "0x9",
        }
        strangers = {**log, "address": "0x" + "99" * 20}
        node.methods["eth_getTransactionReceipt"] = {"logs": [strangers, log, log]}
        facts = data_events(replace(network, blob_url=""), [receipt("individual", 5, data_settlement_hash=ONE)])
        (event,) = facts.individuals
        assert (event.tee_id, event.input_hash, event.output_hash) == (b"\1" * 32, b"\3" * 32, b"\4" * 32)
        assert (event.timestamp, event.blob_id, event.signature, event.transaction) == (5, "blob-id", b"signature", ONE)
        assert node.called() == ["eth_getTransactionReceipt"]
        assert list(facts.blobs) == ["blob-id"]

    def test_a_node_that_has_no_logs_is_given_up_after_a_few_requests(self, node: Any, network: Network) -> None:
        serve(node, [])
        del node.methods["eth_getLogs"]
        facts = data_events(network, [receipt("batch", GENESIS + 50_000_000 + 100_000 * n) for n in range(50)])
        assert "does not exist" in facts.problem
        assert len(node.requests) <= 30


GENESIS, HEAD = 1_690_000_000, 30_000_000
ROOT = b"\7" * 32


def block_at(moment: int) -> int:
    return (moment - GENESIS) // 2


def serve(node: Any, batches: list[int], data: str | None = None) -> None:
    """A chain of two seconds a block, with a batch in each of these blocks."""
    event = abi.event("settlement_relay", "BatchSettlement")
    body = data or "0x" + encode([*event.plain.values()], (7, b"blob")).hex()

    def block(number: str, _full: bool) -> dict[str, str]:
        n = HEAD if number == "latest" else int(number, 16)
        return {"number": hex(n), "timestamp": hex(GENESIS + 2 * n)}

    def logs(query: dict[str, Any]) -> list[dict[str, Any]]:
        first, last = int(query["fromBlock"], 16), int(query["toBlock"], 16)
        same = {"address": RELAY, "topics": [event.topic, "0x" + ROOT.hex()], "data": body, "transactionHash": TWO}
        return [{**same, "blockNumber": hex(number)} for number in batches if first <= number <= last]

    node.methods |= {"eth_getBlockByNumber": block, "eth_getLogs": logs}


def receipt(settlement: str, moment: int, **fields: Any) -> Receipt:
    return Receipt(
        receipt_id=str(moment),
        time=float(moment),
        cell="",
        notebook="",
        network="base",
        provider="openai",
        model="openai/gpt-5",
        settlement=settlement,
        status="settled",
        tee_timestamp=moment,
        tee_signature="signature",
        request_hash="03" * 32,
        **fields,
    )


@pytest.fixture
def aggregator() -> Iterator[Callable[..., str]]:
    """A blob server of one answer."""
    stops: list[Callable[[], None]] = []

    def serve(body: bytes, status: int = 200, **headers: str) -> str:
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name.replace("_", "-"), value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: Any) -> None:
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        stops.extend([server.server_close, thread.join, server.shutdown])
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield serve
    for stop in reversed(stops):
        stop()


class TestBlobs:
    def test_each_blob_is_fetched_once(self, aggregator: Any) -> None:
        assert blob_room.fetch(aggregator(b"tree"), ["a", "b", "a"]) == dict.fromkeys("ab", Blob(b"tree"))

    @pytest.mark.parametrize("blob_id", ["../../secret", "a/b", "", "a?b=c", "x" * 200, "\N{REPLACEMENT CHARACTER}"])
    def test_what_is_no_id_is_not_asked_for(self, blob_id: str) -> None:
        fact = blob_room.fetch("http://127.0.0.1:9", [blob_id])[blob_id]
        assert "not the id of a blob" in fact.problem

    def test_a_blob_that_is_too_large_is_left(self, aggregator: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(blob_room, "MOST_BYTES", 2**20)
        fact = blob_room.fetch(aggregator(b"x" * (2**20 + 1)), ["a"])["a"]
        assert (fact.content, fact.problem) == (None, "it is larger than 1 MiB")

    def test_failures_are_told_and_not_raised(self, aggregator: Any) -> None:
        assert "HTTP 404" in blob_room.fetch(aggregator(b"", 404), ["a"])["a"].problem
        assert "HTTP 404" not in blob_room.fetch("http://127.0.0.1:9", ["a"])["a"].problem
        assert "RemoteProtocolError" in blob_room.fetch(aggregator(b"cut", Content_Length="10"), ["a"])["a"].problem
        assert "no blob aggregator" in blob_room.fetch("", ["a"])["a"].problem


def _authorization(call: Any) -> Any:
    return Authorization(
        hash="",
        scheme="upto",
        network="eip155:8453",
        payer=call.owner,
        pay_to=call.payee,
        token=call.token,
        cap=call.cap,
        nonce=call.nonce,
        deadline=call.deadline,
        gateway="",
        path="",
        created=0,
        spender=UPTO_PROXY,
    )
