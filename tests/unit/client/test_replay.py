"""Which recording answers a question: that of the same cell, the latest, and several in their order."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from og_magics.client.replay import Replays, output_of
from og_magics.core.cell_context import NO_CELL, CellExecution
from og_magics.core.errors import ProofError
from og_magics.core.receipt import Receipt
from og_magics.core.recording import Recording, request_fingerprint
from og_magics.core.types import ChatRequest, x402SettlementMode

BODY = {"model": "gpt-5", "messages": [{"role": "user", "content": "Which?"}]}
KEY = request_fingerprint("/v1/chat/completions", "openai/gpt-5", BODY)


@dataclass
class Kept:
    """A shelf of recordings that are given."""

    recordings: list[Recording] = field(default_factory=list)

    def add(self, name: str, run: str = "", cell: str = "", source: str = "", **more: Any) -> None:
        receipt = Receipt(
            receipt_id=f"{len(self.recordings):04d}", time=float(len(self.recordings)), cell="", notebook="",
            network="devnet", provider="openai", model="openai/gpt-5", settlement="batch", status="served",
            path="/v1/chat/completions", request=BODY, text=name,
        )  # fmt: skip
        self.recordings.append(Recording(receipt, CellExecution(run, cell, source), **more))

    def recorded(self, key: str) -> list[Recording]:
        return list(self.recordings) if key == KEY else []

    def following(self, receipt: Receipt) -> Recording | None:
        return None

    def knows(self, receipt: Receipt) -> bool:
        return False


def question(run: str = "", cell: str = "", source: str = "") -> ChatRequest:
    where = CellExecution(run, cell, source)
    return ChatRequest("/v1/chat/completions", "openai/gpt-5", BODY, x402SettlementMode.BATCH_HASHED, execution=where)


def texts(replays: Replays, *questions: ChatRequest) -> list[str | None]:
    found = [replays.find(one) for one in questions]
    return [None if one is None else one.receipt.text for one in found]


@pytest.fixture
def kept() -> Kept:
    return Kept()


def test_a_loop_gets_its_answers_in_their_order_and_then_the_last_again(kept: Kept) -> None:
    for name in ("a", "b", "c"):
        kept.add(name, run="old", source="loop#1")
    again = question("new", source="loop#1")
    assert texts(Replays([kept]), again, again, again, again) == ["a", "b", "c", "c"]


def test_a_cell_that_runs_again_begins_again(kept: Kept) -> None:
    kept.add("a", run="old", cell="cell:1")
    replays = Replays([kept])
    assert texts(replays, question("new", "cell:1"), question("newer", "cell:1")) == ["a", "a"]


def test_the_latest_run_of_the_same_cell_counts(kept: Kept) -> None:
    kept.add("first", run="r1", cell="cell:1")
    kept.add("second", run="r2", cell="cell:1")
    kept.add("of another cell", run="r3", cell="cell:2")
    replays = Replays([kept])
    assert texts(replays, question("new", "cell:1"), question("new2", "cell:2")) == ["second", "of another cell"]


def test_of_a_cell_that_is_not_known_the_latest_run_counts(kept: Kept) -> None:
    kept.add("first", run="r1", cell="cell:1")
    kept.add("second", run="r2", cell="cell:2")
    assert texts(Replays([kept]), question("new", "cell:9")) == ["second"]


def test_cells_of_a_notebook_that_ask_the_same_get_theirs_in_order(kept: Kept) -> None:
    kept.add("of cell 2", run="n.ipynb#2")
    kept.add("of cell 7", run="n.ipynb#7")
    replays = Replays([kept])
    assert texts(replays, question("new2"), question("new7")) == ["of cell 2", "of cell 7"]


def test_what_a_cell_paid_a_moment_ago_is_not_paid_again(kept: Kept) -> None:
    replays = Replays([kept])
    assert texts(replays, question("now", source="loop#1")) == [None]
    kept.add("of this very loop", run="now", source="loop#1")
    assert texts(replays, *[question("now", source="loop#1")] * 2) == ["of this very loop"] * 2


def test_what_a_script_paid_is_not_paid_again_by_it_nor_by_the_next(kept: Kept) -> None:
    replays = Replays([kept])
    assert texts(replays, question()) == [None]
    kept.add("the only one")
    assert texts(replays, question(), question()) == ["the only one"] * 2
    assert texts(Replays([kept]), *[question()] * 3) == ["the only one"] * 3


def test_a_second_shelf_is_asked_where_the_first_has_nothing(kept: Kept) -> None:
    kept.add("from the notebook")
    assert texts(Replays([Kept(), kept]), question("new")) == ["from the notebook"]


def test_what_is_known_to_be_edited_is_refused_with_its_cell(kept: Kept) -> None:
    kept.add("a", problem="The notebook shows another answer than the receipt's.")
    with pytest.raises(ProofError, match=r"cell 7.*another answer.*Nothing was paid"):
        Replays([kept]).find(replace(question("new"), cell="7"))


def test_a_signature_that_does_not_hold_is_refused(kept: Kept) -> None:
    kept.add("a")
    one = kept.recordings[0]
    signed = replace(one.receipt, tee_signature="AAAA", tee_timestamp=1, tee_id="0x00", public_key="3001")
    kept.recordings = [replace(one, receipt=signed)]
    with pytest.raises(ProofError, match="not what was signed"):
        Replays([kept]).find(question("new"))


def test_the_result_is_as_it_was_and_its_receipt_says_that_it_is_replayed(kept: Kept) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    kept.add("a")
    one = kept.recordings[0]
    receipt = replace(one.receipt, tool_calls=(call,), prompt_tokens=3, completion_tokens=4, payment_hash="0xpaid")
    output = output_of(Recording(receipt, NO_CELL))
    assert output.chat_output == {"role": "assistant", "content": "a", "tool_calls": [call]}
    assert output.usage == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    assert output.payment_hash == "0xpaid"
    assert output.receipt is not None
    assert output.receipt.replayed
