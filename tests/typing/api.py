"""The public surface as a type checker sees it. Checked by mypy in a test; never run."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import assert_type

import pandas as pd

import og_magics as og


async def use() -> None:
    llm = og.LLM(private_key=None, network="devnet", rpc_url=None, tee_registry_address=None)
    messages = [{"role": "user", "content": "hi"}]
    assert_type(await llm.chat(og.TEE_LLM.GPT_5, messages), og.TextGenerationOutput)
    assert_type(await llm.chat("openai/gpt-5", messages, stream=True), AsyncGenerator[og.StreamChunk, None])
    result = await llm.completion("openai/gpt-5", "hi", x402_settlement_mode=og.x402SettlementMode.PRIVATE)
    assert_type(result, og.TextGenerationOutput)
    assert_type(result.payment_hash, str | None)
    assert_type(llm.ensure_opg_approval(5, approve_amount=10), og.Permit2ApprovalResult)
    assert_type(og.LLM.from_url(None, "https://host", verify=False), og.LLM)
    assert_type(llm.settle(1.0), int)
    assert_type(og.receipts(), pd.DataFrame)
    assert_type(og.verify(), pd.DataFrame)
    assert_type(og.models(), pd.DataFrame)
    assert_type(og.settle(), int)
    assert_type(og.ask("hi", model="gpt-5", max_tokens=5), og.Answer)
    assert_type(await og.aask("hi"), og.Answer)
    assert_type(og.ask_many(["hi"], concurrency=2), og.BatchResult)
    assert_type(await og.aask_many(["hi"]), og.BatchResult)
    assert_type(og.ask("hi").text, str)
    assert_type(og.estimate(["hi"]).most_opg, int | None)
    assert_type(og.ask_many(["hi"]).frame, pd.DataFrame)
    assert_type(double(2), int)
    assert_type(quadruple(2), int)
    await llm.close()


@og.tool
def double(x: int) -> int:
    return 2 * x


@og.tool(writes=True, timeout=2.5)
def quadruple(x: int) -> int:
    return 4 * x
