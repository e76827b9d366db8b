"""A replay trusts nobody by default: whose answers it shows, with which proof, and that it calls no function."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from og_magics.client.replay import Replays
from og_magics.conversation import Options, run_turn
from og_magics.core.errors import LedgerError, NotRecorded, ProofError
from og_magics.core.progress import Progress
from og_magics.core.receipt import Receipt
from og_magics.core.recording import Recording
from og_magics.core.runtime import runtime
from og_magics.core.settings import Settings
from og_magics.core.types import ChatRequest, Enclave, Outcome
from og_magics.display.answer_bundle import answer_bundle
from og_magics.display.turn_bundle import turn_bundle
from og_magics.ledger import Ledger
from og_magics.notebook.recordings import NotebookRecordings
from og_magics.session.session import Session
from tests.signed import Signer, call, going_on
from tests.signed import cell as cell_of

PROMPT = "What is 2 + 3?"


@pytest.fixture(scope="module")
def stranger() -> Signer:
    """Whoever wrote the file: they have a key, and no enclave."""
    return Signer()


def add(a: int, b: int) -> int:
    """Add two numbers."""
    CALLED.append((a, b))
    return a + b


CALLED: list[tuple[int, int]] = []


class Place:
    """A folder with a notebook of somebody's, which runs."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.file = folder, folder / "n.ipynb"
        monkeypatch.setenv("JPY_SESSION_NAME", str(self.file))
        monkeypatch.chdir(folder)
        CALLED.clear()

    def session(self, mode: str = "only", **more: Any) -> Session:
        ledger = str(self.folder / ".og" / "n.db")
        return Session(Settings(replay=mode, ledger=ledger, max_tokens=1000, **more))

    def body(self, session: Session, prompt: str = PROMPT, **options: Any) -> Mapping[str, Any]:
        return self.turn(session, prompt, **options).request.body

    @staticmethod
    def turn(session: Session, prompt: str = PROMPT, **options: Any) -> Any:
        return session.build_turn(prompt, Options(**options))

    def ask(self, session: Session, prompt: str = PROMPT, **options: Any) -> Any:
        return runtime.wait(run_turn(session.llm, self.turn(session, prompt, **options), Progress()))

    def write(self, *bundles: Mapping[str, Any], file: str = "") -> Path:
        path = self.folder / file if file else self.file
        path.write_text(json.dumps({"cells": [cell_of(f"%%ogchat\n{PROMPT}", *bundles)], "nbformat": 4}))
        return path


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(tmp_path, monkeypatch)


def shown(receipt: Receipt) -> dict[str, Any]:
    return answer_bundle(receipt, receipt.text, lambda _: "")


class TestTheMark:
    def test_a_forged_answer_is_shown_without_the_proof_that_the_file_claims(
        self, place: Place, stranger: Signer
    ) -> None:
        session = place.session()
        receipt = stranger.answered(place.body(session), "It is 6.", status="verified", payment_hash="0x" + "ab" * 32)
        place.write(shown(receipt))
        assert "proof \\u2713" in place.file.read_text()
        answer = place.ask(session)
        assert answer.text == "It is 6."
        assert (answer.receipt.enclave_ok, answer.receipt.replayed) == (None, True)
        assert answer.receipt.status != "verified"
        assert "Nobody here knows its key" in answer.receipt.enclave_reason
        line = shown(answer.receipt)["text/plain"]
        assert "no proof: key not checked" in line
        assert "✓" not in line

    def test_an_answer_without_a_signature_says_that_it_has_no_proof(self, place: Place, stranger: Signer) -> None:
        session = place.session()
        signed = stranger.answered(place.body(session), "It is 6.")
        place.write(shown(replace(signed, tee_signature=None, tee_id=None, public_key="", enclave_ok=True)))
        answer = place.ask(session)
        assert answer.receipt.enclave_ok is None
        assert " no proof · " in shown(answer.receipt)["text/plain"]

    def test_a_key_that_the_ledger_knows_is_a_proof_of_the_files_answers(self, place: Place, stranger: Signer) -> None:
        session = place.session()
        receipt = stranger.answered(place.body(session), "It is 5.")
        place.write(shown(receipt))
        of_another = stranger.answered(place.body(session, "Another?"), "Yes.")
        _served(session.ledger, place.turn(session, "Another?").request, of_another)
        answer = place.ask(session)
        assert answer.receipt.enclave_ok is True
        assert "proof ✓" in shown(answer.receipt)["text/plain"]

    def test_what_the_ledger_wrote_keeps_its_proof(self, place: Place, stranger: Signer) -> None:
        session = place.session()
        receipt = stranger.answered(place.body(session), "It is 5.")
        _served(session.ledger, place.turn(session).request, receipt)
        assert place.ask(session).receipt.enclave_ok is True

    def test_a_changed_answer_is_refused(self, place: Place, stranger: Signer) -> None:
        session = place.session()
        receipt = replace(stranger.answered(place.body(session), "It is 5."), text="It is 6.")
        place.write(shown(receipt))
        with pytest.raises(ProofError, match="not what was signed"):
            place.ask(session)

    def test_the_audit_of_what_was_replayed_agrees_with_its_line(
        self, place: Place, stranger: Signer, capsys: pytest.CaptureFixture[str]
    ) -> None:
        from og_magics.cli import main

        session = place.session()
        place.write(shown(stranger.answered(place.body(session), "It is 5.")))
        again = place.ask(session).receipt
        path = place.write(shown(again), file="again.ipynb")
        assert main(["verify", str(path)]) == 0, capsys.readouterr().out
        path.write_text(path.read_text().replace("no proof: key not checked", "proof \\u2713"))
        assert main(["verify", str(path)]) == 1


class TestWhoseAnswers:
    def test_another_notebook_of_the_folder_answers_nothing(self, place: Place, stranger: Signer) -> None:
        session = place.session()
        place.write(shown(stranger.answered(place.body(session), "It is 5.")), file="other.ipynb")
        place.write()
        with pytest.raises(NotRecorded, match="OG_REPLAY_FROM"):
            place.ask(session)

    def test_where_no_notebook_is_known_none_of_the_folder_answers(
        self, place: Place, stranger: Signer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        session = place.session()
        place.write(shown(stranger.answered(place.body(session), "It is 5.")))
        monkeypatch.delenv("JPY_SESSION_NAME")
        with pytest.raises(NotRecorded):
            place.ask(session)

    @pytest.mark.parametrize("way", ["settings", "call"])
    def test_a_file_that_is_named_does(self, place: Place, stranger: Signer, way: str) -> None:
        session = place.session(**({"replay_from": "other.ipynb"} if way == "settings" else {}))
        place.write(shown(stranger.answered(place.body(session), "It is 5.")), file="other.ipynb")
        answer = place.ask(session, **({"replay_from": "other.ipynb"} if way == "call" else {}))
        assert answer.text == "It is 5."
        assert answer.receipt.enclave_ok is None

    def test_a_file_that_is_named_and_not_there_is_an_error(self, place: Place) -> None:
        with pytest.raises(LedgerError, match=r"other\.ipynb.*Nothing was paid"):
            place.ask(place.session(replay_from="other.ipynb"))

    def test_in_place_of_paying_only_a_known_key_will_do(self, place: Place, stranger: Signer) -> None:
        session = place.session("auto")
        request = place.turn(session).request
        receipt = stranger.answered(request.body, "It is 6.")
        place.write(shown(receipt))
        asked: list[Receipt] = []

        def registered(answer: bool) -> Callable[[Receipt], bool]:
            return lambda one: bool(asked.append(one) or answer)  # type: ignore[func-returns-value]

        sources = [session.ledger.recordings, NotebookRecordings(lambda: [place.file])]
        assert Replays(sources, registered(False)).find(request, in_place_of_paying=True) is None
        assert Replays(sources).find(request, in_place_of_paying=True) is None
        found = Replays(sources, registered(True)).find(request, in_place_of_paying=True)
        assert found is not None
        assert found.receipt.enclave_ok is True
        asked.clear()
        shown_only = Replays(sources, registered(True)).find(request)
        assert shown_only is not None
        assert shown_only.receipt.enclave_ok is None
        assert asked == []  # where nothing is paid, no network is asked

    def test_an_unsigned_answer_never_stands_in_place_of_a_paid_one(self, place: Place, stranger: Signer) -> None:
        session = place.session("auto")
        request = place.turn(session).request
        receipt = replace(stranger.answered(request.body, "It is 6."), tee_signature=None, enclave_ok=True)
        place.write(shown(receipt))
        sources = [NotebookRecordings(lambda: [place.file])]
        assert Replays(sources, lambda _: True).find(request, in_place_of_paying=True) is None


class TestFunctions:
    def turn_of(self, place: Place, session: Session, stranger: Signer) -> tuple[Receipt, Receipt]:
        body = place.body(session, tools=[add])
        first = stranger.answered(body, "", [call("add", '{"a": 2, "b": 3}')])
        result = {"role": "tool", "tool_call_id": "call_1", "content": "5"}
        return first, stranger.answered(going_on(body, first, result), "It is 5.", turn=first.receipt_id)

    def test_results_are_replayed_and_no_function_is_called(self, place: Place, stranger: Signer) -> None:
        session = place.session()
        place.write(turn_bundle(self.turn_of(place, session, stranger), "It is 5.", lambda _: ""))
        assert place.ask(session, tools=[add]).text == "It is 5."
        assert CALLED == []

    @pytest.mark.parametrize("mode", ["only", "auto"])
    def test_where_a_result_is_missing_it_stops_and_calls_nothing(
        self, place: Place, stranger: Signer, mode: str
    ) -> None:
        session = place.session(mode)
        first, _ = self.turn_of(place, session, stranger)
        _served(session.ledger, place.turn(session, tools=[add]).request, first)
        with pytest.raises(NotRecorded, match=r"add.*results are not recorded.*Nothing was paid"):
            place.ask(session, tools=[add])
        assert CALLED == []

    def test_a_forged_call_in_a_file_calls_nothing(self, place: Place, stranger: Signer) -> None:
        session = place.session()
        body = place.body(session, tools=[add])
        forged = stranger.answered(body, "", [call("add", '{"a": 666, "b": 1}')])
        place.write(shown(forged))
        with pytest.raises(NotRecorded, match="calls none"):
            place.ask(session, tools=[add])
        assert CALLED == []

    def test_a_files_results_are_not_paid_for(self, place: Place, stranger: Signer) -> None:
        """In place of paying, results of a file come with a signature of a known key, or not at all."""
        session = place.session("auto")
        first, second = self.turn_of(place, session, stranger)
        request = place.turn(session, tools=[add]).request
        place.write(turn_bundle((first, second), "It is 5.", lambda _: ""))
        sources = [NotebookRecordings(lambda: [place.file])]
        known = Replays(sources, lambda _: True)
        assert len(known.messages_after(first, request, in_place_of_paying=True)) == 1
        unknown = Replays(sources, lambda _: False)
        assert unknown.messages_after(first, request, in_place_of_paying=True) == []
        assert len(unknown.messages_after(first, request)) == 1


def _served(ledger: Ledger, request: ChatRequest, receipt: Receipt) -> None:
    """Write an answer into the ledger, as a call that was paid does."""
    from tests.unit.ledger.conftest import Verdict

    receipt_id = ledger.open(request, "devnet", receipt.time)
    names = ("text", "finish_reason", "tee_id", "tee_signature", "tee_timestamp", "tool_calls")
    outcome = Outcome(
        **{name: getattr(receipt, name) for name in names},
        tee_request_hash=receipt.request_hash,
        tee_output_hash=receipt.output_hash,
        enclave=Enclave("https://gateway.example", public_key=bytes.fromhex(receipt.public_key)),
    )
    ledger.serve(receipt_id, outcome, cost_usd=None, weight=1, enclave=Verdict())


def test_a_recording_is_not_the_notebooks_own_unless_a_ledger_says_so(place: Place, stranger: Signer) -> None:
    session = place.session()
    receipt = stranger.answered(place.body(session), "It is 5.")
    assert Recording(receipt, place.turn(session).request.execution).own is False
