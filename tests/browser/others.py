"""nbclassic and Voila in a page, on JupyterLab's server, of which both are extensions."""

from __future__ import annotations

import re

import nbformat
from playwright.sync_api import expect

from .lab import Lab
from .server import HANG


class Classic(Lab):
    """One page with nbclassic in it, the notebook of before JupyterLab."""

    cells = "#notebook-container > .code_cell"
    area = ":scope > .output_wrapper"

    def show(self, name: str = "notebook.ipynb", *, theme: str = "Light") -> Classic:
        self.page.goto(f"{self.server.url}/nbclassic/notebooks/{self.place(name)}")
        self.page.wait_for_function("window.Jupyter?.notebook?._fully_loaded")
        self.page.evaluate("Jupyter.notebook.set_autosave_interval(0)")
        return self

    def ready(self) -> Classic:
        self.page.wait_for_function(
            "Object.keys(Jupyter.notebook.kernel?.info_reply ?? {}).length && Jupyter.notebook.kernel.widget_manager"
            " && Jupyter.notebook.get_cell(0).output_area.mime_types().some(name => name.includes('widget-view'))"
        )
        return self

    def run_all(self) -> Classic:
        self.page.evaluate("Jupyter.notebook.execute_all_cells()")
        return self

    def run(self, index: int) -> Classic:
        self.page.evaluate("index => Jupyter.notebook.execute_cells([index])", index)
        return self

    def finished(self, *indexes: int, within: float = HANG) -> Classic:
        for index in indexes:
            prompt = self.cell(index).locator(".input_prompt")
            expect(prompt).to_have_text(re.compile(r"In\s\[\d+\]:"), timeout=within * 1000)
        return self

    def save(self) -> nbformat.NotebookNode:
        self.page.evaluate("Jupyter.notebook.save_notebook()")
        return nbformat.read(self.server.root / self.page.evaluate("Jupyter.notebook.notebook_path"), as_version=4)


class Voila(Lab):
    """One page with what Voila makes of a notebook: its outputs. All cells run before it is shown."""

    cells = "#rendered_cells .jp-CodeCell"
    area = ".jp-Cell-outputWrapper"

    def show(self, name: str = "notebook.ipynb", *, theme: str = "Light") -> Voila:
        self.page.goto(f"{self.server.url}/voila/render/{self.place(name)}", timeout=10 * HANG * 1000)
        return self

    def ready(self) -> Voila:
        self.page.locator("#rendered_cells").wait_for(timeout=10 * HANG * 1000)
        return self

    def run(self, index: int) -> Voila:
        return self

    def finished(self, *indexes: int, within: float = HANG) -> Voila:
        return self
