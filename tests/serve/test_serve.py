"""The server: what OpenAI's clients get of it, who may ask, and what stays in the ledger."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from og_magics import LLM, Settings
from og_magics.core.receipt import Receipt
from og_magics.core.runtime import runtime
from og_magics.ledger import Ledger
from og_magics.verification import check_enclave, evidence_of

from ..serving import ASK, KEY, Server

WEATHER = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


def events(response: httpx.Response) -> list[dict[str, Any]]:
    """The events of a streamed answer, without the last, which says that it is done."""
    *lines, done = [line[6:] for line in response.text.splitlines() if line.startswith("data: ")]
    assert done == "[DONE]"
    return [json.loads(line) for line in lines]


def test_it_says_who_pays_and_how_clients_reach_it(server: Server) -> None:
    assert "pays on devnet from 0x" in server.output
    assert f"OPENAI_API_KEY={KEY}" in server.output


def asked_by_our_own(server: Server, folder: Path, *, stream: bool) -> Receipt:
    """The receipt of a question that another process of ours asks through the server."""
    settings = Settings(gateway_url=str(server.client.base_url), gateway_key=KEY)  # type: ignore[arg-type]  # as read
    llm = LLM(settings=settings, journal=Ledger(folder / "of-a-student.db"))
    answer = llm.chat_sync("openai/gpt-5", ASK["messages"], max_tokens=5, stream=stream)
    last = list(answer)[-1] if stream else answer
    assert llm.paid is False
    runtime.wait(llm.close())
    receipt: Receipt = last.receipt
    return receipt


class TestAnswers:
    def test_an_answer_has_the_enclaves_proof_and_a_receipt_in_the_ledger(self, server: Server) -> None:
        response = server.post(ASK)
        answer = response.json()
        assert answer["object"] == "chat.completion"
        assert answer["usage"]["total_tokens"] == sum(
            answer["usage"][f"{kind}_tokens"] for kind in ("prompt", "completion")
        )
        (receipt,) = [one for one in server.receipts() if one.receipt_id == response.headers["x-og-receipt-id"]]
        assert receipt.text == answer["choices"][0]["message"]["content"]
        assert answer["opengradient"]["tee_signature"] == receipt.tee_signature
        assert answer["opengradient"]["enclave_ok"] is True
        assert receipt.notebook == "serve"

    def test_a_stream_says_the_same_in_pieces_and_ends_with_the_proof(self, server: Server) -> None:
        response = server.post(ASK | {"stream": True, "stream_options": {"include_usage": True}})
        assert response.headers["content-type"].startswith("text/event-stream")
        *parts, usage = events(response)
        text = "".join(part["choices"][0]["delta"].get("content") or "" for part in parts)
        (receipt,) = [one for one in server.receipts() if one.receipt_id == parts[0]["id"]]
        assert text == receipt.text
        assert parts[-1]["choices"][0]["finish_reason"] in ("stop", "length")
        assert parts[-1]["opengradient"]["tee_signature"] == receipt.tee_signature
        assert (usage["choices"], usage["usage"]["completion_tokens"]) == ([], receipt.completion_tokens)

    def test_function_calls_come_whole_and_in_pieces_with_their_index(self, server: Server) -> None:
        ask = ASK | {"messages": [{"role": "user", "content": "Use get_weather for Paris"}], "tools": [WEATHER]}
        (call,) = server.post(ask).json()["choices"][0]["message"]["tool_calls"]
        assert call["function"]["name"] == "get_weather"
        parts = [part["choices"][0]["delta"] for part in events(server.post(ask | {"stream": True}))]
        assert [one["index"] for part in parts for one in part.get("tool_calls", [])] == [0]

    def test_a_completion_is_answered_whole_or_as_one_event(self, server: Server) -> None:
        ask = {"model": "openai/gpt-5", "prompt": "Once upon a time", "max_tokens": 5}
        whole = server.post(ask, "/v1/completions").json()
        assert whole["object"] == "text_completion"
        (event,) = events(server.post(ask | {"stream": True}, "/v1/completions"))
        assert event["choices"][0]["text"] == whole["choices"][0]["text"]

    def test_all_calls_of_one_server_share_an_authorization(self, server: Server) -> None:
        used = [server.post(ASK).json()["opengradient"]["authorization_hash"] for _ in range(3)]
        assert len(set(used)) <= 2  # one, or two where the first was settled meanwhile

    def test_our_own_notebooks_are_clients_like_others(self, server: Server, tmp_path: Path) -> None:
        receipt = asked_by_our_own(server, tmp_path, stream=False)
        assert receipt.text
        assert KEY not in (tmp_path / "of-a-student.db").read_bytes().decode("latin-1")

    @pytest.mark.parametrize("stream", [True, False])
    def test_their_receipts_say_who_paid_and_hold_the_enclaves_proof(
        self, server: Server, tmp_path: Path, stream: bool
    ) -> None:
        receipt = asked_by_our_own(server, tmp_path, stream=stream)
        theirs = server.receipts()[-1]
        assert receipt.paid_by == f"{theirs.payer} on devnet, receipt {theirs.receipt_id}"
        assert (receipt.authorization_hash, receipt.cost, receipt.paid_for) == (None, None, None)
        assert receipt.enclave_ok is True
        assert check_enclave(evidence_of(Receipt.from_json(receipt.to_json()))).ok is True
        forged = Receipt.from_json(receipt.to_json() | {"text": "another answer"})
        assert check_enclave(evidence_of(forged)).ok is False

    def test_whoever_asked_gets_the_receipt_that_pays_by_its_id(self, server: Server) -> None:
        response = server.post(ASK)
        found = server.client.get(f"/v1/receipts/{response.headers['x-og-receipt-id']}").json()
        receipt = Receipt.from_json(found)
        assert check_enclave(evidence_of(receipt)).ok is True
        assert receipt.authorization is not None
        assert response.headers["x-og-payer"] == receipt.payer
        for unknown in ("0" * 32, "x", "%00"):
            assert server.client.get(f"/v1/receipts/{unknown}").status_code == 404

    @pytest.mark.ci
    def test_who_goes_away_pays_once_and_the_receipt_says_so(self, server: Server) -> None:
        ask = ASK | {"messages": [{"role": "user", "content": "a [[slow:3]]"}], "stream": True, "max_tokens": 400}
        with server.client.stream("POST", "/v1/chat/completions", json=ask) as response:
            next(response.iter_lines())
            of_it = response.headers["x-og-receipt-id"]
        ended = ""
        for _ in range(100):
            (receipt,) = [one for one in server.receipts() if one.receipt_id == of_it]
            if ended := receipt.error or receipt.finish_reason or "":
                break
            threading.Event().wait(0.2)
        assert ended == "interrupted"


class TestRefusals:
    @pytest.mark.parametrize(
        ("change", "status", "code"),
        [
            ({"n": 2}, 400, "unsupported_parameter"),
            ({"logprobs": True}, 400, "unsupported_parameter"),
            ({"top_p": 0.5}, 400, "unsupported_parameter"),
            ({"never_heard_of": 1}, 400, "unsupported_parameter"),
            ({"messages": []}, 400, "invalid_value"),
            ({"messages": "hello"}, 400, "invalid_value"),
            ({"temperature": 9}, 400, "invalid_value"),
            ({"model": ""}, 400, "invalid_value"),
            ({"model": "gpt-nope"}, 404, "model_not_found"),
            ({"response_format": "json"}, 400, "invalid_value"),
            ({"settlement": "nowhere"}, 400, "invalid_value"),
        ],
    )
    def test_what_cannot_be_honored_is_refused_before_it_is_paid(
        self, server: Server, change: dict[str, Any], status: int, code: str
    ) -> None:
        before = len(server.receipts())
        response = server.post(ASK | change)
        assert (response.status_code, response.json()["error"]["code"]) == (status, code)
        assert response.headers["x-should-retry"] == "false"
        assert len(server.receipts()) == before

    def test_what_says_no_more_than_leaving_it_out_is_accepted(self, server: Server) -> None:
        neutral = {"n": 1, "top_p": 1, "user": "me", "parallel_tool_calls": True, "seed": None, "store": False}
        assert server.post(ASK | neutral).status_code == 200

    @pytest.mark.parametrize("body", [b"", b"[]", b"{", b"[" * 100_000, b"\xff\xfe", b'"text"'])
    def test_what_is_no_json_object_is_refused(self, server: Server, body: bytes) -> None:
        response = server.client.post("/v1/chat/completions", content=body)
        assert response.status_code == 400
        assert response.json()["error"]["type"] == "invalid_request_error"

    @pytest.mark.parametrize(("method", "path", "status"), [("GET", "/v1/chat/completions", 405), ("GET", "/v2", 404)])
    def test_what_is_not_there_is_refused_in_openais_form(
        self, server: Server, method: str, path: str, status: int
    ) -> None:
        response = server.client.request(method, path)
        assert response.status_code == status
        assert response.json()["error"]["type"] == "invalid_request_error"

    def test_a_request_is_bounded(self, server: Server) -> None:
        response = server.client.post("/v1/chat/completions", content=b" " * (33 * 2**20))
        assert response.status_code == 413

    def test_a_failure_of_the_gateway_says_what_it_means_for_the_money(self, server: Server) -> None:
        response = server.post(ASK | {"messages": [{"role": "user", "content": "[[fail:500]]"}]})
        assert response.status_code == 502
        assert "Nothing was answered; what was signed expires by itself, unpaid." in response.json()["error"]["message"]

    def test_a_failure_in_a_stream_is_an_event(self, server: Server) -> None:
        response = server.post(ASK | {"messages": [{"role": "user", "content": "a [[fail:stream]]"}], "stream": True})
        assert response.status_code in (200, 502)
        last = response.text.strip().splitlines()[-1].removeprefix("data: ")
        assert json.loads(last)["error"]["type"] == "server_error"


class TestKeys:
    @pytest.mark.parametrize(
        "header", ["", "Bearer", "Bearer wrong", f"Token {KEY}", "Basic !!", "Basic b2c6d3Jvbmc=", f"Bearer {KEY}x"]
    )
    @pytest.mark.parametrize(("method", "path"), [("POST", "/v1/chat/completions"), ("GET", "/v1/models")])
    def test_without_the_key_nothing_is_asked(self, server: Server, header: str, method: str, path: str) -> None:
        before = len(server.receipts())
        response = server.client.request(method, path, json=ASK, headers={"Authorization": header})
        assert response.status_code == 401
        assert response.json()["error"]["code"] == "invalid_api_key"
        assert len(server.receipts()) == before

    @pytest.mark.parametrize(
        "headers",
        [{"Host": "attacker.example"}, {"Origin": "https://attacker.example"}, {"Sec-Fetch-Site": "cross-site"}],
    )
    def test_a_web_page_gets_nothing_even_with_the_key(self, server: Server, headers: dict[str, str]) -> None:
        assert server.post(ASK, headers=headers).status_code == 403

    def test_the_key_is_in_no_file(self, server: Server) -> None:
        server.post(ASK)
        folder = server.ledger.path.parent
        assert not [path for path in folder.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]


def test_models_are_listed_and_described(server: Server) -> None:
    listed = server.client.get("/v1/models").json()["data"]
    assert "openai/gpt-5" in {one["id"] for one in listed}
    assert server.client.get("/v1/models/openai/gpt-5").json()["owned_by"] == "openai"
    assert server.client.get("/v1/models/openai/none").status_code == 404
    assert server.client.get("/v1/embeddings").status_code == 404
