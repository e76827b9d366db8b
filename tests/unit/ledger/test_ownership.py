"""A ledger of somebody else, or of before there were marks: what of it is believed to be one's own."""

from __future__ import annotations

import json
import shutil
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from og_magics.conversation import Threads
from og_magics.core.cell_context import CellExecution
from og_magics.core.recording import request_fingerprint
from og_magics.ledger import KeptTurn, Ledger
from og_magics.ledger.owner_key import NAME

from .conftest import by_hand

Move = Callable[[], None]


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Move:
    """Goes on as another user, on another machine: with another state directory."""
    from og_magics.core import environment

    def move() -> None:
        home = tmp_path / "another machine"
        monkeypatch.setattr(environment, "AT_IMPORT", {**environment.AT_IMPORT, "XDG_STATE_HOME": str(home)})
        monkeypatch.setenv("XDG_STATE_HOME", str(home))

    return move


def key_of(question: Any) -> str:
    return request_fingerprint(question.path, question.model, question.body)


def turn_of(text: str) -> KeptTurn:
    said = ({"role": "user", "content": text}, {"role": "assistant", "content": "42"})
    return KeptTurn(CellExecution("run", f"cell:{text}", ""), 0, 1.0, 9, said, ("r1",))


def recorded(ledger: Ledger, make: Any) -> list[bool]:
    return [one.own for one in ledger.recordings.recorded(key_of(make.question()))]


def test_what_is_written_here_is_ones_own_in_the_next_process_too(
    ledger: Ledger, make: Any, state_folder: Path
) -> None:
    make.served(ledger, make.authorization())
    ledger.threads.keep("talk", "", turn_of("one"))
    ledger.close()
    with Ledger(ledger.path) as again:
        assert recorded(again, make) == [True]
        assert [turn.own for turn in again.threads.find("talk")[1]] == [True]
        assert again.note() == ""
    assert stat.S_IMODE((state_folder / NAME).stat().st_mode) == 0o600


def test_a_folder_from_elsewhere_is_nobodys_and_said_once(ledger: Ledger, make: Any, elsewhere: Move) -> None:
    make.served(ledger, make.authorization())
    ledger.recordings.keep(ledger.receipts()[0].receipt_id, [], ["data:image/png;base64,AA=="])
    ledger.threads.keep("talk", "", turn_of("one"))
    ledger.close()
    elsewhere()
    with Ledger(ledger.path) as downloaded:
        (found,) = downloaded.recordings.recorded(key_of(make.question()))
        assert (found.own, found.images, found.receipt.text) == (False, (), "42")
        assert downloaded.recordings.knows(found.receipt) is False
        assert [turn.own for turn in downloaded.threads.find("talk")[1]] == [False]
        assert len(downloaded.threads.turns("talk")) == 1
        assert "og-magics receipts --adopt" in downloaded.note()
        assert downloaded.note() == ""
        downloaded.threads.keep("talk", "", turn_of("two"))
        assert [turn.own for turn in downloaded.threads.find("talk")[1]] == [False, True]
        downloaded.threads.fork("talk", "copy")
        assert [turn.own for turn in downloaded.threads.find("copy")[1]] == [False, True]


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE receipts SET text = '43'",
        "UPDATE receipts SET tool_calls = '[]'",
        "UPDATE receipts SET enclave_ok = 1, tee_id = '0xother'",
        "UPDATE receipts SET request = replace(request, '6 * 7', '6 * 8')",
        "UPDATE receipts SET gateway_notes = '{\"citations\":[]}'",
        "UPDATE recordings SET mark = NULL",
        "UPDATE recordings SET mark = '1:' || mark",
        "UPDATE recordings SET mark = 'ä'",
    ],
)
def test_an_answer_that_was_edited_is_not_ones_own(ledger: Ledger, make: Any, edit: str) -> None:
    make.served(ledger, make.authorization())
    assert recorded(ledger, make) == [True]
    with by_hand(ledger) as file:
        file.execute(edit)
    assert not any(recorded(ledger, make))


def test_an_own_answer_does_not_answer_another_question(ledger: Ledger, make: Any) -> None:
    make.served(ledger, make.authorization())
    other = make.question("Another question?")
    with by_hand(ledger) as file:
        file.execute("UPDATE recordings SET key = ?", (key_of(other),))
    assert ledger.recordings.recorded(key_of(other)) == []


@pytest.mark.parametrize("column", ["messages", "receipts", "cell", "thread"])
def test_a_turn_that_was_edited_is_not_sent(ledger: Ledger, make: Any, column: str) -> None:
    ledger.threads.keep("talk", "", turn_of("one"))
    ledger.threads.keep("other", "", turn_of("two"))
    edits = {
        "messages": """replace(messages, 'one', 'obey')""", "receipts": """'["r2"]'""", "cell": "'cell:x'",
        "thread": "(SELECT id FROM threads WHERE name = 'other')",
    }  # fmt: skip
    with by_hand(ledger) as file:
        file.execute(f"UPDATE turns SET {column} = {edits[column]} WHERE cell = 'cell:one'")
    turns = ledger.threads.find("other" if column == "thread" else "talk")[1]
    assert False in [turn.own for turn in turns]


class TestBeforeThereWereMarks:
    """Ledgers that an earlier version wrote: without marks, and known to the wallet's file or not."""

    def forget_marks(self, ledger: Ledger, wallet: Path, *, known: bool) -> None:
        with by_hand(ledger) as file:
            file.execute("UPDATE recordings SET mark = NULL")
            file.execute("UPDATE turns SET mark = NULL")
            head = file.execute("SELECT seq, hash FROM journal WHERE kind = 'authorized'").fetchone()
        wallet.parent.mkdir(parents=True, exist_ok=True)
        with sqlite3.connect(wallet) as file:
            file.execute("PRAGMA application_id = 0x6F677762")
            file.execute("CREATE TABLE checkpoints (path TEXT, length INTEGER, head TEXT, key TEXT, digest TEXT)")
            if known:
                file.execute("INSERT INTO checkpoints VALUES ('old path', ?, ?, '', '')", head)

    def said(self, make: Any, receipt_id: str) -> KeptTurn:
        asked = make.question().body["messages"][-1]
        messages = (asked, {"role": "assistant", "content": "42"})
        return KeptTurn(CellExecution("run", "cell:x", ""), 0, 1.0, 9, messages, (receipt_id,))

    def test_one_that_the_wallets_file_knows_goes_on(self, ledger: Ledger, make: Any, state_folder: Path) -> None:
        receipt_id = make.served(ledger, make.authorization())
        ledger.threads.keep("talk", "", self.said(make, receipt_id))
        ledger.threads.keep("forged", "", turn_of("one"))
        ledger.close()
        self.forget_marks(ledger, state_folder / "wallets.db", known=True)
        with Ledger(ledger.path) as again:
            assert recorded(again, make) == [True]
            assert [turn.own for turn in again.threads.find("talk")[1]] == [True]
            assert again.note() == ""
            assert [turn.own for turn in again.threads.find("forged")[1]] == [False]
        with by_hand(ledger) as file:
            assert file.execute("SELECT count(*) FROM recordings WHERE mark IS NULL").fetchone() == (0,)

    def test_one_that_it_does_not_know_asks_to_be_adopted(self, ledger: Ledger, make: Any, state_folder: Path) -> None:
        make.served(ledger, make.authorization())
        ledger.close()
        self.forget_marks(ledger, state_folder / "wallets.db", known=False)
        with Ledger(ledger.path) as again:
            assert recorded(again, make) == [False]
            assert "--adopt" in again.note()

    def test_a_known_one_that_was_edited_is_not_believed(self, ledger: Ledger, make: Any, state_folder: Path) -> None:
        make.served(ledger, make.authorization())
        ledger.close()
        self.forget_marks(ledger, state_folder / "wallets.db", known=True)
        with by_hand(ledger) as file:
            file.execute("UPDATE receipts SET text = '43'")
        with Ledger(ledger.path) as again:
            assert recorded(again, make) == [False]

    def test_to_pay_in_a_strangers_ledger_makes_its_answers_nobodys_own(
        self, ledger: Ledger, make: Any, state_folder: Path
    ) -> None:
        make.served(ledger, make.authorization())
        ledger.close()
        self.forget_marks(ledger, state_folder / "wallets.db", known=False)
        with sqlite3.connect(state_folder / "wallets.db") as file:
            file.execute("CREATE TABLE before_marks AS SELECT length, head FROM checkpoints")
            with by_hand(ledger) as held:
                head = held.execute("SELECT seq, hash FROM journal ORDER BY seq DESC").fetchone()
            file.execute("INSERT INTO checkpoints VALUES (?, ?, ?, '', '')", (str(ledger.path), *head))
        with Ledger(ledger.path) as again:
            assert recorded(again, make) == [False]


def test_what_the_spool_held_is_ones_own_unless_it_was_edited(
    ledger: Ledger, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from og_magics.ledger import file, server_file, spool

    for one in (file, server_file):
        monkeypatch.setattr(one, "SHORT_WAIT", 0.0)
    ids = [make.opened(ledger), make.opened(ledger)]
    with by_hand(ledger) as holder:
        holder.execute("BEGIN IMMEDIATE")
        for receipt_id in ids:
            make.serve(ledger, receipt_id)
    edited = next(ledger.path.parent.glob(f"*-spool.*.{ids[1]}.end"))
    entry = json.loads(edited.read_text())
    entry["ended"]["text"] = "43"
    edited.write_text(json.dumps(entry))
    ledger.close()
    ledger._file.spool = spool.Spool()  # another process, which has nothing but the files
    assert recorded(ledger, make) == [True, False]


def test_a_machine_that_keeps_no_key_knows_what_it_wrote_in_this_process(
    ledger: Ledger, make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from og_magics.core import environment

    (tmp_path / "a file").touch()
    monkeypatch.setattr(
        environment, "AT_IMPORT", {**environment.AT_IMPORT, "OG_STATE_DIR": str(tmp_path / "a file" / "x")}
    )
    make.served(ledger, make.authorization())
    assert recorded(ledger, make) == [True]


def test_a_copy_of_the_folder_on_the_same_machine_is_ones_own(ledger: Ledger, make: Any, tmp_path: Path) -> None:
    make.served(ledger, make.authorization())
    ledger.close()
    shutil.copytree(ledger.path.parent, tmp_path / "moved" / ".og")
    with Ledger(tmp_path / "moved" / ".og" / ledger.path.name) as moved:
        assert recorded(moved, make) == [True]


def test_what_is_adopted_is_named_first_and_is_ones_own_after_a_yes(
    ledger: Ledger, make: Any, elsewhere: Move, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from og_magics.cli import main

    make.served(ledger, make.authorization())
    ledger.threads.keep("talk\x1b[31m", "", turn_of("one"))
    ledger.close()
    adopt = ["receipts", "--adopt", "--ledger", str(ledger.path)]
    assert main(adopt) == 0
    assert "nothing to adopt" in capsys.readouterr().out
    elsewhere()
    monkeypatch.setattr("builtins.input", lambda _: "n")
    assert main(adopt) == 1
    said = capsys.readouterr().out
    assert "answers: 1, of 2027-01-15 to" in said or "answers: 1, of 1970" in said
    assert "openai/gpt-5: 1" in said
    assert "\x1b" not in said
    assert recorded(ledger, make) == [False]
    monkeypatch.setattr("builtins.input", lambda _: "y")
    assert main(adopt) == 0
    ledger.close()
    assert recorded(ledger, make) == [True]
    assert [turn.own for turn in ledger.threads.find("talk\x1b[31m")[1]] == [True]


def test_a_question_in_a_thread_from_elsewhere_sends_only_what_was_said_here(
    ledger: Ledger, make: Any, elsewhere: Move
) -> None:
    ledger.threads.keep("talk", "", turn_of("their words"))
    ledger.close()
    elsewhere()
    threads = Threads(lambda: ledger)
    ledger.threads.keep("talk", "", turn_of("my words"))
    sent, _ = threads.place("talk", make.question("And now?"), 10_000)
    assert [one["content"] for one in sent.body["messages"]] == ["my words", "42", "And now?"]
    assert len(threads.show("talk")) == 2
