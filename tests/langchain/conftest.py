"""A practice network for LangChain's models, with answers to the questions of LangChain's own tests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from og_magics.client.llm import prepared
from og_magics.core import environment
from og_magics.core.runtime import runtime
from og_magics.devnet import Devnet
from og_magics.devnet.model import prepared as model_answers

JOKE = '{"setup": "Why did the cat sit on the laptop?", "punchline": "To keep an eye on the mouse."}'
ANSWERS = (
    f"question: Tell me a joke about cats*\njson: {JOKE}\n---\nNo joke without JSON.",
    'question: What is the value of magic_function(3)*\ncall: magic_function({"input": 3})\nresult: 5\n---\nIt is 5.',
    "question: Create a customer named *Hello Group*\n"
    'call: unicode_customer({"customer_name": "你好啊集团", "description": "科技"})\n---\nDone.',
    "question: Create a customer named *Hello Corporation*\n"
    'call: unicode_customer({"customer_name": "こんにちは株式会社", "description": "会社"})\n---\nDone.',
)


@pytest.fixture(scope="session")
def devnet() -> Iterator[Devnet]:
    """A devnet that knows the answers above besides its own."""
    known = (*model_answers._answers(), *map(model_answers._read, ANSWERS))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model_answers, "_answers", lambda: known)
        with Devnet(settle_after=0.5, batch_after=0.3, token_delay=0.001) as devnet:
            yield devnet
            for llm in prepared():
                runtime.wait(llm.close(), 10)


@pytest.fixture(scope="session")
def ledger_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ledger of all models of these tests."""
    return tmp_path_factory.mktemp("langchain") / "ledger.db"


@pytest.fixture(autouse=True)
def _of_the_devnet(devnet: Devnet, ledger_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the environment name the devnet and the ledger, as it does for a user's models."""
    for name, value in {"OG_DEVNET": json.dumps(devnet.info), "OG_LEDGER": str(ledger_path)}.items():
        monkeypatch.setenv(name, value)
        monkeypatch.setattr(environment, "AT_IMPORT", {**environment.AT_IMPORT, name: value})
