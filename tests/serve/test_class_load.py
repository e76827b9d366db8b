"""A small class at once: all streams come to their end, each with its receipt. The command measures a large one."""

from __future__ import annotations

import pytest

from .. import class_load


@pytest.mark.ci
def test_a_small_class_at_once_gets_all_its_answers_and_receipts(capsys: pytest.CaptureFixture[str]) -> None:
    assert class_load.main(10) == 0, capsys.readouterr().out
    assert "10 streams at once: 10 came to their end, 0 did not begin" in capsys.readouterr().out
