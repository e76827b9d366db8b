"""A notebook with 20 paid cells, copied elsewhere without its ledger, runs again with no devnet, no key and no network."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

from og_magics.core.receipt import MIME
from og_magics.devnet import Devnet

_TOOLS = '''
import og_magics as og

@og.tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    with open("called.txt", "a") as file:
        file.write("called\\n")
    return a + b
'''
PAID = [
    "%%ogchat\nThe first question.",
    "%%ogchat -s private\nThe second, in private.",
    "%%ogchat -s individual\nThe third, for everybody.",
    "%%ogchat -s batch -p anthropic\nThe fourth.",
    "%%ogchat --no-stream -p google\nThe fifth, not streamed.",
    "%%ogchat -t 1 -n 20\nThe sixth, warm and short.",
    "%%ogchat --system 'Answer in one line.' -p x-ai\nThe seventh.",
    "%ogchat the eighth, in one line",
    "%%ogchat --thread talk\nThe ninth opens a conversation.",
    "%%ogchat --thread talk\nThe tenth goes on with it.",
    "%%ogchat --thread talk -p google\nThe eleventh asks another model.",
    "%%ogchat --tools add\nPlease add 2 and 3.",
    "%%ogchat --tools add -s private\nPlease add 4 and 5.",
    "%%ogcompare -m openai/gpt-5 -m anthropic/claude-haiku-4-5\nThe fourteenth goes to two.",
    "%%ogcompare -m openai/gpt-5 -m x-ai/grok-4 -m google/gemini-2.5-flash -s individual\nThe fifteenth goes to three.",
    "%%ogchat -o answer\nThe sixteenth is kept in a variable.",
    "%%ogchat\nThe seventeenth has it: {answer.finish_reason}.",
    "for _ in range(2):\n    display(og.ask('The eighteenth is asked twice.', temperature=1.0))",
    "%%ogchat\nThe first question.",
    "%%ogchat -f text\nThe twentieth, with <b>markup</b> & {braces}.",
]
pytestmark = pytest.mark.ci
CELLS = ["%load_ext og_magics", _TOOLS, *PAID, "og_receipts[['model', 'settlement', 'prompt_tokens']]"]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory, execute: Any, written: Any, devnet: Devnet) -> Any:
    """The notebook as it was run and paid for on a devnet."""
    ran = execute(written(tmp_path_factory.mktemp("original") / "twenty.ipynb", CELLS), devnet)
    assert not ran.failed, ran.failed
    return ran


@pytest.fixture
def copy(original: Any, tmp_path: Path) -> Path:
    """The file alone, elsewhere."""
    return Path(shutil.copy(original.path, tmp_path / "copied.ipynb"))


@pytest.fixture(scope="module")
def again(original: Any, execute: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """It was run again with nothing but itself; with a network named on which there is no wallet."""
    path = Path(shutil.copy(original.path, tmp_path_factory.mktemp("copied") / "copied.ipynb"))
    ran = execute(path, OG_REPLAY="only", OG_NETWORK="base")
    assert not ran.failed, ran.failed
    return ran


class TestTheCopy:
    def test_shows_the_same_answers(self, original: Any, again: Any) -> None:
        assert _answers(original.notebook) == _answers(again.notebook)
        assert len(_answers(again.notebook)) == 26  # 15 chats of one call, two of two, columns of 2 and 3, a loop of 2
        assert original.outputs()[-1] == again.outputs()[-1]  # the DataFrame of its receipts

    def test_says_that_they_are_replayed(self, again: Any) -> None:
        told = again.outputs()[2]
        assert "replayed: asked " in told
        assert "nothing paid now" in told

    def test_pays_and_reaches_nothing(self, again: Any) -> None:
        with again.ledger as ledger:
            assert ledger.receipts() == []
            assert ledger.pending() == []
        assert again.connections == ""

    def test_calls_no_function_again(self, original: Any, again: Any) -> None:
        assert (original.path.parent / "called.txt").read_text().count("called") == 2
        assert not (again.path.parent / "called.txt").exists()

    def test_holds_every_proof_that_needs_no_network(
        self, again: Any, og_magics: Callable[..., subprocess.CompletedProcess[str]]
    ) -> None:
        done = og_magics("verify", again.path, "--json")
        rows = json.loads(done.stdout)
        assert {row["verdicts"]["enclave"]["ok"] for row in rows} == {True}, done.stdout
        assert len(rows) == 26
        assert done.returncode == 0

    def test_differs_in_nothing_that_counts(
        self, original: Any, again: Any, og_magics: Callable[..., subprocess.CompletedProcess[str]]
    ) -> None:
        done = og_magics("diff", original.path, again.path)
        assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr


@pytest.mark.parametrize("place", ["shown", "receipt", "both", "call", "column"])
@pytest.mark.ci
def test_an_answer_of_which_one_byte_was_edited_is_refused_and_its_cell_named(
    copy: Path, execute: Any, place: str
) -> None:
    """The rest of the notebook is as it was; what stands before that cell has been shown."""
    cell = {"call": 13, "column": 15}.get(place, 4)
    notebook = nbformat.read(copy, as_version=4)
    bundle = next(output["data"] for output in notebook.cells[cell]["outputs"] if MIME in output.get("data", {}))
    text = json.dumps(bundle)
    if place in ("shown", "both", "column"):
        for kind in bundle:
            if kind != MIME:
                bundle[kind] = bundle[kind].replace("prepared", "preparad", 1)
    if place in ("receipt", "both"):
        bundle[MIME]["text"] = bundle[MIME]["text"].replace("prepared", "preparad", 1)
    if place == "call":
        bundle[MIME]["receipts"][0]["tool_calls"][0]["function"]["arguments"] = '{"a": 9, "b": 9}'
    assert json.dumps(bundle) != text
    nbformat.write(notebook, copy)
    ran = execute(copy, OG_REPLAY="only")
    assert f"cell {cell + 1}" in ran.failed
    assert "not what was signed" in ran.failed
    assert ran.connections == ""


@pytest.mark.ci
def test_a_prompt_that_was_edited_is_told_as_not_recorded(copy: Path, execute: Any) -> None:
    notebook = nbformat.read(copy, as_version=4)
    notebook.cells[5]["source"] = notebook.cells[5]["source"].replace("The fourth.", "The fifth?")
    nbformat.write(notebook, copy)
    ran = execute(copy, OG_REPLAY="only")
    assert "what is not recorded" in ran.failed
    assert "Cell 6" in ran.failed
    assert "The fifth?" in ran.failed


def _answers(notebook: Any) -> list[Any]:
    """What the notebook shows of each answer, by cell, without the payments."""
    found = []
    for place, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            form = output.get("data", {}).get(MIME, {})
            receipts = form.get("receipts") or [column["receipt"] for column in form.get("columns", [])] or [form]
            found += [(place, r["model"], r["text"], r["tool_calls"]) for r in receipts if "text" in r]
    return found
