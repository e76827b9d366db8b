"""Receipts that are chosen: the database finds the same ones as a filter of the whole frame."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from og_magics.core.errors import ConfigError
from og_magics.core.models import TEE_LLM
from og_magics.core.receipt_filter import receipt_filter
from og_magics.ledger import FrameCache, Ledger, chosen_frame

DAY = 86_400.0
NAMES = ("openai/gpt-5", "anthropic/claude", "it's \x1a % odd")


def fill(ledger: Ledger, make: Any) -> None:
    """Write receipts of every status, model, notebook and day."""
    together, refused, open_one = map(make.authorization, range(1, 4))
    for paying in (together, refused, open_one):
        ledger.authorize(paying)
    number = 0
    for model in NAMES:
        for notebook in ("a.ipynb", "b.ipynb"):
            for paying in (together, refused, open_one, None):
                number += 1
                question = make.question(model=model, notebook=notebook)
                receipt = ledger.open(question, "devnet", 1_800_000_000 + number * DAY / 4 + 1e-6)
                if paying is not None:
                    ledger.attach(receipt, paying.hash, None)
                    if number % 5:
                        ledger.serve(receipt, make.outcome(), cost_usd=None, weight=number, enclave=make.verdict)
                    else:
                        ledger.fail(receipt, "gone", None, weight=1)
    ledger.settle(make.settlement(together, 10**15 + 7))
    ledger.expire(refused.hash, make.block())
    settled = [one for one in ledger.receipts() if one.status == "settled"]
    ledger.mark_verified(settled[0].receipt_id)


FILTERS: list[dict[str, Any]] = [
    {"model": "openai/gpt-5"},
    {"model": NAMES[1:]},
    {"model": NAMES[2]},
    {"model": "nobody/knows"},
    {"model": []},
    {"model": [*NAMES[:2], "half a \ud83d", "with \x00"]},
    {"model": [NAMES[0], *(f"nobody/{number}" for number in range(40_000))]},
    {"since": datetime.min, "until": datetime.max},
    {"since": "9999-12-31T23:59:59-12:00"},
    {"until": "0001-01-01T00:00:00+12:00"},
    {"provider": "openai"},
    {"provider": ["anthropic", "openai"]},
    {"from_notebook": "a.ipynb"},
    *({"status": one} for one in ("unpaid", "served", "settled", "verified", "expired", "failed")),
    {"status": ["verified", "failed"]},
    {"since": datetime.fromtimestamp(1_800_000_000 + 2 * DAY, UTC)},
    {"until": datetime.fromtimestamp(1_800_000_000 + 2 * DAY, UTC)},
    {"since": "2027-01-16", "until": date(2027, 1, 18)},
    {"since": "2027-01-16T02:00:00+02:00", "model": NAMES[0], "from_notebook": "b.ipynb", "status": "settled"},
]


def of_frame(frame: pd.DataFrame, **filters: Any) -> pd.DataFrame:
    """Filter the whole frame, as its reader would."""
    keep = pd.Series(True, index=frame.index)
    for name, given in filters.items():
        if name in ("since", "until"):
            moment = datetime.fromisoformat(given) if isinstance(given, str) else given
            moment = moment if isinstance(moment, datetime) else datetime(moment.year, moment.month, moment.day)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
            times = [one.to_pydatetime() for one in frame["time"]]
            keep &= pd.Series([one >= moment if name == "since" else one < moment for one in times], index=frame.index)
        else:
            column = frame["notebook" if name == "from_notebook" else name]
            keep &= column == given if isinstance(given, str) else column.isin(list(given))
    return frame[keep].reset_index(drop=True)


def test_each_filter_finds_what_a_filter_of_the_frame_finds(ledger: Ledger, make: Any) -> None:
    fill(ledger, make)
    whole, sizes = FrameCache(ledger).current(), set()
    for filters in FILTERS:
        choice = receipt_filter(**filters)
        found = chosen_frame(ledger, choice)
        assert_frame_equal(found, of_frame(whole, **filters))
        kept = [one.receipt_id for one in ledger.receipts() if choice.keeps(one)]
        assert kept == list(found["receipt_id"]), filters
        sizes.add(len(found))
    assert len(sizes) > 5, "they differ"
    assert 0 in sizes


def test_a_moment_is_in_from_itself_on(ledger: Ledger, make: Any) -> None:
    for time in (1_800_000_000.0, 1_800_000_000.000001, 1_800_000_000.000002):
        ledger.open(make.question(), "devnet", time)
    moment = datetime.fromtimestamp(1_800_000_000, UTC).replace(microsecond=1)
    assert len(chosen_frame(ledger, receipt_filter(since=moment))) == 2
    assert len(chosen_frame(ledger, receipt_filter(until=moment))) == 1


def test_a_choice_reads_no_more_than_it_needs(ledger: Ledger, make: Any) -> None:
    for model in NAMES:
        ledger.open(make.question(model=model), "devnet", 1_800_000_000)
    assert len(ledger.columns_of(receipt_filter(model=NAMES[0]))["receipt_id"]) == 1


@pytest.mark.parametrize("typed", ["gpt-5", "openai/gpt-5", TEE_LLM.GPT_5, ["GPT_5"]])
def test_a_model_is_found_by_each_name_that_asks_for_it(ledger: Ledger, make: Any, typed: Any) -> None:
    fill(ledger, make)
    found = chosen_frame(ledger, receipt_filter(model=typed))
    assert len(found) == len(chosen_frame(ledger, receipt_filter(model="openai/gpt-5"))) > 0


def test_a_provider_is_found_by_its_other_name() -> None:
    assert receipt_filter(provider="xAI").texts["provider"] >= {"x-ai", "xAI"}


@pytest.mark.parametrize(
    "given",
    [{"since": "yesterday"}, {"until": 5}, {"since": pd.NaT}, {"status": "lost"}, {"model": 5}, {"provider": [None]}],
)
def test_what_makes_no_sense_is_refused(given: Any) -> None:
    with pytest.raises(ConfigError):
        receipt_filter(**given)
