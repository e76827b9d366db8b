"""Programs written for the official SDK: as a script, and as one cell."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from eth_account import Account

if TYPE_CHECKING:
    from og_magics.devnet import Devnet

    from .conftest import Kernel

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "tests" / "surface" / "sdk_calls.py"
TUTORIAL = ROOT.parent / "shared" / "000_c5f7fe09597ecdf9.txt"
CALLS = "GPT_5 CLAUDE_SONNET_4_6 GEMINI_2_5_FLASH GROK_4 PRIVATE BATCH_HASHED INDIVIDUAL_FULL tool".split()

Runner = Callable[[str, "Devnet | None", str], str]


def tutorial() -> str:
    """Its complete code, with our name in its import line."""
    if not TUTORIAL.is_file():
        pytest.skip("the tutorial's text is not on this machine")
    text = TUTORIAL.read_text(encoding="utf-8").split("\nComplete Code\n")[1]
    code, count = re.subn(r"^import opengradient as og$", "import og_magics as og", text, flags=re.M)
    assert count == 1
    return code[: code.index("\nNext Steps")]


def hashes(printed: str, word: str) -> dict[str, str]:
    """What each line `word what hash` says."""
    return dict(line.split()[1:3] for line in printed.splitlines() if line.startswith(word + " "))


SCRIPT_IN_CI = pytest.param("script", marks=pytest.mark.ci)


@pytest.fixture(params=[SCRIPT_IN_CI, "cell"])
def run(
    request: pytest.FixtureRequest,
    environment: Callable[..., dict[str, str]],
    new_kernel: Callable[..., Kernel],
    tmp_path: Path,
) -> Runner:
    """Runs a program with a wallet on a devnet; what it printed."""

    def script(code: str, on: Devnet | None, key: str) -> str:
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment(on, OG_PRIVATE_KEY=key, OG_NETWORK="devnet"),
            cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return done.stdout

    def cell(code: str, on: Devnet | None, key: str) -> str:
        kernel = new_kernel(on, OG_PRIVATE_KEY=key, OG_NETWORK="devnet")
        kernel.ask("%og use --nest-asyncio")
        return kernel.ask(code).text

    return script if request.param == "script" else cell


class TestOurCalls:
    @pytest.mark.parametrize("run", [SCRIPT_IN_CI], indirect=True)
    def test_where_payments_settle_at_once_each_hash_is_a_transaction(
        self, run: Runner, prompt_devnet: Devnet, is_payment: Callable[..., bool]
    ) -> None:
        printed = run(SCRIPT.read_text(), prompt_devnet, prompt_devnet.accounts[0]["private_key"])
        paid = hashes(printed, "payment")
        assert list(paid) == CALLS
        assert len(set(paid.values())) == len(CALLS)
        assert all(is_payment(prompt_devnet, payment) for payment in paid.values())
        assert hashes(printed, "settled") == paid

    @pytest.mark.ci
    def test_where_they_settle_late_the_same_results_have_the_hash_afterwards(
        self, run: Runner, devnet: Devnet, is_payment: Callable[..., bool]
    ) -> None:
        printed = run(SCRIPT.read_text(), devnet, devnet.accounts[0]["private_key"])
        assert "approved True\n" in printed
        assert printed.count("answer stop ") == 4
        assert re.search(r"^stream Here is a direct .+?\nstreamed gpt-5 \d+$", printed, re.M | re.S)
        assert 'call look_up_weather {"town": ' in printed
        assert hashes(printed, "payment") == dict.fromkeys(CALLS, "None")
        assert "open 0\n" in printed
        settled = hashes(printed, "settled")
        assert list(settled) == CALLS
        assert all(is_payment(devnet, payment) for payment in settled.values())

    @pytest.mark.ci
    def test_a_new_key_and_no_devnet_are_both_provided_for(
        self, environment: Callable[..., dict[str, str]], tmp_path: Path
    ) -> None:
        code = (
            "import og_magics as og\nllm = og.LLM()\nprint(llm.ensure_opg_approval(min_allowance=5).tx_hash)\n"
            "print(llm.chat_sync('gpt-5', [{'role': 'user', 'content': 'hello'}]).receipt.payer)"
        )
        wallet = Account.create()
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=environment(None, OG_PRIVATE_KEY=wallet.key.hex(), OG_NETWORK="devnet"),
            cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        approval, payer = done.stdout.split()
        assert approval.startswith("0x")
        assert payer == wallet.address


class TestTheTutorial:
    def test_its_complete_code_runs_and_its_hashes_are_transactions(
        self, run: Runner, prompt_devnet: Devnet, is_payment: Callable[..., bool]
    ) -> None:
        printed = run(tutorial(), prompt_devnet, prompt_devnet.accounts[0]["private_key"])
        assert "Error" not in printed
        paid = re.findall(r"(?:Payment hash: |payment_hash=)(\S+)", printed)
        assert len(set(paid)) == 7
        assert all(is_payment(prompt_devnet, payment) for payment in paid)
        assert "Tool call: get_token_price({" in printed
