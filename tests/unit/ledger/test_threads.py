"""Threads: where turns go, and that nothing is lost or mixed up."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from og_magics.core.cell_context import CellExecution
from og_magics.core.errors import ConfigError
from og_magics.ledger import KeptTurn, Ledger, place_of

from ...conftest import examples
from .conftest import by_hand

NO_CELL = CellExecution("", "", "")


def kept(text: str, execution: CellExecution = NO_CELL, number: int = 0, **changes: Any) -> KeptTurn:
    messages = ({"role": "user", "content": text}, {"role": "assistant", "content": f"{text}!"})
    values: dict[str, Any] = {"time": 1.5, "tokens": 10, "messages": messages, "receipts": ("01",)}
    return KeptTurn(execution, number, **values | changes)


def texts(ledger: Ledger, name: str = "t") -> list[str]:
    return [turn.messages[0]["content"] for turn in ledger.threads.turns(name)]


def keep(ledger: Ledger, turn: KeptTurn, name: str = "t") -> None:
    thread, _ = ledger.threads.find(name)
    ledger.threads.keep(name, thread, turn)


def a_run(cell: str, run: str = "1", source: str = "s#1") -> CellExecution:
    return CellExecution(run, f"cell:{cell}", source)


class TestPlaces:
    def test_what_no_cell_asked_goes_to_the_end(self) -> None:
        assert place_of([], NO_CELL, 0) == (0, False)
        assert place_of([kept("a"), kept("b", a_run("x"))], NO_CELL, 0) == (2, False)

    def test_a_cell_takes_the_place_of_its_own_turn(self) -> None:
        turns = [kept("a", a_run("a")), kept("b", a_run("b")), kept("c", a_run("c"))]
        assert place_of(turns, a_run("b", "2", "other#1"), 0) == (1, True)
        assert place_of(turns, a_run("d"), 0) == (3, False)

    def test_a_cell_that_asks_more_puts_it_behind_its_other_turns(self) -> None:
        turns = [kept("a0", a_run("a")), kept("a2", a_run("a"), 2), kept("b", a_run("b"))]
        assert place_of(turns, a_run("a", "2"), 1) == (1, False)
        assert place_of(turns, a_run("a", "2"), 3) == (2, False)
        assert place_of(turns[1:], a_run("a", "2"), 0) == (0, False)

    @pytest.mark.parametrize(
        ("was", "runs", "same"),
        [
            ("cell:a", "cell:b", False),  # two cells with one text
            ("cell:a", "", True),  # headless, after a session with a front end
            ("", "cell:a", True),  # the other way round
            ("", "", True),
            ("8f3e:vscode#W1", "9a2b:vscode#W1", True),  # another session of VS Code, which counts anew
            ("8f3e:vscode#W1", "8f3e:vscode#W2", False),
            ("8f3e:vscode#W1", "cell:a", True),
        ],
    )
    def test_by_its_text_a_cell_is_known_only_where_its_id_cannot_tell(self, was: str, runs: str, same: bool) -> None:
        turns = [
            kept("a", CellExecution("1", was, "text#1")),
            kept("b", CellExecution("1", was and f"{was}0", "else#1")),
        ]
        assert place_of(turns, CellExecution("2", runs, "text#1"), 0) == ((0, True) if same else (2, False))
        assert place_of(turns, CellExecution("2", runs, "text#2"), 0) == (2, False)


class TestKeeping:
    def test_a_turn_comes_back_as_it_was(self, ledger: Ledger) -> None:
        call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        messages = (
            {"role": "user", "content": "half \ud83d"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
        )
        turn = kept("", a_run("a"), 3, messages=messages, receipts=("01", "02"))
        keep(ledger, turn)
        ledger.close()
        assert ledger.threads.turns("t") == [turn]

    def test_the_turns_that_a_cell_asks_no_more_go_with_the_first_that_it_asks_anew(self, ledger: Ledger) -> None:
        for number in range(3):
            keep(ledger, kept(f"a{number}", a_run("a"), number))
        keep(ledger, kept("b", a_run("b")))
        keep(ledger, kept("new", a_run("a", "2")))
        assert texts(ledger) == ["new", "b"]

    def test_what_is_asked_at_once_stands_in_the_order_in_which_it_was_asked(self, ledger: Ledger) -> None:
        for run in ("1", "2"):
            for number in (3, 0, 2, 1):
                keep(ledger, kept(f"{run}.{number}", a_run("a", run), number))
            assert texts(ledger) == [f"{run}.{number}" for number in range(4)]

    @settings(max_examples=examples(30), deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 3), st.permutations(range(3))), max_size=6))
    def test_however_cells_are_run_each_has_the_turns_of_its_last_run_together_and_in_its_place(
        self, runs: list[tuple[int, int, list[int]]]
    ) -> None:
        last: dict[int, list[str]] = {}
        with tempfile.TemporaryDirectory() as folder, Ledger(Path(folder) / "l.db") as ledger:
            for run, (cell, count, order) in enumerate(runs):
                for number in order:  # in which they were answered
                    if number < count:
                        keep(ledger, kept(f"{run}.{number}", a_run(f"{cell}", f"{run}"), number))
                last[cell] = [f"{run}.{number}" for number in range(count)]
                assert texts(ledger) == [text for turns in last.values() for text in turns]

    def test_a_thread_that_was_renamed_meanwhile_gets_the_turn_under_its_new_name(self, ledger: Ledger) -> None:
        keep(ledger, kept("one"))
        thread, _ = ledger.threads.find("t")
        ledger.threads.rename("t", "u")
        ledger.threads.keep("t", thread, kept("two"))
        assert texts(ledger, "u") == ["one", "two"]
        assert [one.name for one in ledger.threads.all()] == ["u"]

    def test_a_thread_that_was_deleted_meanwhile_begins_anew(self, ledger: Ledger) -> None:
        keep(ledger, kept("one"))
        thread, _ = ledger.threads.find("t")
        ledger.threads.delete("t")
        ledger.threads.keep("t", thread, kept("two"))
        assert texts(ledger) == ["two"]

    def test_it_is_no_part_of_the_journal(self, ledger: Ledger) -> None:
        head = ledger.head()
        keep(ledger, kept("one"))
        assert ledger.head() == head
        assert ledger.audit().ok

    def test_many_threads_of_a_process_lose_nothing(self, ledger: Ledger) -> None:
        def work(who: int) -> None:
            for number in range(10):
                keep(ledger, kept(f"{who}.{number}", a_run(f"{who}"), number))

        workers = [threading.Thread(target=work, args=(who,)) for who in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        found = texts(ledger)
        assert len(found) == 40
        assert found == [f"{who}.{number}" for who in dict.fromkeys(text[0] for text in found) for number in range(10)]

    def test_a_process_that_is_killed_while_it_writes_leaves_whole_turns(self, tmp_path: Path) -> None:
        path = tmp_path / "killed.db"
        program = f"""
import sys
from og_magics.ledger import KeptTurn, Ledger
from og_magics.core.cell_context import CellExecution
ledger = Ledger({str(path)!r})
number = 0
while True:
    text = "x" * 10_000
    turn = KeptTurn(CellExecution("1", "cell:a", "s#1"), number % 7, 1.0, 1, ({{"role": "user", "content": text}},) * 2, ())
    ledger.threads.keep("t", "", turn)
    number += 1
    if number == 20:
        print("well on its way", flush=True)
"""
        child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
        assert child.stdout is not None
        assert child.stdout.readline()
        os.kill(child.pid, signal.SIGKILL)
        child.communicate()
        with Ledger(path) as ledger:
            turns = ledger.threads.turns("t")
            assert [turn.number for turn in turns] == list(range(7))
            assert all(len(turn.messages) == 2 for turn in turns)
            keep(ledger, kept("and on"))
            assert len(texts(ledger)) == 8


class TestManaging:
    def test_the_last_used_comes_first(self, ledger: Ledger) -> None:
        for name in ("a", "b", "a"):
            keep(ledger, kept("x"), name)
        (first, second) = ledger.threads.all()
        assert (first.name, first.turns, first.tokens) == ("a", 2, 20)
        assert (second.name, second.turns, second.tokens) == ("b", 1, 10)

    def test_a_fork_has_the_first_turns_and_both_go_on_alone(self, ledger: Ledger) -> None:
        for text in ("a", "b", "c"):
            keep(ledger, kept(text, a_run(text)))
        assert ledger.threads.fork("t", "u", 2) == 2
        assert ledger.threads.fork("t", "whole") == 3
        assert ledger.threads.fork("t", "more", 99) == 3
        keep(ledger, kept("b again", a_run("b", "2")), "u")
        assert texts(ledger, "u") == ["a", "b again"]
        assert texts(ledger) == texts(ledger, "whole") == ["a", "b", "c"]

    def test_a_reset_empties_it_and_its_name_stays(self, ledger: Ledger) -> None:
        keep(ledger, kept("a"))
        assert ledger.threads.reset("t") == 1
        assert texts(ledger) == []

    def test_what_is_not_there_is_told_with_what_was_probably_meant(self, ledger: Ledger) -> None:
        keep(ledger, kept("a"), "research")
        with pytest.raises(ConfigError, match=r"no thread 'reserch'\. Did you mean 'research'"):
            ledger.threads.turns("reserch")
        for change in (ledger.threads.reset, ledger.threads.delete):
            with pytest.raises(ConfigError, match=r"no thread 'x'"):
                change("x")

    def test_a_name_that_is_taken_is_refused_and_nothing_changes(self, ledger: Ledger) -> None:
        keep(ledger, kept("a"))
        keep(ledger, kept("b"), "u")
        for change in (ledger.threads.rename, ledger.threads.fork):
            with pytest.raises(ConfigError, match="a thread 'u' already"):
                change("t", "u")
        assert (texts(ledger), texts(ledger, "u")) == (["a"], ["b"])

    def test_deleting_removes_its_turns_from_the_file(self, ledger: Ledger) -> None:
        keep(ledger, kept("a"))
        ledger.threads.delete("t")
        with by_hand(ledger) as connection:
            assert connection.execute("SELECT count(*) FROM turns").fetchone() == (0,)
