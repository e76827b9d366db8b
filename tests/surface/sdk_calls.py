"""The kinds of calls that programs written for the official SDK make, one after the other, as a script.

It needs OG_PRIVATE_KEY. For each result it prints a line `payment <what> <hash or None>`; at the end it waits for the
settlements and prints `settled <what> <hash>` of the same results.
"""

import asyncio
import os
import sys

import og_magics as og

key = os.environ.get("OG_PRIVATE_KEY")
if not key:
    sys.exit("OG_PRIVATE_KEY is not set.")

llm = og.LLM(private_key=key)
approval = llm.ensure_opg_approval(min_allowance=5)
print("approved", approval.allowance_after >= 5 * 10**18)

QUESTION = "In two sentences: what can an enclave prove?"
WEATHER = {
    "type": "function",
    "function": {
        "name": "look_up_weather",
        "description": "Today's weather in a town.",
        "parameters": {
            "type": "object",
            "properties": {"town": {"type": "string", "description": "Its name."}},
            "required": ["town"],
        },
    },
}
results = {}


def keep(what, result):
    results[what] = result
    print("payment", what, result.payment_hash)


async def providers():
    for model in (
        og.TEE_LLM.GPT_5,
        og.TEE_LLM.CLAUDE_SONNET_4_6,
        og.TEE_LLM.GEMINI_2_5_FLASH,
        og.TEE_LLM.GROK_4,
    ):
        result = await llm.chat(
            model=model, messages=[{"role": "user", "content": QUESTION}], max_tokens=200, temperature=0.0
        )
        print("answer", result.finish_reason, result.chat_output.get("content", ""))
        keep(model.name, result)


async def streaming():
    messages = [
        {"role": "system", "content": "Answer like a dictionary."},
        {"role": "user", "content": "What is a receipt?"},
    ]
    stream = await llm.chat(model=og.TEE_LLM.GPT_5, messages=messages, max_tokens=300, stream=True)
    print("stream", end=" ")
    async for chunk in stream:
        delta = chunk.choices[0].delta
        if delta.content:
            print(delta.content, end="", flush=True)
        if chunk.is_final:
            print("\nstreamed", chunk.model, chunk.usage.total_tokens if chunk.usage else None)


async def modes():
    for mode in (
        og.x402SettlementMode.PRIVATE,
        og.x402SettlementMode.BATCH_HASHED,
        og.x402SettlementMode.INDIVIDUAL_FULL,
    ):
        result = await llm.chat(
            model=og.TEE_LLM.CLAUDE_SONNET_4_6,
            messages=[{"role": "user", "content": "Greet me."}],
            max_tokens=50,
            x402_settlement_mode=mode,
        )
        keep(mode.name, result)


async def functions():
    messages = [{"role": "user", "content": "Which weather does Bergen have?"}]
    asked = await llm.chat(
        model=og.TEE_LLM.GEMINI_2_5_FLASH, messages=messages, max_tokens=200, tools=[WEATHER], tool_choice="auto"
    )
    for call in asked.chat_output.get("tool_calls") or []:
        print("call", call["function"]["name"], call["function"]["arguments"])
    keep("tool", asked)


async def everything():
    await providers()
    await streaming()
    await modes()
    await functions()


asyncio.run(everything())

print("open", og.settle(60))
for what, result in results.items():
    print("settled", what, result.payment_hash)
