"""JupyterLab, or Notebook 7, in a page: what a person sees of it, and does with it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
from playwright.sync_api import BrowserContext, Locator, Page, Request, expect

from .server import HANG, Server, eventually

expect.set_options(timeout=HANG * 1000)

#: Why Chromium refuses a request before it is sent: the page's policy, another origin (an SVG's `use`), http in https.
_NEVER_SENT = {"csp", "origin", "mixed-content"}


class Lab:
    """One page with JupyterLab or Notebook 7 in it.

    Attributes:
        page: Playwright's.
        console: what the page told its console, and the errors in it.
        strayed: every address outside of the server that the page asked for. None of them was let through.
        received: the bytes of each message that came over a websocket, in their order.
        cells, area: selectors of the code cells, and in each of what stands under it.
    """

    cells = ".jp-Notebook .jp-CodeCell"
    area = ".jp-Cell-outputArea"

    def __init__(self, context: BrowserContext, server: Server, folder: Path, artifacts: Path) -> None:
        self.server, self._folder, self._artifacts, self._context = server, folder, artifacts, context
        self.console: list[str] = []
        self.strayed: list[str] = []
        self.received: list[int] = []
        context.route(
            re.compile(rf"^(?!{re.escape(server.url)}/|data:|blob:|about:|file:)"), lambda route: route.abort()
        )
        context.on("request", self._asked)
        context.on("requestfailed", self._refused)
        self.page = self._page()

    def _page(self) -> Page:
        page = self._context.new_page()
        page.set_default_timeout(HANG * 1000)
        page.on("console", lambda message: self.console.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.console.append(f"error: {error}"))
        page.on("websocket", lambda socket: socket.on("framereceived", self._came))
        return page

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((f"{self.server.url}/", "data:", "blob:", "about:", "file:")):
            self.strayed.append(request.url)

    def _refused(self, request: Request) -> None:
        """What a page's policy or the browser's own rules forbid is announced, and not asked for."""
        if request.url in self.strayed and str(request.failure).lower() in _NEVER_SENT:
            self.strayed.remove(request.url)

    def assert_nothing_strayed(self) -> None:
        """Fail if the page asked for an address outside of the server.

        A request that the page's policy forbids is announced before it is refused: its refusal is waited for.
        """
        for _ in range(50):
            if not self.strayed:
                return
            self.page.wait_for_timeout(100)
        assert self.strayed == []

    def _came(self, frame: str | bytes) -> None:
        self.received.append(len(frame.encode() if isinstance(frame, str) else frame))

    def open(self, *cells: str, name: str = "notebook.ipynb", kernel: str = "devnet", theme: str = "Light") -> Lab:
        """Write a notebook of these code cells and open it; returns when its kernel is ready."""
        spec = {"name": kernel, "display_name": kernel, "language": "python"}
        made = [nbformat.v4.new_code_cell(source) for source in cells]
        self._folder.mkdir(parents=True, exist_ok=True)
        notebook = nbformat.v4.new_notebook(cells=made, metadata={"kernelspec": spec})
        nbformat.write(notebook, self._folder / name)
        self.show(name, theme=theme)
        return self.ready()

    def show(self, name: str = "notebook.ipynb", *, theme: str = "Light") -> Lab:
        """Open a notebook that is there."""
        self.server.set("apputils-extension/themes", {"theme": f"JupyterLab {theme}"})
        self.page.goto(self.server.page_of(self._folder / name))
        self.page.locator(".jp-Notebook").wait_for()
        self.page.evaluate("jupyterapp.shell.collapseLeft()")
        return self

    def ready(self) -> Lab:
        """Wait until the kernel is there and has nothing to do."""
        self.page.wait_for_function(
            "jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status === 'idle'"
        )
        return self

    def at(self, folder: Path) -> Lab:
        """Open notebooks of another folder from now on."""
        self._folder = folder
        return self

    def file(self, name: str = "notebook.ipynb") -> Path:
        return self._folder / name

    def place(self, name: str = "notebook.ipynb") -> str:
        """The file's path in the server's folder."""
        return self.file(name).relative_to(self.server.root).as_posix()

    def command(self, command: str, **arguments: Any) -> None:
        """Do what a menu entry does, and do not wait for it."""
        self.page.evaluate("([id, args]) => { void jupyterapp.commands.execute(id, args) }", [command, arguments])

    def run_all(self) -> Lab:
        """Start all cells."""
        self.command("notebook:run-all-cells")
        return self

    def run(self, index: int) -> Lab:
        """Start one cell."""
        self.page.evaluate(
            "index => { const notebook = jupyterapp.shell.currentWidget.content;"
            " notebook.deselectAll(); notebook.activeCellIndex = index;"
            " void jupyterapp.commands.execute('notebook:run-cell') }",
            index,
        )
        return self

    def write(self, index: int, source: str) -> None:
        """Put another text into a cell."""
        self.page.evaluate(
            "([index, source]) =>"
            " jupyterapp.shell.currentWidget.content.widgets[index].model.sharedModel.setSource(source)",
            [index, source],
        )

    def cell(self, index: int) -> Locator:
        return self.page.locator(self.cells).nth(index)

    def output(self, index: int) -> Locator:
        """What stands under a cell."""
        return self.cell(index).locator(self.area)

    def finished(self, *indexes: int, within: float = HANG) -> Lab:
        """Wait until these cells have run, seconds for each."""
        for index in indexes:
            prompt = self.cell(index).locator(".jp-InputPrompt")
            expect(prompt).to_have_text(re.compile(r"\[\d+\]:"), timeout=within * 1000)
        return self

    def running(self, index: int) -> bool:
        return self.cell(index).locator(".jp-InputPrompt").inner_text() == "[*]:"

    def restart(self) -> Lab:
        """A new kernel for the notebook; its outputs stay."""
        self.page.evaluate("jupyterapp.shell.currentWidget.sessionContext.restartKernel()")
        return self.ready()

    def interrupt(self) -> None:
        self.command("notebook:interrupt-kernel")

    def save(self) -> nbformat.NotebookNode:
        """Save it; the notebook as it is on disk then."""
        self.page.evaluate("jupyterapp.shell.currentWidget.context.save()")
        path = self.page.evaluate("jupyterapp.shell.currentWidget.context.path")
        return nbformat.read(self.server.root / path, as_version=4)

    def until_saved(self, seen: Callable[[nbformat.NotebookNode], bool]) -> nbformat.NotebookNode:
        """Save it until what is on disk is as `seen` wants it."""
        return eventually(lambda: seen(notebook := self.save()) and notebook)

    def show_without_kernel(self, notebook: nbformat.NotebookNode) -> Lab:
        """Open a copy of a notebook, and choose no kernel for it."""
        copy = notebook.copy()
        copy["metadata"] = {}
        nbformat.write(copy, self.file("copy.ipynb"))
        self.show("copy.ipynb")
        self.page.locator(".jp-Dialog").get_by_role("button", name="No Kernel", exact=True).click()
        return self

    def width(self, pixels: int, height: int = 900) -> None:
        self.page.set_viewport_size({"width": pixels, "height": height})

    def screenshot(self, name: str) -> None:
        self._artifacts.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(path=self._artifacts / f"{re.sub(r'[^A-Za-z0-9_-]+', '-', name)[:100]}.png")
