"""`og-magics doctor` and `og-magics env`, as processes on machines where one thing or another is broken."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from og_magics.cli import main
from og_magics.core.types import ChatRequest, x402SettlementMode
from og_magics.devnet import Devnet
from og_magics.devnet.gateway.enclave import Enclave
from og_magics.ledger import Ledger
from og_magics.notebook.environment import MIME, capture, locked, needs, release
from og_magics.session.doctor import _notebook, diagnose, report

from .conftest import answered

KEY = "0x" + "5e" * 31 + "01"


class Doctor:
    """Runs `og-magics doctor --json` in a folder, with nothing set but what a test sets."""

    def __init__(self, folder: Path, run_module: Callable[..., subprocess.CompletedProcess[str]]) -> None:
        self.folder, self._run = folder, run_module

    def __call__(self, *arguments: str, **more: str) -> dict[str, dict[str, str]]:
        told = self.run("doctor", "--json", *arguments, **more)
        assert "Traceback" not in told.stderr
        assert told.stderr == ""
        parts = json.loads(told.stdout)
        assert told.returncode == int(any(part["status"] == "fails" for part in parts))
        for part in parts:
            assert part["status"] == "ok" or part["remedy"], part
            assert str(self.folder) not in part["summary"]
            assert str(Path.home()) + "/" not in part["summary"]
        return {part["name"]: part for part in parts}

    def run(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("OG_", "JPY_", "PYTEST"))}
        return self._run("og_magics", *arguments, env=kept | more, cwd=self.folder)


@pytest.fixture
def doctor(tmp_path: Path, run_module: Callable[..., subprocess.CompletedProcess[str]]) -> Doctor:
    return Doctor(tmp_path, run_module)


@pytest.fixture(scope="module")
def devnet() -> Iterator[Devnet]:
    with Devnet(settle_after=1, batch_after=0.5, token_delay=0) as running:
        yield running


class TestAMachineThatIsWell:
    def test_everything_is_ok_nothing_is_started_and_nothing_is_written(self, doctor: Doctor) -> None:
        parts = doctor()
        assert {name: part["status"] for name, part in parts.items()} == {
            "Python": "ok", "packages": "ok", "kernel": "ok", "widgets": "ok", "JupyterLab": parts["JupyterLab"]["status"],
            "wallet": "ok", "devnet": "ok", "ledger": "ok", "budgets": "ok",
        }  # fmt: skip
        assert "starts when first needed" in parts["devnet"]["summary"]
        assert [*doctor.folder.iterdir()] == []

    def test_for_a_person_it_is_a_line_each(self, doctor: Doctor) -> None:
        told = doctor.run("doctor", "--offline")
        assert told.returncode == 0
        assert told.stdout.splitlines()[0].split()[:3] == ["ok", "Python", "CPython"]

    def test_on_a_devnet_that_runs_network_wallet_balance_and_allowance_are_asked(
        self, doctor: Doctor, devnet: Devnet
    ) -> None:
        key = devnet.accounts[0]["private_key"]
        parts = doctor(OG_DEVNET=json.dumps(devnet.info), OG_NETWORK="devnet", OG_PRIVATE_KEY=key)
        for name in ("gateway", "enclave", "price feed", "payment chain", "balance"):
            assert parts[name]["status"] == "ok", parts[name]
        assert parts["wallet"]["summary"] == devnet.accounts[0]["address"]
        assert parts["allowance"]["status"] in ("ok", "fails")
        assert key[2:] not in json.dumps(parts)
        assert [*doctor.folder.iterdir()] == []


class TestWhatIsBroken:
    def test_a_key_that_is_none_is_told_and_not_repeated(self, doctor: Doctor) -> None:
        parts = doctor(OG_PRIVATE_KEY="0xsecret", OG_NETWORK="base-sepolia")
        assert parts["wallet"]["status"] == "fails"
        assert "secret" not in json.dumps(parts)
        assert "gateway" not in parts

    def test_a_network_that_needs_a_key_and_has_none(self, doctor: Doctor) -> None:
        parts = doctor(OG_NETWORK="base-sepolia", PYTHON_KEYRING_BACKEND="keyring.backends.null.Keyring")
        assert parts["wallet"]["status"] == "fails"
        assert "OG_PRIVATE_KEY" in parts["wallet"]["remedy"]

    @pytest.mark.parametrize("setting", [{"OG_NETWORK": "moon"}, {"OG_TIMEOUT": "soon"}, {"OG_SETTLEMENT": "x"}])
    def test_a_setting_that_makes_no_sense(self, doctor: Doctor, setting: dict[str, str]) -> None:
        parts = doctor(**setting)
        assert parts["settings"]["status"] == "fails"

    @pytest.mark.ci
    def test_a_chain_that_does_not_answer(self, doctor: Doctor) -> None:
        nowhere = "http://me:hunter2secret@127.0.0.1:9"
        parts = doctor(OG_PRIVATE_KEY=KEY, OG_NETWORK="base", OG_RPC_URL=nowhere, OG_REGISTRY_RPC_URL=nowhere)
        assert parts["gateway"]["status"] == "fails"
        assert parts["payment chain"]["status"] == "fails"
        assert "hunter2secret" not in json.dumps(parts)
        assert (
            doctor("--offline", OG_PRIVATE_KEY=KEY, OG_NETWORK="base", OG_RPC_URL=nowhere)["network"]["status"]
            == "warning"
        )

    def test_a_devnet_that_is_gone(self, doctor: Doctor) -> None:
        for told in ("{", "no-such-file.json", '{"chain_id": 1}'):
            parts = doctor(OG_DEVNET=told)
            assert "fails" in {part["status"] for part in parts.values()}

    def test_a_ledger_that_is_no_ledger(self, doctor: Doctor) -> None:
        (doctor.folder / ".og").mkdir()
        (doctor.folder / ".og" / "ledger.db").write_text("these are not receipts " * 99)
        parts = doctor()
        assert parts["ledger"]["status"] == "fails"
        assert "OG_LEDGER" in parts["ledger"]["remedy"]

    def test_a_ledger_that_was_edited(self, doctor: Doctor) -> None:
        path = doctor.folder / ".og" / "n.db"
        with Ledger(path) as ledger:
            question = ChatRequest("/v1/chat/completions", "openai/gpt-5", {"messages": []}, x402SettlementMode.PRIVATE)
            ledger.open(question, "devnet", 1795343449.0)
        (doctor.folder / "n.ipynb").write_text('{"cells": []}')
        assert doctor("n.ipynb")["ledger"]["status"] == "ok"
        with sqlite3.connect(path) as connection:
            triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
            for (name,) in triggers:
                connection.execute(f"DROP TRIGGER {name}")
            connection.execute("UPDATE receipts SET model = 'openai/gpt-6'")
        connection.close()
        part = doctor("n.ipynb")["ledger"]
        assert part["status"] == "fails"
        assert "not as they were written" in part["summary"]

    def test_the_file_of_the_wallets_budgets(self, doctor: Doctor) -> None:
        part = doctor(OG_STATE_DIR=str(doctor.folder / "state"))["budgets"]
        assert (part["status"], part["summary"]) == (
            "ok",
            "The wallet's file has no payments yet: $OG_STATE_DIR/wallets.db",
        )
        (doctor.folder / "file").touch()
        part = doctor(OG_STATE_DIR=str(doctor.folder / "file"))["budgets"]
        assert part["status"] == "fails"
        assert "OG_STATE_DIR" in part["remedy"]

    def test_a_notebook_that_is_none(self, doctor: Doctor) -> None:
        (doctor.folder / "n.ipynb").write_text("{}")
        assert doctor("n.ipynb")["notebook"]["status"] == "fails"
        assert doctor("no.ipynb")["notebook"]["status"] == "fails"

    def test_packages_that_are_missing_or_too_old_are_named(
        self, doctor: Doctor, tmp_path_factory: pytest.TempPathFactory
    ) -> None:
        # What is first on the path is what Python takes for installed.
        before = tmp_path_factory.mktemp("packages")
        info = before / "httpx-0.1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: httpx\nVersion: 0.1\n")
        part = doctor(PYTHONPATH=str(before))["packages"]
        assert part["status"] == "fails"
        assert "httpx 0.1 is older than" in part["summary"]
        assert part["remedy"].startswith("pip install -U 'httpx>=")

    def test_a_check_that_fails_itself_hides_no_other(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("og_magics.session.doctor._python", lambda: 1 / 0)
        told = report(diagnose(None, offline=True))
        assert "fails    Python         It could not be looked at: ZeroDivisionError" in told
        assert "ok       packages" in told


@pytest.fixture(scope="module")
def captured(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """An environment of this Python, and its lock file's content."""
    lock = tmp_path_factory.mktemp("lock") / "n.lock.txt"
    one = answered(Enclave(), "a?", "b")
    form = capture([one, replace(one, time=one.time + 60), replace(one, finish_reason=None)], lock).to_json()
    return json.loads(json.dumps(form)), lock.read_text()


@pytest.fixture
def notebook(tmp_path: Path, captured: tuple[dict[str, Any], str]) -> Callable[..., Path]:
    """Writes a notebook that shows an environment, and its lock file."""

    def write(content: str | None = captured[1], **changes: Any) -> Path:
        output = {"output_type": "display_data", "data": {MIME: captured[0] | changes}, "metadata": {}}
        cell = {"cell_type": "code", "source": "%og env", "outputs": [output], "metadata": {}}
        (tmp_path / "n.ipynb").write_text(json.dumps({"cells": [cell], "metadata": {"kernelspec": {}}}))
        if content is not None:
            (tmp_path / "n.lock.txt").write_text(content)
        return tmp_path / "n.ipynb"

    return write


class TestTheEnvironment:
    def test_it_names_python_packages_and_the_models_that_answered(self, captured: tuple[dict[str, Any], str]) -> None:
        form, _ = captured
        assert form["python"].startswith("CPython 3.")
        assert {"og_magics", "ipykernel", "ipython", "ipywidgets", "httpx"} <= form["packages"].keys()
        (use,) = form["models"]
        assert (use["model"], use["calls"], len(use["enclaves"])) == ("openai/gpt-5", 2, 1)
        assert (use["first"], use["last"]) == ("2026-11-22T10:30:49Z", "2026-11-22T10:31:49Z")

    def test_its_lock_file_has_every_package_and_no_path_of_this_machine(
        self, captured: tuple[dict[str, Any], str]
    ) -> None:
        form, lock = captured
        versions = locked(lock)
        assert versions["httpx"] == form["packages"]["httpx"]
        assert len(versions) > 30
        for word in ("file:", str(Path.home()) + "/", str(Path.cwd()), os.uname().nodename + " "):
            assert word not in lock + json.dumps(form)
        assert "og_magics" in lock

    def test_pip_can_read_the_lock_file(self, captured: tuple[dict[str, Any], str]) -> None:
        for line in captured[1].splitlines():
            package = line.partition("#")[0]
            assert package == "" or "==" in package or " @ " in package

    def test_the_doctor_finds_that_it_is_what_is_here(self, doctor: Doctor, notebook: Callable[..., Path]) -> None:
        parts = doctor(str(notebook()))
        assert parts["notebook"]["status"] == "ok"
        assert "lock file" not in parts

    def test_or_what_differs_and_what_is_missing(
        self, doctor: Doctor, notebook: Callable[..., Path], captured: tuple[dict[str, Any], str]
    ) -> None:
        older = captured[0]["packages"] | {"httpx": "0.1"}
        part = doctor(str(notebook(None, packages=older)))
        assert part["lock file"]["status"] == "warning"
        assert part["notebook"]["status"] == "warning"
        assert "httpx is " in part["notebook"]["summary"]
        lock = captured[1] + "no-such-package==1.0\n"
        digest = hashlib.sha256(lock.encode()).hexdigest()
        part = doctor(str(notebook(lock, python="CPython 3.9.1", lock_sha256=digest)))["notebook"]
        assert part["status"] == "fails"
        assert "no-such-package 1.0 is not installed; Python is" in part["summary"]
        assert part["remedy"] == "pip install -r n.lock.txt"

    @pytest.mark.parametrize("line", ["no-such-package==1.0", "--extra-index-url https://packages.example/simple"])
    @pytest.mark.parametrize("kept", [{}, {"lock_sha256": None}, {"lock_sha256": "0" * 64}, {"lock_sha256": ["x"]}])
    def test_a_lock_file_that_is_not_the_captured_one_is_not_installed_from(
        self, notebook: Callable[..., Path], captured: tuple[dict[str, Any], str], line: str, kept: dict[str, Any]
    ) -> None:
        older = captured[0]["packages"] | {"httpx": "0.1", "no-such": "2"}
        parts = {part.name: part for part in _notebook(notebook(captured[1] + line + "\n", packages=older, **kept))}
        assert parts["lock file"].ok is False
        assert "Do not install from it" in parts["lock file"].remedy
        assert "no-such 2 is not installed" in parts["notebook"].summary, "the notebook itself names it"
        assert "no-such-package" not in parts["notebook"].summary
        assert "-r" not in parts["notebook"].remedy

    def test_a_lock_file_with_the_line_ends_of_windows_is_the_captured_one(
        self, notebook: Callable[..., Path], captured: tuple[dict[str, Any], str]
    ) -> None:
        path = notebook()
        path.with_name("n.lock.txt").write_bytes(captured[1].replace("\n", "\r\n").encode())
        assert [(part.name, part.ok) for part in _notebook(path)] == [("notebook", True)]

    @pytest.mark.parametrize(
        "changes",
        [{"packages": 5}, {"packages": {"a": 1, "": "1", "../x": "2"}}, {"captured": {"a": "\x1b[2J"}}, {"python": None}, {"lock": "../../etc/passwd"}, {"lock": 7},
         {"python": "\x1b[2J"}],
    )  # fmt: skip
    def test_one_that_was_made_up_breaks_nothing(
        self, doctor: Doctor, notebook: Callable[..., Path], changes: dict[str, Any]
    ) -> None:
        parts = doctor(str(notebook(**changes)))
        assert parts["notebook"]["status"] in ("ok", "warning")
        assert "\x1b" not in doctor.run("doctor", "--offline", "n.ipynb").stdout

    def test_the_command_keeps_it_in_the_notebooks_metadata(
        self, doctor: Doctor, notebook: Callable[..., Path], captured: tuple[dict[str, Any], str]
    ) -> None:
        path = notebook()
        before = json.loads(path.read_text())
        assert main(["env", str(path)]) == 0
        after = json.loads(path.read_text())
        assert after["metadata"] == {"kernelspec": {}, "og_magics": {"environment": captured[0]}}
        assert after["cells"] == before["cells"]
        after["cells"] = []
        path.write_text(json.dumps(after))
        assert doctor(str(path))["notebook"]["status"] == "ok"

    def test_where_none_is_shown_that_is_an_error(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "n.ipynb").write_text('{"cells": []}')
        assert main(["env", str(tmp_path / "n.ipynb")]) == 1
        assert "Run %og env in it" in capsys.readouterr().err


def test_versions_are_compared_by_their_numbers() -> None:
    assert release("3.10.1rc1") == (3, 10, 1)
    assert release("3.9") < release("3.10")
    assert release("no") == ()
    assert {need.name for need in needs() if not need.extra} >= {"httpx", "x402", "web3"}
    assert all(need.floor for need in needs() if not need.extra)
