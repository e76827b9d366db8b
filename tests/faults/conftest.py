"""What the harnesses share: a devnet in a process of its own, funded payers, and a line at the end that says how much."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_utils.crypto import keccak

import og_magics
from og_magics import LLM, Settings
from og_magics.core.runtime import runtime

HERE = Path(__file__).parent


def script(name: str, argument: str) -> subprocess.Popen[str]:
    """A Python script of this folder, running: warnings are errors, and the package is this one."""
    return subprocess.Popen(
        [sys.executable, "-W", "error", str(HERE / name), argument],
        env={**os.environ, "PYTHONPATH": str(Path(og_magics.__file__).parents[1])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@dataclass
class Running:
    """A devnet, and the payers that it has funded and that have approved.

    Attributes:
        info: what `og-magics devnet --json` prints.
        keys, payers: private keys and addresses.
    """

    info: dict[str, Any]
    keys: list[str]
    payers: list[str]
    process: subprocess.Popen[str]

    def settle(self) -> None:
        """Returns when nothing is owed any more: all that will ever be on the chain is there."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("settle\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "settled\n"

    def settings(self, ledger: Path, **more: Any) -> Settings:
        """Of an LLM that pays here."""
        return Settings(**{"devnet": json.dumps(self.info), "network": "devnet", "ledger": str(ledger), **more})


@pytest.fixture
def devnet_for(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """A maker of devnets: so many payers, and the options of `Devnet`."""
    with contextlib.ExitStack() as stack:

        def start(count: int, **options: Any) -> Running:
            keys = ["0x" + keccak(f"payer {number}".encode()).hex() for number in range(count)]
            payers = [Account.from_key(key).address for key in keys]
            process = stack.enter_context(script("devnet.py", json.dumps({**options, "fund": payers})))
            stack.callback(process.terminate)  # last resort: it ends with its input, which is closed first
            assert process.stdin is not None
            assert process.stdout is not None
            stack.callback(process.wait, 30)
            stack.callback(process.stdin.close)
            running = Running(json.loads(process.stdout.readline()), keys, payers, process)
            for number, key in enumerate(keys):
                llm = LLM(key, settings=running.settings(tmp_path / f"approval-{number}.db"))
                llm.ensure_opg_approval(100)
                runtime.wait(llm.close(), 10)
            return running

        yield start


@pytest.fixture
def run_script() -> Iterator[Callable[[str, str], subprocess.Popen[str]]]:
    """A runner of this folder's scripts; whatever still runs at the end is ended, with all that it started."""
    with contextlib.ExitStack() as stack:

        def start(name: str, argument: str) -> subprocess.Popen[str]:
            process = stack.enter_context(script(name, argument))
            stack.callback(_end, process)
            return process

        yield start


def _end(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, 9)  # its own session: it, and what it forked
