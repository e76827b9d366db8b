"""Many processes write receipts to one shared ledger: how many a second, and whether its chain of hashes holds.

    python -m tests.many_writers [--writers 8] [--receipts 500] [--askers 64] [--ledger URL]

Without a URL it starts a PostgreSQL server of its own, with the settings that a server comes with. A receipt is opened,
attached to an authorization that was written ahead, and served. First each process asks as a kernel does, one question
after the other, so that each step is a transaction; then as `ask_many` and `og-magics serve` do, many at once, whose
steps go to the server together. It prints what each took of a processor, which is what bounds it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .postgres import Server

_WRITER = """
import asyncio, sys, time
from og_magics.core.off_loop import thread_of
from og_magics.ledger import Ledger
from tests.unit.ledger.conftest import Make
make, (number, receipts, askers) = Make(), map(int, sys.argv[2:])
async def ask(disk, count):
    for _ in range(count):
        receipt = await disk.run(lambda: ledger.open(make.question(), "devnet", 1_800_000_000.0))
        await disk.run(lambda: ledger.attach(receipt, paying.hash, None))
        await disk.run(lambda: make.serve(ledger, receipt))
async def ask_all():
    disk = thread_of(ledger)
    counts = [receipts // askers + (place < receipts % askers) for place in range(askers)]
    await asyncio.gather(*(ask(disk, count) for count in counts))
with Ledger(sys.argv[1]) as ledger:
    paying = make.authorization(number)
    ledger.authorize(paying)
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.process_time()
    if askers > 1:
        asyncio.run(ask_all())
    for _ in range(receipts if askers == 1 else 0):
        receipt = ledger.open(make.question(), "devnet", 1_800_000_000.0)
        ledger.attach(receipt, paying.hash, None)
        make.serve(ledger, receipt)
    print(time.process_time() - began)
"""


@dataclass(frozen=True)
class Written:
    """The outcome.

    Attributes:
        seconds: that all took together. sound, entries: the ledger's audit.
        writing: seconds of a processor that the writers took. serving: that the server took.
    """

    receipts: int
    seconds: float
    sound: bool
    entries: int
    writing: float
    serving: float


def write(
    url: str, writers: int, receipts: int, askers: int = 1, of_server: Callable[[], float] = lambda: 0.0
) -> Written:
    """Have so many processes write so many receipts each; in each, so many ask at once.

    Args:
        of_server: returns seconds of a processor that the server took until now.
    """
    from og_magics.ledger import Ledger

    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    with contextlib.ExitStack() as running:
        started = [
            running.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", _WRITER, url, str(number), str(receipts), str(askers)],
                    env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                )
            )
            for number in range(1, writers + 1)
        ]  # fmt: skip
        for one in started:
            assert one.stdout is not None
            assert one.stdout.readline() == "ready\n"
        begun, serving = time.perf_counter(), of_server()
        for one in started:
            assert one.stdin is not None
            one.stdin.write("go\n")
            one.stdin.flush()
        writing = sum(float(one.communicate()[0]) for one in started)
        assert not any(one.returncode for one in started)
        seconds = time.perf_counter() - begun
        serving = of_server() - serving
    with Ledger(url) as ledger:
        audit = ledger.audit()
        served = [one for one in ledger.receipts() if one.status == "served"]
        ledger.check_money()
    assert len({one.receipt_id for one in served}) == writers * receipts
    return Written(len(served), seconds, audit.ok, audit.length, writing, serving)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the number of receipts a second; 0 where the ledgers are sound."""
    parser = argparse.ArgumentParser(prog="python -m tests.many_writers", description=__doc__)
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--receipts", type=int, default=500)
    parser.add_argument("--askers", type=int, default=64)
    parser.add_argument("--ledger", default="", metavar="URL")
    args = parser.parse_args(arguments)
    sound = True
    with contextlib.ExitStack() as open_until_the_end:
        os.environ["XDG_STATE_HOME"] = open_until_the_end.enter_context(tempfile.TemporaryDirectory())
        server = None if args.ledger else open_until_the_end.enter_context(Server())
        for askers in sorted({1, args.askers}):
            url = server.url() if server else args.ledger
            of_server = server.processor if server else lambda: 0.0
            found = write(url, args.writers, args.receipts, askers, of_server)
            sound = sound and found.sound
            print(
                f"{args.writers} processes, {askers} asking at once in each, {found.receipts} receipts in "
                f"{found.seconds:.1f} s: {found.receipts / found.seconds:.0f} a second"
            )
            print(
                f"  of a processor, a receipt: the processes {1000 * found.writing / found.receipts:.2f} ms, "
                f"the server {1000 * found.serving / found.receipts:.2f} ms"
            )
            print(f"  journal: {found.entries} entries, {'sound' if found.sound else 'NOT AS WRITTEN'}")
    return 0 if sound else 1


if __name__ == "__main__":
    sys.exit(main())
