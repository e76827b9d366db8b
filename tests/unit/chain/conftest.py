"""A JSON-RPC node over real HTTP whose answers a test writes down."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from og_magics.core.networks import BASE
from tests.rpc_server import serving


class Refusal(Exception):
    """Raised by a method to answer with a JSON-RPC error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.error = {"code": code, "message": message}


def base_block(number: str, _full: bool = False) -> dict[str, str]:
    """A block of a chain that says it is Base: the newest is number 100."""
    known = {"latest": 100}.get(number)
    number = hex(int(number, 16) if known is None else known)
    hash = BASE.genesis_hash if number == "0x0" else f"0x{int(number, 16):064x}"
    return {"number": number, "hash": hash, "timestamp": hex(1_700_000_000 + 2 * int(number, 16))}


@dataclass
class FakeNode:
    """`methods` maps a method to its result, or to a function of its parameters. Its chain is Base.

    Attributes:
        url: where it listens.
        requests: the body of each HTTP request so far, parsed.
        intercept: may answer a whole request itself, as (status, body).
    """

    methods: dict[str, Any] = field(
        default_factory=lambda: {"eth_chainId": hex(BASE.chain_id), "eth_getBlockByNumber": base_block}
    )
    requests: list[Any] = field(default_factory=list)
    intercept: Callable[[Any], tuple[int, bytes] | None] = lambda request: None
    url: str = ""
    sent: list[str] = field(default_factory=list)

    def answer(self, body: bytes) -> tuple[int, bytes]:
        request = json.loads(body)
        self.requests.append(request)
        intercepted = self.intercept(request)
        if intercepted is not None:
            return intercepted
        answers = [self._one(call) for call in (request if isinstance(request, list) else [request])]
        return 200, json.dumps(answers if isinstance(request, list) else answers[0]).encode()

    def called(self) -> list[str]:
        """The methods called so far, batches written out."""
        return [
            call["method"]
            for request in self.requests
            for call in (request if isinstance(request, list) else [request])
        ]

    def _one(self, call: dict[str, Any]) -> dict[str, Any]:
        head = {"jsonrpc": "2.0", "id": call["id"]}
        try:
            method = self.methods[call["method"]]
            return {**head, "result": method(*call["params"]) if callable(method) else method}
        except KeyError:
            return {**head, "error": {"code": -32601, "message": f"the method {call['method']} does not exist"}}
        except Refusal as refusal:
            return {**head, "error": refusal.error}
        except TypeError as error:
            return {**head, "error": {"code": -32602, "message": f"invalid params: {error}"}}


@pytest.fixture
def node() -> Iterator[FakeNode]:
    fake = FakeNode()

    with serving(fake.answer) as fake.url:
        yield fake


@pytest.fixture
def refusal() -> type[Refusal]:
    return Refusal
