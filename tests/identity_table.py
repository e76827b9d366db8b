"""What a notebook is after a rename, a move and a copy, and what a new file of its old name is, in each front end.

`python -m tests.identity_table [NAME ...]` prints a line for each front end that runs here, or for those named. In each,
a question is asked in a thread; its file, with the folder's `.og/`, is handled as the columns say, and opened again by
another kernel, which asks in a thread of the same name. A cell says whether the notebook's id is the same, and how many
questions the model was sent: those of another notebook must never be among them.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.kernelspec import KernelSpecManager

from og_magics.core.receipt import MIME
from og_magics.devnet import Devnet

COLUMNS = ("renamed", "a new file of the old name", "copied", "moved")
_LOAD = "%load_ext og_magics"
_ASK = "%%ogchat -n 3 --thread plan\n"


@dataclass(frozen=True)
class Asked:
    """What a question was asked as: its notebook's id, and the questions that the model was sent, it included."""

    id: str
    sent: tuple[str, ...]

    @classmethod
    def of(cls, receipt: Mapping[str, Any]) -> Asked:
        users = [one["content"] for one in receipt["request"]["messages"] if one["role"] == "user"]
        return cls(str(receipt["notebook_id"]), tuple(users))


class FrontEnd:
    """A program that runs notebooks. This one has no kernel of its own: it runs a command on the file.

    Attributes:
        arguments: of the command; `{}` is the file.
        names: the program tells its kernel the file's name. Where it does not, each run stands for itself, and the
            file goes on when a program opens it that does: `og-magics run`.
        reruns: it runs all cells each time, so that a copy asks again what its original asked.
    """

    environment: dict[str, str]
    reruns = True

    def __init__(self, name: str, *arguments: str, names: bool = True) -> None:
        self.name, self.arguments, self.names = name, arguments, names

    def ask(self, path: Path, text: str) -> Asked:
        """Open a notebook, or begin it, ask in a new cell, and save it."""
        self._append(path, text)
        self.run(path, first=text == "first")
        cells = nbformat.read(path, 4).cells
        return Asked.of(next(one["data"][MIME] for one in cells[-1].outputs if MIME in one.get("data", {})))

    def _append(self, path: Path, text: str) -> None:
        if not path.exists():
            kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
            begun = nbformat.v4.new_notebook(metadata={"kernelspec": kernel}, cells=[nbformat.v4.new_code_cell(_LOAD)])
            nbformat.write(begun, path)
        notebook = nbformat.read(path, 4)
        notebook.cells.append(nbformat.v4.new_code_cell(_ASK + text))
        nbformat.write(notebook, path)

    def run(self, path: Path, *, first: bool) -> None:
        """Run a notebook and keep its outputs in it."""
        arguments = self.arguments if self.names or first else _OG_MAGICS
        self._command(*(path.name if one == "{}" else one for one in arguments), cwd=path.parent)

    def _command(self, *arguments: str, cwd: Path, typed: str = "") -> str:
        done = subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=cwd, env=self.environment, input=typed, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{arguments} ended with {done.returncode}: {done.stderr[-2000:]}")
        return done.stdout

    def rename(self, old: Path, new: Path) -> None:
        os.rename(old, new)

    def copy(self, old: Path, new: Path) -> None:
        shutil.copy(old, new)

    def close(self) -> None:
        """End what still runs."""


_OG_MAGICS = ("og_magics", "run", "{}", "-o", "{}")


class OwnKernel(FrontEnd):
    """A program whose kernel we start as it does, with what it tells the kernel; saved as it saves.

    Attributes:
        told: makes the variables of the kernel's environment, of the file.
        set_first: makes the cell that the program runs first, of the file.
        goes_on: the file is not on the kernel's disk; a rename and a move leave the kernel as it is.
    """

    reruns = False

    def __init__(
        self,
        name: str,
        told: Callable[[Path], dict[str, str]],
        set_first: Callable[[Path], str],
        *,
        goes_on: bool = False,
    ) -> None:
        super().__init__(name)
        self._told, self._set_first, self._goes_on = told, set_first, goes_on
        self._kernels: dict[Path, Any] = {}

    def run(self, path: Path, *, first: bool) -> None:
        from .kernel.conftest import Kernel

        kernel = self._kernels.get(path)
        if kernel is None or not self._goes_on:
            place = path.parent.with_name("content") if self._goes_on else path.parent
            place.mkdir(exist_ok=True)
            environment = self.environment | self._told(path)
            kernel = Kernel(KernelSpecManager(), environment, place, load=False, name="python3")
            self._kernels[path] = kernel
            kernel.ask(self._set_first(path), store_history=False)
            kernel.ask(_LOAD)
        notebook = nbformat.read(path, 4)
        cell = kernel.ask(notebook.cells[-1].source)
        notebook.cells[-1].outputs = [nbformat.v4.new_output("display_data", data=cell.last)]
        nbformat.write(notebook, path)
        if not self._goes_on:
            kernel.close(now=True)

    def rename(self, old: Path, new: Path) -> None:
        super().rename(old, new)
        for path in [one for one in self._kernels if one == old or old in one.parents]:
            self._kernels[new / path.relative_to(old)] = self._kernels.pop(path)

    def close(self) -> None:
        for kernel in self._kernels.values():
            kernel.close(now=True)


class InBrowser(FrontEnd):
    """JupyterLab or Notebook 7 in Chromium: a person opens, renames and copies in its page."""

    reruns = False

    def __init__(self, name: str, app: str) -> None:
        super().__init__(name)
        self._app = app
        self._stack = contextlib.ExitStack()
        self._lab: Any = None

    def begin(self, root: Path) -> None:
        """Start server and browser, whose notebooks are in a folder."""
        from playwright.sync_api import sync_playwright

        from .browser.conftest import CHROMIUM_FLAGS, find_chromium
        from .browser.lab import Lab
        from .browser.server import Server

        server = Server(root, self._app)
        server.kernel("python3", {name: self.environment[name] for name in ("OG_DEVNET", "XDG_STATE_HOME")})
        process = server.start()
        self._stack.callback(process.wait, 60)
        self._stack.callback(process.terminate)
        self._stack.callback(server.end_kernels)
        playwright = self._stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=CHROMIUM_FLAGS)
        self._stack.callback(browser.close)
        context = browser.new_context(viewport={"width": 1200, "height": 900}, reduced_motion="reduce")
        self._lab = Lab(context, server, server.root / "desk", root)

    @property
    def folder(self) -> Path:
        return Path(self._lab.server.root) / "desk"

    def run(self, path: Path, *, first: bool) -> None:
        self._lab.server.end_kernels()
        self._lab.at(path.parent).show(path.name).ready().run(0).finished(0)
        last = len(nbformat.read(path, 4).cells) - 1
        self._lab.run(last).finished(last)
        self._lab.until_saved(lambda notebook: any(MIME in one.get("data", {}) for one in notebook.cells[last].outputs))

    def rename(self, old: Path, new: Path) -> None:
        if old.is_dir():
            super().rename(old, new)
        else:
            self._lab.page.evaluate("name => jupyterapp.shell.currentWidget.context.rename(name)", new.name)

    def copy(self, old: Path, new: Path) -> None:
        root = self._lab.server.root
        made = self._lab.page.evaluate(
            "async ([file, folder]) => (await jupyterapp.serviceManager.contents.copy(file, folder)).path",
            [old.relative_to(root).as_posix(), old.parent.relative_to(root).as_posix()],
        )
        os.rename(root / made, new)

    def close(self) -> None:
        self._stack.close()


class Terminal(FrontEnd):
    """IPython in a terminal, which has no notebook: its receipts and threads are the folder's."""

    def ask(self, path: Path, text: str) -> Asked:
        path.mkdir(exist_ok=True)
        shown = "print('\\nASKED', __import__('json').dumps({'notebook_id': '', 'request': r.receipt.request}))"
        lines = [_LOAD, f"%ogchat -n 3 --thread plan -o r {text}", shown, "exit", ""]
        flags = ["--simple-prompt", "--no-banner", "--colors=NoColor", "--no-confirm-exit"]
        said = self._command("IPython", *flags, cwd=path, typed="\n".join(lines))
        return Asked.of(json.loads(next(line for line in said.splitlines() if line.startswith("ASKED"))[5:]))

    def copy(self, old: Path, new: Path) -> None:
        shutil.copytree(old, new)


def front_ends() -> list[FrontEnd]:
    """Return those that run here, each ready to be given an environment."""
    papermill = ("papermill", "--no-progress-bar", "-k", "python3", "{}", "{}")
    found = [
        FrontEnd("og-magics run", *_OG_MAGICS),
        FrontEnd("papermill --inject-output-path", *papermill, "--inject-output-path"),
        FrontEnd("papermill, then opened", *papermill, names=False),
        FrontEnd("jupyter execute (nbclient), then opened", "jupyter", "execute", "--inplace", "{}", names=False),
        FrontEnd(
            "jupyter nbconvert --execute, then opened",
            "nbconvert", "--to", "notebook", "--execute", "--inplace", "{}", names=False,
        ),
        OwnKernel("a Jupyter server's kernel", lambda path: {"JPY_SESSION_NAME": str(path)}, lambda _: ""),
        OwnKernel("VS Code's variables", lambda _: {}, lambda path: f"__vsc_ipynb_file__ = {str(path)!r}"),
        OwnKernel("Colab's variables", lambda _: {"JPY_SESSION_NAME": "fileId=1xYz"}, lambda _: "", goes_on=True),
        Terminal("IPython in a terminal (its folder)"),
    ]  # fmt: skip
    for name, app in (("JupyterLab", "jupyterlab"), ("Notebook 7", "notebook")):
        if find_spec(app) is not None and find_spec("playwright") is not None and _chromium():
            found.append(InBrowser(name, app))
    return found


def _chromium() -> bool:
    from .browser.conftest import find_chromium

    return find_chromium() is not None


@dataclass
class Row:
    """A front end, and what its notebook was in each column; `wrong` are those that are not as they must be."""

    name: str
    found: dict[str, str] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)

    @property
    def line(self) -> str:
        cells = " ".join(f"{self.found.get(one, '-'):<26}" for one in COLUMNS)
        return f"{self.name:<40} {cells} {'FAIL: ' + '; '.join(self.wrong) if self.wrong else 'ok'}"


def row_of(front_end: FrontEnd, folder: Path) -> Row:
    """Ask in a notebook, and again in each that its file becomes."""
    row, terminal = Row(front_end.name), isinstance(front_end, Terminal)
    suffix = "" if terminal else ".ipynb"
    untitled, report, copy = (folder / f"{name}{suffix}" for name in ("Untitled", "report", "report-Copy1"))
    first = front_end.ask(untitled, "first")

    def see(column: str, asked: Asked, sent: tuple[str, ...], *, same: bool) -> None:
        is_same = asked.sent[:1] == first.sent[:1] if terminal else asked.id == first.id
        row.found[column] = f"{'the same' if is_same else 'another'}, sent {', '.join(asked.sent)}"
        if is_same is not same or asked.sent != sent:
            row.wrong.append(f"{column}: must be {'the same' if same else 'another'}, sent {', '.join(sent)}")

    front_end.rename(untitled, report)
    see("renamed", front_end.ask(report, "two"), ("first", "two"), same=True)
    see("a new file of the old name", front_end.ask(untitled, "new"), ("new",), same=False)
    if isinstance(front_end, InBrowser):
        front_end.ask(report, "again")  # its page shows it, and the folder around it
    front_end.copy(report, copy)
    # A folder's copy has the folder's threads.
    kept = ("first", "two", "cp") if terminal or front_end.reruns else ("cp",)
    see("copied", front_end.ask(copy, "cp"), kept, same=terminal)
    front_end.rename(folder, moved := folder.with_name(f"{folder.name}-moved"))
    again = ("again",) if isinstance(front_end, InBrowser) else ()
    see("moved", front_end.ask(moved / report.name, "end"), ("first", "two", *again, "end"), same=True)
    return row


def environment_of(devnet: Devnet, home: Path) -> dict[str, str]:
    """Return a process's environment: without what configures us or Jupyter, on a devnet, with folders of its own."""
    ours = ("OG_", "BASE_", "JPY_", "IPYTHON", "JUPYTER", "PYTEST", "PYTHONWARNINGS")
    bare = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    bare["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), bare.get("PATH", os.defpath)])
    told = {"OG_DEVNET": json.dumps(devnet.info), "IPYTHONDIR": str(home / "ipython")}
    return bare | told | {"XDG_STATE_HOME": str(home / "state")}


def rows(devnet: Devnet, work: Path, *names: str) -> Iterator[Row]:
    """Yield the rows of the front ends that are named, or of all; each has a folder and a state directory of its own."""
    for number, one in enumerate(front_ends()):
        if names and not any(name in one.name for name in names):
            continue
        home = work / str(number)
        home.mkdir()
        one.environment = environment_of(devnet, home)
        folder = home / "desk"
        try:
            if isinstance(one, InBrowser):
                one.begin(home)
                folder = one.folder
            folder.mkdir()
            yield row_of(one, folder)
        finally:
            one.close()


def main(*names: str) -> int:
    """Print the table; return how many rows are wrong."""
    failed = 0
    print(f"{'':<40} {' '.join(f'{one:<26}' for one in COLUMNS)}")
    with tempfile.TemporaryDirectory() as work, Devnet(settle_after=1, batch_after=0.5, token_delay=0.001) as devnet:
        for row in rows(devnet, Path(work), *names):
            failed += bool(row.wrong)
            print(row.line, flush=True)
    print(f"{failed} wrong")
    return failed


if __name__ == "__main__":
    sys.exit(bool(main(*sys.argv[1:])))
