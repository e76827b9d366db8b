"""Answers, batches and errors in other processes, in files and as copies."""

from __future__ import annotations

import asyncio
import copy
import pickle
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from og_magics.chain.rpc import NodeError
from og_magics.conversation import Answer, BatchResult, Interrupted
from og_magics.core import errors
from og_magics.core.receipt import Receipt
from og_magics.core.types import TextGenerationOutput

RECEIPT = Receipt(
    receipt_id="01", time=1.0, model="openai/gpt-5", network="devnet", text="Hello", status="served", cell="", notebook="",
    provider="openai", settlement="batch",
    request={"messages": [{"role": "user", "content": "Hi"}]},
)  # fmt: skip


class Ledger:
    """A journal that cannot be pickled, as none with an open file can."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.now = RECEIPT

    def receipt(self, receipt_id: str) -> Receipt:
        assert receipt_id == self.now.receipt_id
        return self.now


@dataclass
class City:
    name: str


def pickled(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def answer(ledger: Ledger) -> Answer:
    output = TextGenerationOutput(chat_output={"role": "assistant", "content": "Hello"}, model="openai/gpt-5")
    output._lookup = lambda: ledger.receipt("01")
    answer = Answer.of([output], [{"role": "user", "content": "Hi"}])
    answer.parsed = City("Rome")
    answer._shown = lambda one: {"text/plain": f"{one.text} {ledger.lock}"}
    return answer


def test_a_pickled_answer_has_all_it_had_and_its_receipt_of_then(answer: Answer, ledger: Ledger) -> None:
    ledger.now = replace(RECEIPT, payment_hash="0x01", status="settled")
    again = pickled(answer)
    ledger.now = RECEIPT

    assert (again.text, again.parsed, again.messages) == ("Hello", City("Rome"), answer.messages)
    assert (again.payment_hash, again.receipt.status, len(again.receipts)) == ("0x01", "settled", 1)
    assert again._repr_mimebundle_() == {"text/plain": "Hello"}
    assert pickled(again).receipt == again.receipt


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_a_copy_in_this_process_still_sees_its_settlement(
    answer: Answer, ledger: Ledger, copied: Callable[[Any], Any]
) -> None:
    again = copied(answer)
    ledger.now = replace(RECEIPT, payment_hash="0x01")

    assert again is not answer
    assert again.payment_hash == "0x01"
    assert (again.parsed is answer.parsed) == (copied is copy.copy)
    assert again._repr_mimebundle_() == answer._repr_mimebundle_()


@pytest.fixture
def batch(answer: Answer, ledger: Ledger) -> BatchResult:
    batch: BatchResult = BatchResult(["a", "b", "c"], ledger)  # type: ignore[arg-type]  # of a journal, the part that is used
    done, failed, _ = batch._slots
    asyncio.run(done.keep(answer))
    asyncio.run(failed.fail(errors.GatewayError("It failed.", status=500, money="Nothing was paid.")))
    done.progress.opened("01")
    done.progress.changed = ledger.lock.release
    return batch


@pytest.mark.parametrize("again", [pickled, copy.copy, copy.deepcopy])
def test_a_batch_keeps_its_answers_errors_frame_and_receipts(batch: BatchResult, again: Callable[[Any], Any]) -> None:
    other = again(batch)

    assert other.texts == ["Hello", None, None]
    assert other.prompts == batch.prompts
    assert str(other.errors[1]) == "It failed. Nothing was paid."
    assert other.receipts == batch.receipts
    assert other.frame.equals(batch.frame)


def test_an_interrupt_keeps_what_was_answered(batch: BatchResult) -> None:
    again = pickled(Interrupted(batch))
    assert again.partial.texts == ["Hello", None, None]
    assert str(again) == str(Interrupted(batch))


def kinds(kind: type[errors.OGError]) -> Iterator[type[errors.OGError]]:
    yield kind
    for one in kind.__subclasses__():
        yield from kinds(one)


@pytest.mark.parametrize("kind", [kind for kind in kinds(errors.OGError) if kind is not NodeError])
@pytest.mark.parametrize("again", [pickled, copy.copy, copy.deepcopy])
def test_every_error_reaches_the_process_that_waits_for_it(
    kind: type[errors.OGError], again: Callable[[Any], Any]
) -> None:
    error = kind("What.", money="Money.", remedy="Remedy.")
    error.extra = "more"  # type: ignore[attr-defined]  # whatever is added later
    other = again(error.with_money("Paid."))

    assert type(other) is kind
    assert (str(other), vars(other)) == ("What. Paid. Remedy.", vars(error))


def test_an_error_of_another_form_does_too() -> None:
    error = NodeError("host", {"message": "no", "code": 3}, money="M.", remedy="R.")
    assert (str(pickled(error)), vars(pickled(error))) == (str(error), vars(error))


def test_a_broken_stream_keeps_its_part(answer: Answer) -> None:
    assert pickled(errors.StreamError("It broke.", partial=answer)).partial.text == "Hello"
