"""Results, receipts, errors."""

from __future__ import annotations

import inspect
import json

import pytest

from og_magics import errors
from og_magics.core.receipt import COLUMNS, Receipt
from og_magics.core.types import ResponseFormat, StreamChoice, StreamChunk, StreamDelta, TextGenerationOutput

RECEIPT = Receipt(
    receipt_id="01", time=1.5, cell="3", notebook="n.ipynb", network="devnet", provider="openai", model="openai/gpt-5",
    settlement="batch", status="served", cap=10**17, cost=2**70, request={"model": "gpt-5"}, text="hé",
    tool_calls=({"id": "c"},),
)  # fmt: skip


def test_a_receipt_survives_json():
    assert Receipt.from_json(json.loads(json.dumps(RECEIPT.to_json()))) == RECEIPT


def test_amounts_in_a_receipts_json_are_strings():
    form = RECEIPT.to_json()
    assert (form["cap"], form["cost"]) == ("100000000000000000", str(2**70))


@pytest.mark.parametrize("form", [{}, {"version": 2}, {"version": 1}, {"version": 1, "receipt_id": "x"}])
def test_what_is_no_receipt_is_refused(form):
    with pytest.raises(ValueError, match="receipt"):
        Receipt.from_json(form)


@pytest.mark.parametrize(
    ("name", "value"),
    [("payer", 5), ("text", None), ("request", "x"), ("time", float("nan")), ("cost", "1" * 100), ("cap", -1),
     ("cost_usd", "1E+99999"), ("prompt_tokens", True), ("tool_calls", [5]), ("authorization", {}), ("replayed", 1),
     ("latency_s", "1")],
)  # fmt: skip
def test_a_value_of_another_kind_is_refused_by_its_name(name, value):
    with pytest.raises(ValueError, match=f"not a receipt: {name}: "):
        Receipt.from_json({**RECEIPT.to_json(), name: value})


def test_a_number_that_went_through_javascript_is_the_same_number():
    form = {**RECEIPT.to_json(), "time": 1795343449, "latency_s": 1}
    assert Receipt.from_json(form).latency_s == 1.0


def test_a_field_that_a_later_version_adds_is_kept():
    form = {**RECEIPT.to_json(), "version": "1.7", "mood": "good"}
    receipt = Receipt.from_json(form)
    assert receipt.extra == {"mood": "good"}
    assert receipt.to_json()["mood"] == "good"


def test_columns_are_unique():
    assert len(set(COLUMNS)) == len(COLUMNS) == 36


def test_payment_hash_is_read_from_the_receipt_as_it_stands():
    state = {"hash": None}
    result = TextGenerationOutput(chat_output={"role": "assistant", "content": "hi"})
    assert result.payment_hash is None

    from dataclasses import replace

    result._lookup = lambda: replace(RECEIPT, payment_hash=state["hash"])
    assert result.payment_hash is None
    state["hash"] = "0xabc"
    assert result.payment_hash == "0xabc"
    assert "0xabc" in repr(result)


def test_a_result_made_by_hand_is_a_plain_dataclass():
    assert TextGenerationOutput(payment_hash="0x1").payment_hash == "0x1"
    assert TextGenerationOutput().text == ""
    assert TextGenerationOutput(completion_output="c").text == "c"
    chunk = StreamChunk(choices=[StreamChoice(StreamDelta(content="a"))], model="m")
    assert chunk.payment_hash is None
    assert chunk.output is None


def test_a_response_format_is_checked_when_it_is_made():
    assert ResponseFormat("json_object").to_dict() == {"type": "json_object"}
    for wrong in (lambda: ResponseFormat("xml"), lambda: ResponseFormat("json_schema")):
        with pytest.raises(ValueError, match="ResponseFormat"):
            wrong()


def test_an_error_says_what_happened_what_it_means_for_the_money_and_what_to_do():
    error = errors.GatewayUnreachable("It is down.", money="Nothing was paid.", remedy="Wait.")
    assert str(error) == "It is down. Nothing was paid. Wait."


def test_every_error_stands_in_the_tree_of_the_docstring():
    classes = [
        c
        for _, c in inspect.getmembers(errors, inspect.isclass)
        if issubclass(c, Exception) and c.__module__ == errors.__name__
    ]
    for cls in classes:
        assert issubclass(cls, errors.OGError)
        assert cls.__name__ in (errors.__doc__ or "")
        assert cls.__doc__
