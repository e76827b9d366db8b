"""Notebooks, exports and ledgers that earlier versions wrote are read, and pass their audit."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from og_magics.cli import main
from og_magics.ledger import Ledger
from og_magics.ledger.export import import_receipts, read_frame
from og_magics.notebook.file import answers_in, receipts_in
from og_magics.notebook.outputs import account_outputs
from og_magics.notebook.recordings import output_problems

HERE = Path(__file__).resolve().parent
RELEASES = sorted(path for path in HERE.glob("[0-9]*") if path.is_dir())
NOTEBOOKS = sorted(HERE.glob("*/*.ipynb"))
LEDGERS = [path for folder in RELEASES for path in sorted(folder.glob("*.db"))]
EXPORTS = [
    path for folder in RELEASES for kind in ("csv", "json", "parquet") for path in sorted(folder.glob(f"*.{kind}"))
]


def name(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def test_there_are_files_of_a_release_and_of_the_time_before() -> None:
    assert len(NOTEBOOKS) >= 9
    assert len(LEDGERS) >= 3
    assert len(EXPORTS) >= 9


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=name)
class TestNotebooks:
    def test_what_it_shows_is_what_its_receipts_say(self, notebook: Path) -> None:
        answers = answers_in(notebook)
        assert answers
        assert [answer.problem for answer in answers if answer.problem] == []
        assert [problem for problem in output_problems(answers) if problem] == []

    def test_all_its_outputs_are_accounted_for(self, notebook: Path) -> None:
        assert [finding for finding in account_outputs(notebook) if finding.problem] == []

    def test_it_passes_its_audit(self, notebook: Path, capsys: pytest.CaptureFixture[str]) -> None:
        unsigned = sum(not receipt.tee_signature for receipt in receipts_in(notebook))
        status = main(["verify", str(notebook), "--json"])
        verdicts = [row["verdicts"]["enclave"]["ok"] for row in json.loads(capsys.readouterr().out)]
        assert verdicts.count(None) == unsigned
        assert False not in verdicts
        assert status == bool(unsigned)


@pytest.mark.parametrize("export", EXPORTS, ids=name)
def test_an_export_has_the_receipts_of_its_ledger(export: Path, tmp_path: Path) -> None:
    with Ledger(shutil.copy(export.with_suffix(".db"), tmp_path)) as ledger:
        kept = ledger.receipts()
    if export.suffix == ".json":
        signed = {receipt.receipt_id: (receipt.text, receipt.tee_signature, receipt.request) for receipt in kept}
        read = import_receipts(export)
        assert {one.receipt_id: (one.text, one.tee_signature, one.request) for one in read} == signed
        return
    frame = read_frame(export)
    assert list(frame.receipt_id) == [receipt.receipt_id for receipt in kept]
    assert [None if count != count else count for count in frame.prompt_tokens.astype("float64")] == [
        receipt.prompt_tokens for receipt in kept
    ]


@pytest.mark.parametrize("path", LEDGERS, ids=name)
class TestLedgers:
    def test_its_chain_holds(self, path: Path, tmp_path: Path) -> None:
        with Ledger(shutil.copy(path, tmp_path)) as ledger:
            audit = ledger.audit(None)
        assert list(audit.problems) == []

    def test_it_agrees_with_its_notebook(self, path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        ledger = shutil.copy(path, tmp_path)
        main(["verify", str(path.with_suffix(".ipynb")), "--ledger", ledger, "--proofs", "ledger", "--json"])
        rows = json.loads(capsys.readouterr().out)
        assert [row for row in rows if row["cell"] and row["verdicts"]["ledger"]["ok"] is not True] == []


@pytest.mark.parametrize("path", sorted(HERE.glob("*[0-9]/*")), ids=name)
def test_a_kept_file_names_no_folder_and_holds_no_key(path: Path) -> None:
    content = path.read_bytes()
    assert re.search(rb"/(?:home|root|Users|work)/", content) is None
    assert re.search(rb"private.key[\"' :=]+0x", content) is None
