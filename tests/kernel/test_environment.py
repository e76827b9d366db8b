"""%og env and %og doctor in real kernels, and that nothing of the machine gets into a notebook or its ledger."""

from __future__ import annotations

import json
import os
import re
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest

from og_magics.cli import main
from og_magics.notebook.environment import MIME, locked
from og_magics.notebook.file import receipts_in

if TYPE_CHECKING:
    from og_magics.devnet import Devnet

    from .conftest import Kernel

pytestmark = pytest.mark.ci


class TestEnv:
    def test_it_shows_what_there_is_and_writes_the_lock_file_beside_the_notebook(
        self, new_kernel: Callable[..., Kernel], tmp_path: Path
    ) -> None:
        (tmp_path / "deep").mkdir()
        kernel = new_kernel(JPY_SESSION_NAME=str(tmp_path / "deep" / "my notes.ipynb"))
        kernel.ask("%ogchat -n 1 hello")
        kernel.ask("%ogchat -p google -n 1 hello")
        shown = kernel.ask("%og env").last
        form = shown[MIME]
        assert {use["model"] for use in form["models"]} == {"openai/gpt-5", "google/gemini-2.5-flash"}
        assert all(use["enclaves"][0].startswith("0x") for use in form["models"])
        assert form["packages"]["ipykernel"] == kernel.eval("__import__('ipykernel').__version__")
        assert form["lock"] == "my notes.lock.txt"
        assert "my notes.lock.txt" in shown["text/plain"]
        assert "httpx" in locked((tmp_path / "deep" / "my notes.lock.txt").read_text())

    def test_the_lock_file_may_be_named(self, new_kernel: Callable[..., Kernel]) -> None:
        kernel = new_kernel()
        assert kernel.ask("%og env --lock here.txt").last[MIME]["lock"] == "here.txt"
        assert (kernel.cwd / "here.txt").is_file()
        kernel.ask("%og env")
        assert (kernel.cwd / "notebook.lock.txt").is_file()
        assert "cannot be written" in kernel.run("%og env --lock no/such/folder/x.txt").error("LedgerError")

    def test_it_travels_in_an_executed_notebook_and_is_kept_in_its_metadata(
        self, execute: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        execute("%load_ext og_magics", "%ogchat -n 1 hello", "%og env")
        path = tmp_path / "executed.ipynb"
        assert main(["env", str(path)]) == 0
        saved = nbformat.read(path, as_version=4)
        nbformat.validate(saved)
        assert saved.metadata.og_magics.environment.models[0].model == "openai/gpt-5"
        # Read again, from where it was captured: all of it is as it was.
        (tmp_path / "copy.ipynb").write_text(path.read_text())
        capsys.readouterr()
        main(["doctor", str(tmp_path / "copy.ipynb"), "--offline", "--json"])
        parts = {part["name"]: part for part in json.loads(capsys.readouterr().out)}
        assert parts["notebook"]["status"] == "ok"


class TestDoctor:
    def test_it_looks_at_the_notebook_that_runs(self, new_kernel: Callable[..., Kernel], tmp_path: Path) -> None:
        kernel = new_kernel(JPY_SESSION_NAME=str(tmp_path / "n.ipynb"))
        kernel.ask("%ogchat -n 1 hello")
        told = kernel.ask("%og doctor").text
        lines = {line[9:23].strip(): line[:8].strip() for line in told.splitlines() if not line.startswith(" ")}
        for name in ("Python", "packages", "wallet", "gateway", "enclave", "payment chain", "balance", "ledger"):
            assert lines[name] == "ok", told
        assert "n.db: 1 receipt, " in told
        assert str(tmp_path) not in told

    def test_without_a_devnet_it_starts_none(self, new_kernel: Callable[..., Kernel]) -> None:
        kernel = new_kernel(None)
        assert "starts when first needed" in kernel.ask("%og doctor").text
        assert kernel.eval("__import__('og_magics.client.devnet_process').client.devnet_process.devnet_runs()") is False

    def test_offline_asks_no_network(self, kernel: Kernel) -> None:
        told = kernel.ask("%og doctor --offline").text
        assert "Not asked: --offline." in told
        assert "gateway" not in told


SESSION = [
    "%load_ext og_magics",
    "import og_magics as og",
    "%og",
    "%og use -m gpt-5",
    "%og wallet",
    "%og budget --day 30",
    "%%ogchat -o answer\nWhat is a receipt?",
    "%ogchat -s individual Once more, with {answer.text}?",
    "%%ogcompare -m gpt-5 -m gemini-2.5-flash -o both\nWhat is a proof?",
    "both.frame",
    "result = await og.LLM().chat('gpt-5', [{'role': 'user', 'content': 'From Python?'}])\nresult",
    "@og.tool\ndef double(number: int) -> int:\n    'Twice a number.'\n    return 2 * number",
    '%%ogchat --tools double -o tooled\n[[call:double({"number": 21})]] how much?',
    "tooled.messages, tooled",
    "%%ogchat --thread talk\nHello, thread of receipts.",
    "%%ogchat --thread talk -f json\nAnd once more with a form.",
    "%og threads show talk",
    "%og threads",
    "%og receipts --wait 30",
    "%og verify",
    "%og models openai",
    "%og env",
    "%og doctor",
    "answer, answer.receipt, og.LLM(), og.errors.ConfigError('no')",
    "og_receipts",
]


class TestNothingOfTheMachine:
    def test_after_a_full_session_no_key_token_path_or_host_is_in_the_notebook_or_the_ledger(
        self, execute: Callable[..., Any], devnet: Devnet, tmp_path: Path
    ) -> None:
        key, token = devnet.accounts[0]["private_key"], "jupyter-token-0123456789abcdef"
        execute(
            *SESSION,
            OG_PRIVATE_KEY=key,
            OG_NETWORK="devnet",
            JUPYTER_TOKEN=token,
            OG_KEYSTORE_PASSWORD="a password of mine",
            JPY_SESSION_NAME=str(tmp_path / "executed.ipynb"),
        )
        ledger = tmp_path / ".og" / "executed.db"
        with sqlite3.connect(ledger) as connection:  # what is in the write-ahead file comes into the file
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.close()
        files = {path.name: path.read_bytes() for path in (tmp_path / "executed.ipynb", *tmp_path.glob(".og/*"))}
        files |= {path.name: path.read_bytes() for path in tmp_path.glob("*.lock.txt")}
        assert {"executed.ipynb", "executed.db", "executed.lock.txt"} <= files.keys()
        private = [key.removeprefix("0x"), token, "a password of mine", str(tmp_path), f"{Path.home()}/"]
        private += [str(Path.cwd()), os.environ.get("VIRTUAL_ENV", "")]
        host = re.compile(rb"[\s\"'@/]%s[\s\"':.]" % re.escape(socket.gethostname().encode()))
        for name, content in files.items():
            for word in filter(None, private):
                assert word.lower().encode() not in content.lower(), f"{word} is in {name}"
            assert not host.search(content), name

    def test_and_the_scrubbed_copy_has_no_answer_left_and_passes_the_check_and_the_audit(
        self,
        execute: Callable[..., Any],
        devnet: Devnet,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        execute(*SESSION)
        source, target = tmp_path / "executed.ipynb", tmp_path / "executed.scrubbed.ipynb"
        assert main(["scrub", "--check", str(source)]) == 1
        assert main(["scrub", "--check", "--keep-answers", str(source)]) == 0
        assert main(["scrub", str(source)]) in (0, 1)
        capsys.readouterr()
        saved = target.read_text()
        nbformat.validate(nbformat.read(target, as_version=4))
        receipts = receipts_in(source)
        assert len(receipts) >= 7
        for words in ("What is a receipt?", "What is a proof?", "Once more, with", *(one.text for one in receipts)):
            assert words == "" or words not in saved
        assert any(one.tool_calls for one in receipts)
        assert main(["scrub", "--check", str(target)]) == 1
        (named,) = capsys.readouterr().out.splitlines()  # its prompt was typed in Python: a person decides on it
        place = SESSION.index(next(one for one in SESSION if "From Python?" in one)) + 1
        assert named.endswith(f"cell {place} repeats in its source what was asked or answered")
        content = json.loads(saved)
        content["cells"][place - 1]["metadata"]["tags"] = ["og-public"]
        target.write_text(json.dumps(content))
        assert main(["scrub", "--check", str(target)]) == 0, capsys.readouterr().out
        assert main(["verify", str(target), "--json"]) == 0, capsys.readouterr().out
        # The payments are still found, and are those that the receipts tell of; the data is by its hashes.
        monkeypatch.setenv("OG_DEVNET", json.dumps(devnet.info))
        online = ["verify", str(target), "--online", "--proofs", "enclave,registry,payment"]
        assert main(online) == 0, capsys.readouterr().out

    def test_two_runs_of_it_have_an_empty_diff(
        self, execute: Callable[..., Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for name in ("one", "two"):
            execute(*SESSION, OG_LEDGER=str(tmp_path / name / "n.db"))
            (tmp_path / "executed.ipynb").rename(tmp_path / f"{name}.ipynb")
        status = main(["diff", str(tmp_path / "one.ipynb"), str(tmp_path / "two.ipynb")])
        assert status == 0, capsys.readouterr().out
