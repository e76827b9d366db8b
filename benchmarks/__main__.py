"""`python -m benchmarks`: measure everything and print one table."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from . import asking, attesting, loading, network, paying, receipts, replaying, samples, streaming, verifying
from .network import devnet
from .report import Row, median_ms, table

# Sessions stay open through the whole run: it measures calls, not handshakes. The chain id is the one that the
# official SDK insists on.
_DEVNET = ("--chain-id", "8453", "--settle-after", "600", "--max-timeout", "900", "--cap", "1", "--token-delay")

# For receipts, where everything is settled at once.
_SETTLING = ("--settle-after", "0.5", "--batch-after", "0.3", "--cap", "1", "--token-delay", "0")
_SIZES = (10_000, 100_000)
_ROUNDS_OF_LARGE = 3


def _calls(delay: str, environment: Mapping[str, str], *, rounds: int, quick: bool, official: str | None) -> list[Row]:
    """Measure loading, streaming, paying, replaying and asking, on a devnet whose sessions stay open."""
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder, devnet(*_DEVNET, delay) as info:
        told = json.dumps(info)
        settings = {"OG_NETWORK": "devnet", "OG_DEVNET": told, "OG_LEDGER": str(Path(folder) / "kernel.db")}
        environment = {**environment, **settings}
        rows = loading.measure(folder, environment, rounds=rounds, official=official)
        rows += streaming.measure(info, folder, environment, rounds=rounds, words=50 if quick else 400)
        rows += paying.concurrent(info, told, folder, rounds=rounds, official=official)
        rows += paying.signing(info, folder, rounds=20 * rounds)
        many = 24 if quick else asking.PROMPTS
        rows += replaying.measure(folder, environment, rounds=min(rounds, 3), cells=10 if quick else 200)
        sizes = (48,) if quick else asking.SIZES
        rows += asking.measure(info, folder, environment, rounds=min(rounds, 2), prompts=many, sizes=sizes)
    return rows


def _first_tokens(delay: str, environment: Mapping[str, str], *, rounds: int) -> list[Row]:
    """Measure the first token of fresh kernels."""
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder, devnet(*_DEVNET, delay) as info:
        settings = {"OG_NETWORK": "devnet", "OG_DEVNET": json.dumps(info), "OG_LEDGER": str(Path(folder) / "first.db")}
        reader = network.BareReader(dict(info))
        try:
            readings = [reader.read("Hello", 5) for _ in range(rounds + 1)][1:]
        finally:
            reader.close()
        bare = median_ms(reading.first for reading in readings)
        start = readings[0].text.split()[0]
        return streaming.first_tokens(folder, {**environment, **settings}, start, rounds=rounds, bare=bare)


def _attested(delay: str, *, rounds: int, quick: bool) -> list[Row]:
    """Measure what the hardware's attestation costs a call."""
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder, devnet(*_DEVNET, delay) as info:
        return attesting.measure(info, folder, rounds=3 * rounds, warm=10 if quick else 200)


def _receipts(environment: Mapping[str, str], *, rounds: int, quick: bool) -> list[Row]:
    """Measure verifying, and ledgers of many receipts, on a devnet that settles at once."""
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder:
        with devnet(*_SETTLING) as info:
            paid = samples.paid(info, folder)
            rows = verifying.measure(paid, info, folder, rounds=rounds, few=10 if quick else 50)
        for size in _SIZES[:1] if quick else _SIZES:
            most = rounds if size == _SIZES[0] else _ROUNDS_OF_LARGE
            rows += receipts.measure(paid, folder, environment, size=size, rounds=most)
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure og_magics on this machine.")
    parser.add_argument(
        "--quick", action="store_true", help="one short round: whether it runs, not how fast; goals are not judged"
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the measurements to a file too")
    parser.add_argument(
        "--sdk-python", metavar="PATH", help="an interpreter that has the official SDK, to compare with"
    )
    only = parser.add_mutually_exclusive_group()
    only.add_argument("--receipts", action="store_true", help="measure receipts and ledgers only")
    only.add_argument("--first-token", action="store_true", help="measure the first token of a fresh kernel only")
    only.add_argument("--attestation", action="store_true", help="measure first and warm calls with attestation only")
    args = parser.parse_args()
    rounds, delay = (1, "0.001") if args.quick else (5, "0.01")
    plain = {name: value for name, value in os.environ.items() if not name.startswith("OG_")}
    rows: list[Row] = []
    if args.first_token:
        rows += _first_tokens(delay, plain, rounds=rounds)
    if not args.receipts and not args.first_token:
        rows += _attested(delay, rounds=rounds, quick=args.quick)
    if not args.receipts and not args.attestation and not args.first_token:
        rows += _calls(delay, plain, rounds=rounds, quick=args.quick, official=args.sdk_python)
    if not args.attestation and not args.first_token:
        rows += _receipts(plain, rounds=rounds, quick=args.quick)
    machine = {"python": platform.python_version(), "cores": os.cpu_count(), "system": platform.system()}
    medians = f"medians of {rounds}" if args.quick else f"medians of {rounds} ({_ROUNDS_OF_LARGE} at {_SIZES[1]:,})"
    print(f"Python {machine['python']}, {machine['cores']} cores, {machine['system']}; {medians}\n")
    print(table(rows, judged=not args.quick))
    if args.json:
        args.json.write_text(
            json.dumps({**machine, "rounds": rounds, "rows": [row.to_json() for row in rows]}, indent=2)
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
