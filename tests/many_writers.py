"""Many processes write receipts to one shared ledger: how many a second, and whether its chain of hashes holds.

    python -m tests.many_writers [--writers 8] [--receipts 500] [--ledger URL]

Without a URL it starts a PostgreSQL server of its own, with the settings that a server comes with. Each process asks as
kernels do: a receipt is opened, attached to an authorization that was written ahead, and served, in transactions of
their own.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .postgres import Server

_WRITER = """
import sys
from og_magics.ledger import Ledger
from tests.unit.ledger.conftest import Make
make, number, receipts = Make(), int(sys.argv[2]), int(sys.argv[3])
with Ledger(sys.argv[1]) as ledger:
    paying = make.authorization(number)
    ledger.authorize(paying)
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(receipts):
        receipt = ledger.open(make.question(), "devnet", 1_800_000_000.0)
        ledger.attach(receipt, paying.hash, None)
        make.serve(ledger, receipt)
"""


@dataclass(frozen=True)
class Written:
    """The outcome: seconds that all took together, and the ledger's audit."""

    receipts: int
    seconds: float
    sound: bool
    entries: int


def write(url: str, writers: int, receipts: int) -> Written:
    """Have so many processes write so many receipts each."""
    from og_magics.ledger import Ledger

    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    with contextlib.ExitStack() as running:
        started = [
            running.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", _WRITER, url, str(number), str(receipts)],
                    env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                )
            )
            for number in range(1, writers + 1)
        ]  # fmt: skip
        for one in started:
            assert one.stdout is not None
            assert one.stdout.readline() == "ready\n"
        begun = time.perf_counter()
        for one in started:
            assert one.stdin is not None
            one.stdin.write("go\n")
            one.stdin.flush()
        for one in started:
            assert one.wait() == 0
        seconds = time.perf_counter() - begun
    with Ledger(url) as ledger:
        audit = ledger.audit()
        served = [one for one in ledger.receipts() if one.status == "served"]
        ledger.check_money()
    assert len({one.receipt_id for one in served}) == writers * receipts
    return Written(len(served), seconds, audit.ok, audit.length)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the number of receipts a second; 0 where the ledger is sound."""
    parser = argparse.ArgumentParser(prog="python -m tests.many_writers", description=__doc__)
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--receipts", type=int, default=500)
    parser.add_argument("--ledger", default="", metavar="URL")
    args = parser.parse_args(arguments)
    with contextlib.ExitStack() as open_until_the_end:
        os.environ["XDG_STATE_HOME"] = open_until_the_end.enter_context(tempfile.TemporaryDirectory())
        url = args.ledger or open_until_the_end.enter_context(Server()).url()
        found = write(url, args.writers, args.receipts)
    print(
        f"{args.writers} processes, {found.receipts} receipts in {found.seconds:.1f} s: "
        f"{found.receipts / found.seconds:.0f} a second"
    )
    print(f"journal: {found.entries} entries, {'sound' if found.sound else 'NOT AS WRITTEN'}")
    return 0 if found.sound else 1


if __name__ == "__main__":
    sys.exit(main())
