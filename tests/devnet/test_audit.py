"""Receipts of real calls, verified against what a real devnet has on chain; then each kind of forgery, one by one."""

from __future__ import annotations

import base64
import contextlib
import json
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from eth_utils.crypto import keccak

from og_magics import LLM, Settings, chain
from og_magics.chain import data as data_room
from og_magics.core.networks import Network
from og_magics.core.onchain import Blob, OnchainData
from og_magics.core.receipt import Receipt
from og_magics.core.runtime import runtime
from og_magics.core.types import x402SettlementMode
from og_magics.devnet import Devnet
from og_magics.devnet.anvil import find_anvil
from og_magics.devnet.gateway.enclave import Enclave
from og_magics.verification import (
    SettledData,
    check_data,
    check_enclave,
    check_payment,
    check_registry,
    evidence_of,
    group_costs,
)
from tests.rpc_server import serving

needs_anvil = pytest.mark.skipif(find_anvil() is None, reason="anvil is neither on PATH nor in OG_ANVIL")

COLUMNS = ("enclave", "registry", "payment", "data")
MODEL = "openai/gpt-5"
PRIVATE, BATCH, INDIVIDUAL = x402SettlementMode

Row = dict[str, bool | None]


@dataclass
class Proxy:
    """A node's public face: counts requests, and may refuse long batches and long ranges of logs."""

    upstream: str
    url: str = ""
    most_blocks: int = 10**9
    batches: list[list[str]] = field(default_factory=list)

    def answer(self, body: bytes) -> bytes:
        request = json.loads(body)
        calls = request if isinstance(request, list) else [request]
        self.batches.append([call["method"] for call in calls])
        with urllib.request.urlopen(urllib.request.Request(self.upstream, body), timeout=30) as response:
            answers = json.loads(response.read())
        results = answers if isinstance(request, list) else [answers]
        for call, result in zip(calls, results, strict=True):
            if call["method"] == "eth_getLogs":
                query = call["params"][0]
                if int(query["toBlock"], 16) - int(query["fromBlock"], 16) >= self.most_blocks:
                    result.pop("result")
                    result["error"] = {"code": -32614, "message": f"limited to {self.most_blocks} blocks"}
        return json.dumps(answers).encode()


@pytest.fixture
def proxy(paid: Paid) -> Iterator[Proxy]:
    found = Proxy(paid.network.rpc_url)

    with serving(lambda body: (200, found.answer(body))) as found.url:
        yield found


@dataclass
class Paid:
    """Receipts of two payers in all modes, settled, with what the chain said about them."""

    network: Network
    receipts: list[Receipt]
    data: OnchainData

    def one(self, settlement: x402SettlementMode) -> Receipt:
        return next(receipt for receipt in self.receipts if receipt.settlement == settlement.value)

    def row(self, receipt: Receipt, data: OnchainData | None = None) -> Row:
        """All columns of a receipt an hour later, in a ledger that has this form of it."""
        ledger = [receipt if one.receipt_id == receipt.receipt_id else one for one in self.receipts]
        payments = chain.payment_facts(self.network, [receipt.payment_hash or ""])
        enclaves = chain.enclaves_by_id(self.network, [receipt.tee_id or ""])
        if data is None:
            data = chain.data_events(self.network, [receipt])
        late = replace(data, read_at=time.time() + 3_600)
        costs = group_costs(ledger)
        verdicts = (
            check_enclave(evidence_of(receipt)),
            check_registry(receipt, enclaves[receipt.tee_id or ""]),
            check_payment(receipt, payments[receipt.payment_hash or ""], costs.get(receipt.authorization_hash or "")),
            check_data(receipt, SettledData(late)),
        )
        assert all(verdict.reason for verdict in verdicts)
        return dict(zip(COLUMNS, (verdict.ok for verdict in verdicts), strict=True))

    def blamed(self, receipt: Receipt, data: OnchainData | None = None) -> list[str]:
        return [name for name, ok in self.row(receipt, data).items() if ok is False]


@contextlib.contextmanager
def paying(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Paid]:
    with Devnet(chain=kind, settle_after=1.0, batch_after=0.3, token_delay=0) as devnet:
        llms = [llm_of(devnet, number, tmp_path_factory.mktemp("ledger")) for number in (0, 1)]
        llms[1].ensure_opg_approval(5)
        try:
            for llm in llms:
                for mode in (PRIVATE, BATCH, BATCH, BATCH, INDIVIDUAL):
                    ask(llm, f"What is {mode.value} settlement?", mode)
                streamed = [{"role": "user", "content": "And streamed?"}]
                list(llm.chat_sync(MODEL, streamed, x402_settlement_mode=INDIVIDUAL, stream=True))
                llm.completion_sync(MODEL, "Once upon a time", x402_settlement_mode=BATCH)
            assert [llm.settle(30) for llm in llms] == [0, 0]
            receipts = [receipt for llm in llms for receipt in llm.journal.receipts()]
            deadline = time.monotonic() + 20
            while True:
                data = chain.data_events(llms[0].network, receipts)
                if sum(event.size for event in data.batches) == 8 or time.monotonic() > deadline:
                    break
                time.sleep(0.1)
            yield Paid(llms[0].network, receipts, data)
        finally:
            for llm in llms:
                runtime.wait(llm.close())


def llm_of(devnet: Devnet, account: int, folder: Path) -> LLM:
    settings = Settings(devnet=json.dumps(devnet.info), ledger=str(folder / "receipts.db"))
    return LLM(devnet.accounts[account]["private_key"], "devnet", settings=settings)


def ask(llm: LLM, content: str, mode: x402SettlementMode) -> None:
    llm.chat_sync(MODEL, [{"role": "user", "content": content}], x402_settlement_mode=mode)


@pytest.fixture(scope="module")
def paid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Paid]:
    with paying("embedded", tmp_path_factory) as found:
        yield found


@pytest.fixture(scope="module", params=["embedded", pytest.param("anvil", marks=needs_anvil)])
def anywhere(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Paid]:
    """On each kind of chain in turn."""
    if request.param == "embedded":
        yield request.getfixturevalue("paid")
        return
    with paying(request.param, tmp_path_factory) as found:
        yield found


class TestHonestReceipts:
    def test_every_column_of_every_receipt_in_every_mode_holds(self, anywhere: Paid) -> None:
        assert len(anywhere.receipts) == 14
        for receipt in anywhere.receipts:
            assert anywhere.row(receipt) == dict.fromkeys(COLUMNS, True), receipt.settlement

    def test_one_reading_serves_all_receipts(self, anywhere: Paid) -> None:
        settled = SettledData(anywhere.data)
        assert [check_data(receipt, settled).ok for receipt in anywhere.receipts] == [True] * 14
        assert (settled.lies, settled.unread) == ([], [])

    def test_each_authorization_is_one_transaction_whose_receipts_add_up(self, anywhere: Paid) -> None:
        payments = {receipt.authorization_hash: receipt.payment_hash for receipt in anywhere.receipts}
        assert len(set(payments.values())) == len(payments) >= 4  # two payers, two paths
        facts = chain.payment_facts(anywhere.network, [str(payment) for payment in payments.values()])
        moved = {one.call.amount for one in facts.values() if one.call}
        assert moved == set(group_costs(anywhere.receipts).values())


class TestExactPayments:
    def test_a_call_that_is_paid_exactly_and_at_once_holds(self, tmp_path: Path) -> None:
        with Devnet(scheme="exact", token_delay=0) as devnet:
            llm = llm_of(devnet, 0, tmp_path)
            try:
                ask(llm, "What is x402?", PRIVATE)
                assert llm.settle(30) == 0
                (receipt,) = llm.journal.receipts()
                exact = Paid(llm.network, [receipt], OnchainData(0))
                assert exact.row(receipt) == dict.fromkeys(COLUMNS, True)
                assert exact.blamed(replace(receipt, cost=(receipt.cost or 0) - 1)) == ["payment"]
            finally:
                runtime.wait(llm.close())


def flipped(text: str, place: int = 5) -> str:
    return text[:place] + ("x" if text[place] != "x" else "y") + text[place + 1 :]


def forged_by(receipt: Receipt, enclave: Enclave) -> Receipt:
    """The same exchange at the same second, signed by another key: all consistent in itself."""
    request, output = (
        bytes.fromhex(str(one).removeprefix("0x")) for one in (receipt.request_hash, receipt.output_hash)
    )
    signature = enclave._key.sign(
        keccak(request + output + (receipt.tee_timestamp or 0).to_bytes(32, "big")),
        padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32),
        hashes.SHA256(),
    )
    return replace(
        receipt,
        tee_id="0x" + enclave.tee_id.hex(),
        tee_signature=base64.b64encode(signature).decode(),
        public_key=enclave.public_key_der.hex(),
    )


class TestForgeries:
    @pytest.fixture(params=[PRIVATE, BATCH, INDIVIDUAL], ids=lambda mode: mode.value)
    def receipt(self, request: pytest.FixtureRequest, paid: Paid) -> Receipt:
        return paid.one(request.param)

    def test_a_flipped_byte_in_the_answer_is_the_enclaves_column(self, paid: Paid, receipt: Receipt) -> None:
        assert paid.blamed(replace(receipt, text=flipped(receipt.text))) == ["enclave"]

    def test_a_flipped_byte_in_the_prompt_is_the_enclaves_column(self, paid: Paid, receipt: Receipt) -> None:
        messages = [{"role": "user", "content": flipped(receipt.request["messages"][0]["content"])}]
        assert paid.blamed(replace(receipt, request={**receipt.request, "messages": messages})) == ["enclave"]

    @pytest.mark.parametrize("place", [0, 17, 200])
    def test_a_flipped_byte_in_the_signature_is_the_enclaves_column(
        self, paid: Paid, receipt: Receipt, place: int
    ) -> None:
        assert paid.blamed(replace(receipt, tee_signature=flipped(receipt.tee_signature or "", place))) == ["enclave"]

    @pytest.mark.parametrize("name", ["request_hash", "output_hash", "tee_timestamp"])
    def test_another_hash_or_time_is_the_enclaves_column(self, paid: Paid, receipt: Receipt, name: str) -> None:
        value: Any = (receipt.tee_timestamp or 0) + 1 if name == "tee_timestamp" else "0x" + "11" * 32
        assert paid.blamed(replace(receipt, **{name: value})) == ["enclave"]

    def test_another_enclaves_key_under_this_ones_id_is_the_enclaves_column(self, paid: Paid, receipt: Receipt) -> None:
        assert paid.blamed(replace(receipt, public_key=Enclave().public_key_der.hex())) == ["enclave"]

    def test_another_enclaves_id_over_this_ones_key_is_the_enclaves_column(self, paid: Paid, receipt: Receipt) -> None:
        assert paid.blamed(replace(receipt, tee_id="0x" + "11" * 32)) == ["enclave"]

    def test_another_enclave_altogether_is_the_registrys_column(self, paid: Paid, receipt: Receipt) -> None:
        assert paid.blamed(forged_by(receipt, Enclave())) == ["registry"]

    def test_a_transaction_of_another_payer_is_the_payments_column(self, paid: Paid, receipt: Receipt) -> None:
        other = next(one for one in paid.receipts if one.payer != receipt.payer and one.path == receipt.path)
        assert paid.blamed(replace(receipt, payment_hash=other.payment_hash)) == ["payment"]

    def test_another_transaction_of_the_same_payer_is_the_payments_column(self, paid: Paid, receipt: Receipt) -> None:
        other = next(one for one in paid.receipts if one.payer == receipt.payer and one.path != receipt.path)
        assert paid.blamed(replace(receipt, payment_hash=other.payment_hash)) == ["payment"]

    @pytest.mark.parametrize("payment", ["0x" + "11" * 32, "nonsense"])
    def test_a_transaction_that_is_none_is_the_payments_column(
        self, paid: Paid, receipt: Receipt, payment: str
    ) -> None:
        assert paid.blamed(replace(receipt, payment_hash=payment)) == ["payment"]

    @pytest.mark.parametrize("by", [-1, 1])
    def test_a_wrong_amount_is_the_payments_column(self, paid: Paid, receipt: Receipt, by: int) -> None:
        assert paid.blamed(replace(receipt, cost=(receipt.cost or 0) + by)) == ["payment"]

    @pytest.mark.parametrize("name", ["payer", "pay_to", "nonce", "token", "cap", "deadline", "hash"])
    def test_any_changed_term_of_the_authorization_is_the_payments_column(
        self, paid: Paid, receipt: Receipt, name: str
    ) -> None:
        assert receipt.authorization is not None
        held = getattr(receipt.authorization, name)
        value: Any = held + 1 if isinstance(held, int) else held[:-1] + ("1" if held[-1] != "1" else "2")
        signed = replace(receipt.authorization, **{name: value})
        assert paid.blamed(replace(receipt, authorization=signed)) == ["payment"]


class TestForgedData:
    def test_a_proof_of_another_leaf_is_the_datas_column(self, paid: Paid) -> None:
        receipt = paid.one(BATCH)
        data = chain.data_events(paid.network, [receipt])
        blobs = {key: self.without(fact, receipt) for key, fact in data.blobs.items()}
        assert paid.blamed(receipt, replace(data, blobs=blobs)) == ["data"]

    @staticmethod
    def without(fact: Blob, receipt: Receipt) -> Blob:
        """The tree, in which this receipt's values stand at the place of another leaf."""
        dump = json.loads(fact.content or b"")
        places = [entry["treeIndex"] for entry in dump["values"]]
        for entry, place in zip(dump["values"], places[1:] + places[:1], strict=True):
            entry["treeIndex"] = place
        if len(places) == 1:
            dump["values"][0]["value"][2] = "0x" + "11" * 32
        return Blob(json.dumps(dump).encode())

    def test_an_event_with_another_root_is_the_datas_column(self, paid: Paid) -> None:
        receipt = paid.one(BATCH)
        data = chain.data_events(paid.network, [receipt])
        batches = tuple(replace(event, root=b"\1" * 32) for event in data.batches)
        assert paid.blamed(receipt, replace(data, batches=batches)) == ["data"]

    @pytest.mark.parametrize("part", ["input", "output"])
    def test_a_blob_that_lies_is_the_datas_column(self, paid: Paid, part: str) -> None:
        receipt = paid.one(INDIVIDUAL)
        data = chain.data_events(paid.network, [receipt])
        held = json.loads(data.blobs[receipt.blob_id or ""].content or b"")
        lying = Blob(json.dumps(held | {part: held[part] + "!"}).encode())
        assert paid.blamed(receipt, replace(data, blobs={receipt.blob_id or "": lying})) == ["data"]

    def test_a_settlement_of_another_call_is_the_datas_column(self, paid: Paid) -> None:
        receipt, other = [one for one in paid.receipts if one.settlement == "individual"][:2]
        assert paid.blamed(replace(receipt, data_settlement_hash=other.data_settlement_hash)) == ["data"]

    def test_a_batch_that_never_came_is_the_datas_column(self, paid: Paid) -> None:
        assert paid.blamed(paid.one(BATCH), replace(paid.data, batches=())) == ["data"]

    def test_a_batch_asked_for_and_settled_in_full_is_not_what_was_asked_for(self, paid: Paid) -> None:
        assert paid.blamed(replace(paid.one(INDIVIDUAL), settlement="batch")) == ["data"]
        assert paid.blamed(replace(paid.one(INDIVIDUAL), settlement="private")) == ["data"]


class TestTrouble:
    @pytest.mark.ci
    def test_chains_that_are_down_leave_their_columns_open_with_the_reason(self, paid: Paid) -> None:
        network = replace(paid.network, rpc_url="http://127.0.0.1:9", registry_rpc_url="http://127.0.0.1:9")
        down = replace(paid, network=network)
        batched = down.row(paid.one(BATCH))
        assert batched == {"enclave": True, "registry": None, "payment": None, "data": None}
        assert "cannot be reached" in chain.data_events(network, paid.receipts).problem

    def test_an_aggregator_that_is_down_leaves_the_data_open(self, paid: Paid) -> None:
        down = replace(paid, network=replace(paid.network, blob_url="http://127.0.0.1:9"))
        for mode in (PRIVATE, BATCH, INDIVIDUAL):  # that nothing is there is no more known than that something is
            assert down.row(paid.one(mode))["data"] is None

    def test_a_network_without_a_known_relay_leaves_the_data_open(self, paid: Paid) -> None:
        unknown = replace(paid, network=replace(paid.network, settlement_relay=""))
        for mode in (PRIVATE, BATCH, INDIVIDUAL):
            assert unknown.row(paid.one(mode))["data"] is None

    @pytest.mark.parametrize("most", [5, 1])
    def test_a_node_that_limits_ranges_of_logs_is_read_to_the_end(self, paid: Paid, proxy: Proxy, most: int) -> None:
        proxy.most_blocks = most
        facts = chain.data_events(replace(paid.network, registry_rpc_url=proxy.url), paid.receipts)
        assert (facts.problem, set(facts.batches)) == ("", set(paid.data.batches))
        assert data_room._ranges[proxy.url] <= most


class TestRoundTrips:
    def many(self, paid: Paid, payments: int) -> list[Receipt]:
        """1,000 receipts over the real ones; beyond them, payments and settlements that are not there."""
        found = []
        for number in range(1_000):
            receipt = paid.receipts[number % len(paid.receipts)]
            changes: dict[str, Any] = {"receipt_id": str(number)}
            if number >= len(paid.receipts) and payments > len(paid.receipts):
                changes["payment_hash"] = f"0x{number % payments:064x}"
            found.append(replace(receipt, **changes))
        return found

    @pytest.mark.parametrize("payments", [4, 1_000])
    def test_a_thousand_receipts_take_at_most_25_round_trips_and_one_for_each_blob(
        self, paid: Paid, proxy: Proxy, payments: int
    ) -> None:
        receipts = self.many(paid, payments)
        network = replace(paid.network, rpc_url=proxy.url, registry_rpc_url=proxy.url)
        facts = chain.payment_facts(network, [str(receipt.payment_hash) for receipt in receipts])
        enclaves = chain.enclaves_by_id(network, [str(receipt.tee_id) for receipt in receipts])
        data = chain.data_events(network, receipts)
        trips = [len(batch) for batch in proxy.batches]
        print(f"{len(receipts)} receipts, {len(facts)} payments: {len(trips)} round trips of {trips} calls")
        assert len(trips) <= 25
        assert len(data.blobs) == len({event.blob_id for event in (*data.batches, *data.individuals)})
        settled = SettledData(data)
        assert all(check_data(receipt, settled).ok for receipt in receipts)
        assert all(check_registry(receipt, enclaves[str(receipt.tee_id)]).ok for receipt in receipts)
        if payments == 4:
            assert all(check_payment(receipt, facts[str(receipt.payment_hash)]).ok for receipt in receipts)
