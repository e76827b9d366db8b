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
