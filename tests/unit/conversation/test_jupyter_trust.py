"""Jupyter's own trust: a notebook that this user ran may answer in place of a paid call, and nothing is signed here."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.sign import NotebookNotary

from og_magics.core.errors import OGError
from og_magics.notebook.jupyter_trust import is_trusted
from og_magics.session.doctor import _trust
from tests.signed import Signer

from .test_replay_trust import Place, shown


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "jupyter"))
    # Nothing can be reached: what is not replayed fails.
    monkeypatch.setattr("og_magics.client.replay.asyncio.sleep", _at_once)
    return Place(tmp_path, monkeypatch)


async def _at_once(_: float) -> None:
    return None


def signed_by_jupyter(place: Place) -> None:
    """Sign the notebook as Jupyter does when it saves one that this user ran, or as `jupyter trust`."""
    (place.folder / "jupyter").mkdir(exist_ok=True)
    with NotebookNotary(data_dir=str(place.folder / "jupyter")) as notary:
        notary.sign(nbformat.read(place.file, as_version=4))


def save(place: Place, signer: Signer, text: str = "It is 5.", **fields: Any) -> None:
    place.write(shown(signer.answered(place.body(place.session()), text, **fields)))
    content: dict[str, Any] = json.loads(place.file.read_text())
    place.file.write_text(json.dumps(content | {"metadata": {}, "nbformat_minor": 4}))


def state(folder: Path) -> dict[str, str]:
    """The files of a folder by their digests."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


class TestTheFile:
    def test_jupyter_trusts_what_it_signed_and_nothing_else(self, place: Place) -> None:
        save(place, Signer())
        signed_by_jupyter(place)
        assert is_trusted(place.file) is True
        place.file.write_text(place.file.read_text().replace("It is 5.", "It is 6."))
        assert is_trusted(place.file) is False

    def test_where_jupyter_signed_nothing_it_is_not_known_and_nothing_is_made(self, place: Place) -> None:
        save(place, Signer())
        assert is_trusted(place.file) is None
        assert not (place.folder / "jupyter").exists()

    def test_nothing_of_jupyters_is_changed(self, place: Place) -> None:
        save(place, Signer())
        signed_by_jupyter(place)
        before = state(place.folder / "jupyter")
        assert is_trusted(place.file) is True
        place.file.write_text(place.file.read_text().replace("It is 5.", "It is 6."))
        assert is_trusted(place.file) is False
        assert state(place.folder / "jupyter") == before

    def test_a_database_that_is_none_is_left_where_it_is(self, place: Place) -> None:
        save(place, Signer())
        signed_by_jupyter(place)
        database = place.folder / "jupyter" / "nbsignatures.db"
        database.write_bytes(b"this is no database" * 100)
        before = state(place.folder / "jupyter")
        assert is_trusted(place.file) is None
        assert state(place.folder / "jupyter") == before

    def test_without_nbformat_it_is_not_known(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        save(place, Signer())
        signed_by_jupyter(place)
        monkeypatch.setitem(sys.modules, "nbformat.sign", None)
        assert is_trusted(place.file) is None

    @pytest.mark.parametrize("content", ["", "{}", "[]", '{"cells": 3, "nbformat": 4}', "[" * 100_000])
    def test_a_strangers_file_may_be_anything(self, place: Place, content: str) -> None:
        save(place, Signer())
        signed_by_jupyter(place)
        place.file.write_text(content)
        assert is_trusted(place.file) in (False, None)

    @pytest.mark.ci
    def test_a_nested_file_does_not_end_a_process_that_allows_deep_recursion(self, place: Place) -> None:
        save(place, Signer())
        signed_by_jupyter(place)
        place.file.write_text("[" * 500_000)
        program = (
            "import sys; sys.setrecursionlimit(10**7); from pathlib import Path; "
            "from og_magics.notebook.jupyter_trust import is_trusted; print(is_trusted(Path(sys.argv[1])))"
        )
        ran = subprocess.run(
            [sys.executable, "-c", program, str(place.file)], capture_output=True, text=True, check=False
        )
        assert (ran.returncode, ran.stdout) == (0, "None\n"), ran.stderr

    def test_a_locked_database_is_not_waited_for_long(self, place: Place) -> None:
        save(place, Signer())
        signed_by_jupyter(place)
        with sqlite3.connect(place.folder / "jupyter" / "nbsignatures.db") as other:
            other.execute("BEGIN EXCLUSIVE")
            assert is_trusted(place.file) is None
            other.rollback()


class TestReplay:
    def test_in_auto_an_unknown_key_answers_only_where_jupyter_trusts_the_file(self, place: Place) -> None:
        save(place, Signer())
        with pytest.raises(OGError):
            place.ask(place.session("auto", devnet="{}"))
        signed_by_jupyter(place)
        answer = place.ask(place.session("auto", devnet="{}"))
        assert answer.text == "It is 5."

    def test_trust_is_no_proof_of_the_key(self, place: Place) -> None:
        save(place, Signer())
        signed_by_jupyter(place)
        receipt = place.ask(place.session("auto", devnet="{}")).receipt
        assert receipt.enclave_ok is None
        assert "no proof: key not checked" in shown(receipt)["text/plain"]

    @pytest.mark.ci
    def test_what_was_changed_after_it_was_signed_is_not_trusted(self, place: Place) -> None:
        save(place, Signer())
        signed_by_jupyter(place)
        save(place, Signer(), "It is 6.")
        with pytest.raises(OGError):
            place.ask(place.session("auto", devnet="{}"))

    @pytest.mark.ci
    def test_an_answer_without_a_signature_of_an_enclave_is_not_taken(self, place: Place) -> None:
        save(place, Signer(), "It is 6.", tee_signature=None, tee_id=None, public_key="")
        signed_by_jupyter(place)
        with pytest.raises(OGError):
            place.ask(place.session("auto", devnet="{}"))


def test_doctor_says_which(place: Place) -> None:
    save(place, Signer())
    assert (_trust(place.file).ok, "not known" in _trust(place.file).summary) == (None, True)
    signed_by_jupyter(place)
    assert _trust(place.file).ok is True
    place.file.write_text(place.file.read_text().replace("It is 5.", "It is 6."))
    told = _trust(place.file)
    assert told.ok is None
    assert "jupyter trust" in told.remedy
