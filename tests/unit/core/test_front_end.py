"""What each front end tells a kernel of its notebook."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from og_magics.core.front_end import RunningNotebook, running_notebook


@pytest.mark.parametrize(
    ("front_end", "names", "env", "expected"),
    [
        ("JupyterLab, Notebook 7", {}, {"JPY_SESSION_NAME": "/home/me/n.ipynb"}, "/home/me/n.ipynb"),
        ("og-magics run", {}, {"JPY_SESSION_NAME": "/home/me/n.ipynb", "JPY_PARENT_PID": "1"}, "/home/me/n.ipynb"),
        ("a console of JupyterLab", {}, {"JPY_SESSION_NAME": "/home/me/console-1-6f2a"}, None),
        ("VS Code", {"__vsc_ipynb_file__": "/a/b.ipynb"}, {"JPY_SESSION_NAME": "/c.ipynb"}, "/a/b.ipynb"),
        ("VS Code, not saved yet", {"__vsc_ipynb_file__": "Untitled-1.ipynb"}, {}, None),
        ("VS Code, an interactive window", {"__vsc_ipynb_file__": "/a/Interactive-1.interactive"}, {}, None),
        ("VS Code, a name that a cell overwrote", {"__vsc_ipynb_file__": 3}, {}, None),
        ("Colab", {}, {"JPY_SESSION_NAME": "/content/Untitled0.ipynb"}, "/content/Untitled0.ipynb"),
        ("Colab, by the file's id", {}, {"JPY_SESSION_NAME": "fileId=1xYz"}, None),
        ("papermill --inject-output-path", {"PAPERMILL_OUTPUT_PATH": "/run/out.ipynb"}, {}, "/run/out.ipynb"),
        ("papermill, into a bucket", {"PAPERMILL_OUTPUT_PATH": "s3://here/out.ipynb"}, {}, None),
        ("papermill, to standard output", {"PAPERMILL_OUTPUT_PATH": "-"}, {}, None),
        ("papermill, nbclient, nbconvert, a terminal", {}, {}, None),
    ],
)
def test_it_is_told_by(front_end: str, names: dict[str, object], env: dict[str, str], expected: str | None) -> None:
    path = None if expected is None else Path(expected)
    assert running_notebook(names, env, "k") == RunningNotebook(path, "k"), front_end


def test_a_relative_path_begins_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert running_notebook({}, {"JPY_SESSION_NAME": "n.ipynb"}, "").path == tmp_path / "n.ipynb"


def test_in_a_terminal_there_is_no_kernel() -> None:
    assert running_notebook({}, {}) == RunningNotebook()


def test_a_kernel_is_known_by_its_connection_file_and_key(monkeypatch: pytest.MonkeyPatch) -> None:
    def named(file: str, key: bytes) -> str:
        app = SimpleNamespace(connection_file=file, session=SimpleNamespace(key=key))
        shell = SimpleNamespace(kernel=SimpleNamespace(parent=app))
        monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
        return running_notebook({}, {}).kernel

    one = named("/run/kernel-1.json", b"key")
    assert one == named("/elsewhere/kernel-1.json", b"key")
    assert len({one, named("/run/kernel-2.json", b"key"), named("/run/kernel-1.json", b"another")}) == 3
    assert "key" not in one


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="only Linux tells a process's environment")
def test_a_kernel_that_a_cell_starts_does_not_take_the_name_of_its_notebook() -> None:
    told = {"JPY_SESSION_NAME": "/home/me/outer.ipynb"}
    parent = subprocess.Popen(
        [sys.executable, "-c", "input('started')"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | told,
    )
    try:
        assert parent.stdout is not None
        assert parent.stdout.read(7) == b"started"
        inner = told | {"JPY_PARENT_PID": str(parent.pid)}
        assert running_notebook({}, inner, "k").path is None
        assert running_notebook({}, inner | {"JPY_SESSION_NAME": "/other.ipynb"}, "k").path == Path("/other.ipynb")
        assert running_notebook({}, inner | {"JPY_PARENT_PID": "odd"}, "k").path == Path("/home/me/outer.ipynb")
    finally:
        parent.communicate(b"\n")
