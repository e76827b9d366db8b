"""Many prompts with `ask_many`, against the same requests by bare httpx, in the same process and as many at once."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from .report import Row, median_ms

PROMPTS = 200
AT_ONCE = 8
_SLOW = 0.5
"""Seconds that the simulated model thinks."""
AT_MOST = 64
"""As many prompts at once as `ask_many` takes."""
SIZES = (400, 2_000, 10_000)
"""Rows of the runs by which it shows whether a row costs more in a long run."""

_PROGRAM = """
import asyncio, json, os, sys, time
from benchmarks.asking import bare
import og_magics as og

words, count, at_once, rounds = json.loads(sys.argv[1])
prompts = [f"{words}number {number}" for number in range(count)]
info = json.loads(os.environ["OG_DEVNET"])
og.ask("warm", max_tokens=1, stream=False)
ours, theirs, cpu, bare_cpu = [], [], [], []
for _ in range(rounds):
    used = time.process_time()
    theirs.append(asyncio.run(bare(info, prompts, at_once)))
    bare_cpu.append(time.process_time() - used)
    began, used = time.perf_counter(), time.process_time()
    many = og.ask_many(prompts, at_once, progress=False, max_tokens=1, stream=False)
    ours.append(time.perf_counter() - began)
    cpu.append(time.process_time() - used)
receipts = og.receipts()
print(json.dumps({
    "ours": ours, "theirs": theirs, "cpu": cpu, "bare_cpu": bare_cpu, "answered": len(many.done), "receipts": len(receipts),
    "complete": int(receipts["tee_signature"].notna().sum()), "authorizations": receipts["authorization_hash"].nunique(),
}))
"""


def measure(
    info: dict[str, Any],
    folder: str,
    environment: Mapping[str, str],
    *,
    rounds: int,
    prompts: int = PROMPTS,
    sizes: Sequence[int] = SIZES,
) -> list[Row]:
    """Rows on many prompts at once."""
    told = run(info, folder, environment, rounds=rounds, prompts=prompts)
    name = f"{prompts} prompts with ask_many, {AT_ONCE} at once"
    return [
        Row(name, median_ms(told["ours"]), "ms", median_ms(told["theirs"]), "bare httpx", ratio_goal=1.15),
        Row(f"authorizations signed for these {prompts}", told["authorizations"], "", value_goal=1),
        *(row for size in sizes for row in _cost(info, folder, environment, size, rounds if size < 1_000 else 1)),
    ]


def _cost(info: dict[str, Any], folder: str, environment: Mapping[str, str], size: int, rounds: int) -> list[Row]:
    """Rows on prompts that the gateway answers at once: what is left is the client's own cost."""
    told = run(info, folder, environment, rounds=rounds, prompts=size, at_once=AT_MOST, slow=0)

    def row(name: str, ours: str, theirs: str, **goal: float) -> Row:
        return Row(name, median_ms(told[ours]) / size, "ms", median_ms(told[theirs]) / size, "bare httpx", **goal)

    return [
        row(
            f"a row of {size:,} that are answered without a pause, {AT_MOST} at once", "ours", "theirs", ratio_goal=1.0
        ),
        row(f"processor's time for a row of these {size:,}", "cpu", "bare_cpu", value_goal=3.0),
    ]


def run(
    info: dict[str, Any],
    folder: str,
    environment: Mapping[str, str],
    *,
    rounds: int,
    prompts: int,
    at_once: int = AT_ONCE,
    slow: float = _SLOW,
) -> dict[str, Any]:
    """What a fresh process measured: seconds of each round, and what the ledger holds."""
    words = f"[[slow:{slow}]] " if slow else ""
    asked = json.dumps([words, prompts, at_once, rounds])
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, asked],
        env={**environment, "OG_LEDGER": f"{folder}/asking-{at_once}-{prompts}.db", "OG_DEVNET": json.dumps(info)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    told: dict[str, Any] = json.loads(done.stdout)
    return told


async def bare(info: dict[str, Any], prompts: list[str], at_once: int) -> float:
    """Seconds that bare httpx takes, with a payment session that is open."""
    import time

    from .network import PATH, BareReader, question

    reader = await asyncio.to_thread(BareReader, info)
    left = iter(prompts)

    async def worker() -> None:
        for prompt in left:
            response = await client.post(PATH, json=question(prompt, 1, stream=False))
            response.raise_for_status()

    async with reader.asynchronous() as client:
        began = time.perf_counter()
        await asyncio.gather(*(worker() for _ in range(at_once)))
        took = time.perf_counter() - began
    reader.close()
    return took
