"""Real clients, unchanged, against `og-magics serve`: those that need no environment of their own.

`python -m tests.clients_table` asks by all of them.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from og_magics.devnet import Devnet

from ..clients import CLIENTS
from ..clients_table import EXPECTED, ask, served, table

QUICK = ["openai-python", "og_magics"]


@pytest.mark.ci
@pytest.mark.timeout(600)
def test_they_see_what_they_should_and_each_answer_has_its_proven_receipt(tmp_path: Path) -> None:
    chosen = [one for one in CLIENTS if one.name in QUICK]
    with Devnet(settle_after=5, token_delay=0.002) as devnet, served(devnet, tmp_path) as (url, ledger):
        rows = [ask(one, Path(sys.executable), url, ledger, tmp_path) for one in chosen]
    assert all(row.ok and row.saw.keys() == EXPECTED.keys() for row in rows), table(rows)
    assert [row.client for row in rows] == QUICK
