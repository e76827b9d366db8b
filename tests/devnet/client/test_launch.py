"""With no devnet named, one is started for the process, and ends with it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from og_magics.client import devnet_process as launch
from og_magics.core.errors import DevnetError
from og_magics.ledger import Ledger

pytestmark = pytest.mark.ci


KEY = "0x" + "7" * 64


def run(script: str, ledger: Path, **env: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OG_")}
    return subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", "-c", script],
        env=kept | {"OG_LEDGER": str(ledger)} | env,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    "ends", ["pass", "stream = llm.chat_sync('openai/gpt-5', long, max_tokens=5000, stream=True); next(stream)"]
)
def test_without_key_and_network_a_script_runs_and_leaves_no_process(
    tmp_path: Path, eventually: Callable[..., Any], ends: str
) -> None:
    script = f"""
import og_magics as og
llm = og.LLM()
print(llm.chat_sync("openai/gpt-5", [{{"role": "user", "content": "Hello"}}]).tee_endpoint)
print(llm.network.rpc_url)
long = [{{"role": "user", "content": "[[words:4000]]"}}]
{ends}
"""
    done = run(script, tmp_path / "l.db")
    assert (done.returncode, done.stderr) == (0, "")
    endpoint, rpc = done.stdout.split()

    def gone() -> bool:
        try:
            httpx.get(rpc, timeout=1)
        except httpx.HTTPError:
            return True
        return False

    assert eventually(gone)
    assert endpoint.startswith("https://127.0.0.1:")
    with Ledger(tmp_path / "l.db") as ledger:
        told = [(receipt.status, receipt.error) for receipt in ledger.receipts()]
    assert told[0][0] in ("served", "settled")
    assert told[1:] == ([] if ends == "pass" else [("failed", "interrupted")])


def test_a_wallet_of_ones_own_is_given_opg_and_needs_one_approval(tmp_path: Path) -> None:
    script = """
import og_magics as og
llm = og.LLM(network="devnet")
try:
    llm.chat_sync("openai/gpt-5", [{"role": "user", "content": "Hello"}])
except og.errors.AllowanceRequired as error:
    print(llm.ensure_opg_approval(min_allowance=5).tx_hash is not None)
print(llm.chat_sync("openai/gpt-5", [{"role": "user", "content": "Hello"}]).text[:10])
"""
    done = run(script, tmp_path / "l.db", OG_PRIVATE_KEY=KEY)
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\nHere is a \n", "")


class TestFailures:
    @pytest.fixture(autouse=True)
    def _nothing_started(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(launch, "_started", None)
        monkeypatch.setattr(launch, "_process", None)

    def interpreter(self, tmp_path: Path, script: str) -> str:
        path = tmp_path / "python"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return str(path)

    @pytest.mark.parametrize(
        ("script", "what", "remedy"),
        [
            ("echo 'no such port' >&2; exit 1", "no such port", "to see why"),
            (
                "echo \"ModuleNotFoundError: No module named 'eth_tester'\" >&2; exit 1",
                "eth_tester",
                r"og_magics\[devnet\]",
            ),
            ("echo hello; exec sleep 60", "in time", "to see why"),
        ],
    )
    def test_a_devnet_that_does_not_start_is_told(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, what: str, remedy: str
    ) -> None:
        monkeypatch.setattr(sys, "executable", self.interpreter(tmp_path, script))
        with pytest.raises(DevnetError, match=f"did not start.*{what}.*Nothing was paid.*{remedy}"):
            launch.devnet_info("")

    def test_a_devnet_that_says_nothing_is_given_up_and_ended(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(launch, "_READY_WITHIN", 0.2)
        monkeypatch.setattr(sys, "executable", self.interpreter(tmp_path, f"echo $$ > {tmp_path}/pid; exec sleep 60"))
        with pytest.raises(DevnetError, match="in time"):
            launch.devnet_info("")
        with pytest.raises(ProcessLookupError):
            os.kill(int((tmp_path / "pid").read_text()), 0)


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(tmp_path: Path) -> None:
    dead = {
        name: "http://127.0.0.1:9" for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy")
    }
    script = "import og_magics as og\nprint(og.ask('hi').text[:11])"
    done = run(script, tmp_path / "l.db", **dead, NO_PROXY="", no_proxy="")
    assert (done.returncode, done.stdout) == (0, "Here is a d\n"), done.stderr
