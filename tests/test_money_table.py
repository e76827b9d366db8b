"""The table of money and identity: each point has rows, each row tests that exist, and those that take no time hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from . import money_table
from .money_table import ROWS


def test_each_point_has_a_row_and_each_row_names_tests_that_are_there() -> None:
    assert sorted({row.point for row in ROWS}) == list(range(1, 20))
    for row in ROWS:
        for node in row.tests:
            file, *inner = node.split("::")
            source = (Path(__file__).parent / file).read_text(encoding="utf-8")
            for name in inner:
                assert f"class {name}" in source or f"def {name}(" in source, node


@pytest.mark.ci
def test_rows_are_what_their_tests_tell_and_one_that_did_not_run_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert money_table.main("3", "4", "18") == 0
    told = capsys.readouterr().out
    assert "walked" in told
    assert "4 rows, 0 failed" in told
    ((_, ran),) = money_table.run([money_table.Row(1, "", "", "", "test_windows.py::test_that_is_not_there")])
    assert ran.failed == ["test_windows.py::test_that_is_not_there did not run"]
