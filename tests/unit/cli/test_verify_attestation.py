"""The audit of a saved notebook: the attestation that travels with its receipts, and what somebody may do to it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from og_magics.cli import main
from og_magics.core.receipt import MIME, Receipt
from og_magics.core.types import ChatRequest, Outcome, x402SettlementMode
from og_magics.core.types import Enclave as Described
from og_magics.devnet.gateway.enclave import Enclave
from og_magics.display import answer_bundle
from og_magics.ledger import Ledger
from og_magics.ledger.export import export_receipts, import_receipts, read_frame
from og_magics.notebook.file import answers_in, documents_in
from og_magics.verification import EnclaveCheck
from tests.attestation_table import REAL, Forger

from .conftest import Audit, Notebook, Verifier, answered

FORGER = Forger()


def hash_of(document: bytes) -> str:
    return hashlib.sha256(document).hexdigest()


def document_of(enclave: Enclave) -> bytes:
    return FORGER.hardware.document(b"n" * 20, enclave.certificate_der, enclave.public_key_der)


@dataclass
class Book:
    """A notebook of two answers of one enclave: the first output carries its document, the second refers to it."""

    content: Notebook
    document: bytes

    @property
    def carried(self) -> dict[str, str]:
        found: dict[str, str] = self.form(0)["attestations"]
        return found

    def form(self, place: int) -> dict[str, Any]:
        found: dict[str, Any] = self.content["cells"][place]["outputs"][0]["data"][MIME]
        return found


def book_of(*receipts: Receipt, document: bytes = b"") -> Notebook:
    cells = []
    for place, receipt in enumerate(receipts):
        carried = {hash_of(document): document} if document and place == 0 else {}
        cells += Verifier.notebook(receipt, documents=carried)["cells"]
    return {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}


@pytest.fixture
def book(enclave: Enclave) -> Book:
    document = document_of(enclave)
    made = [answered(enclave, f"Number {n}?", f"It is {n}.") for n in (1, 2)]
    receipts = [replace(one, receipt_id=f"0{n}", attestation_hash=hash_of(document)) for n, one in enumerate(made, 1)]
    return Book(book_of(*receipts, document=document), document)


def attested(audit: Audit) -> list[bool | None]:
    return audit.ok("attestation")


class TestWhatHolds:
    def test_the_first_output_carries_the_document_and_proves_all(self, verify: Verifier, book: Book) -> None:
        audit = verify(book.content)
        assert (audit.status, attested(audit)) == (0, [True, True])
        assert "simulated hardware" in audit.reason("attestation")
        assert "attestations" not in book.form(1)
        assert "not attested" not in json.dumps(book.content)

    def test_a_receipt_without_one_is_no_failure_and_says_so(self, verify: Verifier, receipt: Receipt) -> None:
        content = book_of(receipt)
        audit = verify(content)
        assert (audit.status, attested(audit)) == (0, [None])
        assert "proof ✓ · hardware not attested" in content["cells"][0]["outputs"][0]["data"]["text/plain"]
        assert verify(content, "--proofs", "enclave,attestation").status == 1

    @pytest.mark.parametrize(("name", "value"), [("OG_ATTEST", "require"), ("OG_PCR", "00" * 32)])
    def test_it_fails_where_the_environment_wants_one(
        self, verify: Verifier, receipt: Receipt, monkeypatch: pytest.MonkeyPatch, name: str, value: str
    ) -> None:
        monkeypatch.setenv(name, value)
        assert verify(book_of(receipt)).status == 1

    def test_a_front_end_may_save_the_document_in_lines(self, verify: Verifier, book: Book) -> None:
        book.form(0)["attestations"] = {hash: [text[:100], text[100:]] for hash, text in book.carried.items()}
        assert attested(verify(book.content)) == [True, True]

    def test_the_ledger_has_what_the_notebook_lost(self, verify: Verifier, book: Book, tmp_path: Path) -> None:
        with Ledger(tmp_path / "n.db") as ledger:
            _served(ledger, book.document)
        del book.form(0)["attestations"]
        audit = verify(book.content)
        assert (audit.status, attested(audit)) == (1, [None, None])
        assert "is not here" in audit.reason("attestation")
        again = verify(book.content, "--ledger", str(tmp_path / "n.db"), "--proofs", "enclave,attestation")
        assert (again.status, attested(again)[:2]) == (0, [True, True])


def _served(ledger: Ledger, document: bytes) -> str:
    request = ChatRequest("/v1/chat/completions", "openai/gpt-5", {"messages": []}, x402SettlementMode.BATCH_HASHED)
    receipt_id = ledger.open(request, "devnet", 1795343449.0)
    outcome = Outcome(text="Yes.", enclave=Described(""), attestation=document)
    check = EnclaveCheck(True, None, True, True, True, True, "")
    ledger.serve(receipt_id, outcome, cost_usd=None, weight=0, enclave=check)
    return receipt_id


def _swap(book: Book, document: bytes, under: str = "") -> None:
    """Put another document into the notebook, under its own hash, which the receipts name then, or under another."""
    hash = under or hash_of(document)
    book.form(0)["attestations"] = {hash: base64.b64encode(document).decode()}
    for place in (0, 1):
        book.form(place)["attestation_hash"] = hash


class TestForgeries:
    @pytest.mark.parametrize(
        ("forge", "says"),
        [
            (lambda book: _swap(book, document_of(Enclave())), "another key"),
            (lambda book: _swap(book, REAL), "devnet's enclave has none"),
            (lambda book: _swap(book, bytes([*book.document[:-9], book.document[-9] ^ 1, *book.document[-8:]])), ""),
            (lambda book: _swap(book, book.document[:-1] + b"x", hash_of(book.document)), "another document"),
            pytest.param(
                lambda book: _swap(book, bytes(50_000_000), hash_of(book.document)), "16 KiB", marks=pytest.mark.ci
            ),
            (lambda book: _swap(book, bytes(17_000)), "16 KiB"),
            (lambda book: book.form(0).update(attestations={hash_of(book.document): "no base64 !"}), "another document"),
            (lambda book: book.form(0).update(attestations={hash_of(book.document): 7}), "another document"),
        ],
        ids=["another enclave's", "of AWS", "one bit", "other bytes", "50 MB", "17 KB", "no base64", "a number"],
    )  # fmt: skip
    def test_a_document_that_does_not_fit_is_found(
        self, verify: Verifier, book: Book, forge: Callable[[Book], None], says: str
    ) -> None:
        forge(book)
        audit = verify(book.content)
        assert (audit.status, attested(audit)) == (1, [False, False])
        assert says in audit.reason("attestation")

    @pytest.mark.parametrize("what", [{}, [], None, "text", {"no hash": "AA=="}, {"00" * 32: "AA=="}])
    def test_a_hash_that_points_nowhere_is_unproven(self, verify: Verifier, book: Book, what: Any) -> None:
        book.form(0)["attestations"] = what
        audit = verify(book.content)
        assert (audit.status, attested(audit)) == (1, [None, None])
        assert "is not here" in audit.reason("attestation")

    def test_a_devnets_document_proves_nothing_on_a_public_network(self, verify: Verifier, book: Book) -> None:
        for place in (0, 1):
            book.form(place)["network"] = "base"
        audit = verify(book.content)
        assert attested(audit) == [False, False]
        assert "not the one that is pinned" in audit.reason("attestation")

    def test_a_line_that_claims_an_attestation_without_one_is_found(self, verify: Verifier, receipt: Receipt) -> None:
        content = book_of(receipt)
        data = Verifier.data(content)
        for kind in ("text/plain", "text/markdown"):
            data[kind] = data[kind].replace("not attested", "attested")
        audit = verify(content)
        assert audit.status == 1
        assert "attestation" in audit.reason()

    def test_a_good_document_is_not_replaced_by_a_bad_one_of_a_later_cell(self, verify: Verifier, book: Book) -> None:
        book.form(1)["attestations"] = {hash_of(book.document): "AAAA"}
        assert attested(verify(book.content)) == [True, True]

    def test_thousands_of_documents_are_not_all_read(self, tmp_path: Path, book: Book) -> None:
        many = {f"{n:064x}": "AAAA" for n in range(3000)}
        book.form(0)["attestations"] = many
        book.form(1)["attestations"] = {f"{n:064x}": "AAAA" for n in range(3000, 6000)}
        (tmp_path / "n.ipynb").write_text(json.dumps(book.content))
        assert len(documents_in(answers_in(tmp_path / "n.ipynb"))) == 1000


class TestWhatIsMadeOfIt:
    def test_a_scrubbed_copy_keeps_it_and_still_proves_it(self, verify: Verifier, book: Book, tmp_path: Path) -> None:
        (tmp_path / "n.ipynb").write_text(json.dumps(book.content))
        assert main(["scrub", str(tmp_path / "n.ipynb")]) == 0
        assert main(["scrub", "--check", str(tmp_path / "n.scrubbed.ipynb")]) == 0
        verify.capsys.readouterr()
        audit = verify(json.loads((tmp_path / "n.scrubbed.ipynb").read_text()))
        assert (audit.status, attested(audit)) == (0, [True, True])

    def test_it_is_a_column_of_exports_and_json_is_lossless(self, book: Book, tmp_path: Path) -> None:
        receipt = Receipt.from_json(book.form(0))
        assert receipt.attestation_hash == hash_of(book.document)
        assert receipt.extra == {}
        for suffix in (".csv", ".parquet"):
            frame = read_frame(export_receipts([receipt], tmp_path / f"r{suffix}"))
            assert list(frame["attestation_hash"]) == [receipt.attestation_hash]
        assert import_receipts(export_receipts([receipt], tmp_path / "r.json")) == [receipt]

    def test_two_runs_differ_in_nothing(self, book: Book, enclave: Enclave, tmp_path: Path) -> None:
        other = document_of(enclave)
        (tmp_path / "a.ipynb").write_text(json.dumps(book.content))
        _swap(book, other)
        (tmp_path / "b.ipynb").write_text(json.dumps(book.content))
        assert main(["diff", str(tmp_path / "a.ipynb"), str(tmp_path / "b.ipynb")]) == 0

    def test_a_ledger_has_one_row_for_each_document(self, tmp_path: Path) -> None:
        with Ledger(tmp_path / "n.db") as ledger:
            ids = [_served(ledger, document) for document in (b"one", b"one", b"two", b"")]
            hashes = [ledger.receipt(one).attestation_hash for one in ids]
            assert hashes == [hash_of(b"one"), hash_of(b"one"), hash_of(b"two"), None]
            found = ledger.attestations([one for one in hashes if one])
            assert found == {hash_of(one): one for one in (b"one", b"two")}
            assert ledger.audit().ok

    def test_an_answer_that_has_none_is_written_as_before(self, receipt: Receipt) -> None:
        assert "attestation_hash" not in receipt.to_json()
        assert "attestations" not in answer_bundle(receipt, "", lambda _: "")[MIME]
