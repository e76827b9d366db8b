"""A ledger copied from a file to a server, back, and between two of a kind."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from og_magics.cli import main
from og_magics.core.cell_context import CellExecution
from og_magics.core.errors import LedgerError
from og_magics.ledger import KeptTurn, Ledger, receipts_frame
from og_magics.ledger.copying import copy_ledger

from ...postgres import Server
from .conftest import by_hand

PLACES = ["file", pytest.param("server", marks=pytest.mark.ci)]


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str, str], str]:
    """Names a place of a kind."""

    def make(kind: str, name: str) -> str:
        server: Server | None = request.getfixturevalue("postgres") if kind == "server" else None
        return str(tmp_path / f"{name}.db") if server is None else server.url()

    return make


def fill(ledger: Ledger, make: Any) -> None:
    """A ledger with something in each table, and odd texts."""
    for number in range(1, 8):
        make.served(ledger, make.authorization(number))
    ledger.settle(make.settlement(make.authorization(1), 1000))
    ledger.settle(make.settlement(make.authorization(2), 5, number=9), final=True)
    ledger.unsettle(make.authorization(1).hash, make.block())
    ledger.expire(make.authorization(3).hash, make.block())
    odd = ledger.open(make.question("naïve \x00 \x1a0 😀"), "devnet", 1.5)
    outcome = make.outcome(text="\x00\x1a1 end", attestation=b"\x00\xff document")
    ledger.serve(odd, outcome, cost_usd="0", weight=2**70, enclave=make.verdict)
    ledger.recordings.keep(odd, [(0.1, "\x00\x1a1 end")], ["data:image/png;base64,AA=="])
    for name in ("a", "b\x00"):
        for number in range(3):
            turn = KeptTurn(
                CellExecution("run", "cell:x", ""), number, time.time(), 3, ({"role": "user", "content": "q"},), (odd,)
            )
            ledger.threads.keep(name, ledger.threads.find(name)[0], turn)


@pytest.mark.parametrize("target", PLACES)
@pytest.mark.parametrize("source", PLACES)
def test_all_of_it_is_there_and_goes_on(source: str, target: str, place: Callable[[str, str], str], make: Any) -> None:
    with Ledger(place(source, "source")) as held, Ledger(place(target, "target")) as made:
        fill(held, make)
        copied = copy_ledger(held, made)
        assert copied.head == held.head() == made.head()
        assert made.receipts() == held.receipts()
        assert receipts_frame(made.receipts()).equals(receipts_frame(held.receipts()))
        assert [one.hash for one in made.pending()] == [one.hash for one in held.pending()]
        assert made.committed("eip155:84532") == held.committed("eip155:84532")
        for name in ("a", "b\x00"):
            assert made.threads.find(name)[1] == held.threads.find(name)[1]
            assert all(turn.own for turn in made.threads.find(name)[1])
        assert made.foreign() == held.foreign()
        hashes = [receipt.attestation_hash for receipt in held.receipts() if receipt.attestation_hash]
        assert made.attestations(hashes) == held.attestations(hashes) != {}
        made.check_money()
        make.served(made, make.authorization(99))
        made.threads.keep("a", made.threads.find("a")[0], held.threads.find("a")[1][0])
        assert made.audit(expected_head=copied.head).ok


@pytest.mark.parametrize("target", PLACES)
@pytest.mark.parametrize("source", PLACES)
class TestRefused:
    def test_a_place_that_holds_something(
        self, source: str, target: str, place: Callable[[str, str], str], make: Any
    ) -> None:
        with Ledger(place(source, "source")) as held, Ledger(place(target, "target")) as made:
            fill(held, make)
            make.opened(made)
            head = made.head()
            with pytest.raises(LedgerError, match="already"):
                copy_ledger(held, made)
            assert made.head() == head

    def test_a_source_that_was_changed_by_hand(
        self, source: str, target: str, place: Callable[[str, str], str], make: Any
    ) -> None:
        with Ledger(place(source, "source")) as held, Ledger(place(target, "target")) as made:
            fill(held, make)
            with by_hand(held) as connection:
                connection.execute("UPDATE receipts SET text = 'x' WHERE weight = '1'")
            with pytest.raises(LedgerError, match="7 things differ"):
                copy_ledger(held, made)
            assert made.receipts() == []


def test_a_ledger_is_not_copied_onto_itself(place: Callable[[str, str], str], make: Any) -> None:
    with Ledger(place("file", "source")) as held:
        fill(held, make)
        with pytest.raises(LedgerError, match="source and target"):
            copy_ledger(held, held)


@pytest.mark.ci
def test_a_copy_that_the_server_does_not_keep_as_it_was_is_none(place: Callable[[str, str], str], make: Any) -> None:
    with Ledger(place("file", "source")) as held, Ledger(place("server", "target")) as made:
        fill(held, make)
        made.head()
        with by_hand(made) as connection:
            connection.execute(
                "CREATE FUNCTION less() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.cap = ''1''; RETURN NEW; END'"
            )
            connection.execute(
                "CREATE TRIGGER less BEFORE INSERT ON authorizations FOR EACH ROW EXECUTE FUNCTION less()"
            )
        with pytest.raises(LedgerError, match="did not keep"):
            copy_ledger(held, made)
        assert (made.receipts(), made.head()[0]) == ([], 0)


@pytest.mark.ci
def test_the_command_says_what_it_copied_and_no_password(
    place: Callable[[str, str], str], make: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    source, target = place("file", "source"), place("server", "target")
    with Ledger(source) as held:
        fill(held, make)
        length, head = held.head()
    assert main(["ledger", "copy", source, target]) == 0
    said = capsys.readouterr().out
    assert "8 receipts, 7 authorizations, 2 conversations" in said
    assert f"{length} entries" in said
    assert head in said
    assert "s3cret" not in said
    assert main(["ledger", "copy", source, target]) == 1
    assert "already" in capsys.readouterr().err
    assert main(["ledger", "copy", "/nowhere.db", target]) == 1


def test_without_the_driver_a_url_is_refused_in_plain_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(LedgerError, match="need the package psycopg") as caught, Ledger("postgresql://h/db") as ledger:
        ledger.receipts()
    assert "nothing was paid" in caught.value.money
    assert "og_magics[postgres]" in caught.value.remedy
