"""The id of a payment session is money: no file holds it, and what older versions wrote is read without it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from og_magics.cli import main
from og_magics.core.receipt import Receipt
from og_magics.ledger import Ledger, export_receipts, import_receipts, read_frame
from og_magics.notebook.file import receipts_in

COMPAT = Path(__file__).resolve().parents[2] / "compat"
NOTEBOOKS = sorted(COMPAT.glob("*/*.ipynb"))
ID = "0f1e2d3c-4b5a-4968-8776-a5b4c3d2e1f0"
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def ids_in(path: Path) -> set[str]:
    found = re.findall(r'"session_id": *"([^"]+)"', path.read_text(encoding="utf-8"))
    return {one for one in found if _UUID.fullmatch(one)}


def paid(ledger: Ledger, make: Any, number: int, session_id: str) -> Receipt:
    authorization = make.authorization(number)
    ledger.authorize(authorization)
    receipt_id = ledger.open(make.question(), "devnet", float(number))
    ledger.attach(receipt_id, authorization.hash, session_id)
    return ledger.receipt(receipt_id)


def test_a_ledger_holds_a_hash_by_which_receipts_are_grouped(tmp_path: Path, make: Any) -> None:
    with Ledger(tmp_path / ".og" / "a.db") as ledger, Ledger(tmp_path / ".og" / "b.db") as other:
        receipts = [paid(ledger, make, 1, ID), paid(ledger, make, 1, ID), paid(ledger, make, 2, "another-session")]
        elsewhere = paid(other, make, 1, ID)
        files = [path.read_bytes() for path in (tmp_path / ".og").iterdir()]
    first, second, third = (receipt.session_id for receipt in receipts)
    assert first == second != third
    assert elsewhere.session_id not in (None, first)
    assert not any(ID.encode() in content for content in files)
    assert ledger.audit().ok


@pytest.mark.parametrize("like", ["sha256:" + "0" * 32, "sha256:" + "a" * 31])
def test_a_gateways_id_in_the_form_of_a_hash_is_hashed(tmp_path: Path, make: Any, like: str) -> None:
    with Ledger(tmp_path / "a.db") as ledger:
        assert like not in (paid(ledger, make, 1, like).session_id or "")


@pytest.mark.parametrize("path", sorted(COMPAT.glob("*/*.db")), ids=lambda path: path.name)
def test_an_older_ledger_is_read_without_them(path: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copy(path, tmp_path))
    with Ledger(copy) as ledger:
        receipts = ledger.receipts()
        assert not _UUID.search(json.dumps([receipt.to_json() for receipt in receipts]))
        assert sum(receipt.session_id is not None for receipt in receipts) > 0
        assert ledger.audit().ok
        for kind in ("csv", "json", "parquet"):
            exported = export_receipts(receipts, tmp_path / f"all.{kind}")
            assert not _UUID.search(exported.read_bytes().decode("latin-1"))


@pytest.mark.parametrize("path", sorted(COMPAT.glob("[0-9]*/*.json")), ids=lambda path: path.name)
def test_an_older_export_and_its_ledger_agree(path: Path, tmp_path: Path) -> None:
    imported = import_receipts(path)
    frames = [read_frame(path.with_suffix(f".{kind}")) for kind in ("csv", "parquet")]
    ids = [receipt.session_id for receipt in imported]
    assert not any(_UUID.search(one or "") for one in ids)
    assert all([one or None for one in frame["session_id"]] == ids for frame in frames)
    with Ledger(Path(shutil.copy(path.with_suffix(".db"), tmp_path))) as ledger:
        assert [ledger.receipt(receipt.receipt_id).session_id for receipt in imported] == ids


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_an_older_notebook_is_scrubbed_of_them(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = ids_in(path)
    assert all(receipt.session_id not in raw for receipt in receipts_in(path))
    copy = tmp_path / "scrubbed.ipynb"
    main(["scrub", str(path), "-o", str(copy)])
    content = copy.read_text(encoding="utf-8")
    assert not any(one in content for one in raw)
    capsys.readouterr()
    found = main(["scrub", "--check", "--keep-answers", str(path)])
    assert (found == 1) or not raw
    assert ("a payment session's id" in capsys.readouterr().out) == bool(raw)
    main(["scrub", "--check", "--keep-answers", str(copy)])
    assert "a payment session's id" not in capsys.readouterr().out


def test_a_login_in_an_older_receipt_is_not_read(make: Any) -> None:
    form = json.loads(next(COMPAT.glob("0.1/answers.json")).read_text(encoding="utf-8"))[0]
    form["authorization"]["gateway"] = "https://me:hunter2hunter2@gateway.example:8443/v3/0123456789abcdef?token=tok0"
    form["error"] = "The gateway https://me:hunter2hunter2@gateway.example cannot be reached."
    receipt = Receipt.from_json(form)
    assert receipt.authorization is not None
    assert receipt.authorization.gateway == "https://gateway.example:8443"
    said = json.dumps(receipt.to_json())
    assert "hunter2" not in said
    assert "tok0" not in said
