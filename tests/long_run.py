"""Asks many rows by `og.ask_many(..., out=...)` of a simulated gateway that misbehaves, and shows what came of it.

    python -m tests.long_run [ROWS] [--kills N] [--away SECONDS] [--concurrency N] [--seed N] [--out PLACE]

The process that asks is killed at random places and started again with the same call. Meanwhile the gateway goes away for
some seconds, and for a fifth of the rows, 2,000 at most, it says 429 to half of the requests. At the end: the rate over
time, memory, the size of the ledger and of the Parquet files, how many rows were asked twice, and how fast recorded rows
are skipped.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_ROOT = Path(__file__).parents[1]
_APART = 30.0
"""Seconds between two lines that say how far it is."""
_MOST_BUSY = 2_000
"""Rows of those that are asked while the gateway says 429: it asks to wait for 0.1 s after every second request."""
_BUSY = (
    b"HTTP/1.1 429 Too Many Requests\r\ncontent-type: application/json\r\ncontent-length: 29\r\nretry-after: 0.1\r\n\r\n"
    b'{"error":"Too many requests"}'
)


class Gate:
    """Stands before a gateway, on a thread of its own: open, gone, or too busy for every second question.

    Attributes:
        url: of the gateway as it is seen through this gate.
        refused: requests that were answered with 429.
    """

    def __init__(self, upstream: str) -> None:
        parts = urlsplit(upstream)
        self._upstream = parts.hostname or "", parts.port or 80
        self._loop = asyncio.new_event_loop()
        self._open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._port, self._chance = 0, random.Random(0)
        self.busy, self.refused = False, 0
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self._run(self._listen())
        self.url = f"http://127.0.0.1:{self._port}"

    def go_away(self) -> None:
        """Accept no connection any more, and break those that are open."""
        self._run(self._leave())

    def come_back(self) -> None:
        """Be there again, at the same address."""
        self._run(self._listen())

    def note(self, head: bytes, body: bytes) -> None:
        """Note a request that goes through; for others to do something with."""

    def _run(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def _leave(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in list(self._open):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        onward: asyncio.StreamWriter | None = None
        pump: asyncio.Task[None] | None = None
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = await reader.readexactly(_length(head))
                if self.busy and head.startswith(b"POST") and self._chance.random() < 0.5:
                    self.refused += 1
                    writer.write(_BUSY)
                    await writer.drain()
                    continue
                if onward is None:
                    answers, onward = await asyncio.open_connection(*self._upstream)
                    pump = asyncio.create_task(_pump(answers, writer))
                self.note(head, body)
                onward.write(head + body)
                await onward.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._open.discard(writer)
            if pump is not None:
                pump.cancel()
            for one in (onward, writer):
                if one is not None:
                    one.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.transport.abort()


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line.partition(b":")[2])
    return 0


# -- the process that asks -------------------------------------------------------------------------


def _memory() -> int:
    """MiB of this process; 0 where the system does not say."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmRSS"):
                return int(line.split()[1]) // 1024
    return 0


def ask(rows: int, concurrency: str, seconds: float, out: str) -> None:
    """Ask all rows, and tell every so many seconds how far it is, a line of JSON each."""
    import og_magics as og
    from og_magics.session.asking import options_from
    from og_magics.session.many import BatchRequest

    frame = __import__("pandas").DataFrame({"text": [f"number {at}" for at in range(rows)]})
    og.models()
    before, began = _memory(), time.monotonic()
    at_once = int(concurrency) if concurrency.isdigit() else concurrency
    options = options_from({"max_tokens": 20, "stream": False})
    many: Any = BatchRequest(frame, at_once, "[[words:12]] Classify: {text}", out, None, 600.0, False, options)
    going = many.start()
    started, ended = time.monotonic() - began, threading.Event()

    def tell() -> None:
        result = going._result
        said = {"answered": result.answered, "found": result.found, "memory": _memory() - before, "looked": started}
        said |= {"failed": result.failures.total(), "limit": int(going._run.throttle.limit)}
        print(json.dumps(said), flush=True)

    def telling() -> None:
        while not ended.wait(seconds):
            tell()

    tell()
    threading.Thread(target=telling, daemon=True).start()
    going.wait()
    ended.set()
    tell()


# -- the one that watches --------------------------------------------------------------------------


@dataclass
class Report:
    """What came of a run.

    Attributes:
        rate: (seconds, rows answered, MiB over the start, rows at once) over time.
        broken: rows that were asked again by the next call, as their connections broke amid answers.
        twice: questions that have more than one answer. unanswered: rows of the Parquet files without one.
        skipped: recorded rows a second that the last call skipped.
    """

    rows: int
    rate: list[tuple[float, int, int, int]] = field(default_factory=list)
    kills: int = 0
    away: float = 0.0
    refused: int = 0
    twice: int = 0
    answered: int = 0
    failed: int = 0
    broken: int = 0
    ledger: int = 0
    parquet: int = 0
    skipped: float = 0.0

    def lines(self) -> list[str]:
        """The report for people."""
        seconds = self.rate[-1][0] if self.rate else 0.0
        lines = [f"{'seconds':>8} {'answered':>9} {'rows/s':>7} {'at once':>8} {'MiB over the start':>19}"]
        every = max(1, len(self.rate) // 24)
        last = (0.0, 0)
        for at, answered, memory, at_once in [*self.rate[:-1:every], *self.rate[-1:]]:
            speed = (answered - last[1]) / max(at - last[0], 0.1)
            lines.append(f"{at:8.1f} {answered:9,} {speed:7.1f} {at_once:8} {memory:19}")
            last = at, answered
        return [
            *lines,
            f"{self.answered:,} of {self.rows:,} rows answered in {seconds:.0f} s, {self.failed} failed, {self.broken} asked again after their connections broke",
            f"at most {max((one[2] for one in self.rate), default=0)} MiB over the start; {self.answered / max(seconds, 0.1):.1f} rows a second in all",
            f"killed {self.kills} times; the gateway was away for {self.away:.0f} s, and said 429 {self.refused} times",
            f"asked twice: {self.twice}",
            f"ledger {self.ledger / self.rows / 1024:.2f} KB a row, Parquet {self.parquet / self.rows / 1024:.2f} KB a row",
            f"the same call again skips {self.skipped:,.0f} rows a second",
        ]


def long_run(
    rows: int,
    folder: Path,
    *,
    kills: int = 5,
    away: float = 10.0,
    concurrency: str = "auto",
    seed: int = 0,
    environment: dict[str, str] | None = None,
    out: str = "answers.parquet",
) -> Report:
    """Ask so many rows, with kills and faults; return what came of it."""
    chance, report = random.Random(seed), Report(rows)
    devnet = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.devnet", json.dumps({"token_delay": 0, "settle_after": 30})],
        cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert devnet.stdout is not None
    assert devnet.stdin is not None
    try:
        info = json.loads(devnet.stdout.readline())
        gate = Gate(info["gateway_url_http"])
        kept = environment or {name: value for name, value in os.environ.items() if not name.startswith("OG_")}
        kept |= {
            "OG_DEVNET": json.dumps(info), "OG_NETWORK": "devnet", "OG_GATEWAY_URL": gate.url, "HOME": str(folder),
            "OG_PRIVATE_KEY": info["accounts"][0]["private_key"], "OG_LEDGER": str(folder / "ledger.db"),
            "XDG_STATE_HOME": str(folder / "state"), "PYTHONPATH": str(_ROOT), "OG_APPROVE_ABOVE": "1000000",
        }  # fmt: skip
        _ask_with_faults(gate, kept, folder, report, chance, kills, away, concurrency, out)
        report.refused = gate.refused
        looked = _started(kept, folder, rows, concurrency, 1.0, out)
        last = [json.loads(line) for line in looked.stdout or ()][-1]
        looked.wait()
        report.skipped = rows / last["looked"]
    finally:
        devnet.stdin.close()
        devnet.wait(120)
    _look(folder, report, out)
    return report


def _started(
    environment: dict[str, str], folder: Path, rows: int, concurrency: str, seconds: float, out: str
) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.long_run", "--ask", str(rows), concurrency, str(seconds), out]
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)


def _ask_with_faults(
    gate: Gate, environment: dict[str, str], folder: Path, report: Report, chance: random.Random, kills: int,
    away: float, concurrency: str, out: str,
) -> None:  # fmt: skip
    rows, began = report.rows, time.monotonic()
    reported = began
    deaths = sorted(chance.randrange(rows // 20, rows * 9 // 10) for _ in range(kills))

    def vanish() -> None:
        gate.go_away()
        time.sleep(away)
        gate.come_back()
        report.away = away

    events: list[tuple[int, Callable[[], None]]] = [
        (rows * 3 // 10, lambda: threading.Thread(target=vanish, daemon=True).start()),
        (rows * 5 // 10, lambda: setattr(gate, "busy", True)),
        (rows * 5 // 10 + min(rows // 5, _MOST_BUSY), lambda: setattr(gate, "busy", False)),
    ]
    while True:
        asking = _started(environment, folder, rows, concurrency, 0.2 if rows < 5_000 else 2.0, out)
        for line in asking.stdout or ():
            said = json.loads(line)
            report.rate.append((time.monotonic() - began, said["answered"], said["memory"], said["limit"]))
            if time.monotonic() >= reported + _APART:
                reported = time.monotonic()
                print(
                    f"{reported - began:8.1f} s {said['answered']:9,} answered {said['memory']:5} MiB", file=sys.stderr
                )
            report.failed = said["failed"]
            while events and said["answered"] >= events[0][0]:
                events.pop(0)[1]()
            if deaths and said["answered"] >= deaths[0]:
                deaths.pop(0)
                time.sleep(chance.random() / 4)
                asking.send_signal(signal.SIGKILL)
                break
        code = asking.wait()
        if code == -signal.SIGKILL:
            report.kills += 1
        elif code == 0 and not report.failed:
            return
        elif code == 0:  # connections broke amid answers: as a person would, ask the same again
            report.broken += report.failed
        else:
            raise RuntimeError(f"The process that asks ended with {code}.")


def _look(folder: Path, report: Report, out: str) -> None:
    import pandas as pd
    from sqlalchemy import create_engine

    if "://" in out:
        frame = pd.read_sql_table("answers", create_engine(out))
    else:
        frame = pd.read_parquet(folder / out)
        report.parquet = sum(file.stat().st_size for file in (folder / out).glob("*.parquet"))
    report.answered = int(frame.loc[frame["error"].isna(), "row"].nunique())
    assert len(frame) == frame["row"].nunique(), "a row is there twice"
    ledger = next(folder.glob("*.db"))
    report.ledger = sum(file.stat().st_size for file in folder.glob(f"{ledger.name}*"))
    with contextlib.closing(sqlite3.connect(ledger)) as file:
        report.twice = file.execute(
            "SELECT count(*) FROM (SELECT k.key FROM recordings k JOIN receipts r ON r.receipt_id = k.receipt_id "
            "WHERE r.ended = 'served' GROUP BY k.key HAVING count(*) > 1)"
        ).fetchone()[0]


def main(given: list[str]) -> int:
    """Run it, and print the report. Return 1 where a row was asked twice or has no answer."""
    if given[:1] == ["--ask"]:
        ask(int(given[1]), given[2], float(given[3]), given[4])
        return 0
    parser = argparse.ArgumentParser(prog="python -m tests.long_run")
    parser.add_argument("rows", nargs="?", type=int, default=2_000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--away", type=float, default=10.0)
    parser.add_argument("--concurrency", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", default="answers.parquet")
    chosen = parser.parse_args(given)
    with tempfile.TemporaryDirectory() as folder:
        report = long_run(
            chosen.rows, Path(folder), kills=chosen.kills, away=chosen.away, concurrency=chosen.concurrency,
            seed=chosen.seed, out=chosen.out,
        )  # fmt: skip
    print("\n".join(report.lines()))
    return 1 if report.twice or report.answered < chosen.rows else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
