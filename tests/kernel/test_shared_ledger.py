"""Notebooks whose ledger is on a PostgreSQL server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from og_magics.devnet import Devnet

from ..postgres import PASSWORD, Server
from .conftest import Kernel

pytestmark = pytest.mark.ci


@pytest.fixture
def server(postgres: Server) -> Iterator[Server]:
    """A server that is running again after the test."""
    yield postgres
    postgres.stop()
    postgres.start()


@pytest.fixture(scope="module")
def slow() -> Iterator[Devnet]:
    """Answers take a while."""
    with Devnet(settle_after=1, batch_after=0.5, token_delay=0.1) as running:
        yield running


def everything(kernel: Kernel) -> str:
    """All that a kernel told its front end."""
    return json.dumps([cell.messages for cell in kernel._cells.values()], default=str)


class TestTwoNotebooks:
    def test_they_share_one_ledger_and_its_password_is_shown_nowhere(
        self, server: Server, new_kernel: Callable[..., Kernel], tmp_path: Path
    ) -> None:
        url = server.url()
        first, second = new_kernel(OG_LEDGER=url), new_kernel(OG_LEDGER=url)
        asked = [kernel.run("%%ogchat --thread talk\nhello").receipt for kernel in (first, second)]
        assert [receipt["status"] for receipt in asked] == ["served", "served"]
        for code in ("%og", "%og receipts", "%og verify", "%og doctor", "%og env", "%og threads", "%og budget"):
            first.run(code)
        first.run("import og_magics as og; session = og.session if hasattr(og, 'session') else og")
        first.run(
            "from og_magics.core.settings import Settings; print(Settings.from_env(), Settings.from_env().ledger)"
        )
        first.ask("import og_magics as og")
        ids = first.eval("sorted(og.receipts()['receipt_id'])")
        assert set(ids) == {receipt["receipt_id"] for receipt in asked}
        assert not (tmp_path / ".og").exists()
        for kernel in (first, second):
            assert PASSWORD not in everything(kernel)
            assert "s3cret" not in everything(kernel)
        assert f"postgresql://og@127.0.0.1:{server.port}/postgres" in everything(first)

    def test_a_shell_reads_it_and_audits_it(
        self, server: Server, new_kernel: Callable[..., Kernel], environment: Callable[..., dict[str, str]]
    ) -> None:
        url = server.url()
        receipt = new_kernel(OG_LEDGER=url).run("%%ogchat\nhello").receipt
        for arguments in (["receipts", "--ledger", url, "--json"], ["doctor", "--offline"]):
            done = subprocess.run(
                [sys.executable, "-m", "og_magics", *arguments],
                env=environment(None, OG_LEDGER=url, PYTHONPATH=os.getcwd()), capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert "s3cret" not in done.stdout + done.stderr
            assert done.returncode == 0 or arguments[0] == "doctor", done.stderr
            if arguments[0] == "receipts":
                assert [one["receipt_id"] for one in json.loads(done.stdout)] == [receipt["receipt_id"]]
            else:
                assert "1 receipt, " in done.stdout


class TestAServerThatGoesAway:
    def test_before_a_question_nothing_is_paid_and_afterwards_it_goes_on(
        self, server: Server, new_kernel: Callable[..., Kernel]
    ) -> None:
        kernel = new_kernel(OG_LEDGER=server.url())
        assert kernel.run("%%ogchat\nhello").ok
        server.stop()
        said = kernel.run("%%ogchat\nhello again").error("LedgerError")
        assert "cannot be reached" in said
        assert "nothing is paid" in said.lower()
        assert "s3cret" not in everything(kernel)
        server.start()
        assert kernel.run("%%ogchat\nhello again").ok

    @pytest.mark.parametrize("kill", [False, True], ids=["in order", "killed"])
    def test_while_it_answers_the_answer_is_shown_and_its_receipt_comes_later(
        self, server: Server, new_kernel: Callable[..., Kernel], slow: Devnet, kill: bool, tmp_path: Path
    ) -> None:
        kernel = new_kernel(slow, OG_LEDGER=server.url())
        text = kernel.run("%%ogchat --replay off\nCount to 30.").answer
        asked = kernel.send("%%ogchat --replay off\nCount to 30.")
        kernel.until(asked, lambda shown: text[:8] in shown)
        server.stop(kill=kill)
        cell = kernel.result(asked)
        assert cell.ok, cell.reply
        assert cell.answer == text
        server.start()
        kernel.ask("import og_magics as og")
        rows = kernel.eval("og.receipts()[['receipt_id', 'finish_reason', 'payer']].values.tolist()")
        assert rows[-1][:2] == [cell.receipt["receipt_id"], "stop"]
        assert rows[-1][2] == rows[0][2], "it says who pays"
        assert not list(tmp_path.glob("**/*-spool.*"))


def test_a_wrong_url_is_told_without_its_password(new_kernel: Callable[..., Kernel]) -> None:
    for url in (
        "postgresql://me:s3cretword@host:x/db",
        "postgresql://me:s3cretword@host",
        "postgresql://h/db?a=s3cretword",
    ):
        kernel = new_kernel(OG_LEDGER=url, load=False)
        kernel.run("%load_ext og_magics")
        cell = kernel.run("%ogchat hello")
        assert not cell.ok
        assert "URL of the shared ledger" in str(cell.reply["evalue"])
        assert "s3cretword" not in everything(kernel)
