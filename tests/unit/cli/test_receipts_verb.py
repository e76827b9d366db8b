"""`og-magics receipts`: of a notebook or of a ledger, for people and for programs."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from og_magics.cli import main
from og_magics.core.receipt import COLUMNS, MIME, Receipt
from og_magics.core.types import ChatRequest, x402SettlementMode
from og_magics.ledger import Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    path = tmp_path / "l.db"
    body = {"model": "gpt-5", "messages": [{"role": "user", "content": "hi"}]}
    question = ChatRequest("/v1/chat/completions", "openai/gpt-5", body, x402SettlementMode.PRIVATE)
    with Ledger(path) as opened:
        opened.open(question, "devnet", 1795343449.0)
    return path


@pytest.fixture
def notebook(tmp_path: Path, ledger: Path) -> Path:
    path = tmp_path / "n.ipynb"
    with Ledger(ledger) as opened:
        (receipt,) = opened.receipts()
    path.write_text(json.dumps({"cells": [{"outputs": [{"data": {MIME: receipt.to_json()}}]}]}))
    return path


@pytest.fixture(params=["notebook", "--ledger"])
def source(request: pytest.FixtureRequest, notebook: Path, ledger: Path) -> list[str]:
    """The arguments that name the one or the other; both hold the same receipt."""
    return [str(notebook)] if request.param == "notebook" else ["--ledger", str(ledger)]


def test_it_prints_a_table(source: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["receipts", *source]) == 0
    assert "openai/gpt-5  private" in capsys.readouterr().out


def test_json_is_lossless(source: list[str], ledger: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["receipts", *source, "--json"]) == 0
    (form,) = json.loads(capsys.readouterr().out)
    with Ledger(ledger) as opened:
        assert [Receipt.from_json(form)] == opened.receipts()


def test_csv_is_written(source: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["receipts", *source, "--csv", str(tmp_path / "out.csv")]) == 0
    assert "1 receipts written to" in capsys.readouterr().out
    rows = list(csv.DictReader((tmp_path / "out.csv").read_text().splitlines()))
    assert [tuple(row) for row in rows] == [(*COLUMNS, "version")]
    assert rows[0]["model"] == "openai/gpt-5"


@pytest.mark.parametrize(
    "flags", [[], ["x.ipynb", "--ledger", "l.db"], ["x.ipynb", "--json", "--csv", "a.csv"], ["x", "--csv", "a.txt"]]
)
def test_wrong_usage_ends_with_2(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["receipts", *flags])
    assert ended.value.code == 2
    assert "og-magics receipts: error" in capsys.readouterr().err


def test_a_ledger_that_is_not_there_is_an_error_and_is_not_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["receipts", "--ledger", str(tmp_path / "no.db")]) == 1
    assert "There is no file of receipts" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_ledger_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "l.db").write_text("not a database, but long enough to be looked at as if it were one" * 40)
    for verb in (["receipts"], ["verify", str(tmp_path / "n.ipynb")]):
        (tmp_path / "n.ipynb").write_text('{"cells": []}')
        assert main([*verb, "--ledger", str(tmp_path / "l.db")]) == 1
        assert "og-magics: " in capsys.readouterr().err
