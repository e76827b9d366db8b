"""Many prompts with `ask_many`, against the same requests by bare httpx, in the same process and as many at once."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from .report import Row, median_ms

PROMPTS = 200
AT_ONCE = 8
_SLOW = 0.5
"""Seconds that the simulated model thinks."""
AT_MOST = 64
"""As many prompts at once as `ask_many` takes."""

_PROGRAM = """
import asyncio, json, os, sys, time
from benchmarks.asking import bare
import og_magics as og

prompts, at_once, rounds = json.loads(sys.argv[1])
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
    info: dict[str, Any], folder: str, environment: Mapping[str, str], *, rounds: int, prompts: int = PROMPTS
) -> list[Row]:
    """Rows on many prompts at once."""
    told = run(info, folder, environment, rounds=rounds, prompts=prompts)
    most = 2 * prompts
    quick = run(info, folder, environment, rounds=rounds, prompts=most, at_once=AT_MOST, slow=0)
    name = f"{prompts} prompts with ask_many, {AT_ONCE} at once"
    return [
        Row(name, median_ms(told["ours"]), "ms", median_ms(told["theirs"]), "bare httpx", ratio_goal=1.15),
        Row(
            f"{most} prompts answered at once, {AT_MOST} at once",
            median_ms(quick["ours"]),
            "ms",
            median_ms(quick["theirs"]),
            "bare httpx",
        ),
        Row(
            "processor's time for each of these",
            median_ms(quick["cpu"]) / most,
            "ms",
            median_ms(quick["bare_cpu"]) / most,
            "bare httpx",
        ),
        Row(f"authorizations signed for these {prompts}", told["authorizations"], "", value_goal=1),
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
    asked = json.dumps([[f"{words}number {n}" for n in range(prompts)], at_once, rounds])
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, asked],
        env={**environment, "OG_LEDGER": f"{folder}/asking-{at_once}.db", "OG_DEVNET": json.dumps(info)},
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
