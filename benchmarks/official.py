"""The official SDK in an interpreter of its own: chats at once, and the payments that it signs for them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_PROGRAM = """
import asyncio, json, sys, time
told = json.loads(sys.argv[1])
from x402.mechanisms.evm import EthAccountSigner
from opengradient.client.llm import LLM
signed, sign = [], EthAccountSigner.sign_typed_data
def counted(*args, **kwargs):
    signed.append(1)
    return sign(*args, **kwargs)
EthAccountSigner.sign_typed_data = counted
info = told["info"]
key = info["accounts"][0]["private_key"]
llm = LLM(private_key=key, rpc_url=info["rpc_url"], tee_registry_address=info["tee_registry"])
messages = [{"role": "user", "content": told["prompt"]}]
async def main():
    began = time.perf_counter()
    chats = (llm.chat(model=told["model"], messages=messages, max_tokens=told["most"]) for _ in range(told["chats"]))
    await asyncio.gather(*chats)
    print(json.dumps({"wall": time.perf_counter() - began, "signed": len(signed)}))
    await llm.close()
asyncio.run(main())
"""


@dataclass(frozen=True, slots=True)
class Official:
    """Seconds for all chats at once, and how many payments were signed for them."""

    wall: float
    signed: int


def chats_at_once(
    interpreter: str, info: Mapping[str, Any], folder: str, *, chats: int, model: str, prompt: str, max_tokens: int
) -> Official:
    """The first chats of a fresh process. The devnet must have the chain id that the SDK insists on, 8453.

    Raises:
        subprocess.CalledProcessError: they failed; its `stderr` says why.
    """
    told = json.dumps({"info": info, "chats": chats, "model": model, "prompt": prompt, "most": max_tokens})
    environment = {name: value for name, value in os.environ.items() if not name.startswith("OG_")}
    found = subprocess.run(
        [interpreter, "-c", _PROGRAM, told],
        cwd=folder,
        env=environment | {"BASE_MAINNET_RPC": str(info["rpc_url"])},
        capture_output=True,
        text=True,
        check=True,
    )
    return Official(**json.loads(found.stdout.splitlines()[-1]))
