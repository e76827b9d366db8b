"""A run on worker processes of Dask, of which two are killed: all is answered, and only what was in flight is asked again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster_run import cluster_run

pytestmark = [pytest.mark.ci, pytest.mark.timeout(900)]


def test_two_of_four_workers_are_killed_and_only_what_was_in_flight_is_asked_again(
    tmp_path: Path, bare_environment: Callable[[], dict[str, str]], report: Callable[[str], None]
) -> None:
    done = cluster_run(160, tmp_path, environment=bare_environment())
    for line in done.lines():
        report(line)
    assert (done.told.answered, done.told.failed, done.told.kills, done.told.stopped) == (160, 0, 2, "")
    assert done.twice <= done.in_flight
    assert done.told.cost == done.told.receipts > 0
    assert done.paid == done.told.settled > 0
    assert done.told.problems == []
    assert done.leaks == []
    assert not list((tmp_path / "answers.parquet").glob("_run-*"))


@pytest.mark.parametrize("out", ["answers.parquet", "sqlite:///answers.db"])
def test_a_budget_that_ends_partway_is_kept_and_the_run_goes_on_once_it_is_raised(
    tmp_path: Path, bare_environment: Callable[[], dict[str, str]], report: Callable[[str], None], out: str
) -> None:
    done = cluster_run(
        100,
        tmp_path,
        workers=2,
        kills=0,
        out=out,
        budget="0.012",
        raised="1",
        delay=0.0,
        environment=bare_environment(),
    )
    for line in done.lines():
        report(line)
    within = done.told.within
    assert within is not None
    assert 0 < within.answered < 100
    assert within.receipts == within.answered, "what was paid is in the place"
    assert within.committed <= within.budget == 12 * 10**15
    assert within.stopped == "PaymentRefused"
    assert within.unasked > 0
    assert within.reasons
    assert all("budget" in one for one in within.reasons)
    assert (done.told.answered, done.told.failed, done.told.stopped, done.twice) == (100, 0, "", 0)
    assert done.told.cost == done.told.receipts > 0
    assert done.paid == done.told.settled > 0
    assert done.told.problems == []
    assert done.leaks == []
