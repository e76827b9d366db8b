"""The devnet as a process: it tells where it is, and leaves nothing behind."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from web3 import HTTPProvider, Web3

from og_magics.core.errors import DevnetError
from og_magics.devnet import Devnet


@contextlib.contextmanager
def _process(command: list[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A process that a failing test does not wait for."""
    with subprocess.Popen(command, **options) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


class TestCommand:
    @pytest.mark.ci
    def test_it_serves_until_sigterm_and_leaves_no_process(self) -> None:
        fund = "0x00000000000000000000000000000000000A11cE"
        command = [sys.executable, "-m", "og_magics.devnet", "--json", "--fund", fund, "--settle-after", "600"]
        with _process(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            info = json.loads(process.stdout.readline())
            told = "gateway_url gateway_url_http rpc_url chain_id tee_registry settlement_relay blob_url opg_token"
            assert " ".join(info) == f"{told} permit2 upto_proxy pay_to tee_id attestation_root started accounts"
            assert httpx.get(info["gateway_url_http"] + "/health").status_code == 200
            assert Web3(HTTPProvider(info["rpc_url"])).eth.get_balance(fund) == 10**18
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
            assert process.stderr.read() == ""
        with pytest.raises(httpx.ConnectError):
            httpx.get(info["gateway_url_http"] + "/health")

    @pytest.mark.ci
    def test_it_stops_when_its_parent_is_gone(self) -> None:
        parent = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        command = [sys.executable, "-m", "og_magics.devnet", "--parent-pid", str(parent.pid)]
        with _process(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            while "Ctrl-C" not in process.stdout.readline():
                assert process.poll() is None
            parent.communicate(b"\n")
            assert process.wait(30) == 0
        assert parent.returncode == 0

    @pytest.mark.ci
    def test_a_taken_port_is_told_and_not_served(self, devnet: Devnet) -> None:
        port = int(devnet.gateway_url.rsplit(":", 1)[1])
        with pytest.raises(DevnetError, match=f"Port {port} cannot be used"):
            Devnet(port=port).start()
        answer = subprocess.run(
            [sys.executable, "-m", "og_magics.devnet", "--port", str(port)],
            capture_output=True, text=True, check=False, timeout=60,
        )  # fmt: skip
        assert answer.returncode == 1
        assert f"Port {port} cannot be used" in answer.stderr
