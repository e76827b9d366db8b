"""What is shown in each place where an output can go, in each front end.

`python -m tests.output_places [NAME ...]` prints a line for each place and each front end that runs here, or for the
front ends named: how many lengths of the answer were seen before its end, whether all of it stands there at the end and
how often, how many lines the cell printed beside it, and what the saved file holds. VS Code and Colab do not run here:
a kernel's messages are read by their rules. `--place NAME`, which may be repeated, takes these places only. It ends
with the number of wrong rows.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.kernelspec import KernelSpecManager

from benchmarks.typist import Typist
from og_magics.devnet import Devnet

from .identity_table import environment_of
from .kernel.conftest import Cell, Kernel
from .message_rules import Screen, VSCode
from .places import HEAD, LOAD, PLACES, STATES, Place, Row, Seen, sentences, shown

_NO_PERSON = "a person acts there, and here is none"
_NO_SUBSHELL = "this front end sends cells to no subshell"
_LATEST = 60.0
"""Seconds for what a cell has left to show."""


class InFile:
    """A command that runs a notebook's file. What is seen is what the file shows when it is opened."""

    def __init__(self, name: str, *arguments: str) -> None:
        self.name, self._arguments = name, arguments

    def see(self, places: Sequence[Place], home: Path, environment: Mapping[str, str]) -> Iterator[tuple[Place, Seen]]:
        """Run all places in one notebook; yield each with what the file has of it."""
        path = home / "places.ipynb"
        tried = [place for place in places if not place.action and not place.subshell]
        nbformat.write(_notebook(tried, "python3"), path)
        command = [sys.executable, "-m", *(path.name if one == "{}" else one for one in self._arguments)]
        done = subprocess.run(
            command, cwd=home, env=dict(environment), capture_output=True, text=True, check=False, timeout=900
        )
        if done.returncode:
            raise RuntimeError(f"{self.name} ended with {done.returncode}: {done.stderr[-2000:]}")
        notebook = nbformat.read(path, 4)
        states = notebook.metadata.get("widgets", {}).get(STATES, {}).get("state", {})
        widgets = {model: one["state"] for model, one in states.items()}
        cells = notebook.cells[-sum(len(place.cells) for place in tried) :]
        for place in places:
            if place not in tried:
                yield place, Seen(skipped=_NO_PERSON if place.action else _NO_SUBSHELL)
                continue
            own, cells = cells[: len(place.cells)], cells[len(place.cells) :]
            outputs = [output for cell in own for output in cell.outputs]
            yield place, Seen(shown(outputs, widgets), None, outputs)


class _Watched(Kernel):
    """A kernel whose messages a screen shows."""

    screen: Screen | None = None
    watched: tuple[str, ...] = ()

    def read(self) -> tuple[str, dict[str, Any]]:
        asked, message = super().read()
        if self.screen is not None:
            self.screen.take(asked, message)
            self.lengths.add(len(sentences(self.text)))
        return asked, message

    @property
    def text(self) -> str:
        """What stands below the watched cells."""
        assert self.screen is not None
        return "\n".join(map(self.screen.text, self.watched))

    def watch(self, *cells: str) -> None:
        self.watched, self.lengths = cells, set[int]()

    def tell(self, cell: str, model: str, data: Mapping[str, Any]) -> None:
        """Send what a person did with a widget of a cell, and wait for all that comes of it."""
        message = self.client.session.msg("comm_msg", {"comm_id": model, "data": data})
        self._follow(message, cell)

    def in_subshell(self, code: str, cell: str) -> None:
        """Run a cell in a subshell."""
        self.client.control_channel.send(self.client.session.msg("create_subshell_request", {}))
        reply = self.client.get_control_msg(timeout=_LATEST)
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
        message = self.client.session.msg("execute_request", content | {"stop_on_error": False})
        message["header"]["subshell_id"] = reply["content"]["subshell_id"]
        self._follow(message, cell)

    def _follow(self, message: dict[str, Any], cell: str) -> None:
        asked = message["header"]["msg_id"]
        assert self.screen is not None
        self._cells[asked], self.screen.cells[asked] = Cell(), cell
        self.client.shell_channel.send(message)
        while not self._cells[asked].idle:
            self.read()

    def in_cell(self, code: str, cell: str) -> None:
        """Run a cell as a front end does."""
        asked = self.send(code)
        assert self.screen is not None
        self.screen.cells[asked] = cell
        self.result(asked)


class ByRules:
    """A kernel's messages, read by the rules of a front end that does not run here."""

    def __init__(self, name: str, screen: type[Screen], first: str = "", *, callbacks: str = "") -> None:
        self.name, self._screen, self._first, self._callbacks = name, screen, first, callbacks

    def see(self, places: Sequence[Place], home: Path, environment: Mapping[str, str]) -> Iterator[tuple[Place, Seen]]:
        """Run all places in one kernel; yield each with what is shown of it."""
        kernel = _Watched(KernelSpecManager(), dict(environment), home, load=False, name="python3")
        kernel.screen = screen = self._screen()
        kernel.watch()
        try:
            kernel.ask(f"{self._first}\n{LOAD}")
            for number, place in enumerate(places):
                if self._callbacks and place.action and not place.in_widget:
                    yield place, Seen(skipped=self._callbacks)
                    continue
                names = [f"{number}.{at}" for at in range(len(place.cells))]
                kernel.watch(*names)
                for name, cell in zip(names, place.cells, strict=True):
                    (kernel.in_subshell if place.subshell else kernel.in_cell)(cell, name)
                if place.action:
                    kernel.watch(*names)
                    data: dict[str, Any] = {"method": "update", "state": {"value": 2}, "buffer_paths": []}
                    if place.action == "click":
                        data = {"method": "custom", "content": {"event": "click"}}
                    kernel.tell(
                        names[0], screen.newest("ButtonModel" if place.action == "click" else "IntSliderModel"), data
                    )
                yield place, Seen(kernel.text, kernel.lengths, None)
        finally:
            kernel.close(now=True)


class InPage:
    """A front end in Chromium.

    Attributes:
        callbacks: why it shows nothing of a callback's own output; "" where it does.
        at_once: it runs all cells before it shows anything.
    """

    def __init__(
        self, name: str, page: str, app: str = "jupyterlab", *, callbacks: str = "", at_once: bool = False
    ) -> None:
        self.name, self._page, self._app = name, page, app
        self._callbacks, self._at_once = callbacks, at_once

    def see(self, places: Sequence[Place], home: Path, environment: Mapping[str, str]) -> Iterator[tuple[Place, Seen]]:
        """Run all places in one page; yield each with what was on the screen, and what the file has."""
        with ExitStack() as stack:
            lab = self._opened(stack, home, environment)
            tried = [place for place in places if not self._untried(place)]
            lab.open(LOAD, *(cell for place in tried for cell in place.cells), kernel="places")
            lab.run(0).finished(0)
            found, first = [], 1
            for place in tried:
                found.append((place, first, self._seen(lab, place, first)))
                first += len(place.cells)
            notebook = None if self._at_once else lab.save()
            for place, first, seen in found:
                if notebook is not None:
                    cells = notebook.cells[first : first + len(place.cells)]
                    seen.outputs = [output for cell in cells for output in cell.outputs]
                yield place, seen
            for place in places:
                if reason := self._untried(place):
                    yield place, Seen(skipped=reason)

    def _untried(self, place: Place) -> str:
        return _NO_SUBSHELL if place.subshell else ""

    def _opened(self, stack: ExitStack, home: Path, environment: Mapping[str, str]) -> Any:
        from playwright.sync_api import sync_playwright

        from .browser import others
        from .browser.conftest import CHROMIUM_FLAGS, find_chromium
        from .browser.lab import Lab
        from .browser.server import HANG, Server

        server = Server(home, self._app)
        server.kernel("places", {name: environment[name] for name in ("OG_DEVNET", "XDG_STATE_HOME")})
        process = server.start()
        stack.callback(process.wait, HANG)
        stack.callback(process.terminate)
        stack.callback(server.end_kernels)
        playwright = stack.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=CHROMIUM_FLAGS)
        stack.callback(browser.close)
        context = browser.new_context(viewport={"width": 1200, "height": 900}, reduced_motion="reduce")
        page: type[Lab] = Lab if self._page == "Lab" else getattr(others, self._page)
        return page(context, server, server.root / "desk", home)

    def _seen(self, lab: Any, place: Place, first: int) -> Seen:
        last = first + len(place.cells) - 1
        where = [lab.cells, lab.area, first, last]
        lab.page.evaluate(_WATCH, where)
        for index in range(first, last + 1):
            lab.run(index).finished(index, within=180)
        self._until_whole(lab, place, where, place.answers if not place.action or place.action == "slide" else 0)
        if place.action:
            lab.page.evaluate(_WATCH, where)
            self._act(lab, place, last)
            if self._callbacks and not place.in_widget:
                lab.page.wait_for_timeout(5000)
                if not sentences(lab.page.evaluate(_TEXT, where)):
                    return Seen(by_rule=self._callbacks)
            self._until_whole(lab, place, where, place.answers, begun=True)
        lengths = None if self._at_once and not place.action else set(lab.page.evaluate("[...window.lengths]"))
        return Seen(lab.page.evaluate(_TEXT, where), lengths, None)

    def _until_whole(self, lab: Any, place: Place, where: list[Any], answers: int, *, begun: bool = False) -> None:
        """Wait until the answer is there and nothing changes any more; give up where that does not happen."""
        whole, before, deadline = answers * len(place.sentences), "", time.monotonic() + _LATEST
        while time.monotonic() < deadline:
            text = lab.page.evaluate(_TEXT, where)
            lengths = lab.page.evaluate("[...window.lengths]")
            if text == before and len(sentences(text)) >= whole and (not begun or len(lengths) > 1):
                return
            before = text
            lab.page.wait_for_timeout(1000)

    def _act(self, lab: Any, place: Place, cell: int) -> None:
        area = lab.cell(cell)
        if place.action == "click":
            area.locator("button", has_text="Ask").click()
        else:
            bar = area.locator(".noUi-target")
            bar.click(position={"x": bar.bounding_box()["width"] - 3, "y": 3}, force=True)


_TEXT = """
([cells, area, first, last]) => [...document.querySelectorAll(cells)].slice(first, last + 1)
  .map(cell => [...cell.querySelectorAll(area)].map(one => one.innerText).join("\\n")).join("\\n")
"""
_WATCH = """
([cells, area, first, last]) => {
  const lengths = window.lengths = new Set();
  let waiting = false;
  const drawn = () => {
    waiting = false;
    const text = [...document.querySelectorAll(cells)].slice(first, last + 1)
      .map(cell => [...cell.querySelectorAll(area)].map(one => one.textContent).join("\\n")).join("\\n");
    lengths.add((text.match(/[a-z] \\d+\\.(?!\\d)/g) || []).length);
  };
  window.watching?.disconnect();
  window.watching = new MutationObserver(() => { if (!waiting) { waiting = true; requestAnimationFrame(drawn); } });
  window.watching.observe(document.body, {childList: true, characterData: true, subtree: true});
}
"""


def _notebook(places: Sequence[Place], kernel: str) -> nbformat.NotebookNode:
    spec = {"name": kernel, "display_name": kernel, "language": "python"}
    cells = [
        nbformat.v4.new_code_cell(source) for source in (LOAD, *(cell for place in places for cell in place.cells))
    ]
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": spec})


def front_ends() -> list[InFile | ByRules | InPage]:
    """Return those that run here, and those whose rules are read."""
    from .browser.conftest import find_chromium

    found: list[InFile | ByRules | InPage] = [
        ByRules("VS Code's rules", VSCode, "__vsc_ipynb_file__ = 'places.ipynb'"),
        ByRules("Colab's rules", Screen, callbacks="what Colab does there is not public"),
        InFile("jupyter execute", "jupyter", "execute", "--inplace", "{}"),
        InFile("nbconvert", "nbconvert", "--to", "notebook", "--execute", "--inplace", "{}"),
        InFile("papermill", "papermill", "--no-progress-bar", "-k", "python3", "{}", "{}"),
        InFile("og-magics run", "og_magics", "run", "{}", "-o", "{}"),
    ]
    if find_chromium() is not None:
        log = "JupyterLab writes a callback's own output into its log, and into no cell"
        pages = [
            ("jupyterlab", InPage("JupyterLab", "Lab", callbacks=log)),
            ("notebook", InPage("Notebook 7", "Lab", "notebook", callbacks=log.replace("JupyterLab", "Notebook 7"))),
            ("nbclassic", InPage("nbclassic", "Classic")),
            ("voila", InPage("Voila", "Voila", callbacks="Voila shows no output of a callback", at_once=True)),
        ]
        found += [page for module, page in pages if find_spec(module) is not None]
    return found


def rows(work: Path, names: Sequence[str] = (), chosen: Sequence[str] = ()) -> Iterator[Row]:
    """Yield the rows of the front ends and places named, or of all. The devnet's model is a typist's text."""
    places = [place for place in PLACES if not chosen or place.name in chosen]
    with Typist() as typist, Devnet(upstream=typist.url, settle_after=30, batch_after=30) as devnet:
        for number, front_end in enumerate(front_ends()):
            if names and not any(name.casefold() in front_end.name.casefold() for name in names):
                continue
            home = work / str(number)
            home.mkdir()
            left = list(places)
            try:
                for place, seen in front_end.see(places, home, environment_of(devnet, home)):
                    left.remove(place)
                    yield Row(place, front_end.name, seen)
            except Exception as error:
                reason = f"not seen: {type(error).__name__}: {' '.join(str(error).split())[-300:]}"
                yield from (Row(place, front_end.name, Seen(), [reason]) for place in left)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the list; return how many rows are wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.output_places", description=__doc__)
    parser.add_argument("names", nargs="*", help="parts of the front ends' names")
    parser.add_argument("--place", action="append", default=[], choices=[place.name for place in PLACES])
    args = parser.parse_args(arguments)
    wrong = count = 0
    print(HEAD, flush=True)
    with tempfile.TemporaryDirectory() as work:
        for row in rows(Path(work), args.names, args.place):
            count += 1
            wrong += bool(row.wrong)
            print(row.line, flush=True)
    print(f"{count} rows, {wrong} wrong")
    return wrong


if __name__ == "__main__":
    sys.exit(bool(main()))
