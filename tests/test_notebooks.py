"""The notebooks run, with no key and no network, and are kept with their outputs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from og_magics.cli import main
from og_magics.notebook.file import receipts_in

PATHS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
# The README's first command runs the first of them. `python -m tests.remake_notebooks` writes them anew.
NOTEBOOKS = [pytest.param(path, marks=pytest.mark.ci) for path in PATHS]


@pytest.fixture(scope="module", params=NOTEBOOKS, ids=lambda path: path.stem)
def executed(request, tmp_path_factory, bare_environment):
    folder = tmp_path_factory.mktemp("run")
    source = folder / request.param.name
    source.write_bytes(request.param.read_bytes())
    done = subprocess.run(
        [sys.executable, "-m", "og_magics", "run", str(source), "-o", str(folder / "executed.ipynb")],
        capture_output=True, text=True, env=bare_environment() | {"HOME": str(folder)}, cwd=folder, timeout=240, check=False,
    )  # fmt: skip
    return request.param, folder / "executed.ipynb", done


def test_it_runs_in_a_real_kernel_without_a_key(executed):
    _, _, done = executed
    assert done.returncode == 0, done.stdout + done.stderr


def test_it_ends_with_its_receipts_settled_and_proven(executed):
    _, _, done = executed
    receipts = re.split(r" receipts?\n", done.stdout)[-1].splitlines()[1:]
    assert receipts
    for line in receipts:
        assert " settled " in line or " verified " in line
        assert " proven " in line
        assert "0x" in line


def test_its_receipts_travel_in_its_outputs(executed):
    _, output, _ = executed
    receipts = receipts_in(output)
    assert receipts
    assert {receipt.network for receipt in receipts} == {"devnet"}
    assert all(receipt.enclave_ok for receipt in receipts)


def test_its_file_alone_proves_its_answers(executed, capsys):
    kept, output, _ = executed
    for path in (kept, output):
        assert main(["verify", str(path)]) == 0, capsys.readouterr().out


def kinds(outputs):
    """What a cell's outputs are, in their order; prints in a row count once, however they were flushed."""
    found = [(one.output_type, one.get("name", "")) for one in outputs]
    return [one for at, one in enumerate(found) if one[0] != "stream" or found[at - 1 : at] != [one]]


def test_it_is_kept_with_its_outputs(executed):
    path, output, _ = executed
    kept, fresh = (nbformat.read(file, as_version=4) for file in (path, output))
    for old, new in zip(kept.cells, fresh.cells, strict=True):
        assert old.source == new.source
        if old.cell_type == "code":
            assert kinds(old.outputs) == kinds(new.outputs), old.source
            assert old.execution_count == new.execution_count


def test_nothing_of_a_machine_is_kept_in_it(executed):
    path, _, _ = executed
    text = path.read_text()
    for leak in (str(Path.home()), os.sep + "tmp" + os.sep, "Traceback", "private_key"):
        assert leak not in text


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_no_answer_that_is_kept_is_the_sample(path):
    texts = [receipt.text for receipt in receipts_in(path) if not receipt.tool_calls]
    assert texts
    assert not [text for text in texts if "prepared sample" in text or "direct answer" in text or "simulated" in text]
    assert {receipt.gateway_notes.get("answered_by") for receipt in receipts_in(path)} == {"prepared"}


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_something_is_seen_within_the_first_three_cells(path):
    shown = [output for cell in nbformat.read(path, as_version=4).cells[:3] for output in cell.get("outputs", ())]
    assert [output for output in shown if "data" in output]


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_no_number_or_hash_in_a_table_is_cut(path):
    tables = [
        output["data"]["text/html"]
        for cell in nbformat.read(path, as_version=4).cells
        for output in cell.get("outputs", ())
        if output.output_type == "execute_result" and "text/html" in output["data"]
    ]
    cells = [cell for table in tables for cell in re.findall(r"<td[^>]*>(.*?)</td>", table, re.S)]
    assert not [
        cell for cell in cells if re.fullmatch(r"\s*-?[\d.,]*\.\.\.\s*", cell) or re.search(r"0x\w+\.\.\.", cell)
    ]
