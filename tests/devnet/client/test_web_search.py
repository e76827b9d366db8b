"""Web search as a function of a model: each search is paid and proven like a chat, with a receipt of its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest
from starlette.routing import Route

from og_magics import LLM
from og_magics.conversation import Options, Run
from og_magics.conversation.web_search import SEARCHES
from og_magics.core.errors import ConfigError
from og_magics.core.progress import Call
from og_magics.devnet import Devnet
from og_magics.session import Session
from og_magics.verification import check_enclave, evidence_of

if TYPE_CHECKING:
    pass

SEARCH = "/v1/web_search"


def ran(app: Session, prompt: str, **options: Any) -> Run:
    run = app.start(app.build_turn(prompt, Options(**options)))
    run.wait_ended(60)
    return run


def results(run: Run) -> list[str]:
    return [message["content"] for message in run.result().messages if message["role"] == "tool"]


def call(**arguments: Any) -> str:
    return f"[[call:web_search({json.dumps(arguments)})]]"


@pytest.mark.ci
@pytest.mark.parametrize("by", ["option", pytest.param("setting", marks=pytest.mark.ci)])
def test_a_search_is_paid_and_proven_and_has_its_receipt(
    app_of: Callable[..., Session], devnet: Devnet, by: str
) -> None:
    app = app_of(devnet, web_search=by == "setting", stream=by == "setting")
    options = {"web_search": True} if by == "option" else {}
    run = ran(app, call(query="café x402", num_results=2, recency_days=30) + " look it up", **options)
    found = results(run)[0]
    assert "made up" in found
    first, search, last = app.ledger.receipts()
    assert found.endswith(
        "Sources:\n1. Simulated page 1 - https://example.com/1\n2. Simulated page 2 - https://example.com/2\n\n"
        f"(A search is paid by itself: receipt {search.receipt_id}, ~$0.015.)"
    )
    assert (search.path, search.model) == (SEARCH, "opengradient/web-search")
    assert search.request == {"query": "café x402", "num_results": 2, "recency_days": 30}
    assert [one.enclave_ok for one in (first, search, last)] == [True, True, True]
    assert search.usd == Decimal("0.015")
    assert search.authorization is not None
    assert search.authorization.path == SEARCH
    assert (search.status, search.turn, last.turn) == ("served", search.receipt_id, first.receipt_id)
    assert [one.receipt_id for one in run.result().receipts] == [first.receipt_id, last.receipt_id]
    assert "web_search" not in first.request
    assert [tool["function"]["name"] for tool in first.request["tools"]] == ["web_search"]
    assert app.ledger.audit().ok
    assert app.llm.settle(30) == 0
    assert app.ledger.receipt(search.receipt_id).cost == Decimal("0.015") / Decimal("0.20") * 10**18


def test_without_the_flag_no_search_is_offered(app_of: Callable[..., Session], devnet: Devnet) -> None:
    app = app_of(devnet)
    ran(app, "no search").result()
    assert "tools" not in app.ledger.receipts()[0].request
    app.update_settings(web_search=True)
    ran(app, "none either", web_search=False).result()
    assert "tools" not in app.ledger.receipts()[1].request


@pytest.mark.ci
def test_a_turn_searches_so_often_and_no_more(
    app_of: Callable[..., Session], devnet_with: Callable[..., Devnet]
) -> None:
    app = app_of(devnet_with(cap="1"))
    run = ran(app, "".join(call(query=f"q{n}") for n in range(SEARCHES + 2)), web_search=True)
    refused = [one for one in results(run) if one.startswith('{"error"')]
    assert len(refused) == 2
    assert "has made its 10 searches" in refused[0]
    assert sum(one.path == SEARCH for one in app.ledger.receipts()) == SEARCHES
    again = ran(app, call(query="another turn"), web_search=True)
    assert "made up" in results(again)[0]


@pytest.mark.parametrize(
    "arguments", [{}, {"query": ""}, {"query": " "}, {"query": "q", "num_results": 11}, {"query": "q", "to": "a"}]
)
def test_arguments_that_the_gateway_would_refuse_are_refused_unpaid(
    app_of: Callable[..., Session], devnet: Devnet, arguments: dict[str, Any]
) -> None:
    app = app_of(devnet)
    assert results(ran(app, call(**arguments), web_search=True))[0].startswith('{"error"')
    assert not any(one.path == SEARCH for one in app.ledger.receipts())


def test_a_query_with_the_wallets_key_is_not_sent(app_of: Callable[..., Session], devnet: Devnet) -> None:
    app = app_of(devnet)
    key = devnet.accounts[0]["private_key"].removeprefix("0x")

    def key_of() -> str:
        return "unused"

    body = app.build_turn("hello", Options(web_search=True, tools=[key_of]))
    assert body.tools is not None
    assert [*body.tools.by_name] == ["key_of", "web_search"]
    from og_magics.conversation.web_search import bound_to

    search = bound_to(body.tools, app.llm, body.request).by_name["web_search"].function
    with pytest.raises(ConfigError, match="private key"):
        asyncio.run(search(query=f"what is {key}?"))
    assert app.ledger.receipts() == []


def test_a_gateway_without_the_path_is_said_to_have_no_search(
    app_of: Callable[..., Session], devnet_with: Callable[..., Devnet], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("og_magics.devnet.gateway.app.search_route", lambda *_: Route("/none", lambda _: None))
    app = app_of(devnet_with(settle_after=1))
    run = ran(app, call(query="x402") + " look", web_search=True)
    assert "has no web search. Nothing was paid for the search. Ask without --web-search" in results(run)[0]
    assert [(part.name, part.state) for part in run.progress.parts if isinstance(part, Call)] == [
        ("web_search", "failed")
    ]
    failed = app.ledger.receipts()[1]
    assert (failed.path, failed.status, failed.authorization_hash) == (SEARCH, "failed", None)


def test_a_tool_of_the_same_name_is_a_mistake(app_of: Callable[..., Session], devnet: Devnet) -> None:
    def web_search(query: str) -> str:
        return query

    with pytest.raises(ConfigError, match="called 'web_search'"):
        app_of(devnet).build_turn("hello", Options(web_search=True, tools=[web_search]))


def test_a_plain_server_has_no_search(app_of: Callable[..., Session], devnet: Devnet, serve: Any, reply: Any) -> None:
    asks = {"id": "1", "type": "function", "function": {"name": "web_search", "arguments": '{"query": "q"}'}}

    def answer(asked: Any) -> Any:
        if asked.path == "/v1/models":
            return reply(body=b'{"data": [{"id": "gpt-5"}]}')
        if asked.path != "/v1/chat/completions":
            return reply(404, b"{}")
        done = any(one["role"] == "tool" for one in json.loads(asked.body)["messages"])
        message: dict[str, Any] = {"role": "assistant", "content": "done" if done else ""}
        message |= {} if done else {"tool_calls": [asks]}
        choice = {"index": 0, "message": message, "finish_reason": "stop" if done else "tool_calls"}
        return reply(body=json.dumps({"choices": [choice], "model": "gpt-5"}).encode())

    app = app_of(devnet, gateway_url=serve(answer).url, stream=False)
    run = ran(app, "look", web_search=True)
    assert "has no web search" in results(run)[0]
    assert run.result().text == "done"


def test_a_single_call_says_that_the_flag_does_nothing_and_sends_none(llm: LLM) -> None:
    with pytest.warns(UserWarning, match="it was not sent"):
        answer = llm.chat_sync("openai/gpt-5", [{"role": "user", "content": "hi"}], web_search=True)
    assert "web_search" not in answer.receipt.request


def test_a_replayed_turn_searches_nothing(app_of: Callable[..., Session], devnet: Devnet) -> None:
    app = app_of(devnet)
    prompt = call(query="x402") + " look it up again"
    first = ran(app, prompt, web_search=True)
    text, found = first.result().text, results(first)
    later = app_of(devnet, ledger=app.settings.ledger)
    again = ran(later, prompt, web_search=True, replay="only")
    assert (again.result().text, results(again)) == (text, found)
    assert len(later.ledger.receipts()) == 3


def test_what_was_found_and_is_changed_later_does_not_hold(app_of: Callable[..., Session], devnet: Devnet) -> None:
    app = app_of(devnet)
    ran(app, call(query="x402"), web_search=True).result()
    search = app.ledger.receipts()[1]
    assert check_enclave(evidence_of(search)).ok is True
    assert check_enclave(evidence_of(replace(search, text=f"{search.text}!"))).ok is False
    assert check_enclave(evidence_of(replace(search, request={**search.request, "query": "other"}))).ok is False
