"""A payment chain over real HTTP, and nodes of it that are behind, pruned, filtered or of another chain."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from og_magics.chain import abi
from og_magics.core.networks import BASE, PERMIT2, Network
from og_magics.core.receipt import Authorization
from tests.rpc_server import serving
from tests.unit.chain.test_settlement_match import CAPTURED, settle_with_permit

START = CAPTURED.created - 1_000
DEPTH = 6


def signed(number: int, **changes: Any) -> Authorization:
    """An authorization with a word of the bitmap to itself."""
    values = {"hash": f"0x{number:064x}", "nonce": (number << 8) + number % 256, **changes}
    return replace(CAPTURED, **values)


@dataclass
class Lies:
    """What a node does wrong. By default nothing.

    Attributes:
        behind: blocks that it does not have yet.
        no_logs: `eth_getLogs` answers with nothing. refuses_logs: with an error.
        stale_latest: the state that it gives as the newest is so many blocks old.
        no_state: it has no state but the newest.
        no_genesis: it does not have block 0.
        no_receipts: it has no transactions.
        another: chain id that it says.
        genesis: hash of its block 0.
    """

    behind: int = 0
    no_logs: bool = False
    refuses_logs: bool = False
    stale_latest: int = 0
    no_state: bool = False
    no_genesis: bool = False
    no_receipts: bool = False
    another: int = 0
    genesis: str = ""


@dataclass
class Payment:
    authorization: Authorization
    block: int
    transaction: str
    amount: int = 5


@dataclass
class FakeChain:
    """A chain with a block every two seconds, and the node through which it is seen.

    Attributes:
        head: number of the newest block. payments: what is on it.
        branch: of which the hashes of blocks are, from `forked` on.
    """

    head: int = 600
    payments: list[Payment] = field(default_factory=list)
    lies: Lies = field(default_factory=Lies)
    branch: int = 0
    forked: int = 0
    url: str = ""
    asked: list[str] = field(default_factory=list)

    def network(self, **changes: Any) -> Network:
        return replace(BASE, rpc_url=self.url, unused_depth=DEPTH, **changes)

    def time_of(self, number: int) -> int:
        return START + 2 * number

    def advance_past(self, deadline: int, blocks: int = 50 + DEPTH) -> None:
        self.head = max(self.head, (deadline - START) // 2 + blocks)

    def pay(self, authorization: Authorization) -> Payment:
        self.head += 1
        payment = Payment(authorization, self.head, f"0x{len(self.payments) + 1:032x}{self.branch:032x}")
        self.payments.append(payment)
        return payment

    def undo(self, payment: Payment) -> None:
        """A longer branch takes its place."""
        self.payments.remove(payment)
        self.branch += 1
        self.forked = payment.block
        self.head += 1

    def hash_of(self, number: int) -> str:
        if number == 0:
            return self.lies.genesis or BASE.genesis_hash
        return f"0x{self.branch if number >= self.forked else 0:032x}{number:032x}"

    # -- the node ------------------------------------------------------------------------------

    def answer(self, method: str, params: list[Any]) -> Any:
        self.asked.append(method)
        return getattr(self, method)(*params)

    @property
    def _newest(self) -> int:
        return self.head - self.lies.behind

    def eth_chainId(self) -> str:
        return hex(self.lies.another or BASE.chain_id)

    def eth_getBlockByNumber(self, which: str, _full: bool) -> Any:
        number = self._newest if which == "latest" else int(which, 16)
        if number > self._newest or (number == 0 and self.lies.no_genesis):
            return None
        return {"number": hex(number), "hash": self.hash_of(number), "timestamp": hex(self.time_of(number))}

    def eth_call(self, call: dict[str, str], which: str) -> str:
        number = self._newest - self.lies.stale_latest if which == "latest" else int(which, 16)
        if number > self._newest:
            raise LookupError("header not found")
        if which != "latest" and self.lies.no_state:
            raise LookupError("missing trie node")
        if self.lies.another:
            return "0x" + "0" * 64  # Permit2 is there too, and nobody used it
        assert call["to"] == PERMIT2
        owner, word = abi.function("permit2", "nonceBitmap").decode_arguments(bytes.fromhex(call["data"][2:]))  # type: ignore[misc]  # ours
        bits = 0
        for one in self.payments:
            signed = one.authorization
            if one.block <= number and (signed.payer.lower(), signed.nonce >> 8) == (owner.lower(), word):
                bits |= 1 << (signed.nonce & 0xFF)
        return f"0x{bits:064x}"

    def eth_getLogs(self, query: dict[str, Any]) -> list[Any]:
        if self.lies.refuses_logs:
            raise LookupError("logs are pruned")
        if self.lies.no_logs:
            return []
        first, last = int(query["fromBlock"], 16), int(query["toBlock"], 16)
        word = "0x" + "0" * 24
        return [
            {
                "address": one.authorization.token, "data": hex(one.amount), "transactionHash": one.transaction,
                "topics": [
                    "0x0", word + one.authorization.payer[2:].lower(), word + one.authorization.pay_to[2:].lower(),
                ],
            }
            for one in self._seen()
            if first <= one.block <= last
        ]  # fmt: skip

    def eth_getTransactionByHash(self, transaction: str) -> Any:
        paid = next((one for one in self._seen() if one.transaction == transaction), None)
        return None if paid is None else settle_with_permit(paid.authorization)

    def eth_getTransactionReceipt(self, transaction: str) -> Any:
        paid = next((one for one in self._seen() if one.transaction == transaction), None)
        if paid is None:
            return None
        return {"blockNumber": hex(paid.block), "gasUsed": "0x5", "blockHash": self.hash_of(paid.block)}

    def _seen(self) -> list[Payment]:
        hidden = self.lies.no_receipts or self.lies.another
        return [] if hidden else [one for one in self.payments if one.block <= self._newest]


@pytest.fixture(scope="session")
def server() -> Iterator[tuple[str, list[FakeChain]]]:
    """The URL of a node, and the chain that it shows, to be replaced by each test."""
    shown: list[FakeChain] = []

    def one(call: dict[str, Any]) -> dict[str, Any]:
        head = {"jsonrpc": "2.0", "id": call["id"]}
        try:
            return {**head, "result": shown[0].answer(call["method"], call["params"])}
        except (LookupError, AttributeError) as error:
            return {**head, "error": {"code": -32000, "message": str(error)}}

    def answer(body: bytes) -> tuple[int, bytes]:
        request = json.loads(body)
        answers = [one(call) for call in (request if isinstance(request, list) else [request])]
        return 200, json.dumps(answers if isinstance(request, list) else answers[0]).encode()

    with serving(answer) as url:
        yield url, shown


@pytest.fixture
def fake_chain(server: tuple[str, list[FakeChain]], monkeypatch: pytest.MonkeyPatch) -> FakeChain:
    url, shown = server
    monkeypatch.setattr("og_magics.chain.identity._proven", set())
    monkeypatch.setattr("og_magics.chain.identity._confirmed", {})
    shown[:] = [FakeChain(url=url)]
    return shown[0]
