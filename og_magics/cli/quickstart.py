"""The `quickstart` verb: write a notebook that works at once, run it, and verify its receipts."""

from __future__ import annotations

import importlib.util
from importlib import resources
from pathlib import Path

from ..core.errors import ConfigError
from ..core.networks import network_by_name
from ..core.settings import Settings
from .run import run_notebook
from .verify import OFFLINE, verify_notebook

NAME = "quickstart.ipynb"

_NEEDED = ("nbclient", "nbformat", "ipykernel")
_NEEDED_BY_DEVNET = ("eth_tester", "starlette", "uvicorn")


def quickstart(folder: Path, *, force: bool, kernel: str) -> int:
    """Write the quickstart notebook into a folder, run it there and verify what it kept.

    It runs on the devnet, which costs nothing, unless the environment names another network.

    Args:
        folder: An existing folder. The notebook's ledger is kept below it, in `.og`.
        force: Overwrite a notebook of that name.
        kernel: The kernel's name; "" for the notebook's own.

    Returns:
        0 if every cell ran and every receipt holds, else 1.

    Raises:
        ConfigError: Something that it needs is not installed, the file is there already, or it cannot be written.
        LedgerError: The receipts cannot be read.
    """
    settings = Settings.from_env()
    network = network_by_name(settings.network_name())
    _require(_NEEDED, "Running notebooks", "og_magics[devnet,notebook]")
    if network.local and not settings.devnet:
        _require(_NEEDED_BY_DEVNET, "The devnet", "og_magics[devnet,notebook]")
    path = _write(folder / NAME, force=force)
    if network.local:
        print(
            "Network: devnet, for practice, on this machine. Its answers are prepared, its payments cost nothing.",
            flush=True,
        )
    elif network.real_money:
        print(f"Network: {network.name}. The notebook's calls cost real money, paid by your wallet.", flush=True)
    else:
        print(f"Network: {network.name}. Payments are made in test tokens.", flush=True)
    failed = run_notebook(path, output=path, kernel=kernel)
    print("\nVerifying the receipts in the notebook, from the file alone:", flush=True)
    refuted = verify_notebook(path, online=False, pcr="", ledger=None, proofs=OFFLINE, as_json=False)
    print(_next_steps(path))
    return failed or refuted


def notebook_bytes() -> bytes:
    """Return the notebook that is written, without outputs."""
    return (resources.files("og_magics.notebook") / NAME).read_bytes()


def _write(path: Path, *, force: bool) -> Path:
    try:
        with path.open("wb" if force else "xb") as file:
            file.write(notebook_bytes())
    except FileExistsError:
        raise ConfigError(
            f"{path} exists already, and was left as it is.",
            remedy=f"Run it with `og-magics run {path}`, or overwrite it with `og-magics quickstart --force`.",
        ) from None
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {error.strerror}.",
            remedy="Go to a folder where you may write, and run it again there.",
        ) from None
    print(f"Wrote {path.absolute()}")
    return path


def _require(modules: tuple[str, ...], what: str, extra: str) -> None:
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise ConfigError(f"{what} needs {', '.join(missing)}.", remedy=f"pip install '{extra}'")


def _next_steps(path: Path) -> str:
    installed = importlib.util.find_spec("jupyterlab") is not None
    lab = f"jupyter lab {path}" if installed else f"pip install jupyterlab && jupyter lab {path}"
    steps = {
        lab: "open the notebook and ask your own questions",
        f"og-magics receipts {path}": "list what was paid",
        f"og-magics verify {path}": "verify the answers again, at any time",
        "og-magics doctor": "check the wallet, the network and the packages",
    }
    width = max(map(len, steps))
    return "\n".join(["\nNext:", *(f"  {command:<{width}}  {purpose}" for command, purpose in steps.items())])
