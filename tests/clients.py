"""The programs by which real clients ask `og-magics serve`, each as its own manual says, and none of them changed.

A script defines `streamed`, `whole`, `tool` and `wrong`; each returns what it saw, as text. `wrong` returns the client's
own error for a model that there is not. What a client has no form for is left out.
"""

from __future__ import annotations

from typing import NamedTuple


class Client(NamedTuple):
    """One client.

    Attributes:
        packages: what pip installs for it; none where it is this checkout. version_of: the one whose version is shown.
        script: its functions.
    """

    name: str
    packages: tuple[str, ...]
    version_of: str
    script: str


PRELUDE = '''
import json, os, subprocess, sys
URL, KEY = os.environ["OPENAI_BASE_URL"], os.environ["OPENAI_API_KEY"]
MODEL, WRONG = "openai/gpt-5", "gpt-nope"
ASK, ASK_TOOL = "What is x402?", 'Look the weather up. [[call:get_weather({"city": "Paris"})]]'

def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"It rains in {city}."
'''

CODA = """
import importlib.metadata
print(json.dumps({"what": "version", "saw": importlib.metadata.version(VERSION_OF)}))
for what in ("streamed", "whole", "tool", "wrong"):
    asked = globals().get(what)
    if asked is None:
        continue
    try:
        saw = {"saw": str(asked())}
    except Exception as error:
        saw = {"failed": f"{type(error).__name__}: {error}"}
    print(json.dumps({"what": what} | saw), flush=True)
"""

OPENAI = """
import openai
client = openai.OpenAI()
TOOL = {"type": "function", "function": {"name": "get_weather", "description": "The weather in a city.", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}

def create(model=MODEL, ask=ASK, **more):
    return client.chat.completions.create(model=model, messages=[{"role": "user", "content": ask}], **more)

def streamed():
    chunks = list(create(stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].usage.total_tokens > 0 and len(chunks) > 3
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)

def whole():
    answer = create()
    assert answer.opengradient["enclave_ok"] is True
    return answer.choices[0].message.content

def tool():
    (call,) = create(ask=ASK_TOOL, tools=[TOOL]).choices[0].message.tool_calls
    said = [{"role": "user", "content": ASK_TOOL}, {"role": "assistant", "tool_calls": [call.model_dump()]},
            {"role": "tool", "tool_call_id": call.id, "content": get_weather(**json.loads(call.function.arguments))}]
    return client.chat.completions.create(model=MODEL, messages=said, tools=[TOOL]).choices[0].message.content

def wrong():
    try:
        create(model=WRONG)
    except openai.NotFoundError as error:
        assert error.code == "model_not_found"
        return f"{type(error).__name__}: {error}"
"""

LLM_CLI = '''
from pathlib import Path
home = Path(os.environ["LLM_USER_PATH"] or "llm")
home.mkdir(exist_ok=True)
(home / "keys.json").write_text(json.dumps({"og": KEY}))
(home / "extra-openai-models.yaml").write_text("".join(f"""
- model_id: {name}
  model_name: {model}
  api_base: {URL}
  api_key_name: og
  supports_tools: true
""" for name, model in (("og", MODEL), ("og-wrong", WRONG))))

def run(*words):
    done = subprocess.run([sys.executable, "-m", "llm", *words], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr[-600:]
    return done.stdout

def streamed():
    return run("-m", "og", ASK)

def whole():
    return run("-m", "og", "--no-stream", ASK)

def tool():
    source = 'def get_weather(city: str) -> str:\\n    "The weather in a city."\\n    return f"It rains in {city}."'
    return run("-m", "og", "--functions", source, ASK_TOOL)

def wrong():
    try:
        run("-m", "og-wrong", ASK)
    except AssertionError as error:
        return str(error)
'''

LANGCHAIN = """
import openai
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI
chat = ChatOpenAI(model=MODEL)

def streamed():
    pieces = list(chat.stream(ASK))
    assert len(pieces) > 3
    return "".join(piece.text for piece in pieces)

def whole():
    message = chat.invoke(ASK)
    assert message.usage_metadata["total_tokens"] > 0
    return message.text

def tool():
    model, asked = chat.bind_tools([get_weather]), HumanMessage(ASK_TOOL)
    called = model.invoke([asked])
    results = [{"role": "tool", "tool_call_id": call["id"], "content": get_weather(**call["args"])}
               for call in called.tool_calls]
    return model.invoke([asked, called, *results]).text

def wrong():
    try:
        ChatOpenAI(model=WRONG).invoke(ASK)
    except openai.NotFoundError as error:
        return f"{type(error).__name__}: {error}"
"""

PYDANTIC_AI = """
import asyncio
from pydantic_ai import Agent
from pydantic_ai.exceptions import ModelHTTPError
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

def agent(model=MODEL, **more):
    return Agent(OpenAIChatModel(model, provider=OpenAIProvider(base_url=URL, api_key=KEY)), **more)

def streamed():
    async def ask():
        async with agent().run_stream(ASK) as result:
            pieces = [piece async for piece in result.stream_text(delta=True, debounce_by=None)]
        assert len(pieces) > 3
        return "".join(pieces)
    return asyncio.run(ask())

def whole():
    return agent().run_sync(ASK).output

def tool():
    return agent(tools=[get_weather]).run_sync(ASK_TOOL).output

def wrong():
    try:
        agent(WRONG).run_sync(ASK)
    except ModelHTTPError as error:
        assert error.status_code == 404
        return f"{type(error).__name__}: {error}"
"""

JUPYTER_AI = """
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
shell = InteractiveShell.instance()
shell.run_line_magic("load_ext", "jupyter_ai_magics")

def ask(model):
    with capture_output() as shown:
        result = shell.run_cell_magic("ai", f"openai-chat-custom:{model} -f text", ASK)
    return " ".join([*map(str, [result] if result is not None else []), shown.stdout, shown.stderr,
                     *(str(one.data.get("text/plain") or one.data.get("text/markdown")) for one in shown.outputs)])

def whole():
    return ask(MODEL)

def wrong():
    try:
        return ask(WRONG)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
"""

OURS = """
os.environ["OG_GATEWAY_URL"] = URL.removesuffix("/v1").replace("//", f"//og:{KEY}@")
import og_magics as og
og.tool(get_weather)

def streamed():
    (*pieces, last) = og.LLM().chat_sync(MODEL, [{"role": "user", "content": ASK}], max_tokens=400, stream=True)
    assert len(pieces) > 3
    return last.output.text

def whole():
    answer = og.ask(ASK, model=MODEL, stream=False)
    assert answer.receipt.cost in (None, 0)
    return answer.text

def tool():
    return og.ask(ASK_TOOL, model=MODEL, tools=[get_weather]).text

def wrong():
    try:
        og.ask(ASK, model="openai/" + WRONG)
    except og.errors.OGError as error:
        return f"{type(error).__name__}: {error}"
"""

CLIENTS = (
    Client("openai-python", ("openai",), "openai", OPENAI),
    Client("llm", ("llm",), "llm", LLM_CLI),
    Client("langchain-openai", ("langchain-openai",), "langchain-openai", LANGCHAIN),
    Client("pydantic-ai", ("pydantic-ai-slim[openai]",), "pydantic-ai-slim", PYDANTIC_AI),
    Client("jupyter-ai", ("jupyter-ai-magics", "langchain-openai"), "jupyter-ai-magics", JUPYTER_AI),
    Client("og_magics", (), "og_magics", OURS),
)
