"""What is spent or may still be spent, and payments that the chain takes back."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from og_magics.core.errors import LedgerError, PaymentRefused
from og_magics.core.payment_states import Commitment
from og_magics.core.protocols import Journal
from og_magics.core.receipt import Receipt
from og_magics.ledger import Ledger
from og_magics.payment import Budget

SEPOLIA, BASE = "eip155:84532", "eip155:8453"


class TestCommitted:
    def test_nothing_is_committed_at_first(self, ledger: Ledger) -> None:
        assert ledger.committed(SEPOLIA) == 0

    def test_a_pending_one_counts_with_its_cap_a_settled_one_with_its_amount_an_expired_one_not(
        self, ledger: Ledger, make: Any
    ) -> None:
        journal: Journal = ledger
        for number, cap in ((1, 10), (2, 200), (3, 3000)):
            journal.authorize(make.authorization(number, cap=cap))
        assert journal.committed(SEPOLIA) == 3210
        journal.settle(make.settlement(make.authorization(2), 7))
        assert journal.committed(SEPOLIA) == 3017
        journal.expire(make.authorization(3).hash, make.block())
        assert journal.committed(SEPOLIA) == 17
        journal.settle(make.settlement(make.authorization(3), 5))
        assert journal.committed(SEPOLIA) == 22, "a payment after all outdoes the expiry"
        journal.unsettle(make.authorization(3).hash, make.block())
        assert journal.committed(SEPOLIA) == 3017, "it is pending again"

    def test_amounts_beyond_64_bits_are_exact(self, ledger: Ledger, make: Any) -> None:
        for number in (1, 2):
            ledger.authorize(make.authorization(number, cap=2**255 + 1))
        assert ledger.committed(SEPOLIA) == 2**256 + 2

    def test_each_network_counts_for_itself(self, ledger: Ledger, make: Any) -> None:
        ledger.authorize(make.authorization(1, cap=1))
        ledger.authorize(make.authorization(2, cap=20, network=BASE))
        assert (ledger.committed(SEPOLIA), ledger.committed(BASE), ledger.committed("eip155:1")) == (1, 20, 0)

    def test_only_those_created_then_or_later_count(self, ledger: Ledger, make: Any) -> None:
        for number in (1, 2, 3):
            ledger.authorize(make.authorization(number, cap=10**number, created=100 + number))
        told = [ledger.committed(SEPOLIA, since) for since in (0, 102, 102.5, 103.0, 104)]
        assert told == [1110, 1100, 1000, 1000, 0]


class TestReorganizations:
    def test_young_settlements_are_told_in_the_order_of_their_blocks(self, ledger: Ledger, make: Any) -> None:
        for number, network in ((1, SEPOLIA), (2, SEPOLIA), (3, SEPOLIA), (4, BASE)):
            ledger.authorize(make.authorization(number, network=network))
            ledger.settle(make.settlement(make.authorization(number), number=10 - number))
        told = ledger.settled_since(108, SEPOLIA)
        assert told == [make.settlement(make.authorization(n), number=10 - n) for n in (2, 1)]
        assert ledger.settled_since(110, SEPOLIA) == []
        assert [settlement.block_number for settlement in ledger.settled_since(0, BASE)] == [106]

    def test_what_is_unsettled_is_pending_again_and_may_be_settled_anew(self, ledger: Ledger, make: Any) -> None:
        authorization = make.authorization()
        receipt_id = make.served(ledger, authorization)
        ledger.settle(make.settlement(authorization, 1000, number=7))
        ledger.unsettle(authorization.hash, make.block())
        receipt = ledger.receipt(receipt_id)
        assert (receipt.status, receipt.payment_hash, receipt.cost) == ("served", None, None)
        assert (ledger.pending(), ledger.settlement(authorization.hash)) == ([authorization], None)
        ledger.settle(make.settlement(authorization, 900, number=8))
        receipt = ledger.receipt(receipt_id)
        assert (receipt.status, receipt.payment_hash, receipt.cost) == ("settled", f"0x{8:064x}", 900)

    def test_one_that_had_expired_before_is_pending_again(self, ledger: Ledger, make: Any) -> None:
        ledger.authorize(make.authorization())
        ledger.expire(make.authorization().hash, make.block())
        ledger.settle(make.settlement(make.authorization()))
        ledger.unsettle(make.authorization().hash, make.block())
        assert ledger.pending() == [make.authorization()]

    def test_where_nothing_was_settled_nothing_happens(self, ledger: Ledger, make: Any) -> None:
        ledger.authorize(make.authorization())
        ledger.expire(make.authorization().hash, make.block())
        ledger.unsettle(make.authorization().hash, make.block())
        assert ledger.pending() == []

    def test_an_unknown_authorization_is_an_error(self, ledger: Ledger, make: Any) -> None:
        with pytest.raises(LedgerError, match="no authorization '0x1'"):
            ledger.unsettle("0x1", make.block())


class TestAReceiptsAuthorization:
    def test_a_receipt_has_what_was_signed_to_pay_it(self, ledger: Ledger, make: Any) -> None:
        paid, unpaid = make.served(ledger, make.authorization()), make.opened(ledger)
        assert ledger.receipt(paid).authorization == make.authorization()
        assert ledger.receipt(unpaid).authorization is None
        assert [receipt.authorization for receipt in ledger.receipts()] == [make.authorization(), None]

    def test_it_travels_in_the_json_with_its_amounts_as_decimal_strings(self, ledger: Ledger, make: Any) -> None:
        receipt = ledger.receipt(make.served(ledger, make.authorization(cap=2**200)))
        form = json.loads(json.dumps(receipt.to_json()))
        assert (form["authorization"]["cap"], form["authorization"]["nonce"]) == (str(2**200), str(2**255 + 1))
        assert form["authorization"]["pay_to"] == "0xPayee"
        assert Receipt.from_json(form) == receipt

    def test_a_receipt_of_before_has_none(self, ledger: Ledger, make: Any) -> None:
        form = ledger.receipt(make.opened(ledger)).to_json()
        assert form.pop("authorization") is None
        assert Receipt.from_json(form).authorization is None

    @pytest.mark.parametrize("broken", ["0x1", {}, [], {"cap": "much"}, {"nonce": None}, 7])
    def test_one_that_cannot_be_read_is_refused(self, ledger: Ledger, make: Any, broken: Any) -> None:
        form = ledger.receipt(make.served(ledger, make.authorization())).to_json()
        whole = {**form["authorization"], **broken} if isinstance(broken, dict) and broken else broken
        with pytest.raises(ValueError, match=r"not a receipt|invalid literal"):
            Receipt.from_json({**form, "authorization": whole})


def _sign(path: str, number: int, authorization: Any, start: Any, ended: Any) -> None:
    """Sign in a process of its own, as a kernel does, once all are ready."""
    with Ledger(path) as ledger:
        start.wait(60)
        try:
            ledger.authorize(authorization, lambda committed: BUDGET.refuse(authorization.cap, *_pair(committed(None))))
        except PaymentRefused as error:
            ended.put((number, error.what))
        else:
            ended.put((number, ""))


def _pair(commitment: Commitment) -> tuple[int, int]:
    return commitment.total, commitment.open


BUDGET = Budget("This notebook's budget", 79, None, "%og budget")


def test_twenty_processes_that_ask_at_once_sign_what_the_budget_has_room_for(
    tmp_path: Path, make: Any, report: Callable[[str], None]
) -> None:
    path, processes = str(tmp_path / "shared.db"), multiprocessing.get_context("fork")
    with Ledger(path) as ledger:
        ledger.authorize(make.authorization(100, cap=3))
    start, ended = processes.Barrier(20), processes.Queue()
    running = [
        processes.Process(target=_sign, args=(path, number, make.authorization(number, cap=10), start, ended))
        for number in range(20)
    ]
    for one in running:
        one.start()
    ends = [ended.get(timeout=120) for _ in running]
    for one in running:
        one.join(60)
        assert one.exitcode == 0
    signed = sum(not refused for _, refused in ends)
    report(f"{signed} of {len(ends)} signed, {len(ends) - signed} were refused")
    assert signed == 7
    assert {refused.partition(":")[0] for _, refused in ends if refused} == {"This notebook's budget does not allow it"}
    with Ledger(path) as ledger:
        assert ledger.committed(SEPOLIA) == 73
        assert ledger.audit().ok
