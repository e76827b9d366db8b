"""auto, only and off; loops; other programs that run notebooks; what is recorded and how it is shown."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

from og_magics.devnet import Devnet
from og_magics.ledger import Ledger

pytestmark = pytest.mark.ci


_LOOP = "%load_ext og_magics\nimport og_magics as og"


def test_auto_pays_only_for_what_is_new(execute: Any, written: Any, devnet: Devnet, tmp_path: Path) -> None:
    path = written(tmp_path / "a.ipynb", ["%load_ext og_magics", "%%ogchat\nOnce.", "%%ogchat\nTwice."])
    assert not execute(path, devnet, OG_REPLAY="auto").failed
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[2]["source"] = "%%ogchat\nAnother."
    nbformat.write(notebook, path)
    ran = execute(path, devnet, OG_REPLAY="auto")
    assert not ran.failed
    assert ["replayed" in output for output in ran.outputs()] == [False, True, False]
    with ran.ledger as ledger:
        assert [r.request["messages"][-1]["content"] for r in ledger.receipts()] == ["Once.", "Twice.", "Another."]


def test_off_asks_again(execute: Any, written: Any, devnet: Devnet, tmp_path: Path) -> None:
    path = written(tmp_path / "a.ipynb", ["%load_ext og_magics", "%%ogchat\nOnce."])
    for _ in range(2):
        ran = execute(path, devnet)
        assert not ran.failed
    assert "replayed" not in ran.outputs()[1]
    with ran.ledger as ledger:
        assert len(ledger.receipts()) == 2


def test_answers_of_a_loop_come_in_their_order_and_then_the_last_again(
    execute: Any, written: Any, devnet: Devnet, tmp_path: Path
) -> None:
    """The ids of the receipts tell the answers apart; the practice network says the same each time."""
    loop = "for _ in range(3):\n    print(og.ask('Again?', temperature=1.0).receipt.receipt_id)"
    path = written(tmp_path / "a.ipynb", [_LOOP, loop])
    first = execute(path, devnet)
    ids = first.outputs()[1].split()
    assert len(set(ids)) == 3
    for mode in ("auto", "only"):
        again = execute(path, devnet, OG_REPLAY=mode)
        assert again.outputs()[1].split() == ids
    asked_more = nbformat.read(path, as_version=4)
    asked_more.cells[1]["source"] = loop.replace("range(3)", "range(4)")
    nbformat.write(asked_more, path)
    ran = execute(path, devnet, OG_REPLAY="only")
    assert ran.outputs()[1].split() == [*ids, ids[-1]]


def test_what_is_recorded_is_not_paid_again_in_the_same_cell(
    execute: Any, written: Any, devnet: Devnet, tmp_path: Path
) -> None:
    many = "for _ in range(3):\n    og.ask_many(['One?', 'Two?', 'Three?'])"
    count = "print(len(og.receipts()), og.ask_many(['One?']).frame[['cost_opg', 'replayed']].values.tolist()[0])"
    path = written(tmp_path / "a.ipynb", [_LOOP, many, "og.settle()", count])
    ran = execute(path, devnet, OG_REPLAY="auto")
    assert not ran.failed
    assert re.search(r"3 \[Decimal\('0\.\d+'\), True\]$", ran.outputs()[3].rstrip()), ran.outputs()[3]


def test_a_cell_cannot_lift_the_environments_word(
    execute: Any, written: Any, devnet: Devnet, tmp_path: Path, report: Callable[[str], None]
) -> None:
    """A headless run that must not pay has no way to, whatever its cells say."""
    ways = [
        "%%ogchat --replay auto\nOne?", "%%ogchat --replay off\nOne?", "og.ask('One?', replay='off')",
        "og.ask_many(['One?'], replay='auto')[0]", "%og use --replay auto\n%ogchat One?",
        "import os\nos.environ['OG_REPLAY'] = 'off'\nog.LLM().chat_sync('openai/gpt-5', [{'role': 'user', 'content': 'One?'}])",
        "import og_magics.core.settings as s\nog.LLM(settings=s.Settings(replay='off')).chat_sync('gpt-5', [{'role': 'user', 'content': 'One?'}])",
    ]  # fmt: skip
    for number, way in enumerate(ways):
        ran = execute(written(tmp_path / f"{number}.ipynb", [_LOOP, way]), devnet, OG_REPLAY="only")
        assert "Nothing was paid" in ran.failed, way
        assert "OG_REPLAY" in ran.failed
    paid = 0
    for path in tmp_path.glob(".og/*.db"):
        with Ledger(path) as ledger:
            paid += len(ledger.receipts())
    report(f"{len(ways)} ways to ask all the same: {len(ways)} refused, {paid} receipts")
    assert paid == 0


def test_the_latest_run_of_a_cell_is_the_one_that_is_shown_again(
    execute: Any, written: Any, devnet: Devnet, tmp_path: Path
) -> None:
    cells = [_LOOP, "a = og.ask('Which?', temperature=1.0)", "print(a.receipt.receipt_id)"]
    path = written(tmp_path / "a.ipynb", cells)
    ids = [execute(path, devnet).outputs()[2].strip() for _ in range(2)]
    assert ids[0] != ids[1]
    assert execute(path, OG_REPLAY="only").outputs()[2].strip() == ids[1]


def test_a_flag_beats_the_environment(execute: Any, written: Any, devnet: Devnet, tmp_path: Path) -> None:
    path = written(tmp_path / "a.ipynb", ["%load_ext og_magics", "%%ogchat --replay only\nNever asked."])
    ran = execute(path, devnet)
    assert "what is not recorded" in ran.failed
    assert "Nothing was paid" in ran.failed


def test_the_recorded_pace_is_kept_and_can_be_shown(execute: Any, written: Any, devnet: Devnet, tmp_path: Path) -> None:
    ask = "import time\nt = time.monotonic()\nn = sum(1 for c in og.LLM().chat_sync('openai/gpt-5', M, stream=True))"
    words = "M = [{'role': 'user', 'content': '[[words:40]] Slowly.'}]"
    path = written(tmp_path / "a.ipynb", [_LOOP, words, ask + "\nprint(n)"])
    chunks = int(execute(path, devnet).outputs()[2])
    assert chunks > 20
    instant = execute(path, OG_REPLAY="only")
    assert int(instant.outputs()[2]) == 2  # the text, and the last chunk with the proof
    paced = execute(path, OG_REPLAY="only", OG_REPLAY_PACE="recorded")
    assert int(paced.outputs()[2]) == chunks


def test_an_answer_that_was_edited_in_the_ledger_is_refused(
    execute: Any, written: Any, devnet: Devnet, tmp_path: Path
) -> None:
    import sqlite3

    path = written(tmp_path / "a.ipynb", ["%load_ext og_magics", "%%ogchat\nOnce."])
    ran = execute(path, devnet)
    with sqlite3.connect(next((tmp_path / ".og").glob("*.db"))) as file:
        file.execute("UPDATE receipts SET text = 'A preparad answer.'")
    ran = execute(path, OG_REPLAY="only")
    assert "not what was signed" in ran.failed
    assert "cell 2" in ran.failed


@pytest.mark.ci
class TestOtherPrograms:
    def test_papermill_runs_it_with_three_sets_of_parameters_and_each_replays(
        self, execute: Any, written: Any, devnet: Devnet, tmp_path: Path
    ) -> None:
        source = written(tmp_path / "p.ipynb", ["city = 'Rome'", "%load_ext og_magics", "%%ogchat\nWhere is {city}?"])
        notebook = nbformat.read(source, as_version=4)
        notebook.cells[0]["metadata"]["tags"] = ["parameters"]
        nbformat.write(notebook, source)
        for city in ("Oslo", "Lima", "Bonn"):
            out = self.papermill(source, tmp_path / f"{city}.ipynb", city, devnet)
            assert f"Where is {city}?" in _text(out)
        for city in ("Oslo", "Lima", "Bonn"):
            (tmp_path / "elsewhere" / city).mkdir(parents=True)
            kept = Path(shutil.copy(tmp_path / f"{city}.ipynb", tmp_path / "elsewhere" / city / "kept.ipynb"))
            ran = execute(kept, OG_REPLAY="only")
            assert not ran.failed, ran.failed
            assert f"Where is {city}?" in _text(kept)

    def papermill(self, source: Path, out: Path, city: str, devnet: Devnet) -> Path:
        import json
        import os

        command = [sys.executable, "-m", "papermill", source.name, out.name, "-p", "city", city]
        env = os.environ | {"OG_DEVNET": json.dumps(devnet.info)}
        done = subprocess.run(
            command, cwd=source.parent, env=env, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return out

    def test_nbconvert_shows_answers_and_receipts_without_a_kernel(
        self, execute: Any, written: Any, devnet: Devnet, tmp_path: Path
    ) -> None:
        path = written(
            tmp_path / "c.ipynb",
            ["%load_ext og_magics", "%%ogchat\nShow this.", "%%ogcompare -m gpt-5 -m grok-4\nAnd this.", "og_receipts"],
        )
        assert not execute(path, devnet).failed
        command = [sys.executable, "-m", "nbconvert", "--to", "html", path.name]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr[-2000:]
        html = (tmp_path / "c.html").read_text()
        for shown in ("Show this.", "And this.", "proof ✓", "x-ai/grok-4", "served"):
            assert shown in html, shown


def _text(path: Path) -> str:
    notebook = nbformat.read(path, as_version=4)
    return "".join(
        str(output.get("data", {}).get("text/plain", "")) for cell in notebook.cells for output in cell.outputs
    )
