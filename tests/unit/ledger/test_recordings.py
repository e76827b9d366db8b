"""Recordings: found by what was asked, in the order in which they came, with the stream as it was."""

from __future__ import annotations

from typing import Any

from og_magics.core.cell_context import CellExecution
from og_magics.core.recording import request_fingerprint
from og_magics.core.types import x402SettlementMode
from og_magics.ledger import Ledger

from .conftest import by_hand, file_only


def key_of(question: Any) -> str:
    return request_fingerprint(question.path, question.model, question.body)


def answered(ledger: Ledger, make: Any, question: Any, at: float = 1.0) -> str:
    receipt_id = ledger.open(question, "devnet", at)
    make.serve(ledger, receipt_id)
    return receipt_id


def test_an_answer_is_found_by_its_request_however_it_was_settled_or_streamed(ledger: Ledger, make: Any) -> None:
    question = make.question()
    body = {name: value for name, value in question.body.items() if name != "stream"}
    ids = [
        answered(ledger, make, question, 1.0),
        answered(ledger, make, make.question(settlement=x402SettlementMode.PRIVATE, cell="9"), 2.0),
        answered(ledger, make, make.question(body=body), 3.0),
    ]
    found = ledger.recordings.recorded(key_of(question))
    assert [one.receipt.receipt_id for one in found] == ids
    assert found[0].receipt.text == "42"


def test_another_model_prompt_or_parameter_is_another_request(make: Any) -> None:
    question = make.question()
    others = [
        make.question("How much is 6 * 8?"),
        make.question(model="anthropic/claude-haiku-4-5"),
        make.question(path="/v1/completions"),
        make.question(body={**question.body, "temperature": 1.0}),
        make.question(body={**question.body, "tools": []}),
    ]
    assert len({key_of(one) for one in [question, *others]}) == 6


def test_only_complete_answers_are_found(ledger: Ledger, make: Any) -> None:
    question = make.question()
    ledger.open(question, "devnet", 1.0)
    failed = ledger.open(question, "devnet", 2.0)
    ledger.fail(failed, "StreamError: it broke", make.outcome())
    assert ledger.recordings.recorded(key_of(question)) == []


def test_the_stream_and_the_cell_are_kept(ledger: Ledger, make: Any) -> None:
    where = CellExecution("run1", "cell:a", "9d#1")
    receipt_id = answered(ledger, make, make.question(execution=where))
    ledger.recordings.keep(receipt_id, [(0.1, "4"), (0.25, "2")], ["data:image/png;base64,AA=="])
    (found,) = ledger.recordings.recorded(key_of(make.question()))
    assert found.execution == where
    assert found.deltas == ((0.1, "4"), (0.25, "2"))
    assert found.images == ("data:image/png;base64,AA==",)


def test_a_stream_that_does_not_add_up_to_the_answer_is_not_used(ledger: Ledger, make: Any) -> None:
    receipt_id = answered(ledger, make, make.question())
    ledger.recordings.keep(receipt_id, [(0.1, "4"), (0.25, "3")], [])
    (found,) = ledger.recordings.recorded(key_of(make.question()))
    assert found.deltas == ()
    with by_hand(ledger) as file:
        file.execute("UPDATE recordings SET stream = ?", (b"\x00",))
    assert ledger.recordings.recorded(key_of(make.question()))[0].deltas == ()


def test_the_next_call_of_a_turn_follows_its_receipt(ledger: Ledger, make: Any) -> None:
    first = answered(ledger, make, make.question(), 1.0)
    answered(ledger, make, make.question("something else"), 2.0)
    second = answered(ledger, make, make.question("with the results", turn=first), 3.0)
    third = answered(ledger, make, make.question("with more results", turn=first), 4.0)
    shelf = ledger.recordings
    for before, after in ((first, second), (second, third)):
        found = shelf.following(ledger.receipt(before))
        assert found is not None
        assert (found.receipt, found.own) == (ledger.receipt(after), True)
    assert shelf.following(ledger.receipt(third)) is None


@file_only
def test_a_ledger_from_before_there_were_recordings_has_them_afterwards(ledger: Ledger, make: Any) -> None:
    question = make.question()
    receipt_id = answered(ledger, make, question)
    ledger.close()
    with by_hand(ledger) as file:
        file.executescript(
            "DROP TABLE recordings; DROP TABLE meta; ALTER TABLE receipts DROP COLUMN reported_cost; "
            "ALTER TABLE authorizations DROP COLUMN money; ALTER TABLE authorizations DROP COLUMN evidence; "
            "PRAGMA user_version = 4"
        )
    (found,) = ledger.recordings.recorded(key_of(question))
    assert found.receipt.receipt_id == receipt_id
    assert ledger.audit().ok
