"""No honest cell is accused by the audit; the table is printed with -s, and by `python -m tests.honest`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ..conftest import CI
from ..honest import run


@pytest.mark.ci
def test_no_honest_cell_is_accused(report: Callable[[str], None]) -> None:
    kinds, accused = run(None if CI else 400)
    report(f"{kinds.total()} honest cells of {len(kinds)} kinds, {len(accused)} accused")
    assert accused == []
    assert kinds.total() >= (1_000 if CI else 400)
    assert len(kinds) >= 20
