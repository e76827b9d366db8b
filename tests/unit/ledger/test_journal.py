"""What a ledger remembers, and what a receipt's status is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from og_magics.core.errors import LedgerError
from og_magics.core.protocols import Journal
from og_magics.core.receipt import Receipt
from og_magics.ledger import Ledger, receipts_frame


class TestAQuestionsLife:
    def test_an_opened_receipt_has_the_question_and_is_unpaid(self, ledger: Ledger, make: Any) -> None:
        journal: Journal = ledger
        receipt_id = journal.open(make.question(), "devnet", 1_800_000_000.25)
        assert journal.receipt(receipt_id) == Receipt(
            receipt_id, 1_800_000_000.25, "3", "tour.ipynb", "devnet", "openai", "openai/gpt-5", "batch", "unpaid",
            turn=receipt_id, path="/v1/chat/completions", request=dict(make.question().body),
        )  # fmt: skip

    def test_the_calls_of_one_turn_are_linked_by_the_first_of_them(self, ledger: Ledger, make: Any) -> None:
        first = ledger.open(make.question(), "devnet", 1_800_000_000.0)
        second = ledger.open(replace(make.question(), turn=first), "devnet", 1_800_000_001.0)
        assert [receipt.turn for receipt in ledger.receipts()] == [first, first]
        assert receipts_frame(ledger.receipts()).groupby("turn")["receipt_id"].agg(list).to_dict() == {
            first: [first, second]
        }
        assert ledger.audit().ok

    def test_an_attached_receipt_shows_who_pays_whom_and_how_much_at_most(self, ledger: Ledger, make: Any) -> None:
        authorization = make.authorization(cap=2**200)
        receipt = ledger.receipt(make.attached(ledger, authorization))
        assert receipt.status == "authorized"
        assert receipt.authorization_hash == authorization.hash
        assert (receipt.payer, receipt.pay_to, receipt.cap) == ("0xPayer", "0xPayee", 2**200)
        assert (receipt.session_id is None, receipt.cost, receipt.payment_hash) == (False, None, None)

    def test_a_served_receipt_has_the_answer_and_its_proof(self, ledger: Ledger, make: Any) -> None:
        receipt = ledger.receipt(make.served(ledger, make.authorization()))
        outcome = make.outcome()
        assert receipt.status == "served"
        assert (receipt.text, receipt.tool_calls, receipt.finish_reason) == ("42", outcome.tool_calls, "stop")
        assert (receipt.prompt_tokens, receipt.completion_tokens) == (11, 2)
        assert (receipt.latency_s, receipt.ttft_s, receipt.cost_usd) == (1.5, 0.25, "0.0001")
        assert (receipt.tee_id, receipt.tee_signature, receipt.tee_timestamp) == ("0xtee", "c2ln", 1_800_000_001)
        assert (receipt.request_hash, receipt.output_hash) == ("aa", "bb")
        assert (receipt.data_settlement_hash, receipt.blob_id) == ("0xdata", "blob")
        assert (receipt.public_key, receipt.enclave_ok) == ("3001", True)
        assert (receipt.enclave_form, receipt.enclave_reason) == ("with web_search", "The signature holds.")
        assert receipt.error is None
        assert not receipt.replayed

    def test_a_failed_receipt_keeps_what_had_arrived(self, ledger: Ledger, make: Any) -> None:
        receipt_id = make.attached(ledger, make.authorization())
        ledger.fail(receipt_id, "The stream broke.", make.outcome(text="4", finish_reason=None))
        receipt = ledger.receipt(receipt_id)
        assert (receipt.status, receipt.error, receipt.text) == ("failed", "The stream broke.", "4")

    def test_a_question_may_fail_before_anything_was_paid(self, ledger: Ledger, make: Any) -> None:
        receipt_id = make.opened(ledger)
        ledger.fail(receipt_id, "No route.", None)
        receipt = ledger.receipt(receipt_id)
        assert (receipt.status, receipt.error, receipt.text, receipt.payer) == ("failed", "No route.", "", None)

    def test_the_first_end_stands(self, ledger: Ledger, make: Any) -> None:
        served = make.served(ledger, make.authorization())
        ledger.fail(served, "Interrupted.", None, weight=9)
        failed = make.attached(ledger, make.authorization())
        ledger.fail(failed, "The stream broke.", None)
        make.serve(ledger, failed)
        assert [(r.status, r.error) for r in ledger.receipts()] == [("served", None), ("failed", "The stream broke.")]

    def test_a_negative_weight_is_refused(self, ledger: Ledger, make: Any) -> None:
        receipt_id = make.attached(ledger, make.authorization())
        with pytest.raises(LedgerError, match="weight -1"):
            make.serve(ledger, receipt_id, -1)

    def test_a_character_whose_halves_came_apart_is_joined(self, ledger: Ledger, make: Any) -> None:
        receipt_id = make.opened(ledger)
        ledger.fail(receipt_id, "lone \ud83d", make.outcome(text="\ud83d" + "\ude00"))
        receipt = ledger.receipt(receipt_id)
        assert (receipt.text, receipt.error) == ("\N{GRINNING FACE}", "lone \N{REPLACEMENT CHARACTER}")

    def test_a_request_comes_back_exactly(self, ledger: Ledger, make: Any) -> None:
        body = {"z": [1, 2.5, None, True], "a": {"text": "naïve \N{GRINNING FACE} \ud83d \x00"}, "temperature": 0.0}
        receipt_id = ledger.open(make.question(body=body), "devnet", 1.0)
        assert ledger.receipt(receipt_id).request == body


class TestAttaching:
    def test_the_same_again_fills_in_the_session(self, ledger: Ledger, make: Any) -> None:
        authorization = make.authorization()
        receipt_id = make.opened(ledger)
        ledger.authorize(authorization)
        ledger.attach(receipt_id, authorization.hash, None)
        assert ledger.receipt(receipt_id).session_id is None
        ledger.attach(receipt_id, authorization.hash, "late")
        ledger.attach(receipt_id, authorization.hash, None)
        assert ledger.receipt(receipt_id).session_id is not None

    def test_another_authorization_is_refused_and_the_first_stays(self, ledger: Ledger, make: Any) -> None:
        first, second = make.authorization(1), make.authorization(2)
        receipt_id = make.attached(ledger, first)
        ledger.authorize(second)
        with pytest.raises(LedgerError, match="already"):
            ledger.attach(receipt_id, second.hash, None)
        assert ledger.receipt(receipt_id).authorization_hash == first.hash

    def test_an_authorization_that_was_not_written_down_is_refused(self, ledger: Ledger, make: Any) -> None:
        with pytest.raises(LedgerError, match="no authorization '0xdead'"):
            ledger.attach(make.opened(ledger), "0xdead", None)


class TestDetaching:
    def test_the_receipt_is_unpaid_again_and_may_be_paid_by_another(self, ledger: Ledger, make: Any) -> None:
        first, second = make.authorization(1), make.authorization(2)
        receipt_id = make.attached(ledger, first)
        ledger.detach(receipt_id, first.hash)
        receipt = ledger.receipt(receipt_id)
        assert (receipt.status, receipt.authorization_hash, receipt.session_id) == ("unpaid", None, None)
        assert (receipt.payer, receipt.cap) == (None, None)
        ledger.authorize(second)
        ledger.attach(receipt_id, second.hash, None)
        assert ledger.receipt(receipt_id).authorization_hash == second.hash

    def test_its_share_goes_to_those_that_are_paid(self, ledger: Ledger, make: Any) -> None:
        authorization = make.authorization()
        make.served(ledger, authorization, weight=1)
        detached = make.attached(ledger, authorization)
        ledger.fail(detached, "It was not taken.", None, weight=1)
        ledger.settle(make.settlement(authorization, 100))
        ledger.detach(detached, authorization.hash)
        assert [(r.status, r.cost) for r in ledger.receipts()] == [("settled", 100), ("failed", None)]

    def test_another_authorization_stays(self, ledger: Ledger, make: Any) -> None:
        receipt_id = make.attached(ledger, make.authorization(1))
        ledger.detach(receipt_id, make.authorization(2).hash)
        assert ledger.receipt(receipt_id).authorization_hash == make.authorization(1).hash


class TestAuthorizations:
    def test_all_fields_come_back_even_those_beyond_64_bits(self, ledger: Ledger, make: Any) -> None:
        authorization = make.authorization(nonce=2**256 - 1, cap=2**256 - 1)
        ledger.authorize(authorization)
        assert ledger.authorization(authorization.hash) == authorization

    def test_writing_one_again_changes_nothing(self, ledger: Ledger, make: Any) -> None:
        ledger.authorize(make.authorization(reason="first"))
        ledger.authorize(make.authorization(reason="another"))
        assert [a.reason for a in ledger.pending()] == ["first"]

    def test_pending_ones_are_neither_settled_nor_expired_and_the_oldest_comes_first(
        self, ledger: Ledger, make: Any
    ) -> None:
        all_four = [make.authorization(n) for n in (4, 2, 1, 3)]
        for authorization in all_four:
            ledger.authorize(authorization)
        ledger.settle(make.settlement(make.authorization(2)))
        ledger.expire(make.authorization(3).hash, make.block())
        assert ledger.pending() == [make.authorization(1), make.authorization(4)]


class TestSettling:
    def test_a_settlement_is_known_once_it_is_found(self, ledger: Ledger, make: Any) -> None:
        authorization = make.authorization()
        ledger.authorize(authorization)
        assert ledger.settlement(authorization.hash) is None
        ledger.settle(make.settlement(authorization, amount=2**70))
        assert ledger.settlement(authorization.hash) == make.settlement(authorization, amount=2**70)

    def test_the_same_settlement_again_writes_nothing(self, ledger: Ledger, make: Any) -> None:
        authorization = make.authorization()
        make.served(ledger, authorization)
        ledger.settle(make.settlement(authorization))
        before = ledger.version()
        ledger.settle(make.settlement(authorization))
        assert ledger.version() == before

    def test_after_a_reorganization_only_the_last_settlement_is_kept(self, ledger: Ledger, make: Any) -> None:
        authorization = make.authorization()
        receipt_id = make.served(ledger, authorization)
        ledger.settle(make.settlement(authorization, 1000, number=7))
        ledger.mark_verified(receipt_id)
        ledger.settle(make.settlement(authorization, 900, number=8))
        receipt = ledger.receipt(receipt_id)
        assert (receipt.payment_hash, receipt.cost) == (f"0x{8:064x}", 900)
        assert receipt.status == "settled", "the payment that was verified is gone"

    def test_a_failed_receipt_shows_what_it_cost(self, ledger: Ledger, make: Any) -> None:
        authorization = make.authorization()
        failed = make.attached(ledger, authorization)
        ledger.fail(failed, "The stream broke.", None, weight=1)
        make.served(ledger, authorization, weight=3)
        ledger.settle(make.settlement(authorization, 1000))
        receipt = ledger.receipt(failed)
        assert (receipt.status, receipt.cost, receipt.payment_hash) == ("failed", 250, f"0x{7:064x}")


def _nothing(ledger: Ledger, receipt_id: str, make: Any) -> None:
    pass


def _attach(ledger: Ledger, receipt_id: str, make: Any) -> None:
    ledger.authorize(make.authorization())
    ledger.attach(receipt_id, make.authorization().hash, None)


def _serve(ledger: Ledger, receipt_id: str, make: Any) -> None:
    make.serve(ledger, receipt_id)


def _fail(ledger: Ledger, receipt_id: str, make: Any) -> None:
    ledger.fail(receipt_id, "It broke.", None)


def _settle(ledger: Ledger, receipt_id: str, make: Any) -> None:
    ledger.settle(make.settlement(make.authorization()))


def _expire(ledger: Ledger, receipt_id: str, make: Any) -> None:
    ledger.expire(make.authorization().hash, make.block())


def _verify(ledger: Ledger, receipt_id: str, make: Any) -> None:
    ledger.mark_verified(receipt_id)


@pytest.mark.parametrize(
    ("steps", "status"),
    [
        ((), "unpaid"),
        ((_fail,), "failed"),
        ((_attach,), "authorized"),
        ((_attach, _attach), "authorized"),
        ((_attach, _settle), "authorized"),
        ((_attach, _expire), "expired"),
        ((_attach, _serve), "served"),
        ((_attach, _serve, _verify), "served"),
        ((_attach, _serve, _expire), "expired"),
        ((_attach, _serve, _settle), "settled"),
        ((_attach, _settle, _serve), "settled"),
        ((_attach, _serve, _expire, _settle), "settled"),
        ((_attach, _serve, _settle, _expire), "settled"),
        ((_attach, _serve, _settle, _verify), "verified"),
        ((_attach, _serve, _settle, _verify, _verify, _settle, _expire), "verified"),
        ((_attach, _settle, _verify, _serve), "settled"),
        ((_attach, _fail), "failed"),
        ((_attach, _fail, _expire), "failed"),
        ((_attach, _fail, _settle, _verify), "failed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(s.__name__.strip("_") for s in value) or "open",
)
def test_the_status_follows_from_what_happened(
    ledger: Ledger, make: Any, steps: tuple[Callable[..., None], ...], status: str
) -> None:
    receipt_id = make.opened(ledger)
    for step in steps:
        step(ledger, receipt_id, make)
    assert ledger.receipt(receipt_id).status == status
    assert [receipt.status for receipt in ledger.receipts()] == [status]


class TestReading:
    def test_ids_are_unique_and_sort_in_the_order_of_asking(self, ledger: Ledger, make: Any) -> None:
        times = [1_800_000_000.0] * 300 + [1_799_999_999.0] * 3 + [1_800_000_001.0] * 3
        ids = [make.opened(ledger, time) for time in times]
        assert ids == sorted(set(ids))
        assert [receipt.receipt_id for receipt in ledger.receipts()] == ids

    def test_ids_of_different_ledgers_sort_by_time(self, ledger: Ledger, make: Any, tmp_path: Any) -> None:
        with Ledger(tmp_path / "other.db") as other:
            later = make.opened(ledger, 1_800_000_000.002)
            earlier = make.opened(other, 1_800_000_000.001)
        assert earlier < later

    def test_one_receipt_and_the_list_say_the_same(self, ledger: Ledger, make: Any) -> None:
        for number in (1, 2):
            for weight in (0, 5, 3):
                make.served(ledger, make.authorization(number), weight)
        ledger.settle(make.settlement(make.authorization(1), 1001))
        receipts = ledger.receipts()
        assert receipts == [ledger.receipt(receipt.receipt_id) for receipt in receipts]
        assert [receipt.cost for receipt in receipts] == [0, 626, 375, None, None, None]

    def test_an_unknown_name_is_an_error_that_says_where_it_looked(self, ledger: Ledger, make: Any) -> None:
        stranger = make.authorization(99)
        for ask in (
            lambda: ledger.receipt("none"),
            lambda: ledger.fail("none", "error", None),
            lambda: ledger.detach("none", stranger.hash),
            lambda: make.serve(ledger, "none"),
            lambda: ledger.mark_verified("none"),
            lambda: ledger.authorization(stranger.hash),
            lambda: ledger.settle(make.settlement(stranger)),
            lambda: ledger.expire(stranger.hash, make.block()),
        ):
            with pytest.raises(LedgerError, match=r"(tour\.db|postgresql://\S+) has no (receipt|authorization)"):
                ask()
