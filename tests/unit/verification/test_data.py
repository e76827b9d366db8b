"""What each settlement mode promises, and every way in which it can be broken."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from og_magics.core.onchain import SETTLES_WITHIN, Blob
from og_magics.verification import SettledData, check_data, check_enclave, evidence_of


def other_signature(receipt: Any) -> str:
    signature = bytearray(base64.b64decode(receipt.tee_signature))
    signature[100] ^= 1
    return base64.b64encode(signature).decode()


class TestPrivate:
    def test_nothing_but_the_payment_is_promised(self, chain: Any) -> None:
        receipt = chain.answer("secret", "private")
        verdict = check_data(receipt, chain.settled)
        assert (verdict.ok, "Nothing but the payment" in verdict.reason) == (True, True)

    def test_it_is_not_known_where_nothing_was_looked_at(self, chain: Any) -> None:
        receipt = chain.answer("secret", "private")
        chain.problem = "It is not known which contract it is."
        verdict = check_data(receipt, chain.settled)
        assert (verdict.ok, "could not be looked at" in verdict.reason) == (None, True)

    def test_an_answer_that_is_on_chain_anyway_breaks_it(self, chain: Any) -> None:
        receipt, batched = chain.answer("secret", "private"), chain.answer("too", "private")
        chain.individual(receipt)
        chain.batch([batched, chain.answer("third")])
        assert check_data(receipt, chain.settled).ok is False
        assert check_data(batched, chain.settled).ok is False

    def test_the_same_question_asked_in_full_is_another_answer(self, chain: Any) -> None:
        receipt = chain.answer("again", "private")
        chain.individual(chain.answer("again", "individual"))
        assert check_data(receipt, chain.settled).ok is True


class TestBatch:
    @pytest.mark.parametrize("size", [1, 2, 5, 20])
    def test_a_leaf_under_the_root_holds(self, chain: Any, size: int) -> None:
        receipts = [chain.answer(f"question {n}") for n in range(size)]
        chain.batch(receipts)
        assert [check_data(receipt, chain.settled).ok for receipt in receipts] == [True] * size

    def test_a_leaf_in_a_tree_without_us_is_missing(self, chain: Any) -> None:
        receipt = chain.answer("ours")
        chain.batch([chain.answer("another"), chain.answer("third")])
        verdict = check_data(receipt, chain.settled)
        assert (verdict.ok, "none of the 1 batches" in verdict.reason) == (False, True)

    def test_what_may_still_be_sent_is_not_missing_yet(self, chain: Any) -> None:
        receipt = chain.answer("ours")
        for age, expected in ((SETTLES_WITHIN - 1, None), (SETTLES_WITHIN, False)):
            chain.read_at = receipt.tee_timestamp + age
            assert check_data(receipt, chain.settled).ok is expected

    @pytest.mark.parametrize("changes", [{"root": b"\1" * 32}, {"size": 3}])
    def test_a_tree_that_is_not_its_event_is_named(self, chain: Any, changes: Any) -> None:
        receipts = [chain.answer("one"), chain.answer("two")]
        chain.batch(receipts, **changes)
        verdict = check_data(receipts[0], chain.settled)
        assert (verdict.ok, "not what its event on chain says" in verdict.reason) == (False, True)

    def test_a_proof_of_another_leaf_does_not_hold(self, chain: Any) -> None:
        ours, theirs = chain.answer("ours"), chain.answer("theirs")
        chain.batch([theirs, chain.answer("third")])
        dump = chain.tree()
        entry = dump["values"][0]
        # The blob says that our values stand where their hash does: the proof would be theirs.
        entry["value"] = [
            "0x" + value.removeprefix("0x") for value in (ours.tee_id, ours.request_hash, ours.output_hash)
        ]
        entry["value"] += ["0x" + base64.b64decode(ours.tee_signature).hex(), str(ours.tee_timestamp)]
        chain.blobs["tree-0"] = Blob(json.dumps(dump).encode())
        verdict = check_data(ours, chain.settled)
        assert (verdict.ok, "do not have the hash" in verdict.reason) == (False, True)

    def test_a_tree_that_could_not_be_fetched_leaves_it_open(self, chain: Any) -> None:
        receipt = chain.answer("ours")
        chain.batch([receipt])
        chain.blobs["tree-0"] = Blob(None, "the aggregator answered with HTTP 503")
        verdict = check_data(receipt, chain.settled)
        assert (verdict.ok, "HTTP 503" in verdict.reason) == (None, True)

    def test_a_chain_that_could_not_be_read_leaves_it_open(self, chain: Any) -> None:
        receipt = chain.answer("ours")
        chain.problem = "The blockchain node at x cannot be reached."
        assert check_data(receipt, chain.settled).reason == chain.problem
        assert check_data(receipt, chain.settled).ok is None

    def test_an_answer_without_a_signature_has_nothing_to_settle(self, chain: Any) -> None:
        receipt = replace(chain.answer("ours"), tee_signature=None, tee_id=None)
        assert check_data(receipt, chain.settled).ok is None

    def test_a_signature_of_an_unregistered_key_is_not_blamed_on_the_batch(
        self, chain: Any, enclaves: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("og_magics.devnet.gateway.enclave.time", SimpleNamespace(time=lambda: 1_800_000_000.0))
        chain.batch([chain.answer("ours"), chain.answer("another")])
        forged = chain.answer("ours", enclave=enclaves[1])
        assert check_enclave(evidence_of(forged)).ok is True
        verdict = check_data(forged, chain.settled)
        assert (verdict.ok, "see `registry`" in verdict.reason) == (None, True)


class TestIndividual:
    def test_an_event_and_a_blob_of_this_exchange_hold(self, chain: Any) -> None:
        receipts = [chain.individual(chain.answer(f"in full {n}", "individual")) for n in range(3)]
        assert [check_data(receipt, chain.settled).ok for receipt in receipts] == [True] * 3

    def test_it_is_found_by_its_hashes_where_the_receipt_names_no_transaction(self, chain: Any) -> None:
        receipt = chain.individual(chain.answer("in full", "individual"))
        assert check_data(replace(receipt, data_settlement_hash=None, blob_id=None), chain.settled).ok is True

    @pytest.mark.parametrize(
        ("changes", "named"),
        [
            ({"output_hash": b"\1" * 32}, "output hash"),
            ({"input_hash": b"\1" * 32}, "input hash"),
            ({"timestamp": 5}, "time"),
            ({"signature": b"\1" * 256}, "signature"),
        ],
    )
    def test_an_event_that_is_not_the_receipt_fails(self, chain: Any, changes: Any, named: str) -> None:
        receipt = chain.individual(chain.answer("in full", "individual"), **changes)
        verdict = check_data(receipt, chain.settled)
        assert verdict.ok is False
        assert f"another {named} than the receipt" in verdict.reason

    @pytest.mark.parametrize(
        ("lie", "named"),
        [
            ({"input": "another"}, "its input has another hash"),
            ({"output": "another"}, "its output has another hash"),
            ({"output": 5}, "no input and output"),
            ({"teeId": "0x" + "11" * 32}, "its teeId is another"),
            ({"teeSignature": "AAAA"}, "its teeSignature is another"),
            ({"timestamp": 5}, "its timestamp is another"),
        ],
    )
    def test_a_blob_that_lies_fails(self, chain: Any, lie: Any, named: str) -> None:
        receipt = chain.individual(chain.answer("in full", "individual"))
        chain.write(receipt.blob_id, **lie)
        verdict = check_data(receipt, chain.settled)
        assert verdict.ok is False
        assert named in verdict.reason

    def test_a_blob_that_could_not_be_fetched_leaves_it_open(self, chain: Any) -> None:
        receipt = chain.individual(chain.answer("in full", "individual"))
        chain.blobs[receipt.blob_id] = Blob(None, "the aggregator answered with HTTP 404")
        assert check_data(receipt, chain.settled).ok is None

    def test_a_transaction_without_its_event_is_excused_for_two_minutes(self, chain: Any) -> None:
        receipt = replace(chain.answer("in full", "individual"), data_settlement_hash="0x" + "22" * 32)
        for age, expected in ((60, None), (180, False)):
            chain.read_at = receipt.tee_timestamp + age
            assert check_data(receipt, chain.settled).ok is expected

    def test_another_answers_blob_is_not_this_ones(self, chain: Any) -> None:
        one, two = (chain.individual(chain.answer(name, "individual")) for name in ("one", "two"))
        assert check_data(replace(one, blob_id=two.blob_id), chain.settled).ok is False
        assert check_data(replace(one, data_settlement_hash="0x" + "33" * 32), chain.settled).ok is False
        assert check_data(replace(one, data_settlement_hash=two.data_settlement_hash), chain.settled).ok is False


@pytest.mark.parametrize("settlement", ["private", "batch", "individual"])
@pytest.mark.parametrize("tampered", ["answer", "prompt", "signature", "key", "request_hash", "output_hash", "time"])
def test_what_the_enclaves_column_catches_is_not_blamed_on_the_data(
    chain: Any, enclaves: Any, settlement: str, tampered: str
) -> None:
    receipt = chain.answer("hello", settlement)
    if settlement == "batch":
        chain.batch([receipt, chain.answer("another")])
    elif settlement == "individual":
        receipt = chain.individual(receipt)
    assert (check_enclave(evidence_of(receipt)).ok, check_data(receipt, chain.settled).ok) == (True, True)
    changes: Any = {
        "answer": {"text": "echo: hellp"},
        "prompt": {"request": {**receipt.request, "messages": [{"role": "user", "content": "hellp"}]}},
        "signature": {"tee_signature": other_signature(receipt)},
        "key": {"public_key": enclaves[1].public_key_der.hex()},
        "request_hash": {"request_hash": "11" * 32},
        "output_hash": {"output_hash": "11" * 32},
        "time": {"tee_timestamp": receipt.tee_timestamp + 1},
    }[tampered]
    forged = replace(receipt, **changes)
    assert check_enclave(evidence_of(forged)).ok is False
    assert check_data(forged, chain.settled).ok is not False


def test_a_thousand_receipts_parse_each_tree_once(chain: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    receipts = [chain.answer(f"question {n}") for n in range(20)]
    chain.batch(receipts)
    settled = SettledData(chain.facts)
    monkeypatch.setattr("og_magics.verification.data.read_tree", None)
    assert all(check_data(receipt, settled).ok for receipt in receipts * 50)
