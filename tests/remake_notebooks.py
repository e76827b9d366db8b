"""Executes the notebooks of `notebooks/` on the practice network and saves them with their new outputs.

    python -m tests.remake_notebooks [NAME ...]

Each is run by `og-magics run` in an empty folder, without a key, at the pace of the practice network; a name is a part of a
file's name. A notebook that fails, or whose saved file does not prove its answers and their hardware, is left as it was.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from og_magics.devnet import Devnet

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
_LEFT_OUT = ("OG_", "BASE_", "JPY_", "IPYTHON", "JUPYTER")


def remade(notebook: Path, devnet: Devnet) -> bool:
    """Execute one notebook and replace its file. Return True where every cell ran and every receipt holds."""
    with tempfile.TemporaryDirectory() as folder:
        env = {name: value for name, value in os.environ.items() if not name.startswith(_LEFT_OUT)}
        env |= {"HOME": folder, "OG_DEVNET": json.dumps(devnet.info)}
        fresh = Path(folder) / notebook.name
        fresh.write_bytes(notebook.read_bytes())
        for command in (
            ["run", fresh.name, "-o", fresh.name],
            ["verify", fresh.name, "--proofs", "enclave,attestation"],
        ):
            if subprocess.run(
                [sys.executable, "-m", "og_magics", *command], cwd=folder, env=env, check=False
            ).returncode:
                return False
        notebook.write_bytes(fresh.read_bytes())
    return True


def main(names: list[str]) -> int:
    """Remake the notebooks that are named; all, where none is. Return 1 where one of them failed."""
    chosen = [path for path in NOTEBOOKS if not names or any(name in path.name for name in names)]
    # On a busy machine a session of 3 seconds or 10 would settle while answers still stream, and they would be free.
    with Devnet(settle_after=20) as devnet:
        failed = [path.name for path in chosen if not remade(path, devnet)]
    print(f"{len(chosen) - len(failed)} of {len(chosen)} remade" + "".join(f"\nfailed: {name}" for name in failed))
    return 1 if failed or not chosen else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
