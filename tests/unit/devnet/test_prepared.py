"""The prepared answers: what our own pages ask has one, and each is what its file says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from og_magics.devnet.model.prepared import prepared_answer
from og_magics.devnet.model.protocol import Delta
from og_magics.devnet.model.simulated import SimulatedModel

ROOT = Path(__file__).parents[3]
ANSWERS = sorted((ROOT / "og_magics" / "devnet" / "model" / "answers").glob("*.md"))
_CELL = re.compile(r"^```(?:ipython)?\n%%(?:ogchat|ogcompare)(?P<flags>[^\n]*)\n(?P<prompt>.+?)\n```$", re.M | re.S)
_LEFT = re.compile(r"--context|--web-search|gpt-image|\{")
"""Cells whose question depends on the notebook, the day or a picture."""


def asked_by_pages() -> list[str]:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    cells = [cell for page in pages for cell in _CELL.finditer(page.read_text(encoding="utf-8"))]
    return sorted({cell["prompt"] for cell in cells if not _LEFT.search(cell[0])})


async def said(question: str, model: str = "gpt-5", results: Any = (), **more: Any) -> str:
    messages = [{"role": "user", "content": question}]
    for number, (name, result) in enumerate(results):
        call = {"id": f"c{number}", "type": "function", "function": {"name": name, "arguments": "{}"}}
        messages.append({"role": "assistant", "content": "", "tool_calls": [call]})
        messages.append({"role": "tool", "tool_call_id": f"c{number}", "content": result})
    body = {"model": model, "messages": messages, **more}
    pieces = [piece async for piece in SimulatedModel(0).answer(body)]
    return "".join(piece.fields.get("content", "") for piece in pieces if isinstance(piece, Delta))


def test_the_pages_ask_several_questions() -> None:
    assert len(asked_by_pages()) >= 10


@pytest.mark.parametrize("question", asked_by_pages())
def test_what_a_page_asks_has_a_prepared_answer(question: str) -> None:
    assert prepared_answer(question, "openai") or prepared_answer(question, "anthropic")


@pytest.mark.parametrize("path", ANSWERS, ids=lambda path: path.stem)
def test_a_file_is_the_answer_to_its_questions(path: Path) -> None:
    head, _, text = path.read_text(encoding="utf-8").partition("---\n")
    fields = [line.partition(": ")[::2] for line in head.splitlines()]
    assert {name for name, _ in fields} <= {"question", "provider", "call", "result", "json"}
    provider = dict(fields).get("provider", "another")
    for question in (value for name, value in fields if name == "question"):
        found = prepared_answer(f" {question.upper()} ", provider)
        assert found is not None
        assert found.text == text.strip()


def test_near_questions_have_no_answer() -> None:
    for question in ("", "?", "What is x4021?", "What is the x402 payment protocol for?", "tell me: what is x402"):
        assert prepared_answer(question, "openai") is None


async def test_a_function_s_result_that_is_another_is_not_talked_over() -> None:
    prompt = "What is the price of ETH?"
    assert "3,000 USD" in await said(prompt, results=[("get_token_price", '{"symbol": "ETH", "usd": 3000}')])
    changed = await said(prompt, results=[("get_token_price", '{"symbol": "ETH", "usd": 2900}')])
    assert "3,000" not in changed
    assert "2900" in changed
    assert "3,000" not in await said(prompt)  # nobody looked it up


async def test_a_form_that_the_answer_does_not_fit_is_met_by_an_example() -> None:
    def form(**properties: Any) -> dict[str, Any]:
        schema = {"type": "object", "properties": properties, "required": [*properties]}
        return {"type": "json_schema", "json_schema": {"name": "City", "schema": schema}}

    fits, other = form(name={"type": "string"}, inhabitants={"type": "integer"}), form(river={"type": "string"})
    assert json.loads(await said("The largest city of France.", response_format=fits))["name"] == "Paris"
    assert json.loads(await said("The largest city of France.", response_format=other)) == {"river": "river"}
