"""A devnet in a process of its own, and a reader of it that is bare httpx."""

from __future__ import annotations

import contextlib
import json
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
from eth_account import Account
from x402 import x402ClientSync
from x402.http.utils import decode_payment_required_header, encode_payment_signature_header
from x402.mechanisms.evm import EthAccountSigner
from x402.mechanisms.evm.upto import UptoEvmClientScheme

PATH = "/v1/chat/completions"
MODEL = "gpt-5"

_HEADERS = {"Authorization": "Bearer any", "X-SETTLEMENT-TYPE": "batch"}


@contextlib.contextmanager
def devnet(*options: str) -> Iterator[dict[str, Any]]:
    """What a running devnet says of itself. A separate process, so that it does not share this one's interpreter lock.

    Raises:
        RuntimeError: it did not start.
    """
    command = [sys.executable, "-m", "og_magics.devnet", "--json", "--parent-pid", str(os.getpid()), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            if not line:
                raise RuntimeError("the devnet did not start; its complaint is above")
            yield json.loads(line)
        finally:
            process.terminate()
            process.wait(timeout=30)


def question(prompt: str, max_tokens: int, *, stream: bool) -> dict[str, Any]:
    """The body of a request."""
    messages = [{"role": "user", "content": prompt}]
    return {
        "model": MODEL,
        "messages": messages,
        "temperature": 0.0,
        "max_tokens": max_tokens,
        "stream": stream,
    }


@dataclass(frozen=True, slots=True)
class Reading:
    """One stream as it was read: seconds to its end and to the first piece of text, and the text."""

    wall: float
    first: float
    text: str


class BareReader:
    """Bare httpx, with a payment session that is already open, over the TLS that the project's own client uses.

    Attributes:
        headers: what an asynchronous client sends to use the same session.
        context: the gateway's own certificate is the only one accepted.
    """

    def __init__(self, info: dict[str, Any]) -> None:
        self._url = str(info["gateway_url"])
        self.context = _pinned(self._url)
        self._http = httpx.Client(base_url=self._url, verify=self.context, timeout=60)
        self.challenge, session = self._open(info)
        self.headers = {**_HEADERS, "X-Upto-Session": session}

    def close(self) -> None:
        """Close its connection."""
        self._http.close()

    def read(self, prompt: str, max_tokens: int) -> Reading:
        """Read one stream to its end, parsing each event."""
        began = time.perf_counter()
        first, pieces = 0.0, []
        body = question(prompt, max_tokens, stream=True)
        with self._http.stream("POST", PATH, json=body, headers=self.headers) as response:
            response.raise_for_status()
            for line in response.iter_lines():
                if line.startswith("data: {"):
                    for choice in json.loads(line[6:])["choices"]:
                        piece = choice["delta"].get("content")
                        if piece:
                            first = first or time.perf_counter() - began
                            pieces.append(piece)
        return Reading(time.perf_counter() - began, first, "".join(pieces))

    def asynchronous(self) -> httpx.AsyncClient:
        """A client for many requests at once in the same session."""
        return httpx.AsyncClient(base_url=self._url, verify=self.context, headers=self.headers, timeout=60)

    def _open(self, info: dict[str, Any]) -> tuple[str, str]:
        body = question("Hello", 1, stream=False)
        challenge = self._http.post(PATH, json=body, headers=_HEADERS).headers["PAYMENT-REQUIRED"]
        required = decode_payment_required_header(challenge)
        network = f"eip155:{info['chain_id']}"
        payer = x402ClientSync()
        signer = EthAccountSigner(Account.from_key(info["accounts"][0]["private_key"]))
        payer.register(network, UptoEvmClientScheme(signer))
        payer.set_spend_controls({"allowed_assets": [{"network": network, "asset": info["opg_token"]}]})
        signature = encode_payment_signature_header(payer.create_payment_payload(required))
        response = self._http.post(PATH, json=body, headers={**_HEADERS, "PAYMENT-SIGNATURE": signature})
        response.raise_for_status()
        return challenge, str(response.headers["X-Upto-Session"])


def _pinned(url: str) -> ssl.SSLContext:
    parts = urlsplit(url)
    certificate = ssl.get_server_certificate((str(parts.hostname), int(parts.port or 443)))
    context = ssl.create_default_context(cadata=certificate)
    context.check_hostname = False
    return context
