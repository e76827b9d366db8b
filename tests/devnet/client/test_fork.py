"""A process that forks, as multiprocessing does, and one that ends: no child hangs, and nothing is left open."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from og_magics.devnet import Devnet
from og_magics.ledger import open_ledger

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")

SCRIPT = """
import os, sys, warnings
import og_magics as og
warnings.filterwarnings("ignore", message=".*fork", category=DeprecationWarning)
print("parent", bool(og.ask("first").text))
sys.stdout.flush()
before = og.receipts()
for end in (os._exit, sys.exit):  # multiprocessing ends its children in the first way
    child = os.fork()
    if not child:
        print("child", bool(og.ask("in a child", thread="t").text), len(og.receipts()) > len(before))
        sys.stdout.flush()
        end(0)
    print("ended", os.waitpid(child, 0)[1])
print("parent", bool(og.ask("last").text), len(og.receipts()))
"""


@pytest.mark.ci
def test_a_forked_child_asks_pays_and_keeps_its_receipts_and_so_does_its_parent(
    devnet: Devnet, tmp_path: Path, bare_environment: Callable[[], dict[str, str]]
) -> None:
    ledger = tmp_path / "ledger.db"
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", SCRIPT],
        env=bare_environment() | {"OG_DEVNET": json.dumps(devnet.info), "OG_LEDGER": str(ledger)},
        cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip

    assert done.stdout.splitlines() == [
        "parent True", "child True True", "ended 0", "child True True", "ended 0", "parent True 4",
    ], done.stderr  # fmt: skip
    assert "ResourceWarning" not in done.stderr, "connections are closed before the interpreter ends"
    receipts = open_ledger(ledger)
    assert receipts.audit().ok
    paid = {receipt.session_id for receipt in receipts.receipts()}
    assert len(paid) >= 3, "a child pays by an authorization of its own"
