"""`python -m benchmarks.on_screen`: how an answer flows on the screen, beside `print()` of the same text in the same run.

A typist writes the same text at the same rate for both, and a page in Chromium watches the cell: when its
text changes, how long tasks of the page take, and how much of its height it loses. Needs the `dev` extra and Chromium.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from tests.browser.conftest import CHROMIUM_FLAGS, find_chromium
from tests.browser.lab import Lab
from tests.browser.server import HANG, Server

from .typist import KINDS, MODEL, OTHER, Typist, prompt

FRONT_ENDS = {"jupyterlab": "JupyterLab", "notebook": "Notebook 7"}
_LONGEST, _USUAL = {"jupyterlab": 150.0, "notebook": 400.0}, {"jupyterlab": 70.0, "notebook": 100.0}
"""Milliseconds between two changes on the screen: the most, and for 95 of 100."""
_MOST_BYTES, _LONGEST_TASK, _MOST_LOST = 1.5, 100.0, 40.0
"""Beside `print()`; milliseconds; pixels."""
_MODELS = {"ogchat": (MODEL,), "ogcompare": (MODEL, OTHER)}
"""That a magic asks at the same time."""
Case = tuple[str, int, int]
"""A kind of text, tokens a second, and how many there are."""
_RATES, _LENGTHS = (20, 80, 400), (1000, 10_000)
_CASES: tuple[Case, ...] = (
    ("prose", 20, 1000), ("prose", 80, 1000), ("prose", 400, 1000), ("prose", 400, 10_000),
    ("code", 80, 1000), ("code", 400, 10_000), ("table", 80, 1000), ("table", 400, 10_000),
    ("list", 80, 1000), ("list", 400, 10_000),
)  # fmt: skip

_BEGINS = {"prose": "Part", "code": "The", "table": "The", "list": "The"}
"""The first word of each kind of text: what was on the screen before it is the status."""
_PRINT = """
import json, urllib.request
asked = {{"model": {model!r}, "stream": True, "messages": [{{"role": "user", "content": {prompt!r}}}]}}
request = urllib.request.Request({url!r} + "/v1/chat/completions", json.dumps(asked).encode())
with urllib.request.urlopen(request) as stream:
    for line in stream:
        for choice in json.loads(line[6:])["choices"] if line.startswith(b"data: {{") else ():
            print(choice["delta"].get("content", ""), end="", flush=True)
"""
_WATCH = """
([number, begins]) => {
  const area = document.querySelectorAll('.jp-Notebook .jp-CodeCell')[number].querySelector('.jp-Cell-outputArea');
  const seen = window.onScreen = {changes: [], tasks: [], lost: 0};
  let text = '', height = 0, waiting = false;
  const drawn = () => {
    waiting = false;
    const shown = area.textContent.replace(/\\d+ tokens, \\d+\\/s/, ''), now = area.scrollHeight;  // without the status
    if (shown !== text && shown.includes(begins)) { text = shown; seen.changes.push(performance.now()); }
    seen.lost += Math.max(0, height - now);
    height = now;
  };
  new MutationObserver(() => { if (!waiting) { waiting = true; requestAnimationFrame(drawn); } })
    .observe(area, {childList: true, characterData: true, subtree: true});
  new PerformanceObserver(list => list.getEntries().forEach(task => seen.tasks.push(task.duration)))
    .observe({entryTypes: ['longtask']});
}
"""


@dataclass(frozen=True, slots=True)
class Flow:
    """One text as it came on the screen.

    Attributes:
        longest, usual: milliseconds between two changes: the longest, and the 95th percentile.
        size: bytes that came to the page.
        tasks: milliseconds of each task of the page that took more than 50.
        lost: pixels by which what is in the output got lower, in all. Not the box that Notebook 7 puts any output into
            that is longer than 100 lines.
    """

    longest: float
    usual: float
    size: int
    tasks: tuple[float, ...]
    lost: float

    def cells(self) -> list[str]:
        """Return the columns of the table."""
        task = f"{len(self.tasks)} ({max(self.tasks):.0f})" if self.tasks else "0"
        return [f"{self.longest:.0f}", f"{self.usual:.0f}", f"{self.size / 1000:,.0f}", task, f"{self.lost:.0f}"]

    def misses(self, front_end: str, printed: Flow, answers: int = 1) -> list[str]:
        """Return the goals that are missed by so many answers, beside one that is printed."""
        goals = {
            "gap": self.longest <= _LONGEST[front_end],
            "p95": self.usual <= _USUAL[front_end],
            "bytes": self.size <= _MOST_BYTES * printed.size * answers,
            "task": max(self.tasks, default=0.0) <= _LONGEST_TASK,
            "height": self.lost <= _MOST_LOST,
        }
        return [name for name, met in goals.items() if not met]


def measure(front_end: str, cases: Sequence[Case], magic: str) -> Iterator[tuple[Case, tuple[Flow, Flow] | Exception]]:
    """Yield each case with its flow through a magic and by `print()`, or with what kept it from being measured."""
    left = list(cases)
    while left:
        with contextlib.ExitStack() as stack:
            try:
                folder, typist = stack.enter_context(tempfile.TemporaryDirectory()), stack.enter_context(Typist())
                lab = stack.enter_context(_page(Path(folder), front_end, typist))
                while left:
                    flows = _both(lab, typist, left[0], magic)
                    yield left.pop(0), flows
            except Exception as error:  # noqa: BLE001 - whatever a browser or a server fails of: a new one has the next
                yield left.pop(0), error


def _both(lab: Lab, typist: Typist, case: Case, magic: str) -> tuple[Flow, Flow]:
    kind, rate, tokens = case
    asked = prompt(kind, tokens, rate)
    models = " ".join(f"-m {model}" for model in _MODELS[magic])
    ours = _flow(lab, f"%%{magic} {models} -n 20000\n{asked}", case)
    return ours, _flow(lab, _PRINT.format(model=MODEL, prompt=asked, url=typist.url), case)


@contextmanager
def _page(folder: Path, front_end: str, typist: Typist) -> Iterator[Lab]:
    server = Server(folder, front_end)
    server.kernel("typist", {"OG_GATEWAY_URL": typist.url})
    process = server.start()
    try:
        with sync_playwright() as playwright:
            browser: Browser = playwright.chromium.launch(executable_path=find_chromium(), args=CHROMIUM_FLAGS)
            context = browser.new_context(viewport={"width": 1200, "height": 900})
            yield Lab(context, server, server.root / "screen", folder)
            browser.close()
        server.end_kernels()
    finally:
        process.terminate()
        process.wait(HANG)


def _flow(lab: Lab, source: str, case: Case) -> Flow:
    """Run a cell in a notebook of its own, and watch it."""
    kind, rate, tokens = case
    lab.open("%load_ext og_magics", source, kernel="typist").run(0).finished(0)
    lab.page.evaluate(_WATCH, [1, _BEGINS[kind]])
    lab.page.wait_for_timeout(1000)  # what the page still does for its own start
    lab.page.evaluate("window.onScreen.tasks.length = 0")
    before = len(lab.received)
    lab.run(1).finished(1, within=HANG + 2 * tokens / rate)
    lab.page.wait_for_timeout(1000)
    seen: dict[str, Any] = lab.page.evaluate("window.onScreen")
    gaps = [after - one for one, after in zip(seen["changes"], seen["changes"][1:], strict=False)]
    if len(gaps) < 20:
        raise RuntimeError(f"the screen changed {len(gaps)} times only: {lab.output(1).inner_text()[:500]}")
    usual = statistics.quantiles(gaps, n=20)[-1]
    return Flow(max(gaps), usual, sum(lab.received[before:]), tuple(seen["tasks"]), seen["lost"])


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.on_screen", description=__doc__)
    parser.add_argument("--all", action="store_true", help="every kind, rate and length: about two hours a front end")
    parser.add_argument("--quick", action="store_true", help="two cases: whether it runs")
    parser.add_argument("--front-end", choices=FRONT_ENDS, action="append", help="may be repeated; both without it")
    parser.add_argument("--magic", choices=_MODELS, default="ogchat", help="ogcompare asks two models")
    parser.add_argument("--kind", choices=KINDS, action="append", help="of the text; may be repeated, as the next two")
    parser.add_argument("--rate", type=int, action="append", help="tokens a second")
    parser.add_argument("--tokens", type=int, action="append", help="tokens of the text")
    args = parser.parse_args()
    chosen = args.kind or args.rate or args.tokens
    every = list(itertools.product(args.kind or KINDS, args.rate or _RATES, args.tokens or _LENGTHS))
    cases = every if args.all or chosen else _CASES[1:3] if args.quick else _CASES
    heads = "longest gap ms", "p95 ms", "KB", "tasks over 50 ms (longest)", "height lost px"
    print("| front end | text | tokens | a second | how |", " | ".join(heads), "| goals missed |")
    print("|---" * (len(heads) + 6) + "|")
    for front_end in args.front_end or FRONT_ENDS:
        for (kind, rate, tokens), found in measure(front_end, cases, args.magic):
            named = FRONT_ENDS[front_end], kind, f"{tokens:,}", str(rate)
            if isinstance(found, Exception):
                lines = [(*named, "", *[""] * len(heads), f"not measured: {type(found).__name__}: {_one_line(found)}")]
            else:
                ours, printed = found
                misses = ", ".join(ours.misses(front_end, printed, len(_MODELS[args.magic]))) or "none"
                lines = [(*named, f"%%{args.magic}", *ours.cells(), misses), (*named, "print()", *printed.cells(), "")]
            for line in lines:
                print("| " + " | ".join(line) + " |", flush=True)
    return 0


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200].replace("|", "/")


if __name__ == "__main__":
    sys.exit(main())
