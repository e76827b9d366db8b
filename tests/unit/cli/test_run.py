"""`og-magics run`: what ends a run keeps what was paid, and what cannot be run is said before anything is."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

from og_magics.cli import main
from og_magics.core.errors import LedgerError


def notebook(path: Path, *cells: str, **metadata: Any) -> Path:
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells], metadata=metadata)
    nbformat.write(made, path)
    return path


def printed(path: Path) -> str:
    cells = nbformat.read(path, as_version=4).cells
    return "".join(output.get("text", "") for cell in cells for output in cell.outputs)


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OG_LEDGER", str(tmp_path / "ledger.db"))
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)

    def execute(*arguments: str | Path) -> tuple[int, str, str]:
        code = main(["run", *map(str, arguments)])
        return (code, *capfd.readouterr())

    return execute


class TestWhatIsNotRun:
    """One line, before anything is run."""

    @pytest.mark.parametrize(
        ("content", "says"),
        [
            ("{}", "is not a notebook"),
            ("[]", "is not a notebook"),
            ("not json", "is not a notebook"),
            ("", "is not a notebook"),
            ('{"nbformat": 3, "worksheets": []}', "format 3"),
            ('{"nbformat": 2, "worksheets": []}', "format 2"),
            ('{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{"cell_type": "code"}]}', "not a"),
            ('{"nbformat": 4, "nbformat_minor": 5, "metadata": [], "cells": []}', "not a"),
        ],
    )
    def test_a_file_that_is_no_notebook_of_this_format(self, run: Run, content: str, says: str) -> None:
        Path("n.ipynb").write_text(content)
        code, out, err = run("n.ipynb")
        assert code == 1
        assert says in err
        assert len(err.splitlines()) == 1, err
        assert out == ""

    def test_a_folder_and_a_file_that_is_not_there(self, run: Run, tmp_path: Path) -> None:
        for path, says in ((tmp_path, "is a folder"), (tmp_path / "none.ipynb", "cannot be read")):
            code, _, err = run(path)
            assert code == 1
            assert says in err
            assert err.count("Nothing was run and nothing was paid.") == 1

    @pytest.mark.parametrize("place", ["no/such/folder/out.ipynb", "folder", "locked/out.ipynb"])
    def test_an_output_that_cannot_be_written(self, run: Run, place: str) -> None:
        Path("folder").mkdir()
        Path("locked").write_text("a file, no folder")
        notebook(Path("n.ipynb"), "open('ran', 'w').close()")
        code, _, err = run("n.ipynb", "-o", place)
        assert code == 1
        assert "cannot be written" in err
        assert "Nothing was run and nothing was paid." in err
        assert not Path("ran").exists()

    def test_another_language_and_a_kernel_that_was_asked_for(self, run: Run) -> None:
        notebook(Path("r.ipynb"), "1", kernelspec={"name": "ir", "display_name": "R", "language": "R"})
        assert "The notebook is in R" in run("r.ipynb")[2]
        notebook(Path("p.ipynb"), "1")
        assert "There is no kernel 'nope'" in run("p.ipynb", "--kernel", "nope")[2]


class TestWhatIsKept:
    def test_the_kernel_of_somebody_elses_machine_is_replaced_and_nothing_else_is_said(self, run: Run) -> None:
        spec = {"name": "conda-env-hers-py", "display_name": "hers", "language": "python"}
        notebook(Path("n.ipynb"), "import sys; print(sys.executable)", kernelspec=spec)
        code, out, err = run("n.ipynb", "-o", "out.ipynb")
        assert code == 0, err
        assert sys.executable in out
        first, second = err.splitlines()
        assert first == "The notebook's kernel 'conda-env-hers-py' is not installed here: this Python runs it."
        assert second.startswith("n.ipynb: 1 cell, ")
        assert printed(Path("out.ipynb")).strip() == sys.executable

    @pytest.mark.ci
    @pytest.mark.parametrize(
        ("cell", "says"),
        [
            ("import os; os._exit(3)", "The kernel died in cell 2."),
            ("import os; os.write(2, b'out of \\x1b]52;c;aGk=\\x07memory'); os.abort()", "out of ]52;c;aGk=memory"),
            ("raise ValueError('no\\x1b[2J such city')", "Cell 2 failed: ValueError: no[2J such city"),
            ("def", "Cell 2 failed: SyntaxError"),
        ],
    )
    def test_what_ran_before_a_cell_failed_or_the_kernel_died(self, run: Run, cell: str, says: str) -> None:
        notebook(Path("n.ipynb"), "print('paid')", cell, "print('never')")
        code, out, err = run("n.ipynb", "-o", "out.ipynb")
        assert code == 1
        assert says in err
        assert "The notebook so far is in out.ipynb." in err
        assert "Traceback" not in err
        assert "\x1b" not in out + err
        assert printed(Path("out.ipynb")) == "paid\n"

    @pytest.mark.ci
    @pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
    def test_what_ran_before_it_was_stopped(self, tmp_path: Path, how: signal.Signals) -> None:
        path = notebook(tmp_path / "n.ipynb", "print('paid')", "open('here', 'w').close()\nimport time; time.sleep(60)")
        env = os.environ | {"OG_LEDGER": str(tmp_path / "ledger.db")}
        command = [sys.executable, "-m", "og_magics", "run", str(path), "-o", str(tmp_path / "out.ipynb")]
        with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
            deadline = time.monotonic() + 60
            while not (tmp_path / "here").exists():
                assert time.monotonic() < deadline
                time.sleep(0.05)
            process.send_signal(how)
            _, err = process.communicate(timeout=60)
        assert printed(tmp_path / "out.ipynb") == "paid\n"
        if how == signal.SIGINT:
            assert process.returncode == 130
            assert "Interrupted in cell 2." in err
            assert "Traceback" not in err

    def test_a_disk_that_is_full_ends_the_run_and_keeps_what_was_written(
        self, run: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from og_magics.cli import run as module

        whole, written = module.write_notebook, []

        def until_full(path: Path, content: Any) -> None:
            if len(written) == 2:
                raise LedgerError(f"{path} cannot be written: No space left on device.")
            written.append(1)
            whole(path, content)

        monkeypatch.setattr(module, "write_notebook", until_full)
        notebook(Path("n.ipynb"), "print('one')", "print('two')", "print('three')", "open('fourth', 'w').close()")
        code, _, err = run("n.ipynb", "-o", "out.ipynb")
        assert code == 1
        assert "No space left on device" in err
        assert printed(Path("out.ipynb")) == "one\ntwo\n"
        assert not Path("fourth").exists()


@pytest.mark.ci
def test_a_promise_not_to_pay_reaches_the_kernel(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OG_REPLAY", "off")
    notebook(Path("n.ipynb"), "%load_ext og_magics", "%ogchat --replay off Never recorded.")
    code, _, err = run("n.ipynb", "--replay", "only")
    assert code == 1
    assert "NotRecorded" in err
    assert "Nothing was paid" in err


def test_paths_in_the_environment_are_those_of_where_the_command_was_given(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OG_LEDGER", "mine.db")
    monkeypatch.setenv("OG_DEVNET", "devnet.json")
    (tmp_path / "sub").mkdir()
    names = json.dumps(["OG_LEDGER", "OG_DEVNET"])
    notebook(tmp_path / "sub" / "n.ipynb", f"import os; print([os.environ[n] for n in {names}])")
    _, out, _ = run("sub/n.ipynb")
    assert str([str(tmp_path / "mine.db"), str(tmp_path / "devnet.json")]) in out
