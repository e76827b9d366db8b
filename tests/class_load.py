"""Streams to many users of `og-magics serve` at once, and prints the longest pause, the memory and the money.

    python -m tests.class_load [USERS]

Without a number 200 users stream at once, each at 20 tokens a second for ten seconds, from the practice network's
gateway in a process of its own. Then fifty ask at once at the edge of one budget, and a server that is killed in the
middle of an answer is started again.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from og_magics.core.amounts import format_opg, parse_opg
from og_magics.serve.keys import hash_of

from .serving import ASK, Server, serving
from .watched_server import MARK

WORDS = 200
RATE = 20


class Network(NamedTuple):
    """A practice network in a process of its own."""

    info: dict[str, Any]
    process: int


@contextlib.contextmanager
def network_of_its_own() -> Iterator[Network]:
    """Run a practice network whose answers come at the rate of the load."""
    command = [sys.executable, "-m", "og_magics", "devnet", "--json", "--token-delay", str(1 / RATE)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield Network(json.loads(process.stdout.readline()), process.pid)
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


@dataclass
class Load:
    """The outcome of a load.

    Attributes:
        pauses: of each stream the longest, in seconds, after its first token; sorted. first: seconds to it, sorted.
        memory: MiB of the server's process, before and at most. seconds: of a processor that it took.
        network, asking: the same of the practice network, and of this process.
        failed: statuses of the streams that did not begin. complete: streams that came to their end.
    """

    pauses: list[float]
    first: list[float]
    memory: tuple[float, float]
    seconds: float
    failed: list[int]
    complete: int
    network: float = 0.0
    asking: float = 0.0


def users_file(count: int, **limits: str) -> str:
    """The content of a file of users, whose keys are their names."""
    lines = [f"{name} = {value}" for name, value in limits.items()]
    users = [f'[users.user{i}]\nkey = "sha256:{hash_of(f"user{i}")}"' for i in range(count)]
    return "\n".join(["opg_usd = 0.2", "[owner]", f'key = "sha256:{hash_of("owner")}"', "[defaults]", *lines, *users])


async def stream_all(server: Server, users: int, words: int = WORDS) -> Load:
    """Stream to all users at once."""
    before, taken, loads = memory_of(server.process.pid)[0], processor_of(server.process.pid), []

    async def one(client: httpx.AsyncClient, user: int) -> tuple[int, float, float, bool]:
        question = f"{user} [[words:{words}]]"
        body = ASK | {"stream": True, "max_tokens": 2 * words, "messages": [{"role": "user", "content": question}]}
        key = {"Authorization": f"Bearer user{user}"}
        began, last, first, pause, done = time.perf_counter(), 0.0, 0.0, 0.0, False
        async with client.stream("POST", "/v1/chat/completions", json=body, headers=key) as response:
            async for line in response.aiter_lines():
                if not line.startswith("data: "):
                    continue
                now = time.perf_counter()
                first, pause = (first or now - began), max(pause, now - last if last else 0.0)
                last, done = now, line == "data: [DONE]"
            return response.status_code, first, pause, done

    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=server.client.base_url, timeout=300, limits=limits) as client:
        loads = await asyncio.gather(*(one(client, user) for user in range(users)))
    good = [load for load in loads if load[0] == 200]
    return Load(
        sorted(load[2] for load in good),
        sorted(load[1] for load in good),
        (before, memory_of(server.process.pid)[1]),
        processor_of(server.process.pid) - taken,
        [load[0] for load in loads if load[0] != 200],
        sum(load[3] for load in good),
    )


def memory_of(process: int) -> tuple[float, float]:
    """MiB that a process has now, and had at most; zeros where the system does not say."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0.0, 0.0
    held = {line.partition(":")[0]: line.split()[1] for line in status.splitlines() if line.startswith("Vm")}
    return int(held["VmRSS"]) / 1024, int(held["VmHWM"]) / 1024


def processor_of(process: int) -> float:
    """Seconds of a processor that a process has taken; 0 where the system does not say."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def settled(server: Server, count: int = 300) -> int:
    """Wait until all that was signed is paid; base units that were."""
    for _ in range(count):
        receipts = server.receipts()
        if all(one.cost is not None for one in receipts):
            break
        time.sleep(0.2)
    return sum(one.cost or 0 for one in receipts)


def main(users: int) -> int:
    """Run all three; return 1 where money or receipts are not as they should be."""
    wrong = 0
    with network_of_its_own() as network:
        for check in (functools.partial(streamed, users=users), at_the_edge, killed):
            with tempfile.TemporaryDirectory() as folder:
                wrong += not check(network, Path(folder))
    return 1 if wrong else 0


def streamed(network: Any, folder: Path, users: int) -> bool:
    """Stream to all users at once, and print how it went. True where each stream that ended has its receipt."""
    (folder / "users.toml").write_text(users_file(users, total="1"))
    with serving(network, folder, "--users", "users.toml", program="tests.watched_server", **BUDGETS, **HERE) as server:
        assert server.post(ASK, headers={"Authorization": "Bearer user0"}).status_code == 200
        began = processor_of(network.process), time.process_time()
        load = asyncio.run(stream_all(server, users))
        load.network, load.asking = processor_of(network.process) - began[0], time.process_time() - began[1]
        pauses, first = load.pauses, load.first
        print(f"{users} streams at once: {load.complete} came to their end, {len(load.failed)} did not begin")
        if pauses:
            print(
                f"longest pause {pauses[-1]:.2f} s; of half of the streams no longer than {pauses[len(pauses) // 2]:.2f} s"
            )
            print(f"first token after {first[-1]:.2f} s at most, {first[len(first) // 2]:.2f} s in the middle")
        print(f"memory of the server: {load.memory[0]:.0f} MiB before, {load.memory[1]:.0f} MiB at most")
        tokens = max(load.complete * WORDS, 1)
        print(f"it took {load.seconds:.1f} s of a processor, {1000 * load.seconds / tokens:.2f} ms a token; the practice "
              f"network {load.network:.1f} s, and whoever asked {load.asking:.1f} s")  # fmt: skip
        receipts = server.receipts()
        complete = sum(one.finish_reason is not None for one in receipts)
        print(f"receipts: {complete} complete of {len(receipts)}")
    for line in server.lines:
        if line.startswith(MARK):
            stalls = json.loads(line.removeprefix(MARK))
            print(f"to look for garbage took {stalls.pop('garbage', (0.0,))[0]:.2f} s at most")
            for loop, (longest, own) in stalls.items():
                print(f"its {loop} loop was held up {longest:.2f} s at most, by its own work {own:.2f} s")
    return complete == 1 + load.complete


HERE = {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
BUDGETS = {"OG_BUDGET_NOTEBOOK": "100000", "OG_BUDGET_DAY": "100000", "OG_MAX_AUTHORIZATION": "10"}


def at_the_edge(network: Any, folder: Path) -> bool:
    """Ask fifty at once as one user, whose budget is not enough for all. True where it was not exceeded."""
    (folder / "users.toml").write_text(users_file(1, total="0.05"))
    with serving(network, folder, "--users", "users.toml", **BUDGETS) as server, ThreadPoolExecutor(50) as fifty:
        key = {"Authorization": "Bearer user0"}
        statuses = list(fifty.map(lambda _: server.post(ASK, headers=key).status_code, range(50)))
        paid = settled(server)
        print(f"50 at once at the edge of 0.05 OPG: {statuses.count(200)} asked, {statuses.count(402)} refused, "
              f"{format_opg(paid)} OPG paid")  # fmt: skip
    return 0 < paid <= parse_opg("0.05")


def killed(network: Any, folder: Path) -> bool:
    """Kill a server in the middle of an answer and start it again. True where no receipt is lost."""
    (folder / "users.toml").write_text(users_file(1, total="1"))
    key = {"Authorization": "Bearer user0"}
    with serving(network, folder, "--users", "users.toml", **BUDGETS) as server:
        body = ASK | {"stream": True, "messages": [{"role": "user", "content": f"[[words:{WORDS}]]"}]}
        with server.client.stream("POST", "/v1/chat/completions", json=body, headers=key) as response:
            next(response.iter_lines())
            cut = response.headers["x-og-receipt-id"]
            os.kill(server.process.pid, signal.SIGKILL)
    with serving(network, folder, "--users", "users.toml", **BUDGETS) as server:
        after = server.post(ASK, headers=key)
        ids = {one.receipt_id for one in server.receipts()}
        print(f"killed in the middle: {len(ids)} of 2 receipts are there; the next request says {after.status_code}")
    return ids == {cut, after.headers.get("x-og-receipt-id")}


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 200))
