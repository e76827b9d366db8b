"""What many receipts have in common stands in one row for all of them, and each receipt is what it was."""

from __future__ import annotations

from typing import Any

import pytest
from pandas.testing import assert_frame_equal

from og_magics.ledger import FrameCache, Ledger, receipts_frame
from og_magics.ledger.alike import SHARED
from og_magics.ledger.copying import copy_ledger

from .conftest import by_hand


def apart(ledger: Ledger, *ids: str) -> list[Any]:
    """The numbers of what these receipts have in common with others; of all of them, in the order of their ids."""
    with by_hand(ledger) as connection:
        found = dict(connection.execute("SELECT receipt_id, alike FROM receipts ORDER BY receipt_id").fetchall())
    return [found[id] for id in ids or found]


def same(ledger: Ledger) -> None:
    assert_frame_equal(FrameCache(ledger).current(), receipts_frame(ledger.receipts()))
    assert ledger.receipts() == [ledger.receipt(one.receipt_id) for one in ledger.receipts()]


class TestApart:
    def test_receipts_that_ended_alike_name_one_row_and_hold_nothing_of_it(self, ledger: Ledger, make: Any) -> None:
        ids = [make.served(ledger, make.authorization()) for _ in range(3)]
        ids.append(make.served(ledger, make.authorization(2)))
        ids.append(make.attached(ledger, make.authorization(2)))
        first, *others = apart(ledger, *ids)
        assert others[:2] == [first, first]
        assert others[2] not in (None, first), "another authorization pays for it"
        assert others[3] is None, "it has not ended"
        with by_hand(ledger) as connection:
            row = connection.execute(f"SELECT {', '.join(SHARED)} FROM receipts WHERE receipt_id = ?", ids[:1])
            assert set(row.fetchone()) <= {None, ""}
        receipt = ledger.receipt(ids[0])
        assert (receipt.model, receipt.cell, receipt.tee_id, receipt.enclave_ok) == (
            "openai/gpt-5", "3", "0xtee", True,
        )  # fmt: skip
        assert ledger.typical_tokens("openai/gpt-5") == 2
        same(ledger)
        assert ledger.audit().ok

    def test_a_payment_taken_back_after_the_end_is_another_row_and_its_session_is_gone(
        self, ledger: Ledger, make: Any
    ) -> None:
        kept, freed = (make.served(ledger, make.authorization()) for _ in range(2))
        ledger.detach(freed, make.authorization().hash)
        assert ledger.receipt(freed).session_id is None
        assert ledger.receipt(kept).session_id is not None
        assert ledger.receipt(freed).tee_id == "0xtee"
        same(ledger)
        assert ledger.audit().ok

    def test_what_is_verified_later_stays_apart(self, ledger: Ledger, make: Any) -> None:
        receipt = make.served(ledger, make.authorization())
        before = apart(ledger)
        ledger.settle(make.settlement(make.authorization()))
        ledger.mark_verified(receipt)
        assert apart(ledger) == before != [None]
        assert ledger.receipt(receipt).status == "verified"
        assert ledger.audit().ok


class TestByHand:
    @pytest.mark.parametrize(
        "change", ["tee_id = '0xother'", "model = 'openai/gpt-6'", "ended = 'failed'", "authorization_hash = NULL"]
    )
    def test_facts_that_were_changed_are_found_in_each_of_their_receipts(
        self, ledger: Ledger, make: Any, change: str
    ) -> None:
        ids = {make.served(ledger, make.authorization()) for _ in range(2)}
        other = make.served(ledger, make.authorization(2))
        with by_hand(ledger) as connection:
            connection.execute(f"UPDATE alike SET {change} WHERE id = (SELECT min(id) FROM alike)")
        assert set(ledger.audit().broken) == ids
        assert other not in ids

    def test_facts_that_were_removed_are_found(self, ledger: Ledger, make: Any) -> None:
        receipt = make.served(ledger, make.authorization())
        with by_hand(ledger) as connection:
            connection.execute("DELETE FROM alike")
        assert set(ledger.audit().broken) == {receipt}
        assert ledger.receipts()[0].model == ""

    def test_a_receipt_that_was_given_the_facts_of_another_is_found(self, ledger: Ledger, make: Any) -> None:
        receipts = [make.served(ledger, make.authorization(number)) for number in (1, 2)]
        with by_hand(ledger) as connection:
            connection.execute("UPDATE receipts SET alike = 1 WHERE receipt_id = ?", receipts[1:])
        assert set(ledger.audit().broken) == {receipts[1]}

    def test_no_receipt_takes_facts_that_were_changed(self, ledger: Ledger, make: Any) -> None:
        broken = make.served(ledger, make.authorization())
        with by_hand(ledger) as connection:
            connection.execute("UPDATE alike SET tee_id = '0xother'")
        sound = make.served(ledger, make.authorization())
        assert ledger.receipt(sound).tee_id == "0xtee"
        assert apart(ledger)[1] is None
        assert set(ledger.audit().broken) == {broken}
        same(ledger)


@pytest.mark.ci
def test_a_copy_on_a_server_goes_on_with_what_stands_apart(
    ledger: Ledger, make: Any, postgres: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    receipts = [make.served(ledger, make.authorization()) for _ in range(2)]
    with Ledger(postgres.url()) as made:
        copy_ledger(ledger, made)
        made.settle(make.settlement(make.authorization()))
        made.mark_verified(receipts[0])
        made.detach(receipts[1], make.authorization().hash)
        receipts.append(make.served(made, make.authorization(3)))
        assert made.receipt(receipts[0]).status == "verified"
        assert (made.receipt(receipts[1]).session_id, made.receipt(receipts[1]).tee_id) == (None, "0xtee")
        numbers = apart(made, *receipts)
        assert numbers[0] is not None
        assert numbers[1:] == [None, None], "a server keeps rows as they are"
        same(made)
        assert made.audit().ok
