"""Values for the ledger's tests, and a ledger of its own for each."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from og_magics.core.payment_states import Block
from og_magics.core.receipt import Authorization
from og_magics.core.shared_ledger import shared_at
from og_magics.core.types import ChatRequest, Enclave, Outcome, Settlement, x402SettlementMode
from og_magics.ledger import Ledger
from og_magics.ledger.packing import entries
from og_magics.ledger.postgres import ServerConnection

from ...postgres import PASSWORD, Server


@dataclass(frozen=True)
class Verdict:
    ok: bool | None = True
    form: str | None = "with web_search"
    reason: str = "The signature holds."


class Make:
    """Builders of values, and of receipts that got somewhere."""

    verdict = Verdict()

    def question(self, text: str = "How much is 6 * 7?", **changes: Any) -> ChatRequest:
        values: dict[str, Any] = {
            "path": "/v1/chat/completions",
            "model": "openai/gpt-5",
            "body": {"model": "openai/gpt-5", "messages": [{"role": "user", "content": text}], "stream": True},
            "settlement": x402SettlementMode.BATCH_HASHED,
            "cell": "3",
            "notebook": "tour.ipynb",
        }
        return ChatRequest(**values | changes)

    def authorization(self, number: int = 1, **changes: Any) -> Authorization:
        values: dict[str, Any] = {
            "hash": f"0x{number:064x}",
            "scheme": "upto",
            "network": "eip155:84532",
            "payer": "0xPayer",
            "pay_to": "0xPayee",
            "token": "0xToken",
            "cap": 10**17,
            "nonce": 2**255 + number,
            "deadline": 1_800_000_300,
            "gateway": "https://gateway.example",
            "path": "/v1/chat/completions",
            "created": 1_800_000_000 + number,
            "spender": "0xProxy",
            "facilitator": "0xFacilitator",
        }
        return Authorization(**values | changes)

    def settlement(self, authorization: Authorization, amount: int = 1000, number: int = 7) -> Settlement:
        return Settlement(authorization.hash, f"0x{number:064x}", amount, 100 + number, f"0x{number + 1:064x}", 90_000)

    def block(self, number: int = 10**6, time: int = 2_000_000_000) -> Block:
        """A block in which a nonce was read: by default after every deadline and settlement here."""
        return Block(number, f"0x{number:064x}", time)

    def outcome(self, **changes: Any) -> Outcome:
        values: dict[str, Any] = {
            "text": "42",
            "tool_calls": ({"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}},),
            "finish_reason": "stop",
            "prompt_tokens": 11,
            "completion_tokens": 2,
            "latency": 1.5,
            "ttft": 0.25,
            "enclave": Enclave("https://gateway.example", public_key=b"\x30\x01"),
            "tee_id": "0xtee",
            "tee_signature": "c2ln",
            "tee_timestamp": 1_800_000_001,
            "tee_request_hash": "aa",
            "tee_output_hash": "bb",
            "data_settlement_hash": "0xdata",
            "blob_id": "blob",
        }
        return Outcome(**values | changes)

    def opened(self, ledger: Ledger, time: float = 1_800_000_000.0) -> str:
        return ledger.open(self.question(), "devnet", time)

    def attached(self, ledger: Ledger, authorization: Authorization) -> str:
        receipt_id = self.opened(ledger)
        ledger.authorize(authorization)
        ledger.attach(receipt_id, authorization.hash, "session-1")
        return receipt_id

    def served(self, ledger: Ledger, authorization: Authorization, weight: int = 1) -> str:
        receipt_id = self.attached(ledger, authorization)
        self.serve(ledger, receipt_id, weight)
        return receipt_id

    def serve(self, ledger: Ledger, receipt_id: str, weight: int = 1) -> None:
        ledger.serve(receipt_id, self.outcome(), cost_usd="0.0001", weight=weight, enclave=self.verdict)


@pytest.fixture
def make() -> Make:
    return Make()


@pytest.fixture(autouse=True)
def wallet_file_of_its_own(state_folder: Path) -> None:
    """Each test begins without a wallet's file."""


_BOTH = {
    "test_audit", "test_budgets", "test_columns", "test_export", "test_frame", "test_journal", "test_money_check",
    "test_ownership", "test_receipt_filter", "test_recordings", "test_sessions", "test_shares", "test_threads",
}  # fmt: skip
"""Modules whose tests hold for a file and for a server's ledger."""


def file_only(test: Callable[..., None]) -> Callable[..., None]:
    """Mark a test of what only a file has."""
    test.__dict__["file_only"] = True
    return test


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give the tests of `_BOTH` both ledgers."""
    module = metafunc.module.__name__.rpartition(".")[2]
    if "ledger" in metafunc.fixturenames and module in _BOTH and not hasattr(metafunc.function, "file_only"):
        places = ["file", pytest.param("server", marks=pytest.mark.ci)]
        metafunc.parametrize("ledger", places, indirect=True)


@pytest.fixture
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    place: str | Path = tmp_path / ".og" / "tour.db"
    if getattr(request, "param", "file") == "server":
        server: Server = request.getfixturevalue("postgres")
        place = server.url()
        request.getfixturevalue("monkeypatch").setenv("PGPASSWORD", PASSWORD)  # for processes that are told a path
    with Ledger(place) as opened:
        yield opened


def journal_of(ledger: Ledger) -> list[tuple[str, Any]]:
    """Return what a journal says, with receipts numbered and sessions named alike."""
    with ledger._file.reading() as connection:
        found = [(entry["kind"], entry["body"]) for entry in entries(connection)]
    for number, one in enumerate(ledger.receipts()):
        found = [
            (kind, body.replace(one.receipt_id, f"#{number}").replace(str(one.session_id), "session"))
            for kind, body in found
        ]
    return [(kind, json.loads(body)) for kind, body in found]


def trigger(ledger: Ledger, connection: Any) -> None:
    """Have the database change what is written."""
    if shared_at(ledger.path) is None:
        connection.execute("CREATE TRIGGER t AFTER INSERT ON receipts BEGIN UPDATE receipts SET text = 'x'; END")
        return
    connection.execute(
        "CREATE FUNCTION t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN UPDATE receipts SET text = ''x''; RETURN NULL; END'"
    )
    connection.execute("CREATE TRIGGER t AFTER INSERT ON receipts FOR EACH ROW EXECUTE FUNCTION t()")


@contextlib.contextmanager
def by_hand(ledger: Ledger) -> Iterator[Any]:
    """Open a ledger as a person with a database's shell does; what is done there is committed."""
    shared = shared_at(ledger.path)
    if shared is not None:
        with contextlib.closing(ServerConnection(shared, connect_timeout=10)) as server:
            server.execute("SET session_replication_role = replica")  # the hand that may do all: no key holds it
            yield server
        return
    with contextlib.closing(sqlite3.connect(ledger.path, isolation_level=None)) as connection:
        yield connection
