"""Private keys do not belong into notebooks: typed there, they are refused and kept nowhere."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from eth_account import Account

if TYPE_CHECKING:
    from og_magics.devnet import Devnet

    from .conftest import Kernel

KEY = "c0ffee" + "5e" * 29
HASH = "0x" + "7d" * 32

TYPED = [
    f'OG_PRIVATE_KEY = "0x{KEY}"',
    f"%env OG_PRIVATE_KEY=0x{KEY}",
    f"%env OG_PRIVATE_KEY={KEY.upper()}",
    f"%set_env OG_PRIVATE_KEY 0x{KEY}",
    f"!export OG_PRIVATE_KEY=0x{KEY}",
    f'import os\nos.environ["OG_PRIVATE_KEY"] = "0x{KEY}"',
    f'import og_magics as og\nllm = og.LLM(private_key="0x{KEY}")',
    f"import og_magics as og\nllm = og.LLM('0x{KEY}')",
    f'import og_magics as og\nllm = og.LLM(\n    private_key=(\n        "0x{KEY}"\n    ),\n)',
    f'import og_magics as og\nllm = og.LLM(\n    "{KEY}",\n)',
    f'import og_magics as og\nllm = og.LLM.from_url("0x{KEY}", "https://127.0.0.1")',
    f'settings = {{"private_key": "{KEY}"}}',
    f'private_key = \\\n    "0x{KEY}"',
    f"private_key = 0x{KEY}",
    f'from eth_account import Account\nAccount.from_key("0X{KEY}")',
    f"%og wallet 0x{KEY}",
    f"%og use --key {KEY}",
    f"%%ogchat\nIs my private key 0x{KEY} safe?",
    f"%ogchat my secret-key is {KEY}?",
    f"%%time\nprivate_key = '{KEY}'",
    f"# private key: 0x{KEY}",
]

HARMLESS = [
    f"%%ogchat -n 1\nWhat did transaction {HASH} do?",
    f"%ogchat -n 1 Explain {HASH}?",
    f'payment_hash = "{HASH}"',
    f'llm = None  # private_key comes from the environment\ntx = "{HASH}"',
    f'private_key = None\ntx = "{HASH}"',
    f'print("{HASH[2:]}{HASH[2:]}")',
]


@pytest.fixture(scope="module")
def shared(start: Callable[..., Kernel], devnet: Devnet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A kernel whose wallet's key is in its environment."""
    key = devnet.accounts[0]["private_key"]
    kernel = start(tmp_path_factory.mktemp("keys"), OG_PRIVATE_KEY=key, OG_NETWORK="devnet")
    yield kernel
    kernel.close(now=True)


def said(kernel: Kernel, code: str) -> str:
    """All that a refused cell sends; `execute_input` is the front end's own text, sent back to it."""
    cell = kernel.run(code)
    assert "holds a private key" in cell.error()
    return json.dumps([cell.reply, [m["content"] for m in cell.messages if m["msg_type"] != "execute_input"]])


class TestAKeyInACell:
    @pytest.mark.parametrize("code", TYPED)
    def test_it_is_refused_and_nothing_of_it_is_left(self, kernel: Kernel, code: str) -> None:
        assert KEY not in said(kernel, code).lower()
        kept = kernel.ask("In, _ih, _i, _ii, _iii, _oh, [v for k, v in vars().items() if k.startswith('_i')]").text
        kept += kernel.ask("%history").text + kernel.ask("%tb").text + kernel.run("%rerun").text
        kept += str(kernel.eval("{k: str(v) for k, v in __import__('os').environ.items()}"))
        kept += str(kernel.eval("[*map(str, get_ipython().history_manager.get_range(raw=True, output=True))]"))
        assert KEY not in kept.lower()

    def test_the_remedy_is_told_and_the_front_end_is_asked_to_blank_the_cell(self, kernel: Kernel) -> None:
        cell = kernel.run(TYPED[0])
        assert "Delete the key from the cell, and set OG_PRIVATE_KEY in the environment" in cell.error()
        next_input = [p for p in cell.reply["payload"] if p["source"] == "set_next_input"]
        assert [p["replace"] for p in next_input] == [True]
        assert next_input[0]["text"].startswith("# A private key was typed here.")

    def test_the_next_cell_is_in_the_history_as_it_is(self, kernel: Kernel) -> None:
        said(kernel, TYPED[0])
        kernel.ask("'innocent'")
        assert kernel.eval("In[-1]") == "'innocent'"

    def test_so_it_is_after_a_silent_one(self, kernel: Kernel) -> None:
        kernel.run(TYPED[0], silent=True)
        kernel.ask("'innocent'")
        assert kernel.eval("In[-1]") == "'innocent'"

    def test_it_is_in_no_file(self, new_kernel: Callable[..., Kernel]) -> None:
        kernel = new_kernel()
        for code in TYPED:
            said(kernel, code)
        kernel.ask("'a cell that is kept'")
        kernel.close()
        history = Path(kernel.env["IPYTHONDIR"]) / "profile_default" / "history.sqlite"
        with sqlite3.connect(history) as database:
            stored = [row[0] for row in database.execute("select source_raw from history")]
        database.close()
        assert "'a cell that is kept'" in stored
        assert sum(line.startswith("# A private key was typed here.") for line in stored) == len(TYPED)
        for folder in (Path(kernel.env["IPYTHONDIR"]), kernel.cwd):
            for path in folder.rglob("*"):
                assert path.is_dir() or KEY.encode() not in path.read_bytes().lower(), path

    def test_asking_whether_the_cell_is_complete_refuses_nothing(self, kernel: Kernel) -> None:
        kernel.client.is_complete(TYPED[0])
        assert kernel.client.get_shell_msg(timeout=30)["content"]["status"] == "complete"
        kernel.ask("'innocent'")
        assert kernel.eval("In[-1]") == "'innocent'"


class TestWhatIsNoKey:
    @pytest.mark.parametrize("code", HARMLESS)
    def test_a_hash_may_be_typed(self, kernel: Kernel, code: str) -> None:
        assert kernel.ask(code)


class TestTheWalletsOwnKey:
    @pytest.mark.parametrize("code", ["%%ogchat\nWhat is {}?", "%ogchat {}", "x = '{}'", "# {}"])
    def test_it_is_refused_wherever_it_stands(self, kernel: Kernel, devnet: Devnet, code: str) -> None:
        key = devnet.accounts[0]["private_key"]
        assert key[2:] not in said(kernel, code.format(key))
        assert key[2:] not in kernel.ask("In").value

    def test_it_is_not_sent_when_it_comes_from_code(self, kernel: Kernel) -> None:
        before = kernel.eval("len(og_receipts)")
        code = "import os\nget_ipython().run_cell_magic('ogchat', '', 'my key: ' + os.environ['OG_PRIVATE_KEY'])"
        assert "It was not sent." in kernel.run(code).error()
        assert kernel.eval("len(og_receipts)") == before


def test_a_call_from_python_refuses_a_prompt_with_a_key(kernel: Kernel) -> None:
    kernel.ask("import og_magics as og\nsecret = 'ab' * 32")
    before = kernel.eval("len(og.receipts())")
    for call in ("og.ask(f'my private key is 0x{secret}')", "og.ask_many([f'my private key is 0x{secret}'])"):
        assert "holds a private key" in kernel.run(call).error("ConfigError")
    assert kernel.eval("len(og.receipts())") == before


class TestAKeyWithoutAName:
    """It is known by its address, in a kernel that has not used it yet."""

    @pytest.fixture
    def nameless(self, new_kernel: Callable[..., Kernel], tmp_path: Path) -> Kernel:
        keystore = tmp_path / "keystore.json"
        keystore.write_text(json.dumps(Account.encrypt(f"0x{KEY}", "right", kdf="pbkdf2", iterations=1)))
        return new_kernel(OG_KEYSTORE=str(keystore))

    @pytest.mark.parametrize(
        ("code", "what"),
        [
            (f"x = '{KEY}'", "a private key"),
            ("legal winner thank year wave sausage worth useful legal winner thank yellow", "a seed phrase"),
            ("%env OG_KEYSTORE_PASSWORD=right-or-wrong", "a keystore's password"),
        ],
    )
    def test_it_is_refused_and_kept_nowhere(self, nameless: Kernel, code: str, what: str) -> None:
        assert f"This cell holds {what}. It was not run" in nameless.run(code).error()
        secret = code.rpartition("=")[2].strip(" '")
        kept = nameless.ask("%history").text + nameless.ask("In").value
        assert secret not in kept
        assert nameless.ask(f"tx = '{HASH}'").ok
