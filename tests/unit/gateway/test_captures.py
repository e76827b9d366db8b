"""Every captured answer of the real gateway is read as it was meant, and no honest signature is called false."""

from __future__ import annotations

import dataclasses
import json

import pytest

from og_magics.ledger.rows import as_sent

from ...captures import ELSEWHERE, Exchange, difference, exchanges, read
from ...devnet_captures import cases, short

ALL = list(exchanges())


def test_they_are_all_there() -> None:
    assert len(ALL) == 229
    assert sum(one.status == 200 for one in ALL) == 188
    whole = {one["name"] for one in cases()}
    assert len(whole) == 228
    left = {short(name) for name in whole - {one.case for one in ALL}}
    assert left == set(ELSEWHERE)


@pytest.mark.parametrize("exchange", ALL, ids=lambda exchange: exchange.case)
async def test_it_is_read_as_it_was_meant(exchange: Exchange) -> None:
    assert difference(exchange, await read(exchange)) == ""


async def test_a_changed_byte_of_any_of_them_is_found() -> None:
    changes = 0
    for exchange in ALL:
        expected = exchange.expected
        word = expected["text"].split()[-1] if expected and expected["text"] and not expected["error"] else ""
        changed = exchange.body.replace(word, word[:-1] + ("x" if word[-1] != "x" else "y")) if word else exchange.body
        if changed != exchange.body:
            reading = await read(dataclasses.replace(exchange, body=changed))
            assert reading.check is None or reading.check.ok is not True, exchange.case
            changes += 1
    assert changes > 100


async def test_a_notebook_saved_by_jupyter_which_sorts_keys_loses_no_proof() -> None:
    lists = [one for one in ALL if one.status == 200 and '"content": [' in one.asked.replace('":[', '": [')]
    assert len(lists) > 5
    for exchange in lists:
        sorted_keys = json.dumps(json.loads(exchange.asked), sort_keys=True)
        if "parts-two" in exchange.case:  # two orders in one request: that cannot be known again
            continue
        reading = await read(dataclasses.replace(exchange, asked=sorted_keys))
        assert reading.check is None or reading.check.ok is True, exchange.case


def test_the_ledger_keeps_a_request_as_it_was_sent() -> None:
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": [{"type": "text", "text": "b"}]}],
        "a": {"z": 1, "y": 2},
    }
    assert json.dumps(json.loads(as_sent(body))) == json.dumps(body)


async def test_a_gateway_that_could_not_settle_the_data_is_heard() -> None:
    said = {one.case: (await read(one)).outcome.unsettled for one in ALL if "data_settlement_success" in one.body}
    assert said["april-dev2--settlement-individual-stream"] == ""
    failed = said["april-dev2--individual-data-fails-stream"]
    assert failed.startswith("Facilitator settle_data failed (500)")
