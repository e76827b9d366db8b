"""A plain OpenAI-compatible server in place of a gateway: no wallet, no payment, no proof, and receipts that say so."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import og_magics as og
from og_magics.core import log
from og_magics.core.errors import GatewayError, UnknownModel
from og_magics.core.progress import Progress
from og_magics.core.runtime import runtime
from og_magics.core.settings import Settings
from og_magics.devnet import Devnet
from og_magics.display import answer_bundle, footer
from og_magics.ledger import Ledger
from og_magics.session import Session
from og_magics.verification.output_check import shown_problem
from og_magics.verification.verifier import prove

MESSAGES = [{"role": "user", "content": "Hello"}]


@dataclass
class Plain:
    """A server of its own thread, which answers as Ollama and vLLM do."""

    url: str
    seen: list[dict[str, Any]] = field(default_factory=list)
    status: int = 200


@pytest.fixture
def plain() -> Iterator[Plain]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path == "/v1/models":
                self._send(200, {"object": "list", "data": [{"id": "llama3.2", "object": "model"}]})
            else:
                self._send(404, {"error": {"message": "not found"}})

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            server.seen.append({"body": body, "headers": dict(self.headers), "path": self.path})
            if server.status != 200:
                self._send(server.status, {"error": {"message": f"model {body['model']} not found"}})
            elif body.get("stream"):
                self._stream(body["model"])
            else:
                message = {"role": "assistant", "content": "Hello there"}
                usage = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
                choice = {"index": 0, "message": message, "finish_reason": "stop"}
                self._send(200, {"model": body["model"], "choices": [choice], "usage": usage})

        def _stream(self, model: str) -> None:
            def event(choices: list[dict[str, Any]], **more: Any) -> bytes:
                return f"data: {json.dumps({'model': model, 'choices': choices, **more})}\n\n".encode()

            pieces = [event([{"index": 0, "delta": {"content": text}}]) for text in ("Hello", " there")]
            pieces.append(event([{"index": 0, "delta": {}, "finish_reason": "stop"}]))
            pieces.append(event([], usage={"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}))
            content = b"".join([*pieces, b"data: [DONE]\n\n"])
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def _send(self, status: int, body: Any) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            if status == 402:
                self.send_header("PAYMENT-REQUIRED", "eyJ4NDAyVmVyc2lvbiI6Mn0=")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None: ...

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server = Plain(f"http://127.0.0.1:{http.server_port}/v1")
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield server
    http.shutdown()
    http.server_close()


@pytest.fixture
def session(plain: Plain, tmp_path: Path) -> Iterator[Session]:
    """A notebook's session that was told of the server and has no wallet."""
    session = Session(Settings(gateway_url=plain.url, ledger=str(tmp_path / "ledger.db"), retries=0))
    yield session
    runtime.wait(session.llm.close(), 10)
    session.ledger.close()


class TestAsking:
    def test_a_model_of_the_server_answers_by_its_own_name(self, session: Session, plain: Plain) -> None:
        answer = session.start(session.build_turn("Hello", og_options(model="llama3.2"))).result()
        assert answer.text == "Hello there"
        assert plain.seen[-1]["body"]["model"] == "llama3.2"
        assert answer.usage == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}

    def test_nothing_of_a_payment_leaves(self, session: Session, plain: Plain) -> None:
        session.start(session.build_turn("Hello", og_options(model="llama3.2"))).result()
        names = {name.lower() for name in plain.seen[-1]["headers"]}
        assert not [name for name in names if "payment" in name or "settlement" in name or "session" in name]
        assert len(plain.seen) == 1

    def test_it_needs_no_wallet_no_network_and_no_devnet(self, session: Session) -> None:
        from og_magics.client.devnet_process import devnet_runs

        before = devnet_runs()
        session.start(session.build_turn("Hello", og_options(model="llama3.2"))).result()
        assert devnet_runs() is before
        assert not session.llm.paid
        assert session.llm.settle(1) == 0
        with pytest.raises(og.errors.ConfigError, match="takes no payment"):
            _ = session.llm.wallet

    @pytest.mark.parametrize("stream", [True, False])
    def test_streamed_and_whole_are_the_same_answer(self, session: Session, stream: bool) -> None:
        request = session.build_request("Hello", og_options(model="llama3.2", stream=stream))
        output = runtime.wait(session.llm.answer(request, Progress()))
        assert (output.text, output.finish_reason) == ("Hello there", "stop")


class TestReceipts:
    def test_they_say_not_paid_and_not_proven(self, session: Session) -> None:
        answer = session.start(session.build_turn("Hello", og_options(model="llama3.2"))).result()
        receipt = answer.receipt
        assert receipt is not None
        assert (receipt.network, receipt.status) == ("none", "served")
        assert (receipt.cost, receipt.cost_usd, receipt.authorization_hash, receipt.payment_hash) == (None,) * 4
        assert footer(receipt, lambda _: "").endswith("no payment, no proof")

    def test_an_audit_of_the_notebook_finds_nothing_wrong_with_it_and_finds_a_claim_that_is_added(
        self, session: Session
    ) -> None:
        answer = session.start(session.build_turn("Hello", og_options(model="llama3.2"))).result()
        assert answer.receipt is not None
        bundle = answer_bundle(answer.receipt, answer.text, lambda _: "")
        shown = {kind: content for kind, content in bundle.items() if kind.startswith("text/")}
        assert shown_problem(answer.receipt, shown) is None
        lie = {kind: content.replace("no payment, no proof", "proof ✓ · paid") for kind, content in shown.items()}
        assert shown_problem(answer.receipt, lie) is not None

    def test_verifying_one_claims_nothing(self, session: Session) -> None:
        answer = session.start(session.build_turn("Hello", og_options(model="llama3.2"))).result()
        (proof,) = prove(answer.receipts, {}, audit=session.ledger.audit())
        assert {name: verdict.ok for name, verdict in proof.verdicts.items()} == {
            "enclave": None, "attestation": None, "registry": None, "payment": None, "data": None, "ledger": True,
        }  # fmt: skip
        assert "takes no payment" in proof.reason

    def test_an_answer_is_replayed_by_another_process_without_the_server(self, session: Session, plain: Plain) -> None:
        session.start(session.build_turn("Hello", og_options(model="llama3.2"))).result()
        later = Session(Settings(gateway_url="http://127.0.0.1:9", ledger=session.settings.ledger, replay="only"))
        try:
            again = later.start(later.build_turn("Hello", og_options(model="llama3.2"))).result()
        finally:
            runtime.wait(later.llm.close(), 10)
            later.ledger.close()
        assert (again.text, len(plain.seen)) == ("Hello there", 1)
        assert again.receipt is not None
        assert again.receipt.replayed


class TestFailures:
    def test_an_error_of_the_server_says_that_nothing_was_paid(self, session: Session, plain: Plain) -> None:
        plain.status = 404
        with pytest.raises(GatewayError, match="model nothing not found") as caught:
            session.start(session.build_turn("Hello", og_options(model="nothing"))).result()
        assert caught.value.money == "Nothing was paid: this server takes no payment."

    def test_a_server_that_asks_for_money_later_gets_none(self, session: Session, plain: Plain) -> None:
        session.start(session.build_turn("Hello", og_options(model="llama3.2"))).result()
        plain.status = 402
        with pytest.raises(GatewayError, match="402"):
            session.start(session.build_turn("Hello", og_options(model="llama3.2"))).result()
        assert session.ledger.pending() == []

    def test_a_model_that_is_in_no_catalogue_is_refused_by_a_gateway_before_anything_is_signed(
        self, devnet: Devnet, tmp_path: Path
    ) -> None:
        url = devnet.gateway_url
        session = Session(Settings(gateway_url=url, gateway_verify=False, ledger=str(tmp_path / "x.db"),
                                   devnet=json.dumps(devnet.info)))  # fmt: skip
        try:
            with pytest.raises(UnknownModel, match=r"no model 'llama3\.2'"):
                session.start(session.build_turn("Hello", og_options(model="llama3.2"))).result()
            assert isinstance(session.ledger, Ledger)
            assert session.ledger.pending() == []
        finally:
            runtime.wait(session.llm.close(), 10)
            session.ledger.close()


class TestTheLog:
    def test_it_has_a_line_a_step_and_nothing_that_was_said(self, session: Session) -> None:
        before = log.recent(1_000)[-1:]
        session.start(session.build_turn("a secret prompt", og_options(model="llama3.2"))).result()
        lines = log.recent(4)
        if before:
            assert lines.pop(0) == before[0]
        assert [line.split()[1] for line in lines] == ["request", "first", "end"]
        assert not [line for line in lines if "secret" in line or "there" in line]


def og_options(**options: Any) -> Any:
    from og_magics.session.api import options_from

    return options_from(options)
