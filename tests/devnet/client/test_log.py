"""The log of a paid call: a line a step, with ids, and nothing that is secret or was said."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections import deque
from typing import Any

import pytest

from og_magics import LLM
from og_magics.core import log
from og_magics.core.errors import ConfigError
from og_magics.core.runtime import runtime

STEPS = ["request", "attestation", "challenge", "authorization", "first token", "end", "settlement"]


@pytest.fixture
def lines(llm: LLM, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The lines of one call, its settlement included."""
    monkeypatch.setattr(log, "_recent", deque(maxlen=1_000))
    output = llm.chat_sync("openai/gpt-5", [{"role": "user", "content": "a secret prompt"}])
    assert llm.settle(60) == 0
    assert output.receipt is not None
    return log.recent(1_000)


@pytest.mark.ci
def test_each_step_has_its_line_in_order(lines: list[str]) -> None:
    assert [line.partition("Z ")[2][:13].strip() for line in lines] == STEPS


@pytest.mark.ci
def test_the_ids_are_those_of_the_ledger_and_the_chain(lines: list[str], llm: LLM) -> None:
    receipt = llm.journal.receipts()[-1]
    text = "\n".join(lines)
    assert all(receipt.receipt_id in line for line in lines[:-1])
    assert receipt.authorization_hash is not None
    assert receipt.payment_hash is not None
    assert f"hash={receipt.authorization_hash}" in text
    assert f"transaction={receipt.payment_hash}" in text


def test_no_key_no_session_no_prompt_and_no_answer_is_in_it(lines: list[str], llm: LLM, devnet: Any) -> None:
    receipt = llm.journal.receipts()[-1]
    text = "\n".join(lines)
    key = devnet.accounts[0]["private_key"].removeprefix("0x")
    secrets = [key, receipt.session_id or "-", "secret", receipt.text[:20], receipt.tee_signature or "-"]
    assert [secret for secret in secrets if secret in text] == []


def test_a_failure_is_logged_by_its_kind_and_not_by_what_a_server_said(llm_of: Any, devnet: Any) -> None:
    llm = llm_of(devnet)
    with pytest.raises(Exception, match="status 500"):
        llm.chat_sync("openai/gpt-5", [{"role": "user", "content": "[[fail:500]] fails quietly"}])
    last = log.recent(1)[0]
    assert "failed" in last
    assert "quietly" not in last


def test_python_logging_has_the_lines_where_its_level_is_debug(llm: LLM, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "og_magics"):
        llm.chat_sync("openai/gpt-5", [{"role": "user", "content": "Hello"}])
        runtime.wait(llm.close())
    assert [record.name for record in caplog.records if record.getMessage().startswith("request")] == ["og_magics"]


def test_og_log_shows_them_on_standard_error() -> None:
    code = "from og_magics.core import log; log.configure(); log.step('request', 'r1', model='openai/gpt-5')"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"OG_LOG": "debug"}
    )
    assert "og_magics request       r1 model=openai/gpt-5" in done.stderr
    assert done.stdout == ""


def test_a_level_that_is_none_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigError, match=r"loud.*debug, info, warning, off"):
        log.show("loud")
