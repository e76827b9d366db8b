"""Which notebook a file is: after a rename, a move, a copy, and where a new file has an old name."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from og_magics.core.cell_context import CellExecution, set_cell_provider
from og_magics.core.front_end import RunningNotebook
from og_magics.core.receipt import MIME
from og_magics.core.settings import Settings
from og_magics.ledger import KeptTurn, Ledger, ledger_of, notebook_ledger
from og_magics.ledger.notebook_index import Relation, Tie, identify, relation

from ...conftest import examples

_SAME, _RENAMED, _COPY, _NEW = Relation.SAME, Relation.RENAMED, Relation.COPY, Relation.NONE


@pytest.mark.parametrize(
    ("what", "saved", "tie", "expected"),
    [
        ("the kernel was restarted", True, Tie(kernel=True, name=True), _SAME),
        ("the kernel was restarted after a rename, a new file has the old name", True, Tie(kernel=True), _RENAMED),
        ("opened again", True, Tie(receipts=True, file=True, name=True), _SAME),
        ("renamed", True, Tie(receipts=True, file=True), _RENAMED),
        ("renamed, and a copy left under the old name", True, Tie(receipts=True, file=True, unchanged=True), _RENAMED),
        ("a copy in the place, on the disk, that its original had", True,
         Tie(receipts=True, file=True, elsewhere=True), _COPY),
        ("the same without outputs", True, Tie(file=True, cells=True, elsewhere=True), _COPY),
        ("saved as a new file, or restored", True, Tie(receipts=True, name=True), _SAME),
        ("moved over disks, or cloned", True, Tie(receipts=True), _RENAMED),
        ("a copy", True, Tie(receipts=True, elsewhere=True), _COPY),
        ("a copy under the old name of the renamed", True, Tie(receipts=True, name=True, elsewhere=True), _COPY),
        ("outputs taken out in place", True, Tie(file=True, name=True, cells=True), _SAME),
        ("asked and not saved since", True, Tie(file=True, name=True, unchanged=True), _SAME),
        ("renamed without outputs", True, Tie(file=True, cells=True), _RENAMED),
        ("renamed before it was saved", True, Tie(file=True, unchanged=True), _RENAMED),
        ("a new file in the place of a deleted one", True, Tie(file=True, name=True), _NEW),
        ("replaced by the same without outputs", True, Tie(name=True, cells=True), _SAME),
        ("renamed, and checked out anew without outputs", True, Tie(name=True, cells=True, elsewhere=True), _COPY),
        ("a new file of an old name", True, Tie(name=True), _NEW),
        ("a new file of the name of a renamed one", True, Tie(name=True, elsewhere=True), _NEW),
        ("another notebook with the same cells, from one template", True, Tie(cells=True), _NEW),
        ("another notebook", True, Tie(), _NEW),
        ("not on this disk, under a name that was used", False, Tie(name=True), _SAME),
        ("not on this disk", False, Tie(), _NEW),
    ],
)  # fmt: skip
def test_what_follows_from_the_evidence(what: str, saved: bool, tie: Tie, expected: Relation) -> None:
    assert relation(tie, saved=saved) is expected, what


def test_nothing_but_the_kernel_or_receipts_or_cells_ties_two_files() -> None:
    for bits in itertools.product((False, True), repeat=3):
        name, elsewhere, file = bits
        assert relation(Tie(name=name, elsewhere=elsewhere, file=file), saved=True) is _NEW


class Desk:
    """A folder with notebooks, and kernels that ask in them. Nothing is kept between two kernels but the files."""

    def __init__(self, folder: Path, make: Any) -> None:
        self.folder, self.make, self.settings = folder, make, Settings()
        self._count = itertools.count(1)

    def write(self, name: str, *cells: str, receipts: tuple[str, ...] = (), ids: bool = True) -> Path:
        """Write a notebook as a front end does: in place. Each cell's id is its text."""
        outputs = [{"output_type": "display_data", "data": {MIME: {"receipt_id": one}}} for one in receipts]
        form = [
            {"cell_type": "code", "source": f"ask {text}", "outputs": outputs if not n else []}
            | ({"id": text} if ids else {})
            for n, text in enumerate(cells)
        ]
        path = self.folder / name
        path.write_text(json.dumps({"cells": form, "nbformat": 4, "nbformat_minor": 5, "metadata": {}}))
        stamp = 1_700_000_000 + next(self._count)
        os.utime(path, (stamp, stamp))
        return path

    def kernel(self, name: str | None, kernel: str = "") -> Ledger:
        """Start a kernel; return its ledger."""
        path = None if name is None else self.folder / name
        running = RunningNotebook(path, kernel or f"kernel {next(self._count)}")
        return notebook_ledger(self.settings, running)

    def ask(self, name: str | None, text: str, kernel: str = "", cell: str = "") -> str:
        """Start a kernel, ask one question in thread "plan", and return its receipt's id."""
        if cell:
            set_cell_provider(None, run=lambda: CellExecution("run", f"cell:{cell}", ""))
        with self.kernel(name, kernel) as ledger:
            receipt = self.make.opened(ledger)
            thread, _ = ledger.threads.find("plan")
            turn = KeptTurn(CellExecution("", "", ""), 0, 1.0, 1, ({"role": "user", "content": text},), (receipt,))
            ledger.threads.keep("plan", thread, turn)
        set_cell_provider(None)
        return str(receipt)

    def sends(self, name: str | None, kernel: str = "", thread: str = "plan") -> list[str]:
        """Return the earlier turns that a new kernel would send along."""
        with self.kernel(name, kernel) as ledger:
            return [turn.messages[0]["content"] for turn in ledger.threads.find(thread)[1]]

    def identity(self, name: str | None, kernel: str = "") -> Any:
        path = None if name is None else self.folder / name
        return identify(self.settings, RunningNotebook(path, kernel or f"kernel {next(self._count)}"))


@pytest.fixture
def desk(tmp_path: Path, make: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.chdir(tmp_path)
    yield Desk(tmp_path, make)
    set_cell_provider(None)


@pytest.fixture
def asked(desk: Desk) -> str:
    """The receipt of a question in a.ipynb, which is saved with it."""
    desk.write("a.ipynb", "one")
    receipt = desk.ask("a.ipynb", "secret")
    desk.write("a.ipynb", "one", receipts=(receipt,))
    return receipt


def test_a_renamed_notebook_goes_on(desk: Desk, asked: str) -> None:
    before = desk.identity("a.ipynb")
    os.rename(desk.folder / "a.ipynb", desk.folder / "b.ipynb")
    after = desk.identity("b.ipynb")
    assert (after.relation, after.id, after.ledger) == (_RENAMED, before.id, before.ledger)
    assert desk.sends("b.ipynb") == ["secret"]
    assert ledger_of(Settings(), desk.folder / "b.ipynb") == before.ledger
    desk.ask("b.ipynb", "more")
    assert desk.identity("b.ipynb").relation is _SAME


def test_its_receipts_carry_the_notebooks_id(desk: Desk, asked: str) -> None:
    with desk.kernel("a.ipynb") as ledger:
        (receipt,) = ledger.receipts()
        assert receipt.notebook_id == desk.identity("a.ipynb").id
        assert len(receipt.notebook_id) == 32
        assert receipt.to_json()["notebook_id"] == receipt.notebook_id
        assert ledger.audit().ok


def test_one_that_was_renamed_before_it_was_saved_goes_on_too(desk: Desk) -> None:
    desk.write("a.ipynb")
    desk.ask("a.ipynb", "secret", cell="c1")
    os.rename(desk.folder / "a.ipynb", desk.folder / "b.ipynb")
    assert desk.sends("b.ipynb") == ["secret"]


def test_one_whose_cell_was_first_saved_later_is_known_by_the_cells_id(desk: Desk) -> None:
    desk.write("a.ipynb")
    desk.ask("a.ipynb", "secret", cell="c1")
    desk.write("a.ipynb", "c1", "c2")
    assert desk.sends("a.ipynb") == ["secret"]


def test_a_folder_that_is_moved_with_its_ledgers_goes_on(desk: Desk, asked: str, tmp_path: Path) -> None:
    desk.ask(None, "in no notebook", kernel="k")
    new = tmp_path / "deep" / "down"
    new.mkdir(parents=True)
    for name in ("a.ipynb", ".og"):
        shutil.copytree(desk.folder / name, new / name) if name == ".og" else shutil.copy(desk.folder / name, new)
        shutil.rmtree(desk.folder / name) if name == ".og" else (desk.folder / name).unlink()
    desk.folder = new
    assert desk.sends("a.ipynb") == ["secret"]
    os.rename(new / "a.ipynb", new / "b.ipynb")
    assert desk.sends("b.ipynb") == ["secret"]


@pytest.mark.parametrize("saved", [True, False])
def test_a_new_file_of_the_name_of_a_renamed_one_is_new(desk: Desk, saved: bool) -> None:
    desk.write("Untitled.ipynb", "one")
    receipt = desk.ask("Untitled.ipynb", "secret")
    if saved:
        desk.write("Untitled.ipynb", "one", receipts=(receipt,))
    os.rename(desk.folder / "Untitled.ipynb", desk.folder / "report.ipynb")
    desk.write("Untitled.ipynb", "two")
    assert desk.identity("Untitled.ipynb").relation is _NEW
    assert desk.sends("Untitled.ipynb") == []
    desk.ask("Untitled.ipynb", "other")
    assert desk.sends("Untitled.ipynb") == ["other"]
    assert desk.sends("report.ipynb") == ["secret"]


@pytest.mark.parametrize("cells", [(), ("two",)])
def test_a_new_file_in_the_place_of_a_deleted_one_is_new(desk: Desk, asked: str, cells: tuple[str, ...]) -> None:
    desk.write("a.ipynb", *cells)  # written over: a new file gets the inode of a deleted one, as a rule
    assert desk.sends("a.ipynb") == []


@pytest.mark.parametrize("stripped", [True, False])
def test_a_copy_that_got_the_inode_of_its_original_is_a_copy(desk: Desk, asked: str, stripped: bool) -> None:
    os.rename(desk.folder / "a.ipynb", desk.folder / "b.ipynb")  # b has the inode that a had when it asked
    receipts = () if stripped else (asked,)
    desk.write("a.ipynb", "one", receipts=receipts)  # saved as a new file
    desk.write("b.ipynb", "one", receipts=receipts)  # and copied
    assert (desk.identity("b.ipynb").relation, desk.sends("b.ipynb")) == (_COPY, [])


def test_a_copy_has_its_own_threads_and_budget_and_can_read_those_of_the_original(desk: Desk, asked: str) -> None:
    shutil.copy(desk.folder / "a.ipynb", desk.folder / "a-Copy1.ipynb")
    copy = desk.identity("a-Copy1.ipynb")
    assert copy.relation is _COPY
    assert copy.id != desk.identity("a.ipynb").id
    assert desk.sends("a-Copy1.ipynb") == []
    desk.ask("a-Copy1.ipynb", "mine")
    assert desk.sends("a-Copy1.ipynb") == ["mine"]
    assert desk.sends("a.ipynb") == ["secret"]
    with desk.kernel("a-Copy1.ipynb") as ledger:
        assert sorted(one.name for one in ledger.threads.all()) == ["plan", "plan (from a)"]
        assert [turn.messages[0]["content"] for turn in ledger.threads.turns("plan (from a)")] == ["secret"]
        assert len(ledger.receipts()) == 1


def test_of_a_renamed_notebook_and_its_copy_under_the_old_name_the_first_goes_on(desk: Desk, asked: str) -> None:
    os.rename(desk.folder / "a.ipynb", desk.folder / "b.ipynb")
    shutil.copy(desk.folder / "b.ipynb", desk.folder / "a.ipynb")
    assert (desk.identity("a.ipynb").relation, desk.sends("a.ipynb")) == (_COPY, [])
    assert desk.sends("b.ipynb") == ["secret"]


@pytest.mark.parametrize("replaced", [True, False])
def test_a_notebook_without_its_outputs_is_the_same(desk: Desk, asked: str, replaced: bool) -> None:
    if replaced:
        (desk.folder / "kept").write_text("keeps the inode")
        os.link(desk.folder / "a.ipynb", desk.folder / "held")
        (desk.folder / "a.ipynb").unlink()
    desk.write("a.ipynb", "one", "two")
    assert desk.sends("a.ipynb") == ["secret"]


def test_without_cell_ids_it_is_known_by_its_texts(desk: Desk) -> None:
    desk.write("a.ipynb", "one", ids=False)
    desk.ask("a.ipynb", "secret")
    desk.write("a.ipynb", "one", "two", ids=False)
    assert desk.sends("a.ipynb") == ["secret"]
    desk.write("a.ipynb", "three", ids=False)
    assert desk.sends("a.ipynb") == []


def test_a_file_that_cannot_be_read_is_the_notebook_in_its_place(desk: Desk, asked: str) -> None:
    (desk.folder / "a.ipynb").write_text('{"cells": [<<<<<<< HEAD')
    assert desk.sends("a.ipynb") == ["secret"]


def test_a_restarted_kernel_is_the_same_whatever_name_it_was_started_with(desk: Desk) -> None:
    desk.write("Untitled.ipynb", "one")
    desk.ask("Untitled.ipynb", "secret", kernel="k")
    os.rename(desk.folder / "Untitled.ipynb", desk.folder / "report.ipynb")
    desk.write("Untitled.ipynb", "two")
    assert desk.sends("Untitled.ipynb", kernel="k") == ["secret"]
    desk.ask("Untitled.ipynb", "more", kernel="k")
    with sqlite3.connect(desk.folder / ".og" / "Untitled.db") as connection:
        assert connection.execute("SELECT name FROM notebooks").fetchall() == [("report.ipynb",)]
    assert desk.sends("Untitled.ipynb") == []


def test_kernels_that_are_not_told_their_notebook_have_threads_of_their_own(desk: Desk) -> None:
    desk.ask(None, "secret", kernel="papermill 1")
    assert desk.sends(None, kernel="papermill 1") == ["secret"]
    desk.ask(None, "other", kernel="papermill 2")
    assert desk.sends(None, kernel="papermill 2") == ["other"]
    with notebook_ledger(Settings(), RunningNotebook()) as terminal:
        assert terminal.threads.all() == []
        assert len(terminal.receipts()) == 2, "receipts are the folder's"


def test_a_file_that_was_run_without_a_name_goes_on_when_it_is_opened(desk: Desk) -> None:
    receipt = desk.ask(None, "secret", kernel="nbclient")
    desk.write("executed.ipynb", "one", receipts=(receipt,))
    assert desk.sends("executed.ipynb") == ["secret"]
    desk.ask("executed.ipynb", "more")
    shutil.copy(desk.folder / "executed.ipynb", desk.folder / "copy.ipynb")
    assert desk.sends("copy.ipynb") == []


def test_the_threads_of_a_terminal_can_be_named_and_are_not_sent(desk: Desk) -> None:
    with notebook_ledger(Settings(), RunningNotebook()) as terminal:
        turn = KeptTurn(CellExecution("", "", ""), 0, 1.0, 1, ({"role": "user", "content": "secret"},), ())
        terminal.threads.keep("plan", "", turn)
    assert desk.sends(None, kernel="k") == []
    with desk.kernel(None, "k") as ledger:
        assert [one.name for one in ledger.threads.all()] == ["plan"]
        assert ledger.threads.fork("plan", "mine") == 1
    assert desk.sends(None, kernel="k", thread="mine") == ["secret"]


def test_in_one_ledger_for_all_each_notebook_has_its_own_threads(desk: Desk) -> None:
    desk.settings = Settings(ledger=str(desk.folder / "all.db"))
    for name in ("a.ipynb", "b.ipynb"):
        desk.write(name, name)
        desk.ask(name, f"of {name}")
    assert desk.sends("a.ipynb") == ["of a.ipynb"]
    os.rename(desk.folder / "b.ipynb", desk.folder / "c.ipynb")
    assert desk.sends("c.ipynb") == ["of b.ipynb"]


@dataclass(eq=False)
class Book:
    """A notebook as its user sees it."""

    cells: list[str]
    asked: list[str] = field(default_factory=list)
    receipts: list[str] = field(default_factory=list)


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.randoms(use_true_random=False))
def test_no_way_of_handling_files_sends_what_was_asked_in_another(
    make: Any, tmp_path_factory: pytest.TempPathFactory, draw: random.Random
) -> None:
    """Files of three names are made, asked in, saved, stripped, renamed, copied and deleted at random. Only what has the
    cells of a notebook that is gone may go on with it: a move over disks, a file that was restored.
    """
    desk = Desk(tmp_path_factory.mktemp("desk"), make)
    books: dict[str, Book] = {}
    gone: list[Book] = []
    names = ["a.ipynb", "b.ipynb", "c.ipynb"]
    for number in range(16):
        free = [name for name in names if name not in books]
        if not books or (free and draw.random() < 0.2):
            name = draw.choice(free)
            books[name] = Book([f"cell {number}"])
            desk.write(name, *books[name].cells)
            continue
        name, what = (
            draw.choice(sorted(books)),
            draw.choice(["ask", "ask", "save", "strip", "rename", "copy", "delete"]),
        )
        book = books[name]
        if what == "ask":
            sent = desk.sends(name)
            left = [text for one in gone if one.cells == book.cells for text in one.asked]
            assert set(sent) <= {*book.asked, *left}, (name, sent)
            book.receipts.append(desk.ask(name, f"question {number}"))
            book.asked.append(f"question {number}")
            assert desk.sends(name)[-1] == f"question {number}"
        elif what in ("save", "strip"):
            if what == "save" and draw.random() < 0.5:
                (desk.folder / name).unlink()
            desk.write(name, *book.cells, receipts=() if what == "strip" else tuple(book.receipts))
        elif what == "delete":
            (desk.folder / name).unlink()
            gone.append(books.pop(name))
        elif free and what == "rename":
            os.rename(desk.folder / name, desk.folder / free[0])
            books[free[0]] = books.pop(name)
        elif free:
            shutil.copy(desk.folder / name, desk.folder / free[0])
            books[free[0]] = Book(book.cells, receipts=[*book.receipts])


class TestLedgersOfEarlierReleases:
    @pytest.fixture
    def old(self, desk: Desk, make: Any) -> str:
        """A receipt in `.og/study.db`, as it was when the file's name was all that told."""
        with Ledger(desk.folder / ".og" / "study.db") as ledger:
            receipt = make.opened(ledger)
            turn = KeptTurn(CellExecution("", "", ""), 0, 1.0, 1, ({"role": "user", "content": "secret"},), (receipt,))
            ledger.threads.keep("plan", "", turn)
        with sqlite3.connect(desk.folder / ".og" / "study.db") as connection:
            connection.execute("DROP TABLE notebooks")
            connection.execute("ALTER TABLE receipts DROP COLUMN notebook_id")
            for column in ("money", "evidence"):
                connection.execute(f"ALTER TABLE authorizations DROP COLUMN {column}")
            connection.execute("PRAGMA user_version = 7")
        connection.close()
        return str(receipt)

    @pytest.mark.parametrize("name", ["study.ipynb", "renamed.ipynb"])
    def test_a_notebook_whose_receipts_are_in_it_takes_it_over(self, desk: Desk, old: str, name: str) -> None:
        desk.write(name, "one", receipts=(old,))
        assert desk.sends(name) == ["secret"]
        desk.ask(name, "more")
        with desk.kernel(name) as ledger:
            assert len(ledger.receipts()) == 2
            assert ledger.audit().ok

    def test_one_without_receipts_in_common_does_not(self, desk: Desk, old: str) -> None:
        desk.write("study.ipynb", "one")
        assert desk.sends("study.ipynb") == []

    def test_one_that_is_not_on_this_disk_does(self, desk: Desk, old: str) -> None:
        assert desk.sends("study.ipynb") == ["secret"]


@pytest.mark.parametrize(
    "stem",
    ["x" * 249, "分析" * 41, "👩‍👩‍👧" * 13, "ledger", "LEDGER", "a?b#c%20&d", 'O\'Brien\'s "final"', "-v", ".hidden", " ", "é" * 120]
)  # fmt: skip
def test_a_notebook_of_any_name_has_a_ledger(desk: Desk, stem: str) -> None:
    name = f"{stem}.ipynb"
    desk.write(name, "one")
    desk.ask(name, "secret")
    assert desk.sends(name) == ["secret"]
    path = desk.identity(name).ledger
    assert path.is_file()
    assert path.stem.casefold() != "ledger"
    assert len(os.fsencode(path.name)) <= 130
    os.rename(desk.folder / name, desk.folder / "short.ipynb")
    assert desk.sends("short.ipynb") == ["secret"]


def test_a_name_that_is_no_text_has_a_ledger(desk: Desk) -> None:
    name = os.fsdecode(b"caf\xe9.ipynb")
    desk.write(name, "one")
    desk.ask(name, "secret")
    assert desk.sends(name) == ["secret"]


def test_long_names_that_begin_alike_have_ledgers_of_their_own(desk: Desk) -> None:
    for end in "ab":
        desk.write("x" * 200 + end + ".ipynb", end)
        desk.ask("x" * 200 + end + ".ipynb", end)
    assert desk.sends("x" * 200 + "a.ipynb") == ["a"]


def test_to_look_which_notebook_it_is_writes_nothing(desk: Desk, asked: str) -> None:
    before = sorted(desk.folder.rglob("*"))
    for name in ("a.ipynb", "none.ipynb"):
        desk.identity(name)
    assert sorted(desk.folder.rglob("*")) == before
    assert [path.name for path in before if path.suffix != ".ipynb"] == [".og", "a.db"]
