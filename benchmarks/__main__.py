"""`python -m benchmarks`: measure everything and print one table."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from pathlib import Path

from . import loading, paying, streaming
from .network import devnet
from .report import table

# Sessions stay open through the whole run: it measures calls, not handshakes. The chain id is the one that the
# official SDK insists on.
_DEVNET = ("--chain-id", "8453", "--settle-after", "600", "--max-timeout", "900", "--cap", "1", "--token-delay")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure og_magics on this machine.")
    parser.add_argument(
        "--quick", action="store_true", help="one short round: whether it runs, not how fast; goals are not judged"
    )
    parser.add_argument("--json", metavar="FILE", type=Path, help="write the measurements to a file too")
    parser.add_argument(
        "--sdk-python", metavar="PATH", help="an interpreter that has the official SDK, to compare with"
    )
    args = parser.parse_args()
    rounds, delay = (1, "0.001") if args.quick else (5, "0.01")
    with tempfile.TemporaryDirectory(prefix="benchmarks-") as folder, devnet(*_DEVNET, delay) as info:
        told = json.dumps(info)
        settings = {"OG_NETWORK": "devnet", "OG_DEVNET": told, "OG_LEDGER": str(Path(folder) / "kernel.db")}
        environment = {name: value for name, value in os.environ.items() if not name.startswith("OG_")} | settings
        rows = loading.measure(folder, environment, rounds=rounds, official=args.sdk_python)
        rows += streaming.measure(info, folder, environment, rounds=rounds, words=50 if args.quick else 400)
        rows += paying.concurrent(info, told, folder, rounds=rounds, official=args.sdk_python)
        rows += paying.signing(info, folder, rounds=20 * rounds)
    machine = {"python": platform.python_version(), "cores": os.cpu_count(), "system": platform.system()}
    print(f"Python {machine['python']}, {machine['cores']} cores, {machine['system']}; medians of {rounds}\n")
    print(table(rows, judged=not args.quick))
    if args.json:
        args.json.write_text(
            json.dumps({**machine, "rounds": rounds, "rows": [row.to_json() for row in rows]}, indent=2)
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
