"""What the gateway writes on the chain: payments, late and at once, and the hashes of its answers."""

from __future__ import annotations

import asyncio
import base64
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from eth_abi.abi import encode
from eth_utils.crypto import keccak
from x402.http.utils import decode_payment_response_header

from og_magics.devnet import Devnet, contracts
from og_magics.devnet.accounts import ACCOUNTS
from og_magics.devnet.chain import contract, start_chain, transact

if TYPE_CHECKING:
    from .conftest import Payer


class TestSessions:
    def test_a_session_pays_for_the_next_call_without_a_signature(self, payer: Payer) -> None:
        session = payer.pay(payer.ask()).headers["X-Upto-Session"]
        again = payer.post(payer.ask("And then?"), X_Upto_Session=session)
        assert (again.status_code, again.headers["X-Upto-Session"]) == (200, session)

    def test_a_session_serves_no_other_path(self, payer: Payer) -> None:
        session = payer.pay(payer.ask()).headers["X-Upto-Session"]
        response = payer.post({"model": "gpt-5", "prompt": "hi"}, "/v1/completions", X_Upto_Session=session)
        assert (response.status_code, response.json()) == (402, {"error": "Session expired or exhausted"})

    def test_an_unknown_session_is_refused_without_terms(self, payer: Payer) -> None:
        response = payer.post(payer.ask(), X_Upto_Session="00000000-0000-0000-0000-000000000000")
        assert (response.status_code, response.json()) == (402, {"error": "Session expired or exhausted"})
        assert "PAYMENT-REQUIRED" not in response.headers

    def test_the_same_signature_resumes_its_session(self, payer: Payer) -> None:
        signature = payer.signature()
        first, second = (payer.post(payer.ask(), PAYMENT_SIGNATURE=signature) for _ in range(2))
        assert first.headers["X-Upto-Session"] == second.headers["X-Upto-Session"]

    @pytest.mark.ci
    async def test_one_signature_sent_many_times_at_once_makes_one_session(self, payer: Payer) -> None:
        headers = {"Authorization": "Bearer any", "PAYMENT-SIGNATURE": payer.signature()}
        async with httpx.AsyncClient(base_url=payer.devnet.gateway_url_http, timeout=30) as http:
            answers = await asyncio.gather(
                *(http.post(payer.CHAT, json=payer.ask(), headers=headers) for _ in range(8))
            )
        assert [answer.status_code for answer in answers] == [200] * 8
        assert len({answer.headers["X-Upto-Session"] for answer in answers}) == 1
        paid = payer.eventually(lambda: payer.payments)
        assert paid == [sum(payer.price(answer.json()) for answer in answers)]

    def test_a_session_is_settled_in_one_transaction_and_is_dead_then(self, payer: Payer) -> None:
        signature = payer.signature()
        first = payer.post(payer.ask(), PAYMENT_SIGNATURE=signature)
        session = first.headers["X-Upto-Session"]
        second = payer.post(payer.ask("More", model="claude-opus-4-5"), X_Upto_Session=session)
        assert payer.payments == []
        assert payer.eventually(lambda: payer.payments) == [payer.price(first.json()) + payer.price(second.json())]
        assert payer.post(payer.ask(), X_Upto_Session=session).status_code == 402
        assert payer.offered(payer.post(payer.ask(), PAYMENT_SIGNATURE=signature)).error != "Payment required"

    def test_a_signature_serves_another_path_in_the_same_session(self, payer: Payer) -> None:
        signature = payer.signature()
        chat = payer.post(payer.ask(), PAYMENT_SIGNATURE=signature)
        completed = payer.post({"model": "gpt-5", "prompt": "hi"}, "/v1/completions", PAYMENT_SIGNATURE=signature)
        assert completed.headers["X-Upto-Session"] == chat.headers["X-Upto-Session"]

    @pytest.mark.ci
    def test_a_call_over_the_cap_is_free_and_its_session_goes_on(self, payer_of: type[Payer]) -> None:
        with Devnet(settle_after=2.5, cap="0.1", token_delay=0) as running, payer_of(running) as payer:
            dear = payer.pay(payer.ask("[[words:1200]]", model="claude-opus-4-5"))
            assert payer.price(dear.json()) > 10**17
            cheap = payer.post(payer.ask(), X_Upto_Session=dear.headers["X-Upto-Session"])
            assert payer.eventually(lambda: payer.payments) == [payer.price(cheap.json())]

    @pytest.mark.ci
    @pytest.mark.parametrize(
        "word",
        [
            pytest.param("[[fail:500]]", marks=pytest.mark.ci),
            "[[fail:nousage]]",
            pytest.param("[[fail:stream]]", marks=pytest.mark.ci),
        ],
    )
    def test_a_session_that_owes_nothing_is_never_settled_and_stays_open(self, payer: Payer, word: str) -> None:
        with_usage = payer.pay(payer.ask("paid"), mode="batch")
        paid = payer.signed
        free = payer.pay(payer.ask(word, stream=word == "[[fail:stream]]"), mode="batch")
        nothing, payer.signed = payer.signed, paid
        payer.eventually(lambda: payer.payments)  # what was begun before it is settled, and so would it be
        payer.signed = nothing
        assert payer.payments == []
        assert with_usage.headers["X-Upto-Session"] != free.headers["X-Upto-Session"]
        again = payer.post(payer.ask(), X_Upto_Session=free.headers["X-Upto-Session"])
        assert payer.eventually(lambda: payer.payments) == [payer.price(again.json())]

    @pytest.mark.ci
    def test_a_session_is_settled_while_a_stream_of_it_runs(self, payer_of: type[Payer]) -> None:
        with Devnet(settle_after=0.5, token_delay=0.05) as running, payer_of(running) as payer:
            first = payer.pay(payer.ask())
            headers = {"Authorization": "Bearer any", "X-Upto-Session": first.headers["X-Upto-Session"]}
            body = payer.ask("[[words:200]]", stream=True)
            with payer.http.stream("POST", payer.CHAT, json=body, headers=headers) as response:
                lines = response.iter_lines()
                assert response.status_code == 200
                assert next(lines)
                assert payer.eventually(lambda: payer.payments) == [payer.price(first.json())]
                assert "tee_signature" in "".join(lines)
            assert payer.payments == [payer.price(first.json())]
            assert payer.post(payer.ask(), X_Upto_Session=headers["X-Upto-Session"]).status_code == 402

    def test_before_its_deadline_a_session_takes_no_more_calls_and_is_settled(self, payer_of: type[Payer]) -> None:
        # A fifth of its time is left to the settlement, which is sent while 6 seconds remain.
        newest = Devnet(gateway="newest", settle_after=600, max_timeout=45, token_delay=0)
        with newest as running, payer_of(running) as payer, pytest.MonkeyPatch.context() as patched:
            real = time.time
            session = payer.pay(payer.ask()).headers["X-Upto-Session"]
            assert payer.post(payer.ask(), X_Upto_Session=session).status_code == 200
            patched.setattr("og_magics.devnet.gateway.settler.time.time", lambda: real() + 37)
            assert payer.post(payer.ask(), X_Upto_Session=session).status_code == 402

    @pytest.mark.ci
    def test_a_settlement_that_fails_is_logged_and_tried_again(
        self, payer_of: type[Payer], caplog: pytest.LogCaptureFixture
    ) -> None:
        with Devnet(settle_after=0.7, token_delay=0) as running, payer_of(running) as payer:
            approve = contract(payer.web3, "OPG").functions.approve
            answered = payer.pay(payer.ask())
            session = answered.headers["X-Upto-Session"]
            transact(payer.web3, ACCOUNTS[0], approve(running.permit2, 0))
            payer.eventually(lambda: f"settlement of session {session} failed" in caplog.text)
            assert payer.payments == []
            assert payer.post(payer.ask("[[fail:nousage]]"), X_Upto_Session=session).status_code == 200
            transact(payer.web3, ACCOUNTS[0], approve(running.permit2, 10**20))
            assert payer.eventually(lambda: payer.payments) == [payer.price(answered.json())]

    def test_closing_the_devnet_settles_what_is_owed_and_buffered(self, payer_of: type[Payer]) -> None:
        chain = start_chain("embedded", 31337, 0)
        try:
            with (
                Devnet(chain=chain.rpc_url, settle_after=600, batch_after=600) as running,
                payer_of(running) as payer,
            ):
                answer = payer.pay(payer.ask(), mode="batch").json()
                assert payer.payments == []
            assert payer.payments == [payer.price(answer)]
            assert len(payer.logs("SettlementRelay", "BatchSettlement")) == 1
            registry = payer.web3.eth.contract(address=running.tee_registry, abi=contracts.load("TEERegistry").abi)
            assert registry.functions.getActiveTEEs(0).call() == []
        finally:
            chain.close()


def _individual(proof: dict[str, Any], response: httpx.Response) -> dict[str, Any]:
    """What an answer tells of the settlement of its data: in its last event, or in its headers."""
    if "data_settlement_success" in proof:
        names = ("data_settlement_transaction_hash", "data_settlement_blob_id", "settlement_job_id")
        assert proof["data_settlement_success"] is True
        return dict(zip(("tx", "blob", "job"), (proof[name] for name in names), strict=True))
    names = ("X-Settlement-Tx-Hash", "X-Settlement-Walrus-Blob-ID", "X-Settlement-Job-ID")
    return dict(zip(("tx", "blob", "job"), (response.headers[name] for name in names), strict=True))


@pytest.fixture(scope="module")
def at_once() -> Iterator[Devnet]:
    with Devnet(settle_after=0, token_delay=0) as running:
        yield running


class TestSettlingAtOnce:
    @pytest.fixture
    def payer(self, at_once: Devnet, payer_of: type[Payer]) -> Iterator[Payer]:
        with payer_of(at_once) as client:
            yield client

    def test_the_answer_tells_the_transaction_that_paid_for_it(self, payer: Payer) -> None:
        response = payer.pay(payer.ask())
        settled = decode_payment_response_header(response.headers["PAYMENT-RESPONSE"])
        assert payer.web3.eth.get_transaction_receipt(settled.transaction)["status"] == 1
        assert payer.payments == [payer.price(response.json())] == [int(settled.amount or 0)]
        assert "X-Upto-Session" not in response.headers

    def test_a_signature_pays_only_once(self, payer: Payer) -> None:
        signature = payer.signature()
        assert payer.post(payer.ask(), PAYMENT_SIGNATURE=signature).status_code == 200
        assert payer.offered(payer.post(payer.ask(), PAYMENT_SIGNATURE=signature)).error != "Payment required"
        assert len(payer.payments) == 1

    async def test_one_signature_sent_twice_at_once_pays_only_once(self, payer: Payer) -> None:
        headers = {"Authorization": "Bearer any", "PAYMENT-SIGNATURE": payer.signature()}
        async with httpx.AsyncClient(base_url=payer.devnet.gateway_url_http, timeout=30) as http:
            answers = await asyncio.gather(
                *(http.post(payer.CHAT, json=payer.ask(), headers=headers) for _ in range(3))
            )
        assert sorted(answer.status_code for answer in answers) == [200, 402, 402]
        assert len(payer.payments) == 1

    def test_a_stream_is_settled_before_its_final_event(self, payer: Payer) -> None:
        headers = {"Authorization": "Bearer any", "PAYMENT-SIGNATURE": payer.signature()}
        with payer.http.stream("POST", payer.CHAT, json=payer.ask(stream=True), headers=headers) as response:
            for line in response.iter_lines():
                if "tee_signature" in line:
                    assert len(payer.payments) == 1
                    break
            else:
                pytest.fail("there was no final event")

    def test_a_call_that_failed_leaves_its_signature_good(self, payer: Payer) -> None:
        signature = payer.signature()
        assert payer.post(payer.ask("[[fail:500]]"), PAYMENT_SIGNATURE=signature).status_code == 500
        assert payer.post(payer.ask(), PAYMENT_SIGNATURE=signature).status_code == 200

    @pytest.mark.parametrize("stream", [False, True])
    def test_the_exact_scheme_takes_its_price_for_each_call(self, payer_of: type[Payer], stream: bool) -> None:
        with Devnet(scheme="exact", cap="0.02", token_delay=0) as exact, payer_of(exact) as payer:
            signature = payer.signature()
            response = payer.post(payer.ask(stream=stream), PAYMENT_SIGNATURE=signature)
            settled = decode_payment_response_header(response.headers["PAYMENT-RESPONSE"])
            assert settled.success
            assert payer.web3.eth.get_transaction_receipt(settled.transaction)["status"] == 1
            assert payer.payments == [2 * 10**16]
            assert payer.offered(payer.post(payer.ask(), PAYMENT_SIGNATURE=signature)).error != "Payment required"


class TestData:
    def test_a_batch_has_each_answer_as_a_leaf_under_its_root(self, payer: Payer) -> None:
        block = payer.next_block
        expected = set()
        for i in range(3):
            answer = payer.pay(payer.ask(f"batched {i}"), mode="batch").json()
            hashes = [
                bytes.fromhex(answer[f"tee_{name}"].removeprefix("0x"))
                for name in ("id", "request_hash", "output_hash")
            ]
            values = (*hashes, base64.b64decode(answer["tee_signature"]), answer["tee_timestamp"])
            expected.add(keccak(keccak(encode(("bytes32", "bytes32", "bytes32", "bytes", "uint256"), values))).hex())

        def settled() -> set[str]:
            leaves = set()
            for log in payer.logs("SettlementRelay", "BatchSettlement", block):
                tree = payer.http.get(f"/v1/blobs/{log['args']['walrusBlobId'].decode()}").json()
                assert tree["format"] == "standard-v1"
                assert tree["tree"][0] == "0x" + log["args"]["merkleRoot"].hex()
                assert log["args"]["batchSize"] == len(tree["values"])
                leaves |= {tree["tree"][value["treeIndex"]][2:] for value in tree["values"]}
            return leaves

        payer.eventually(lambda: expected <= settled())

    @pytest.mark.ci
    def test_a_full_batch_does_not_wait_and_a_private_answer_is_in_none(self, payer_of: type[Payer]) -> None:
        with Devnet(batch_size=2, batch_after=600, token_delay=0) as running, payer_of(running) as payer:
            session = payer.pay(payer.ask("one"), mode="private").headers["X-Upto-Session"]
            for content in ("two", "three"):
                payer.post(payer.ask(content), mode="batch", X_Upto_Session=session)
            (log,) = payer.eventually(lambda: payer.logs("SettlementRelay", "BatchSettlement"))
            assert log["args"]["batchSize"] == 2
            assert payer.logs("SettlementRelay", "IndividualSettlement") == []
            assert payer.eventually(lambda: payer.payments)

    @pytest.mark.parametrize("stream", [False, True])
    def test_an_individual_answer_is_on_chain_and_in_full_in_a_blob(self, payer: Payer, stream: bool) -> None:
        block = payer.next_block
        response = payer.pay(payer.ask("in full", stream=stream), mode="individual")
        proof = payer.events(response)[-2] if stream else response.json()
        (log,) = payer.logs("SettlementRelay", "IndividualSettlement", block)
        transaction, blob_id = log["transactionHash"].to_0x_hex(), log["args"]["walrusBlobId"].decode()
        told = _individual(proof, response)
        assert (told["tx"], told["blob"]) == (transaction, blob_id)
        assert stream == ("X-TEE-Output-Hash" not in response.headers)
        assert log["args"]["teeId"].hex() == payer.devnet.tee_id[2:]
        blob = httpx.get(f"{payer.devnet.blob_url}/v1/blobs/{blob_id}").json()
        assert keccak(blob["input"].encode()) == log["args"]["inputHash"]
        assert keccak(blob["output"].encode()) == log["args"]["outputHash"]
        job = payer.http.get(f"/settle/{told['job']}").json()
        assert (job["status"], job["txHash"], job["walrusBlobId"]) == ("succeeded", transaction, blob_id)

    def test_an_unknown_blob_or_job_is_not_found(self, payer: Payer) -> None:
        assert payer.http.get("/v1/blobs/none").status_code == 404
        assert payer.http.get("/settle/none").status_code == 404
