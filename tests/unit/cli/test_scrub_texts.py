"""Scrubbing leaves nothing of what was asked and answered, wherever it stands, and all of the rest."""

from __future__ import annotations

import base64
import json
import pprint
import string
import textwrap
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import nbformat
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from og_magics.cli import main
from og_magics.core.receipt import MIME
from og_magics.ledger import Ledger
from og_magics.notebook.answer_uses import uses_of_answers
from og_magics.notebook.text_readings import readings, words_of
from og_magics.notebook.text_search import KnownTexts
from tests import scrub_table
from tests.scrub_table import ANSWER, ARGUMENTS, QUESTION, RESULT, answer, asked, code, data, notebook, stream

PNG = base64.b64encode(b"\x89PNG a picture of a harbour in the fog, and of what is in it").decode()
TAGGED = {"metadata": {"tags": ["og-public"]}}

Said = tuple[int, dict[str, Any], str]


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """No file here has to outlive a power cut."""
    monkeypatch.setattr("os.fsync", lambda _: None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the ledger of `n.ipynb`."""
    folder = tmp_path_factory.mktemp("scrubbed")
    scrub_table.ledger_of(folder)
    return folder


@pytest.fixture
def scrub(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Runs `og-magics scrub` where there is no ledger: (status, the copy, what was said)."""

    def run(content: dict[str, Any], *flags: str, place: Path = tmp_path) -> Said:
        path, output = place / "n.ipynb", place / "n.scrubbed.ipynb"
        path.write_text(json.dumps(content))
        output.unlink(missing_ok=True)
        status = main(["scrub", str(path), *flags])
        said = capsys.readouterr()
        return status, json.loads(output.read_text()) if output.exists() else {}, said.out + said.err

    return run


@pytest.mark.parametrize("place", scrub_table.PLACES)
def test_a_planted_sentence_is_removed_or_named(place: str, folder: Path) -> None:
    row = scrub_table.run(place, folder)
    assert row.ok, row.line
    assert row.named == place.startswith("typed")


HONEST = {
    "common words": "The result is not what it was at the end of the day, and nobody pays for it.\n",
    "words of the question": "Who pays? The village does, for the whole of the festival.\n",
    "words of the answer": "a tin box; the council; the stairs; the accounts\n",
    "numbers": "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17\n",
    "a progress": "Loading the data...\n 40%|████      | 4/10 [00:01<00:02,  2.50it/s]\n",
    "a traceback": "Traceback (most recent call last):\n  File \"x.py\", line 1, in <module>\nKeyError: 'midnight'\n",
    "a module": "ModuleNotFoundError: No module named 'lighthouse'\n",
    "a frame": pd.DataFrame({"river": [1.5, 2.5], "harvest": ["barley", "rye"]}).describe().to_string(),
    "an estimator": "RandomForestClassifier(n_estimators=100, random_state=0)\n",
    "a path": "site-packages/pandas/core/frame.py\n",
    "hex": "0x7d" + "7d" * 31 + "\n",
    "a word and a number": "True\nNone\n42\n3\n",
    "HTML": "<table border=\"1\" class=\"dataframe\"><tr><th>the</th><td>retired</td></tr></table>",
    "prose": "In the whole country the river is frozen for months. When it thaws, the council has a festival.\n",
    "JSON": '{"note": "ask again", "limit": 3, "cellar": "the seventh"}',
}  # fmt: skip


@pytest.mark.parametrize("name", HONEST)
def test_an_ordinary_output_that_shares_words_stays(name: str, folder: Path, scrub: Callable[..., Said]) -> None:
    cells = [code("show()", stream(HONEST[name])), code("it", data("text/html", HONEST[name]))]
    status, kept, said = scrub(notebook(*cells), place=folder)
    assert (status, kept["cells"][1:]) == (0, cells), said


def test_all_else_is_kept_byte_for_byte(tmp_path: Path) -> None:
    cells = [code(name, stream(text), data("image/png", PNG)) for name, text in HONEST.items()]
    cells.append({"cell_type": "markdown", "id": "m", "metadata": {"a": [1.5, None]}, "source": ["# É\n", "two"]})
    source = nbformat.from_dict({**notebook(), "cells": cells})
    nbformat.write(source, tmp_path / "n.ipynb")
    assert main(["scrub", str(tmp_path / "n.ipynb")]) == 0
    assert (tmp_path / "n.scrubbed.ipynb").read_bytes() == (tmp_path / "n.ipynb").read_bytes()


def test_every_copy_is_a_valid_notebook_and_its_receipts_prove_what_they_can(tmp_path: Path) -> None:
    cells = [cell for make in scrub_table.PLACES.values() for cell in make()["cells"][1:]]
    cells = [cell | {"id": f"c{place}"} for place, cell in enumerate(cells)]
    (tmp_path / "n.ipynb").write_text(json.dumps(notebook(*cells, title=QUESTION)))
    assert main(["scrub", str(tmp_path / "n.ipynb")]) == 1
    copy = tmp_path / "n.scrubbed.ipynb"
    nbformat.validate(nbformat.read(copy, as_version=4))
    assert main(["verify", str(copy)]) == 0


class TestWhatWasNotInTheNotebook:
    def test_answers_of_python_are_known_from_the_ledger(self, tmp_path: Path, scrub: Callable[..., Said]) -> None:
        with Ledger(tmp_path / ".og" / "n.db") as ledger:
            for place in range(3):
                answer(ledger, {"model": "m", "messages": [{"role": "user", "content": QUESTION}]}, f"{place} {ANSWER}")
        text = pd.DataFrame({"text": [ANSWER] * 3}).to_string(max_colwidth=40)
        cells = [code("many = og.ask_many(prompts)"), code("many.frame.head()", stream(text)), code("1", stream("1\n"))]
        status, kept, _ = scrub({**notebook(), "cells": cells})
        assert status == 0
        assert [len(cell["outputs"]) for cell in kept["cells"]] == [0, 0, 1]

    def test_of_a_ledger_that_notebooks_share_only_its_own_part_is_looked_for(
        self, tmp_path: Path, scrub: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        shared = tmp_path / "elsewhere" / "all.db"
        monkeypatch.setenv("OG_LEDGER", str(shared))
        with Ledger(shared) as ledger:
            answer(ledger, {"messages": [{"role": "user", "content": QUESTION}]}, ANSWER)
            answer(ledger, {"messages": [{"role": "user", "content": RESULT}]}, ARGUMENTS["note"], "other.ipynb")
        outputs = [stream(QUESTION), stream(RESULT)]
        cells = [code("x = og.ask(q)"), *(code("1", one) for one in outputs)]
        _, kept, _ = scrub({**notebook(), "cells": cells})
        assert [cell["outputs"] for cell in kept["cells"]] == [[], [], [outputs[1]]]
        monkeypatch.delenv("OG_LEDGER")
        _, kept, _ = scrub({**notebook(), "cells": cells}, "--ledger", str(shared))
        assert [cell["outputs"] for cell in kept["cells"]] == [[], [], []]

    def test_a_thread_that_only_the_ledger_has_is_known(self, folder: Path, scrub: Callable[..., Said]) -> None:
        status, kept, _ = scrub(notebook(code("x", stream(scrub_table.ALONE))), place=folder)
        assert (status, kept["cells"][1]["outputs"]) == (0, [])

    def test_a_ledger_that_cannot_be_read_is_not_passed_over(self, tmp_path: Path, scrub: Callable[..., Said]) -> None:
        (tmp_path / ".og").mkdir()
        (tmp_path / ".og" / "n.db").write_bytes(b"no database " * 100)
        status, _, said = scrub(notebook())
        assert (status, "the ledger n.db cannot be read" in said) == (1, True)
        assert scrub(notebook(), "--check")[0] == 1

    def test_nothing_is_written_to_the_ledger(self, folder: Path, scrub: Callable[..., Said]) -> None:
        before = {path.name: path.read_bytes() for path in (folder / ".og").iterdir()}
        scrub(notebook(), place=folder)
        assert {path.name: path.read_bytes() for path in (folder / ".og").iterdir()} == before

    def test_the_output_of_a_cell_that_uses_an_unknown_answer_is_named(
        self, tmp_path: Path, scrub: Callable[..., Said]
    ) -> None:
        cells = [
            code("import og_magics as og\nmany = og.ask_many(prompts)"),
            code("rows = [one.text for one in many]"),
            code("print(rows)", stream("a few words\n")),
            code("print(1)", stream("1\n")),
        ]
        status, kept, said = scrub({**notebook(), "cells": cells})
        assert (status, "cell 3 uses an answer that is not known here" in said) == (1, True)
        assert kept["cells"][2:] == cells[2:]
        assert "cell 4" not in said
        cells[2] |= TAGGED
        assert scrub({**notebook(), "cells": cells})[0] == 0


class TestWhatCannotBeCompared:
    def test_a_receipt_that_cannot_be_read_is_named_and_what_it_holds_is_looked_for(
        self, scrub: Callable[..., Said]
    ) -> None:
        content = notebook(code("x", stream(ANSWER)))
        content["cells"][0]["outputs"][0]["data"][MIME]["version"] = "7.0"
        status, kept, said = scrub(content)
        assert (status, "cell 1 holds a receipt that cannot be read" in said) == (1, True)
        assert scrub_table.left(kept) == []
        assert scrub(content, "--check")[0] == 1

    @pytest.mark.parametrize("kind", ["image/png", "application/pdf", "image/svg+xml", "text/html"])
    def test_a_picture_made_of_an_answer_is_named_and_another_is_not(
        self, scrub: Callable[..., Said], kind: str
    ) -> None:
        drawn = {"image/svg+xml": "<svg/>", "text/html": f'<img src="data:image/png;base64,{PNG}">'}.get(kind, PNG)
        cells = [code("plt.plot(len(answer.text))", data(kind, drawn)), code("plt.plot([1])", data(kind, drawn))]
        cells.insert(0, code("import matplotlib.pyplot as plt"))
        status, kept, said = scrub(notebook(*cells))
        assert (status, said.count("shows a picture")) == (1, 1)
        assert "cell 3 shows a picture that may be made of an answer" in said
        assert [cell["outputs"] for cell in kept["cells"][2:]] == [cell["outputs"] for cell in cells[1:]]
        cells[1] |= TAGGED
        assert scrub(notebook(*cells))[0] == 0

    def test_a_picture_that_was_an_answer_is_removed_wherever_it_stands(self, scrub: Callable[..., Said]) -> None:
        content = notebook(
            code("show(saved)", data("image/png", PNG[:30] + "\n" + PNG[30:])),
            {"cell_type": "markdown", "metadata": {}, "source": "", "attachments": {"a.png": {"image/png": PNG}}},
        )
        content["cells"][0]["outputs"].append(data("image/png", PNG))
        status, kept, _ = scrub(content)
        assert (status, PNG[:20] in json.dumps(kept)) == (0, False)

    def test_a_copy_passes_the_check_elsewhere_until_its_outputs_change(
        self, folder: Path, tmp_path: Path, scrub: Callable[..., Said]
    ) -> None:
        content = notebook(code("len(answer.text)", data("text/plain", "171")))
        text = json.dumps(content).replace('"receipt_id": "01"', f'"receipt_id": "{scrub_table.ledger_of(folder)}"')
        status, kept, _ = scrub(json.loads(text), place=folder)
        assert status == 0
        assert scrub(kept, "--check") == (0, {}, "")
        again = json.loads(json.dumps(kept))
        assert scrub(again)[1] == kept
        kept["cells"][1]["outputs"][0]["data"]["text/plain"] = "its keeper"
        status, _, said = scrub(kept, "--check")
        assert (status, "cell 2 uses an answer that is not known here" in said) == (1, True)

    def test_more_than_can_be_looked_for_is_said(
        self, scrub: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("og_magics.notebook.text_search.MOST_CHARACTERS", 200)
        status, _, said = scrub(notebook())
        assert (status, "more was asked and answered than can be looked for" in said) == (1, True)


class TestShortTexts:
    @pytest.mark.parametrize(
        "output",
        ["Paris", "'Paris'\n", "0  Paris\n1  Rome\n", "city: Paris\n", "['Paris', 'Rome']", "| Paris | 3 |", "**PARIS**",
         "<td>Paris</td>", '{"city": "Paris"}'],
    )  # fmt: skip
    def test_one_is_found_where_it_stands_for_itself(self, scrub: Callable[..., Said], output: str) -> None:
        short = replace(asked(), text="Paris")
        cells = [code("x", stream(output)), code("y", stream("Paris is a city, and so is Rome.\n"))]
        status, kept, _ = scrub(notebook(*cells, receipt=short))
        assert status == 0
        assert [len(cell["outputs"]) for cell in kept["cells"][1:]] == [0, 1]

    def test_a_number_is_an_answer_only_where_an_answer_is_used(self, scrub: Callable[..., Said]) -> None:
        cells = [code("answer.text", stream("42\n")), code("6 * 7", stream("42\n"))]
        _, kept, _ = scrub(notebook(*cells, receipt=replace(asked(), text="42")))
        assert [len(cell["outputs"]) for cell in kept["cells"][1:]] == [0, 1]


def test_the_cells_that_use_an_answer_are_found_by_names() -> None:
    sources = [
        "%load_ext og_magics", "%%ogchat -o first\nWhy?", "second = %ogchat Why?", None, "import numpy as np",
        "n = np.mean([len(first.text)])", "n + 1", "rows = []\nrows.append(second)", "rows", "_", "np.zeros(3)",
        "def f():\n    return first\n", "f()", "x = (", "Out[3]", "await og.aask('a b')", "%%bash\nls", "print(other)",
    ]  # fmt: skip
    used = [sorted(one) for one in uses_of_answers(sources)]
    assert used == [
        [], [1], [2], [], [], [1], [1], [2], [2], [2], [], [1], [1], [], [1, 2], [15], [], [],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "reading"),
    [
        (r"caf\u00e9 \ud83d\ude00", "café 😀"), (r"caf\xc3\xa9", "café"), (r"caf\xe9", "café"), (r"a\nb\"c", 'a b"c'),
        ("&lt;b&gt;x&lt;/b&gt;", "<b>x</b>"), ("a%20b+c", "a b c"), ("\x1b[1mred\x1b[0m", "red"), ("[a](b)", "[a]"),
    ],
)  # fmt: skip
def test_a_reading_undoes_escapes(text: str, reading: str) -> None:
    assert reading in readings(text)


@pytest.mark.parametrize(
    "text", ["漢字の秘密の収穫祭の費用は灯台守が払う", "Кто платит за ночной праздник урожая в деревне?"]
)
def test_other_scripts_are_found_too(text: str) -> None:
    known = KnownTexts()
    known.add(text)
    for form in (text, ascii(text), f"x{text[1:-3]}...", "\n".join(textwrap.wrap(text, 7)), text.upper()):
        assert known.found_in(f"before {form} after"), form
    assert not known.found_in("漢字 収穫祭 Кто платит")


def test_the_time_grows_with_what_is_read() -> None:
    """Counts: not the time itself, which depends on the machine."""
    known = KnownTexts()
    for number in range(2_000):
        known.add(f"{number} sentence {number * 7919 % 4999} about barrel {number * 31 % 997} and nothing more of it")
    hostile = ["<" * 50_000, "&amp;" * 10_000, "\\" * 50_000, "..." * 1_000, "| " * 30_000, "\n" * 50_000, "A" * 99_999]
    assert not any(known.found_in(one) for one in hostile)
    assert all(len(readings(one)) <= 24 for one in hostile)


WORDS = st.text(string.ascii_lowercase, min_size=2, max_size=9)
SENTENCES = st.lists(WORDS, min_size=8, max_size=30, unique=True).map(" ".join)
FORMS: dict[str, Callable[[str], dict[str, Any]]] = {
    "print": stream,
    "repr": lambda text: data("text/plain", repr([text])),
    "wrapped": lambda text: stream(textwrap.fill(text, 17)),
    "upper": lambda text: stream(text.upper()),
    "json": lambda text: data("application/json", {"rows": [{"a": text}]}),
    "json text": lambda text: stream(json.dumps({"a": json.dumps(text)})),
    "frame": lambda text: data("text/plain", pd.DataFrame({"n": [1], "t": [text]}).to_string(max_colwidth=44)),
    "html": lambda text: data("text/html", pd.DataFrame({"n": [1], "t": [text]}).to_html()),
    "pprint": lambda text: stream(pprint.pformat(text, width=25)),
    "a part": lambda text: stream(f"see: {' '.join(text.split()[1:8])}"),
    "error": lambda text: {"output_type": "error", "ename": "E", "evalue": text, "traceback": [f"\x1b[0;31m{text}"]},
    "base64": lambda text: stream(base64.b64encode(text.encode()).decode()),
    "ledger": lambda text: stream(f"[{text}]"),
}


def runs_of_letters(text: str) -> set[str]:
    """Return each twenty letters in a row, without the spaces, and the whole of a shorter text."""
    letters = "".join(text.split())
    return {letters[at : at + 20] for at in range(max(1, len(letters) - 19))}


@given(st.data())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_six_words_in_a_row_are_left_of_random_notebooks_and_the_rest_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data: st.DataObject
) -> None:
    prompts = data.draw(st.lists(SENTENCES, min_size=1, max_size=3))
    answers = [data.draw(SENTENCES) for _ in prompts]
    secrets = [*prompts, *answers]
    six = {tuple(words[at : at + 6]) for words in map(str.split, secrets) for at in range(len(words) - 5)}
    cells = []
    for prompt, text in zip(prompts, answers, strict=True):
        receipt = replace(
            asked(),
            text=text,
            request={"model": "m", "messages": [{"role": "user", "content": prompt}]},
            gateway_notes={},
        )
        asking = notebook(receipt=receipt)["cells"][0]
        cells.append(asking | {"source": f"%%ogchat -o answer\n{prompt}"})
    planted = data.draw(st.lists(st.tuples(st.sampled_from(secrets), st.sampled_from(sorted(FORMS))), max_size=6))
    honest = data.draw(st.lists(st.lists(WORDS, max_size=12).map(" ".join), max_size=4))
    # A text that was cut anywhere, within a word too, is still part of what it was cut from.
    cut = [" ".join(words[1:5]).join("  ") for words in six]
    honest = [text for text in honest if len(text.split()) > 1 and not any(one in f" {text} " for one in cut)]
    honest = [text for text in honest if not any(text in secret for secret in secrets)]
    in_common = set[str]().union(*map(runs_of_letters, secrets))  # with so many, it is taken for a part of one
    honest = [text for text in honest if in_common.isdisjoint(runs_of_letters(text))]
    cells += [code("it", FORMS[form](text)) for text, form in planted]
    cells += [code("it", stream(text)) for text in honest]
    folder = tmp_path / "n"
    folder.mkdir(exist_ok=True)
    (folder / "n.ipynb").write_text(json.dumps({**notebook(), "cells": cells}))
    status = main(["scrub", str(folder / "n.ipynb")])
    assert status == 0, capsys.readouterr()
    copy = json.loads((folder / "n.scrubbed.ipynb").read_text())
    read = words_of(" ".join(readings(json.dumps(copy))))
    assert six.isdisjoint(zip(*(read[at:] for at in range(6)), strict=False))
    assert [cell["outputs"] for cell in copy["cells"][len(cells) - len(honest) :]] == [
        cell["outputs"] for cell in cells[len(cells) - len(honest) :]
    ]
    assert not any(cell["outputs"] for cell in copy["cells"][len(prompts) : len(cells) - len(honest)])
