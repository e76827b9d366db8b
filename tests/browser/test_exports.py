"""The notebooks as HTML and as PDF, made by nbconvert: what a reader gets who has no Jupyter."""

from __future__ import annotations

import io
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import pytest
from nbconvert import HTMLExporter, WebPDFExporter

from og_magics.core.receipt import MIME
from og_magics.display.markdown import to_html

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.ci

PATHS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))
RAW = ("<details", "<summary", "<sub>", "<small>", "</", "&#", "&lt;", "&amp;")
CUT = """
() => [...document.querySelectorAll(".jp-OutputArea-output, .jp-MarkdownOutput")]
  .filter(one => one.scrollWidth > one.clientWidth + 1)
  .map(one => `${one.scrollWidth} of ${one.clientWidth} px: ${one.innerText.slice(0, 80)}`)
"""
_WIDTH, _HEIGHT = 816, 1056
"""In pixels, of a page of the size that nbconvert prints: Letter."""


class Printed(WebPDFExporter):  # type: ignore[misc]  # nbconvert has no types
    """nbconvert's PDF, printed by the tests' browser. Nothing is loaded from elsewhere."""

    def __init__(self, browser: Browser) -> None:
        super().__init__()
        self._opened = browser
        self.cut: list[str] = []

    def run_playwright(self, html: str) -> bytes:
        page = self._opened.new_page(viewport={"width": _WIDTH, "height": _HEIGHT})
        page.route(re.compile("^https?:"), lambda route: route.abort())
        page.emulate_media(media="print")
        page.set_content(html)
        self.cut = page.evaluate(CUT)
        printed = page.pdf(print_background=True)
        page.close()
        return printed


def answers(notebook: nbformat.NotebookNode) -> Iterator[tuple[str, str]]:
    """Yield each answer's text, and the line below it as it is seen."""
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            data = output.get("data", {})
            if MIME in data and "text/markdown" in data and "text" in data[MIME]:
                summary = re.search(r"<summary><sub>(.*?)</sub></summary>", data["text/markdown"])
                assert summary is not None, data["text/markdown"]
                yield data[MIME]["text"], re.sub(r"<[^>]*>", "", summary[1])


def blocks(text: str) -> list[str]:
    """Return what is read of an answer, block by block; without its formulas, which a script draws."""
    html = [part for part in re.split(r"(?<=</p>)|(?<=</pre>)|(?<=</li>)|(?<=</td>)", to_html(text)) if "$" not in part]
    return [plain for part in html if (plain := close(re.sub(r"<[^>]*>", "", part)))]


def close(text: str) -> str:
    """Return a text without its spaces, whatever forms its letters have."""
    for name, sign in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&#x27;", "'"), ("&amp;", "&")):
        text = text.replace(name, sign)
    return "".join(unicodedata.normalize("NFKC", text).split())


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_as_pdf_every_answer_and_its_line_are_read_and_no_markup(browser: Browser, path: Path) -> None:
    from pypdf import PdfReader

    notebook = nbformat.read(path, as_version=4)
    exporter = Printed(browser)
    pdf, _ = exporter.from_notebook_node(notebook)
    text = "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages)
    read = close(text)
    found = list(answers(notebook))
    assert found
    for answer, footer in found:
        for block in blocks(answer):
            assert block in read
        assert close(footer) in read
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            for heading in re.findall(r"^#+ (.*)$", cell.source, re.M):
                assert close(re.sub(r"[`*]", "", heading)) in read
    assert [raw for raw in RAW if raw in text] == []
    assert exporter.cut == []


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_as_html_every_answer_is_drawn_and_its_details_unfold(browser: Browser, path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    html, _ = HTMLExporter().from_notebook_node(notebook)
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    page.route(re.compile("^https?:"), lambda route: route.abort())
    page.set_content(html)
    shown = page.locator("body").inner_text()
    read = close(shown)
    for answer, footer in answers(notebook):
        assert all(block in read for block in blocks(answer))
        assert close(footer) in read
    assert [raw for raw in RAW if raw in shown] == []
    details = page.locator("details", has_text="Details: mode").first
    assert "Details: mode" not in details.inner_text()
    details.locator("summary").click()
    assert "Details: mode" in details.inner_text()
    page.close()
