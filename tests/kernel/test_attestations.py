"""The attestation in the outputs of a real kernel: the first output of an enclave has it, the others its hash."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from og_magics.core.receipt import MIME

from .test_threads import run

if TYPE_CHECKING:
    from .conftest import Cell, Kernel


def ask(kernel: Kernel, cell_id: str, code: str) -> Cell:
    """Run a cell that has an id and must succeed."""
    cell = run(kernel, code, cell_id)
    assert cell.ok, cell.reply
    return cell


def carried(cell: Cell) -> list[str]:
    """Return the hashes of the documents that an output carries, each held against its document."""
    found = cell.receipt.get("attestations", {})
    for hash, text in found.items():
        assert hashlib.sha256(base64.b64decode(text)).hexdigest() == hash
    return list(found)


@pytest.mark.ci
def test_once_for_a_notebook_and_again_where_the_output_that_has_it_is_replaced(
    new_kernel: Callable[..., Kernel],
) -> None:
    kernel = new_kernel()
    first = ask(kernel, "a", "%%ogchat\nOne?")
    hash = first.receipt["attestation_hash"]
    assert carried(first) == [hash]
    second = ask(kernel, "b", "%%ogchat\nTwo?")
    assert (second.receipt["attestation_hash"], carried(second)) == (hash, [])
    again = ask(kernel, "a", "%%ogchat\nOne, once more?")
    assert carried(again) == [hash]
    assert carried(ask(kernel, "b", "%%ogchat\nTwo again?")) == []


@pytest.mark.ci
def test_an_answer_that_a_cell_shows_carries_it_where_no_output_did(new_kernel: Callable[..., Kernel]) -> None:
    kernel = new_kernel()
    ask(kernel, "a", "import og_magics as og\nanswer = og.ask('One?')")
    (shown,) = ask(kernel, "b", "answer").of("execute_result")
    assert list(shown["data"][MIME]["attestations"]) == [shown["data"][MIME]["attestation_hash"]]


@pytest.mark.ci
def test_a_comparison_carries_it_and_the_saved_file_proves_itself(
    new_kernel: Callable[..., Kernel], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from og_magics.cli import main
    from og_magics.notebook.file import answers_in

    kernel = new_kernel()
    source = "%%ogcompare -m gpt-5 -m claude-sonnet-4-6\nWhat is x402?"
    shown = ask(kernel, "a", source)
    assert len(shown.last[MIME]["attestations"]) == 1
    output = {"output_type": "display_data", "data": shown.last, "metadata": {}}
    cell = {"cell_type": "code", "execution_count": 1, "metadata": {}, "source": source, "outputs": [output]}
    path = tmp_path / "saved.ipynb"
    path.write_text(json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    assert len(answers_in(path)) == 2
    assert main(["verify", str(path), "--proofs", "enclave,attestation"]) == 0, capsys.readouterr().out
