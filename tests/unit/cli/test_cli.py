"""The command line, as a user meets it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from og_magics._version import __version__
from og_magics.cli import main
from og_magics.core.receipt import MIME, Receipt

RECEIPT = Receipt(
    receipt_id="01", time=1795343449.0, cell="3", notebook="n.ipynb", network="devnet", provider="openai",
    model="openai/gpt-5", settlement="batch", status="settled", cost=10**15, payment_hash="0xfeed",
)  # fmt: skip


def notebook(path, *forms):
    outputs = [
        {"output_type": "display_data", "data": {"text/plain": "x", MIME: form}, "metadata": {}} for form in forms
    ]
    path.write_text(json.dumps({"cells": [{"cell_type": "code", "outputs": outputs, "source": "", "metadata": {}}]}))
    return str(path)


def test_receipts_are_read_from_a_saved_notebook(tmp_path, capsys):
    assert main(["receipts", notebook(tmp_path / "n.ipynb", RECEIPT.to_json())]) == 0
    out = capsys.readouterr().out
    assert "openai/gpt-5" in out
    assert "0xfeed" in out


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"cells": 3}', '{"cells": [1]}'])
def test_what_is_no_notebook_is_an_error_and_not_a_traceback(tmp_path, capsys, content):
    (tmp_path / "n.ipynb").write_text(content)
    assert main(["receipts", str(tmp_path / "n.ipynb")]) == 1
    assert "is not a notebook" in capsys.readouterr().err


def test_a_file_that_is_not_there_is_an_error(tmp_path, capsys):
    assert main(["receipts", str(tmp_path / "no.ipynb")]) == 1
    assert "cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("form", [{"version": 99}, 5, None, {"version": 1}])
def test_a_receipt_that_cannot_be_read_is_an_error(tmp_path, capsys, form):
    assert main(["receipts", notebook(tmp_path / "n.ipynb", form)]) == 1
    assert "receipt" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [("--opg-price", "cheap"), ("--opg-price", "-1"), ("--fund", "0x12")])
def test_a_devnet_with_a_wrong_option_is_wrong_usage_and_not_a_traceback(capsys, wrong):
    with pytest.raises(SystemExit) as caught:
        main(["devnet", *wrong])
    assert caught.value.code == 2
    assert wrong[0] in capsys.readouterr().err


def test_a_url_of_a_ledger_that_is_wrong_is_told_without_its_password(capsys):
    with pytest.raises(SystemExit):
        main(["receipts", "--ledger", "postgresql://anna:hunter2hunter2@db.example:port/team"])
    told = capsys.readouterr().err
    assert "its port or its host cannot be read" in told
    assert "hunter2" not in told


def test_models_are_listed_with_prices(capsys):
    assert main(["models"]) == 0
    out = capsys.readouterr().out
    assert "anthropic/claude-sonnet-4-6" in out
    assert "1.25" in out


def test_running_what_is_no_notebook_is_an_error(tmp_path, capsys):
    assert main(["run", str(tmp_path / "no.ipynb")]) == 1
    assert "cannot be read" in capsys.readouterr().err


def test_without_a_verb_the_usage_is_shown():
    done = subprocess.run([sys.executable, "-m", "og_magics"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "devnet" in done.stderr


def test_the_version_is_the_packages():
    done = subprocess.run([sys.executable, "-m", "og_magics", "--version"], capture_output=True, text=True, check=True)
    assert __version__ in done.stdout


@pytest.mark.parametrize(
    ("flag", "value"),
    [("--port", "99999"), ("--port", "-1"), ("--port", "65535"), ("--rpc-port", "65536"), ("--rpc-port", "x"),
     ("--chain-id", "0"), ("--chain-id", "-5"), ("--chain-id", str(10**30))],
)  # fmt: skip
def test_a_port_or_a_chain_id_that_cannot_be_is_one_line(
    flag: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["devnet", f"{flag}={value}"])
    assert ended.value.code == 2
    assert "is no number from" in capsys.readouterr().err.splitlines()[-1]
