"""What front ends make of an answer: the examples of CommonMark's specification, and texts that would like to run.

`python -m tests.commonmark` prints how many examples without HTML each parser shows differently from what the
specification says, after our Markdown; how many our own HTML does; and in how many hostile texts anything is left that
a page would run or load. It needs Node.js, and `OG_NODE_MODULES`: the folder `node_modules` into which
`npm install marked markdown-it commonmark showdown parse5 @jupyterlab/rendermime` has put the parsers.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from markdown_it import MarkdownIt

from og_magics.core.urls import may_open
from og_magics.display.markdown import to_html
from og_magics.display.sanitize import safe_markdown

from .browser.payloads import PAYLOADS

HERE = Path(__file__).resolve().parent
SPECIFICATION = HERE / "vectors" / "commonmark.json"
OUR_HTML = "our HTML"
_LEAST = 8_000
"""Hostile texts that are made, besides those of the browser's tests."""


class _Shown(HTMLParser):
    """HTML as a reader sees it: text, and the tags that change how it looks; an image is a link to it."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._pre = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self._pre += tag == "pre"
        if tag == "img":
            self.handle_data("!")
            self.parts += [f"<a {_link(values, 'src')}>", values.get("alt", ""), "</a>"]
        elif tag == "a":
            self.parts.append(f"<a {_link(values, 'href')}>")
        elif tag == "ol" and values.get("start", "1") != "1":
            self.parts.append(f"<ol {values['start']}>")
        elif tag != "span":
            self.parts.append(f"<{tag}>")

    def handle_endtag(self, tag: str) -> None:
        self._pre -= tag == "pre"
        if tag not in ("span", "img", "br", "hr"):
            self.parts.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        data = data.replace("\u2060", "")
        self.parts.append(data if self._pre else re.sub(r"[ \t\n\r]+", " ", data))


def _link(values: dict[str, str], name: str) -> str:
    title = " ".join(values.get("title", "").split())
    return f"{unquote(unescape(values.get(name, '')))} {title}".strip()


def as_shown(html: str) -> str:
    """Return HTML in one form, for two that show the same."""
    reader = _Shown()
    reader.feed(html)
    reader.close()
    tags = r"</?(?:p|li|ul|ol|pre|blockquote|h[1-6]|hr|br|table|thead|tbody|tr|td|th)(?: \d+)?>"
    text = re.sub(rf"\s*({tags})\s*", r"\1", "".join(reader.parts))
    return re.sub(r"\s+</code></pre>", "</code></pre>", text).strip()


def examples() -> list[dict[str, Any]]:
    """Return the specification's examples in which nothing is HTML, and no link has a scheme that is never opened."""
    parser = MarkdownIt("commonmark")
    parser.validateLink = lambda url: True  # type: ignore[method-assign]
    chosen = []
    for one in json.loads(SPECIFICATION.read_text(encoding="utf-8")):
        tokens = [child for token in parser.parse(one["markdown"]) for child in (token, *(token.children or ()))]
        links = [str(token.attrGet("href") or token.attrGet("src") or "") for token in tokens]
        if not any(token.type.startswith("html_") for token in tokens) and all(map(may_open, links)):
            chosen.append(one)
    return chosen


def node_modules() -> str:
    """Return the folder that has the parsers, "" where there is none, or no Node.js."""
    folder = os.environ.get("OG_NODE_MODULES", "")
    return folder if shutil.which("node") and (Path(folder) / "marked").is_dir() else ""


def parsed(texts: Sequence[str], *, check: bool = False) -> dict[str, list[Any]]:
    """Return what each parser makes of texts; with `check`, [place, reason] of those that run or load something."""
    asked = json.dumps({"folder": node_modules(), "texts": list(texts), "check": check})
    script = HERE / "front_ends" / "parsers.mjs"
    done = subprocess.run(["node", str(script)], input=asked, capture_output=True, text=True, check=True)
    found: dict[str, list[Any]] = json.loads(done.stdout)
    return found


def differences() -> dict[str, list[int]]:
    """Return for each parser, and for our HTML, the numbers of the examples that it shows differently."""
    chosen = examples()
    shown = parsed([safe_markdown(one["markdown"]) for one in chosen])
    shown[OUR_HTML] = [to_html(one["markdown"]) for one in chosen]
    wanted = [as_shown(one["html"]) for one in chosen]
    return {
        name: [one["example"] for one, html, right in zip(chosen, made, wanted, strict=True) if as_shown(html) != right]
        for name, made in shown.items()
    }


_TARGETS = (
    "javascript:run()", "JaVaScript:run()", "java\nscript:run()", "&#106;avascript:run()", "javascript&colon;run()",
    "data:text/html,<script>run()</script>", "vbscript:run()", "file:///etc/passwd", "//attacker.invalid/x",
    "https://attacker.invalid/\"onmouseover=\"run()", "https://attacker.invalid/'onmouseover='run()", "\\javascript:run()",
    "https://attacker.invalid/`x`", "https://attacker.invalid/$x$", "<javascript:run()>", "https://a.invalid/(_x_)",
)  # fmt: skip
_INSIDE = (
    "<img src=//attacker.invalid/x onerror=run()>", "<script>run()</script>", 'x" onmouseover="run()" y="', "x' onmouseover='run()",
    "onmouseover=run() ", "<svg/onload=run()>", "</code><img src=x onerror=run()>", "</pre><script>run()</script>", "<!-- -->",
    "&lt;img src=x onerror=run()&gt;", "<a href='javascript:run()'>x</a>", "![x](https://attacker.invalid/p.png)", "`", "``", "```\n",
    "\n\n", "$", "$$", "\\(", "\\)", "\\[", "\\]", "\\", "<", ">", '"', "|", "~~~\n", "](", "[", "]", "![", "\n", "\n    ", "\n> ",
    "\n- ", "\n1. ", "&quot;", "&#34;", "*", "_", "<b>", "=", "\t", "\u2060", "javascript:run()", "]: ", "style=background:url(//a.invalid)",
)  # fmt: skip
_FORMS = (
    "[{0}]({1})", '[{0}]({1} "{2}")', "[{0}]({1} '{2}')", "[{0}]({1} ({2}))", "[{0}](<{1}> \"{2}\")", "![{0}]({1} \"{2}\")",
    "[{0}][r{2}]\n\n[r{2}]: {1} \"{0}\"", "[{2}]\n\n[{2}]: {1} '{0}'", "<{1}{0}>", "`{0}` {2} `{1}`", "```{0}\n{2}\n``` {1}",
    "~~~ {0}\n{2}\n~~~\n{1}", "> {0}\n{1} {2}", "- {0}\n\n  {2}\n- {1}", "| {0} | {1} |\n|---|---|\n| {2} | {0} |", "# {0} {1}\n{2}",
    "{0} {1}\n===\n{2}", "    {0}\n{1} {2}", "${0}$ {1} $${2}$$", "\\({0}\\) {1} \\[{2}\\]", "*{0}* **{1}** ~~{2}~~", "{0}{1}{2}",
    "[![{0}]({1})]({1} \"{2}\")", "[{0}]({1} \"{2}\") [{2}]({1} '{0}')", "\\begin{{align}}{0}&{2}\\end{{align}} {1}", "[^1] {0}\n\n[^1]: {1} {2}",
)  # fmt: skip


def hostile(count: int = _LEAST) -> Iterator[str]:
    """Yield texts that would run or load something, in every place of Markdown; the same ones each time."""
    yield from PAYLOADS
    source = random.Random(20_261_127)
    for number in range(count):
        form = _FORMS[number % len(_FORMS)]
        parts = ["".join(source.choices(_INSIDE, k=source.randint(1, 4))) for _ in range(2)]
        yield form.format(parts[0], source.choice(_TARGETS), parts[1])


def running(texts: Sequence[str]) -> dict[str, list[tuple[str, str]]]:
    """Return for each parser the texts that run or load something after our Markdown, each with the reason."""
    found = parsed([safe_markdown(one) for one in texts], check=True)
    return {name: [(texts[place], reason) for place, reason in places] for name, places in found.items()}


def main() -> int:
    """Print both tables; 0 where nothing differs and nothing runs."""
    if not node_modules():
        print(__doc__)
        return 2
    count = int(sys.argv[1]) if len(sys.argv) > 1 else _LEAST
    different = differences()
    print(f"{len(examples())} examples of CommonMark without HTML; shown differently:")
    for name, numbers in different.items():
        print(f"  {name}: {len(numbers)}  {' '.join(map(str, numbers[:60]))}")
    texts = list(hostile(count))
    ran = running(texts)
    print(f"{len(texts)} hostile texts; something runs or loads:")
    for name, some in ran.items():
        print(f"  {name}: {len(some)}")
        for text, reason in some[:12]:
            print(f"    {ascii(reason)[:80]}: {ascii(text)[:160]}")
    return int(any(ran.values()))


if __name__ == "__main__":
    sys.exit(main())
