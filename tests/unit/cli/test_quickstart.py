"""`og-magics quickstart`: the notebook that it writes, and when it writes none. tests/check_wheel.py runs it whole."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import nbformat
import pytest

from og_magics.cli import main, quickstart


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("OG_NETWORK", "OG_PRIVATE_KEY", "OG_DEVNET", "OG_LEDGER"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_a_notebook_that_is_there_is_never_overwritten_unasked(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "quickstart.ipynb").write_text("mine")
    assert main(["quickstart"]) == 1
    assert (folder / "quickstart.ipynb").read_text() == "mine"
    message = capsys.readouterr().err
    assert "exists already" in message
    assert "--force" in message


def test_what_is_missing_is_named_before_anything_is_written(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "eth_tester" else found(name))
    assert main(["quickstart"]) == 1
    assert list(folder.iterdir()) == []
    message = capsys.readouterr().err
    assert "The devnet needs eth_tester." in message
    assert "pip install 'og_magics[devnet,notebook]'" in message


def test_a_folder_that_cannot_be_written_to_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "quickstart.ipynb").mkdir()
    assert main(["quickstart", "--force"]) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_an_unknown_network_is_an_error_before_anything_is_written(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OG_NETWORK", "mainnet")
    assert main(["quickstart"]) == 1
    assert "no network 'mainnet'" in capsys.readouterr().err
    assert list(folder.iterdir()) == []


@pytest.mark.ci
def test_it_writes_a_valid_notebook_runs_it_and_verifies_what_it_kept(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One cell of it, in a real kernel with a real devnet; all of it is run by tests/check_wheel.py."""
    content = json.loads(quickstart.notebook_bytes())
    nbformat.validate(nbformat.from_dict(content))
    content["cells"] = content["cells"][:4]
    monkeypatch.setattr(quickstart, "notebook_bytes", lambda: json.dumps(content).encode())
    (folder / "quickstart.ipynb").write_text("an older one")
    assert main(["quickstart", "--force"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"Wrote {folder / 'quickstart.ipynb'}\nNetwork: devnet")
    assert "1 receipt\n" in printed
    assert "1 of 1 receipts hold: enclave, attestation." in printed
    assert "og-magics verify quickstart.ipynb" in printed.partition("Next:")[2]
