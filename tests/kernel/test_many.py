"""%%ogmany and og.ask_many over a DataFrame in cells: rows, files, estimates, mistakes, interrupts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .conftest import Kernel


@pytest.fixture(autouse=True)
def frame(kernel: Kernel) -> None:
    kernel.ask(
        "import pandas as pd, og_magics as og\nreviews = pd.DataFrame({'text': ['good', 'bad', 'fine'], 'n': [1, 2, 3]})"
    )
    kernel.ask("%og use -n 3")


def test_each_row_is_asked_with_its_values(kernel: Kernel) -> None:
    cell = kernel.ask("%%ogmany -o labels reviews\nClassify: {text} {{so}} {n:02d}")
    assert cell.last["text/plain"].startswith("3 of 3 answered · ")
    assert kernel.eval("labels.prompts") == [
        "Classify: good {so} 01", "Classify: bad {so} 02", "Classify: fine {so} 03",
    ]  # fmt: skip
    assert kernel.eval("_ is labels") in (True, "True")
    assert kernel.eval("len(labels.frame)") == 3


def test_into_a_folder_and_the_same_cell_again_asks_nothing(kernel: Kernel) -> None:
    cell = "%%ogmany --out labels.parquet --concurrency 2 -o kept reviews\nRate: {text}"
    kernel.ask(cell)
    before = kernel.eval("len(og_receipts)")
    again = kernel.ask(cell)
    assert kernel.eval("[kept.found, kept.answered, len(og_receipts)]") == [3, 3, before]
    assert again.last["text/plain"].startswith("3 of 3 answered")
    assert kernel.eval("kept.frame.text.notna().all()") in (True, "True")
    assert kernel.eval("len(pd.read_parquet('labels.parquet'))") == 3


def test_into_a_table_too(kernel: Kernel) -> None:
    cell = "%%ogmany --out sqlite:///answers.db --table rated reviews\nRated: {text}"
    kernel.ask(cell)
    before = kernel.eval("len(og_receipts)")
    kernel.ask(cell)
    assert kernel.eval("[_.found, _.answered, len(og_receipts)]") == [3, 3, before]


def test_an_estimate_sends_nothing(kernel: Kernel) -> None:
    before = kernel.eval("len(og_receipts)")
    told = kernel.ask("%%ogmany --dry-run reviews\nEstimate: {text}").last["text/plain"]
    assert told.startswith("Estimate. Nothing was sent")
    assert kernel.eval("[_.questions, len(og_receipts)]") == [3, before]


@pytest.mark.parametrize(
    ("line", "body", "told"),
    [
        ("", "{text}", "name it, after the flags"),
        ("review", "{text}", "'review' is not a DataFrame of this notebook. There are: reviews"),
        ("reviews", "{txt}", "There is no column 'txt'"),
        ("reviews", "no column", "names no column"),
        ("--concurrency many reviews", "{text}", '"auto" or a whole number'),
        ("--max-failures 0 reviews", "{text}", "max_failures must be"),
        ("--out none/here.parquet reviews", "{text}", "There is no folder"),
    ],
)
def test_a_mistake_is_told_and_nothing_is_sent(kernel: Kernel, line: str, body: str, told: str) -> None:
    before = kernel.eval("len(og_receipts)")
    assert told in kernel.run(f"%%ogmany {line}\n{body}").error()
    assert kernel.eval("len(og_receipts)") == before


def test_an_interrupt_keeps_what_is_done_and_resume_goes_on(kernel: Kernel) -> None:
    kernel.ask("slow = pd.DataFrame({'text': ['a', 'b', *[f'[[slow:1]] {n}' for n in range(8)]]})")
    asked = kernel.send("%%ogmany --out slow.parquet --concurrency 2 slow\nSay: {text}")
    while not any("2 of 10" in str(one["data"]) for one in kernel._cells[asked].displays):
        kernel.read()
    kernel.interrupt()
    cell = kernel.result(asked)
    assert "prompts were answered. They are in `_`" in cell.error("Interrupted")
    done, failed = kernel.eval("[_.answered, _.failures.total()]")
    assert 2 <= done < 10
    assert failed == 0
    before = kernel.eval("len(og_receipts)")
    kernel.ask("many = _.resume()")
    assert kernel.eval("[many.found, many.answered]") == [done, 10]
    assert kernel.eval("len(og_receipts)") == before + 10 - done  # what was on its way had ended, and was kept
