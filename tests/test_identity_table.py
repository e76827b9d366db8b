"""The table of front ends: two of its rows, and that all are there."""

from __future__ import annotations

from pathlib import Path

import pytest

from og_magics.devnet import Devnet

from .identity_table import COLUMNS, front_ends, rows

pytestmark = pytest.mark.ci


def test_a_notebook_is_the_same_or_another_as_it_must_be(tmp_path: Path) -> None:
    with Devnet(settle_after=1, batch_after=0.5, token_delay=0.001) as devnet:
        found = list(rows(devnet, tmp_path, "og-magics run", "--inject-output-path"))
    assert len(found) == 2
    assert [row.wrong for row in found] == [[]] * 2, [row.line for row in found]
    assert all(tuple(row.found) == COLUMNS for row in found)


def test_the_front_ends_that_are_installed_have_a_row() -> None:
    names = {one.name.partition(" ")[0] for one in front_ends()}
    assert names >= {"og-magics", "papermill", "jupyter", "VS", "Colab's", "IPython"}
