"""Each kind of tampering with a saved notebook is found, in its cell; the table is printed with -s."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .tampering import KINDS, Line, lines_of, notebooks, table

EVERY = 5
"""Of the places where a tampering can be made, one in so many; `python -m tests.compat.tampering` goes to all."""
pytestmark = [pytest.mark.ci, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def found() -> list[Line]:
    return table(notebooks(), EVERY)


def test_every_kind_of_tampering_can_be_made_on_the_kept_files(found: list[Line]) -> None:
    assert [line.kind for line in found if not line.made] == []


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_found_in_its_cell_and_no_other_cell_is_accused(found: list[Line], kind: str) -> None:
    (line,) = (one for one in found if one.kind == kind)
    assert line.missed == []
    assert line.made == line.found == line.in_its_cell


def test_the_table(found: list[Line], report: Callable[[str], None]) -> None:
    for line in lines_of(found):
        report(line)
    assert sum(line.made for line in found) > 1_000 // EVERY
