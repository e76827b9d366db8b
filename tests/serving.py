"""A running `og-magics serve`, in a process of its own, on the practice network."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from og_magics.core.receipt import Receipt
from og_magics.devnet import Devnet
from og_magics.ledger import Ledger

KEY = "og-serve-of-this-test"
ASK: dict[str, Any] = {
    "model": "openai/gpt-5", "messages": [{"role": "user", "content": "What is x402?"}], "max_tokens": 20,
}  # fmt: skip


class Server(NamedTuple):
    """A running `og-magics serve`; `client` has its key, where it has one for all."""

    client: httpx.Client
    ledger: Ledger
    output: str
    process: subprocess.Popen[str]
    lines: list[str]

    def receipts(self) -> list[Receipt]:
        return self.ledger.receipts()

    def post(self, body: dict[str, Any], path: str = "/v1/chat/completions", **more: Any) -> httpx.Response:
        return self.client.post(path, json=body, **more)


@contextlib.contextmanager
def serving(
    devnet: Devnet, folder: Path, *arguments: str, verify: Any = True, program: str = "og_magics", **more: str
) -> Iterator[Server]:
    """Run a server in a folder, with these arguments and environment variables besides.

    Args:
        program: the module whose `serve` it is.
    """
    environment = os.environ | {
        "OG_DEVNET": json.dumps(devnet.info), "OG_SERVE_KEY": KEY, "OG_LEDGER": str(folder / "serve.db"),
        "OG_STATE_DIR": str(folder / "state"), **more,
    }  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", program, "serve", "--port", "0", *arguments],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder,
    )  # fmt: skip
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if "OG_GATEWAY_URL" in line:
            break
    output = "".join(lines)
    found = re.findall(r"OPENAI_BASE_URL=(\S+)/v1", output)
    assert found, output
    rest = threading.Thread(target=lambda: lines.extend(process.stdout or ()), daemon=True)
    rest.start()
    try:
        with httpx.Client(
            base_url=found[0], headers={"Authorization": f"Bearer {KEY}"}, timeout=60, verify=verify
        ) as client:
            yield Server(client, Ledger(folder / "serve.db"), output, process, lines)
    finally:
        process.terminate()
        process.wait(30)
        rest.join(10)
        process.stdout.close()
