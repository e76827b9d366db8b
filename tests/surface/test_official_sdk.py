"""The official SDK, in an environment of its own, takes the devnet for the network.

`OG_SDK_VENV` names a ready interpreter that has it; otherwise one is made with pip, once, in pytest's cache.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest

from og_magics import build_inner_request
from og_magics.devnet import Devnet

from .test_sdk_names import BODIES, STATES

pytestmark = pytest.mark.ci

SDK = "opengradient==1.1.4"

SCRIPT = """
import asyncio, json, sys
import opengradient as og
from opengradient.client import tee_verify as verify
from opengradient.client.tee_registry import TEERegistry

info = json.loads(sys.argv[1])
told = {"rpc_url": info["rpc_url"], "tee_registry_address": info["tee_registry"]}
paying, unapproved, _ = (account["private_key"] for account in info["accounts"])
ask = [{"role": "user", "content": "What is x402?"}]
weather = {"type": "function", "function": {"name": "get_weather", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}


def prove(canonical, body, enclave):
    content = verify.response_content_for_hash(body)
    return verify.verify_response(
        canonical_request=canonical, response_body=body, response_content=content,
        signing_key_pem=verify.pem_from_der(enclave.signing_public_key_der), expected_tee_id=enclave.tee_id,
    ).tee_id


async def main():
    found = {}
    llm = og.LLM(private_key=unapproved, **told)
    approval = llm.ensure_opg_approval(min_allowance=5)
    found["approval"] = [approval.allowance_before, approval.allowance_after, approval.tx_hash]
    answer = await llm.chat(model=og.TEE_LLM.GPT_5, messages=ask, max_tokens=60)
    found["whole"] = [answer.chat_output["content"], answer.finish_reason, answer.tee_id, answer.tee_endpoint]
    stream = await llm.chat(model=og.TEE_LLM.CLAUDE_SONNET_4_6, messages=ask, max_tokens=60, stream=True)
    chunks = [chunk async for chunk in stream]
    found["streamed"] = ["".join(chunk.choices[0].delta.content or "" for chunk in chunks), len(chunks)]
    found["final"] = [chunks[-1].is_final, chunks[-1].tee_signature is not None, chunks[-1].usage.completion_tokens]
    await llm.close()

    llm = og.LLM(private_key=paying, **told)
    called = await llm.chat(model=og.TEE_LLM.GPT_5, messages=ask, tools=[weather])
    found["called"] = [called.finish_reason, called.chat_output["tool_calls"][0]["function"]["name"]]
    found["modes"] = []
    for mode in og.x402SettlementMode:
        answer = await llm.chat(model=og.TEE_LLM.GPT_5, messages=ask, x402_settlement_mode=mode)
        found["modes"].append([mode.value, answer.finish_reason])

    enclave = TEERegistry(info["rpc_url"], info["tee_registry"]).get_llm_tee()
    tee = llm._tee.get()
    found["proven"] = []
    parts = [{"type": "text", "text": "q"}, {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:,"}}]
    for body in (
        {"model": "gpt-5", "messages": ask},
        {"model": "gpt-5", "messages": [{"role": "user", "content": "\\u00e9 {x}?"}], "tools": [weather]},
        {"model": "gpt-5", "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": parts}],
         "web_search": True, "max_tokens": 40, "temperature": 1, "stop": ["zzz"]},
    ):
        wire, canonical = verify.build_inner_request(body)
        headers = llm._headers(og.x402SettlementMode.PRIVATE)
        url = tee.endpoint + "/v1/chat/completions"
        response = await tee.http_client.post(url, json=wire, headers=headers, timeout=30)
        found["proven"].append(prove(canonical, json.loads(await response.aread()), enclave))
    await llm.close()
    print(json.dumps(found))


asyncio.run(main())
"""


@pytest.fixture(scope="session")
def sdk_python(request: pytest.FixtureRequest) -> Path:
    """An interpreter that has the official SDK and nothing of ours."""
    if ready := os.environ.get("OG_SDK_VENV"):
        path = Path(ready)
        return path / "bin" / "python" if path.is_dir() else path
    cache = request.config.cache
    assert cache is not None
    folder = cache.mkdir(f"official-sdk-{SDK.partition('==')[2]}-{sys.version_info[0]}.{sys.version_info[1]}")
    python = folder / "bin" / "python"
    done = folder / "complete"
    if not done.exists():
        venv.create(folder, with_pip=True, clear=True)
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", SDK]
        installed = subprocess.run(install, capture_output=True, text=True, check=False)
        if installed.returncode:
            pytest.skip(f"pip could not install {SDK}: {installed.stderr.strip()[-300:]}")
        done.touch()
    return python


@pytest.fixture(scope="session")
def found(sdk_python: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the SDK saw on a devnet that says it is Base."""
    folder = tmp_path_factory.mktemp("sdk")
    script = folder / "script.py"
    script.write_text(SCRIPT)
    with Devnet(chain_id=8453, settle_after=1, token_delay=0) as devnet:
        env = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        env["BASE_MAINNET_RPC"] = devnet.rpc_url
        run = subprocess.run(
            [str(sdk_python), str(script), json.dumps(devnet.info)],
            env=env, cwd=folder, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert run.returncode == 0, run.stderr[-3000:]
        saw: dict[str, Any] = json.loads(run.stdout.strip().splitlines()[-1])
        return saw | {"info": devnet.info}


@pytest.mark.timeout(600)
class TestOfficialSDK:
    def test_it_finds_the_gateway_through_the_registry_and_chats(self, found: dict[str, Any]) -> None:
        text, reason, tee_id, endpoint = found["whole"]
        assert text.startswith("**x402** is a way")
        assert reason == "stop"
        assert "0x" + tee_id.removeprefix("0x") == found["info"]["tee_id"]
        assert endpoint == found["info"]["gateway_url"]

    def test_it_approves_from_an_account_without_an_allowance(self, found: dict[str, Any]) -> None:
        before, after, transaction = found["approval"]
        assert before == 0
        assert after >= 5 * 10**18
        assert transaction

    def test_it_streams_to_a_final_chunk_with_proof_and_usage(self, found: dict[str, Any]) -> None:
        text, chunks = found["streamed"]
        assert text.startswith("**x402** is a way")
        assert chunks > 5
        assert found["final"][:2] == [True, True]
        assert found["final"][2] > 5

    def test_it_is_given_tool_calls(self, found: dict[str, Any]) -> None:
        assert found["called"] == ["tool_calls", "get_weather"]

    def test_it_may_use_every_settlement_mode_that_it_knows(self, found: dict[str, Any]) -> None:
        assert ["private", "stop"] in found["modes"]
        assert {reason for _, reason in found["modes"]} == {"stop"}

    def test_its_own_verification_accepts_our_signatures(self, found: dict[str, Any]) -> None:
        assert found["proven"] == [found["info"]["tee_id"]] * 3


@pytest.mark.timeout(600)
class TestTheSDKsNames:
    def test_the_manuals_table_has_all_that_it_exports(self, sdk_python: Path) -> None:
        assert sorted(_in_the_sdk(sdk_python, "print(json.dumps(og.__all__))")) == sorted(STATES)

    def test_a_request_is_built_as_the_sdk_builds_it(self, sdk_python: Path) -> None:
        script = "print(json.dumps([og.build_inner_request(body) for body in json.loads(sys.argv[1])]))"
        theirs = _in_the_sdk(sdk_python, script, json.dumps(BODIES))
        assert [list(build_inner_request(body)) for body in BODIES] == theirs


def _in_the_sdk(python: Path, script: str, *arguments: str) -> Any:
    """What the SDK's interpreter prints, as JSON."""
    command = [str(python), "-c", f"import json, sys, opengradient as og; {script}", *arguments]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr[-3000:]
    return json.loads(run.stdout.strip().splitlines()[-1])
