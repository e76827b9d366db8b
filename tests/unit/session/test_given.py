"""What the functions of `import og_magics as og` are given, where it is not what they take."""

from __future__ import annotations

import socket
from typing import Any

import pandas as pd
import pytest

import og_magics as og


@pytest.mark.parametrize(
    "given",
    [
        pd.Series({"receipt_id": "01", "model": "openai/gpt-5"}),  # a row; letter by letter it would be no receipt
        pd.DataFrame({"model": ["openai/gpt-5"]}),
        ["01"],
        False,
    ],
)
def test_proofs_of_what_is_no_receipt_are_refused_and_not_empty(given: Any) -> None:
    with pytest.raises(og.errors.ConfigError, match="nothing was checked"):
        og.verify(given)


def test_a_notebook_is_named_by_its_path() -> None:
    with pytest.raises(og.errors.ConfigError, match="by its path"):
        og.receipts(5)  # type: ignore[arg-type]


@pytest.mark.parametrize("read", [og.receipts, og.verify])
def test_a_shared_ledger_is_named_by_its_url_whose_password_is_not_told(read: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(og.errors.LedgerError) as caught:
        read(f"postgresql://anna:hunter2hunter2@127.0.0.1:{port}/team")
    assert "hunter2" not in str(caught.value)
    assert f"127.0.0.1:{port}/team" in str(caught.value)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"patience": "long"}, "patience must be"),
        ({"patience": -1}, "patience"),
        ({"out": 5}, "out is"),
        ({"table": 5, "out": "sqlite:///answers.db"}, "table names"),
    ],
)
def test_a_run_that_could_not_end_well_does_not_begin(given: Any, told: str) -> None:
    with pytest.raises(og.errors.ConfigError, match=told):
        og.ask_many(["What is a hash?"], **given)
