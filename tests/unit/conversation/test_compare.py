"""Several answers, held against each other."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from og_magics.conversation import Answer, Comparison, Run
from og_magics.core.errors import ConfigError, GatewayError, ModelNotSupported, OGError
from og_magics.core.receipt import Receipt
from og_magics.core.types import TextGenerationOutput
from og_magics.widgets.rating import rating_box

RECEIPT = Receipt(
    receipt_id="01", time=1795343449.0, cell="3", notebook="n.ipynb", network="base", provider="openai",
    model="openai/gpt-5", settlement="batch", status="served", cost_usd="0.000289", prompt_tokens=7,
    completion_tokens=28, latency_s=1.5, ttft_s=0.25, finish_reason="stop", text="hi", tee_signature="c2ln",
)  # fmt: skip


class Rows:
    """A journal of a few receipts."""

    def __init__(self, *receipts: Receipt) -> None:
        self.rows = {receipt.receipt_id: receipt for receipt in receipts}

    def receipt(self, receipt_id: str) -> Receipt:
        return self.rows[receipt_id]


def run(model="openai/gpt-5", receipt=None, error=None, rows=None):
    """A run that has this receipt, and ends with this text or error; with Ellipsis it never ends by itself."""

    async def work(progress):
        if receipt:
            progress.opened(receipt.receipt_id)
        if error is ...:
            await asyncio.sleep(3600)
        if error:
            raise error
        text = receipt.text if receipt else "hi"
        output = TextGenerationOutput(chat_output={"role": "assistant", "content": text})
        if receipt:
            output._lookup = lambda: (rows or Rows(receipt)).receipt(receipt.receipt_id)
        return Answer.of([output], [])

    return Run(model, work)


def stopped(one):
    """Stopped when its receipt was open."""
    while one.progress.receipt_id is None:
        assert not one.wait_ended(0.01)
    one.stop()
    assert one.wait_ended(20)


def compare(*runs, rows=None, wait=True):
    for one in runs:
        assert not wait or one.wait_ended(20)
    return Comparison(runs, rows or Rows(RECEIPT), lambda columns: {"text/plain": f"{len(columns)} columns"})


class TestTheParts:
    def test_they_are_found_by_position_by_model_and_by_its_short_name(self):
        found = compare(run(), run("google/gemini-2.5-flash"))
        assert found[0] is found["openai/gpt-5"] is found["gpt-5"]
        assert found[-1] is found["google/gemini-2.5-flash"]
        assert [*found] == found[:] == [found[0], found[1]]
        assert len(found) == 2

    @pytest.mark.parametrize(("which", "error"), [(2, IndexError), ("o3", KeyError)])
    def test_one_that_is_not_there_is_told(self, which, error):
        with pytest.raises(error):
            compare(run(), run("x/y"))[which]

    def test_a_model_that_was_asked_twice_has_two_labels(self):
        found = compare(run(), run("x/y"), run())
        assert found.models == ["openai/gpt-5", "x/y", "openai/gpt-5 #2"]
        assert [*found.results] == found.models
        assert found["openai/gpt-5 #2"] is found[2]

    def test_it_says_how_each_went(self):
        found = compare(run(), run("x/y", error=GatewayError("no")))
        assert repr(found) == "<Comparison of 2 models: openai/gpt-5 answered, x/y failed (GatewayError)>"
        assert found._repr_mimebundle_() == {"text/plain": "2 columns"}


class TestTheFrame:
    def test_it_has_what_the_receipts_say_now(self):
        rows = Rows(RECEIPT)
        found = compare(run(receipt=RECEIPT, rows=rows), rows=rows)
        assert found.frame.to_dict("records")[0] == {
            "model": "openai/gpt-5", "text": "hi", "latency_s": 1.5, "ttft_s": 0.25, "prompt_tokens": 7,
            "completion_tokens": 28, "cost_opg": None, "cost_usd": Decimal("0.000289"), "status": "served",
            "finish_reason": "stop", "ending": None, "receipt_id": "01", "payment_hash": None, "rating": None, "error": None,
        }  # fmt: skip
        rows.rows["01"] = replace(RECEIPT, status="settled", payment_hash="0xcd", cost=10**15)
        row = found.frame.iloc[0]
        assert (row.status, row.payment_hash, row.cost_opg) == ("settled", "0xcd", Decimal("0.001"))

    def test_a_model_that_failed_has_a_row_with_its_error(self):
        failed = replace(RECEIPT, receipt_id="02", status="failed", error="ModelNotSupported: no", text="")
        found = compare(
            run("x/y", failed, ModelNotSupported("no")),
            run("x/z", error=OGError("never came so far")),
            rows=Rows(failed),
        )
        assert [*found.frame.error] == ["ModelNotSupported: no", "never came so far"]
        assert [*found.frame.receipt_id] == ["02", None]
        assert [*map(str, found.frame.dtypes[["latency_s", "prompt_tokens"]])] == ["float64", "Int64"]


class TestTheColumns:
    def test_an_answer_is_its_receipt(self):
        (column,) = compare(run(receipt=RECEIPT)).columns
        assert (column.model, column.receipt, column.error) == ("openai/gpt-5", RECEIPT, "")

    def test_what_never_answered_has_no_receipt_and_all_of_the_reason(self):
        failed = replace(RECEIPT, text="", tee_signature=None, error="x")
        error = GatewayError("It is down.", money="Nothing was paid.", remedy="Ask later.")
        (column,) = compare(run(receipt=failed, error=error), rows=Rows(failed)).columns
        assert (column.receipt, column.error) == (None, "It is down. Nothing was paid. Ask later.")

    def test_what_broke_off_has_both(self):
        failed = replace(RECEIPT, tee_signature=None, error="x")
        (column,) = compare(run(receipt=failed, error=GatewayError("It broke.")), rows=Rows(failed)).columns
        assert (column.receipt, column.error) == (failed, "It broke.")

    @pytest.mark.parametrize(
        ("text", "told"),
        [("", "Interrupted before the first word."), ("hi", "Interrupted: the answer is not complete.")],
    )
    def test_what_was_stopped_says_so(self, text, told):
        kept = replace(RECEIPT, text=text, tee_signature=None, error="interrupted")
        one = run(receipt=kept, error=...)
        found = compare(one, rows=Rows(kept), wait=False)
        assert found.columns[0].error == "Not answered yet."
        stopped(one)
        assert found.columns[0].error == told
        assert (found.columns[0].receipt is None) is (text == "")

    def test_what_was_stopped_when_all_was_there_is_complete(self):
        one = run(receipt=RECEIPT, error=...)
        stopped(one)
        assert compare(one).columns[0].error == ""

    def test_a_mistake_of_ours_is_shown_by_its_name(self):
        assert compare(run(error=RuntimeError("oops"))).columns[0].error == "RuntimeError: oops"


class TestTheFailure:
    def test_there_is_none_where_one_answered(self):
        assert compare(run(), run("x/y", error=GatewayError("no"))).failure() is None

    def test_of_all_alike_it_is_the_first(self):
        first = ConfigError("no wallet")
        assert compare(run(error=first), run("x/y", error=ConfigError("no wallet"))).failure() is first

    def test_of_different_ones_it_tells_all(self):
        failure = compare(run(error=GatewayError("down")), run("x/y", error=ModelNotSupported("unknown"))).failure()
        assert type(failure) is OGError
        assert failure.what == "None of the 2 models answered. openai/gpt-5: down x/y: unknown"
        assert failure.money
        assert failure.remedy


class TestRatings:
    def test_a_click_and_a_call_are_kept_in_the_frame(self):
        rows = Rows(RECEIPT)
        found = compare(run(receipt=RECEIPT, rows=rows), run(receipt=RECEIPT, rows=rows), rows=rows)
        stars = rating_box(found).children[1].children[1]
        stars.value = 4
        found.rate(0, 2)
        assert found.frame["rating"].tolist() == [2, 4]
        assert found.ratings == {"openai/gpt-5": 2, "openai/gpt-5 #2": 4}
        stars.value = None
        assert found.frame["rating"].isna().tolist() == [False, True]

    @pytest.mark.parametrize("rating", [0, 6, "5", 2.0, True])
    def test_anything_else_is_refused(self, rating):
        rows = Rows(RECEIPT)
        with pytest.raises(ConfigError, match="from 1 to 5"):
            compare(run(receipt=RECEIPT, rows=rows), rows=rows).rate(0, rating)
