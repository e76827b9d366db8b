"""The price of the hardware's attestation: a first call and a warm one, with it and without, in the same process."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx

from og_magics import LLM, Settings
from og_magics.ledger import Ledger
from og_magics.verification.attestation import Expected, check_attestation

from .network import MODEL, BareReader
from .report import Row, median_ms

_ASKED = {"mark": "attested", "off": "not asked"}


def measure(info: dict[str, Any], folder: str, *, rounds: int, warm: int = 200) -> list[Row]:
    """Rows on first and warm calls; `rounds` first calls of each kind, and `warm` warm ones."""
    with asyncio.Runner() as runner:
        first = runner.run(_in_turn(rounds + 1, {one: _first(info, Path(folder), one) for one in _ASKED}))
        again = runner.run(_warm(info, Path(folder), warm))
        fetched = runner.run(_fetches(info, rounds + 1))
    with_it, without = median_ms(first["mark"][1:]), median_ms(first["off"][1:])
    more = statistics.median(a - b for a, b in zip(first["mark"][1:], first["off"][1:], strict=True)) * 1000
    return [
        Row("a warm call, its enclave attested", median_ms(again["mark"]), "ms", median_ms(again["off"]), "not asked",
            ratio_goal=1.03),
        Row("the first call of an LLM, its enclave attested", with_it, "ms", without, "not asked"),
        Row("what that adds to a first call", more, "ms", median_ms(fetched[1:]), "one round trip, and the check",
            ratio_goal=1.5),
    ]  # fmt: skip


async def _in_turn(rounds: int, works: dict[str, Callable[[], Awaitable[float]]]) -> dict[str, list[float]]:
    """Return the seconds of each work in each round; they take turns."""
    found: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            found[name].append(await work())
    return found


def _llm(info: dict[str, Any], ledger: Ledger, attest: str) -> LLM:
    return LLM(settings=Settings(network="devnet", devnet=json.dumps(info), attest=attest), journal=ledger)


async def _call(llm: LLM) -> float:
    began = time.perf_counter()
    await llm.chat(f"openai/{MODEL}", [{"role": "user", "content": "[[words:20]]"}], max_tokens=20)
    return time.perf_counter() - began


def _first(info: dict[str, Any], folder: Path, attest: str) -> Callable[[], Awaitable[float]]:
    async def first() -> float:
        with Ledger(folder / f"first-{attest}-{time.time_ns()}.db") as ledger:
            llm = _llm(info, ledger, attest)
            took = await _call(llm)
            await llm.close()
        return took

    return first


async def _warm(info: dict[str, Any], folder: Path, rounds: int) -> dict[str, list[float]]:
    """Return the seconds of warm calls of each kind.

    One LLM makes them all, over one connection and in one session: two connections differ more than the two kinds do.
    The kinds come in an order without a pattern, which is the same in each run.
    """
    found: dict[str, list[float]] = {attest: [] for attest in _ASKED}
    order = [attest for attest in _ASKED for _ in range(rounds)]
    random.Random(1).shuffle(order)
    with Ledger(folder / "warm.db") as ledger:
        llm = _llm(info, ledger, "mark")
        await _call(llm)
        for attest in order:
            llm.settings = llm.settings.replace(attest=attest)
            found[attest].append(await _call(llm))
        await llm.close()
    return found


async def _fetches(info: dict[str, Any], rounds: int) -> list[float]:
    """Return the seconds of one question to the hardware, over a connection that is open, with the check."""
    reader = await asyncio.to_thread(BareReader, info)
    times = []
    async with httpx.AsyncClient(base_url=str(info["gateway_url"]), verify=reader.context) as client:
        await client.get("/health")
        for _ in range(rounds):
            nonce = os.urandom(20)
            began = time.perf_counter()
            answer = await client.get("/enclave/attestation", params={"nonce": nonce.hex()})
            document = base64.b64decode(answer.raise_for_status().text)
            check_attestation(document, Expected(nonce), root=str(info["attestation_root"]))
            times.append(time.perf_counter() - began)
    reader.close()
    return times
