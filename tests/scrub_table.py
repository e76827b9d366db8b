"""Sentences planted in a notebook, and what scrubbing leaves of them: `python -m tests.scrub_table` prints the table.

Each row is a notebook of its own, in which an answer of an enclave stands, and what was asked or answered once more, in
another cell, in another form. A sentence is left if any six of its words stand in the copy one after the other, in any
reading; what a person has to decide on is named by the command, and by `--check` too.
"""

from __future__ import annotations

import base64
import contextlib
import html
import io
import json
import pprint
import re
import sys
import tempfile
import textwrap
import traceback
import urllib.parse
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from og_magics.cli import main
from og_magics.core.receipt import Receipt
from og_magics.core.types import ChatRequest, Enclave, Outcome, x402SettlementMode
from og_magics.devnet.gateway.enclave import Enclave as DevnetEnclave
from og_magics.devnet.gateway.enclave import canonical_request, output_hash, request_hash
from og_magics.display import answer_bundle
from og_magics.ledger import Ledger

Cell = dict[str, Any]
QUESTION = "Who in the village pays for the midnight harvest festival when the river is frozen?"
ANSWER = (
    'The retired lighthouse keeper pays for the whole festival, "quietly", out of a tin box under her café\'s stairs;'
    "\n\nnobody in the council has ever been allowed to see the accounts of that box."
)
SYSTEM = "You speak as a suspicious harbour master who trusts no written ledger at all."
ARGUMENTS = {"note": "ask the cooper's widow about the seventh barrel in the cellar", "limit": 3}
RESULT = "The cooper's widow says the seventh barrel was empty before the first frost came."
CITED = "Minutes of the harvest committee on the disputed winter lanterns"
ALONE = "Only the ledger remembers that the miller wagered his left boot on rain."
SECRETS = (QUESTION, ANSWER, SYSTEM, ARGUMENTS["note"], RESULT, CITED, ALONE)


@cache
def enclave() -> DevnetEnclave:
    return DevnetEnclave()


@cache
def asked() -> Receipt:
    """Return the receipt of a call with all kinds of texts, as an enclave signed it."""
    call = {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": json.dumps(ARGUMENTS)}}
    body = {
        "model": "gpt-5",
        "messages": [
            {"role": "system", "content": SYSTEM},
            {"role": "user", "content": QUESTION},
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": RESULT},
        ],
    }
    fields = enclave().sign(request_hash(canonical_request(body)), output_hash(ANSWER)).fields()
    return Receipt(
        receipt_id="01", time=1795343449.0, cell="3", notebook="n.ipynb", network="devnet", provider="openai",
        model="openai/gpt-5", settlement="batch", status="served", authorization_hash="0x" + "ab" * 32,
        path="/v1/chat/completions", request=body, text=ANSWER, finish_reason="stop", prompt_tokens=4,
        completion_tokens=8, tee_id=fields["tee_id"], tee_signature=fields["tee_signature"],
        tee_timestamp=fields["tee_timestamp"], request_hash=fields["tee_request_hash"],
        output_hash=fields["tee_output_hash"], public_key=enclave().public_key_der.hex(), enclave_ok=True,
        gateway_notes={"citations": [{"title": CITED, "url": "https://example.org/lanterns"}]},
    )  # fmt: skip


def code(source: str, *outputs: Cell) -> Cell:
    return {
        "cell_type": "code", "execution_count": 2, "id": f"c{abs(hash(source)) % 10**6}", "metadata": {},
        "outputs": [*outputs], "source": source,
    }  # fmt: skip


def stream(text: str, name: str = "stdout") -> Cell:
    return {"name": name, "output_type": "stream", "text": text.splitlines(keepends=True)}


def data(kind: str, value: Any) -> Cell:
    return {"data": {kind: value}, "metadata": {}, "output_type": "display_data"}


def notebook(*cells: Cell, receipt: Receipt | None = None, **metadata: Any) -> dict[str, Any]:
    """Return a notebook that asked in its first cell, with more cells behind it."""
    one = asked() if receipt is None else receipt
    bundle = json.loads(json.dumps(answer_bundle(one, one.text, lambda _: "")))
    asking = code(
        f"%%ogchat -o answer --system '{SYSTEM}'\n{QUESTION}",
        {"data": bundle, "metadata": {}, "output_type": "display_data"},
    )
    kernel = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    return {"cells": [asking, *cells], "metadata": kernel | metadata, "nbformat": 4, "nbformat_minor": 5}


def frame(text: str = ANSWER) -> pd.DataFrame:
    return pd.DataFrame({"city": ["Oslo", "Rome"], "text": [text, "nothing"], "tokens": [3, 4]})


def wrapped_table(text: str, width: int = 22) -> str:
    lines = textwrap.wrap(text, width)
    rows = [
        f"│ {'7' if not n else '':<3} │ {line:<{width}} │ {'ok' if n == 1 else '':<4} │" for n, line in enumerate(lines)
    ]
    return "\n".join([f"┏━━━━━┳{'━' * (width + 2)}┳━━━━━━┓", *rows])


def raised(text: str) -> list[str]:
    """Return the traceback of an error that repeats a text, with colours, as IPython has it."""
    try:
        raise ValueError(text)
    except ValueError:
        lines = traceback.format_exc().splitlines()
    return [f"\x1b[0;31m{line}\x1b[0m" for line in lines]


def in_pieces(text: str) -> list[Cell]:
    return [stream(word + " ", "stdout" if n % 2 else "stderr") for n, word in enumerate(text.split())]


def attached(mime: str, value: str) -> Cell:
    return {
        "attachments": {"a.txt": {mime: value}},
        "cell_type": "markdown",
        "id": "m1",
        "metadata": {},
        "source": "![a](attachment:a.txt)",
    }


ERROR = {"ename": "ValueError", "evalue": ANSWER, "output_type": "error", "traceback": raised(ANSWER)}
PLACES: dict[str, Callable[[], dict[str, Any]]] = {
    "print(answer.text)": lambda: notebook(code("print(answer.text)", stream(ANSWER))),
    "the prompt, printed": lambda: notebook(code("print(answer.prompt)", stream(QUESTION))),
    "the system prompt, printed": lambda: notebook(code("s", stream(SYSTEM))),
    "a call's arguments": lambda: notebook(code("c", stream(json.dumps(ARGUMENTS)))),
    "one argument alone": lambda: notebook(code("c", stream(f"note={ARGUMENTS['note']!r}\n"))),
    "a function's result": lambda: notebook(code("c", stream(f"-> {RESULT}\n"))),
    "a citation": lambda: notebook(code("answer.citations", data("text/plain", f"[1] {CITED}"))),
    "to standard error": lambda: notebook(code("x", stream(ANSWER, "stderr"))),
    "a repr": lambda: notebook(code("answer.text", data("text/plain", repr(ANSWER)))),
    "a repr of a list of dicts": lambda: notebook(code("x", data("text/plain", repr([{"a": ANSWER, "n": 1}] * 3)))),
    "a repr of bytes": lambda: notebook(code("x", data("text/plain", repr(ANSWER.encode())))),
    "ascii()": lambda: notebook(code("x", data("text/plain", ascii(ANSWER)))),
    "a repr of a repr": lambda: notebook(code("x", data("text/plain", repr(repr(ANSWER))))),
    "pprint": lambda: notebook(code("x", stream(pprint.pformat({"text": ANSWER}, width=30)))),
    "JSON text": lambda: notebook(code("x", stream(json.dumps({"t": ANSWER})))),
    "JSON text in JSON text": lambda: notebook(code("x", stream(json.dumps(json.dumps({"t": ANSWER}))))),
    "JSON text, indented": lambda: notebook(code("x", stream(json.dumps([ANSWER, QUESTION], indent=4)))),
    "application/json": lambda: notebook(code("x", data("application/json", {"rows": [1, {"deep": [ANSWER]}]}))),
    "a name in application/json": lambda: notebook(code("x", data("application/json", {QUESTION: 1}))),
    "a list of words": lambda: notebook(code("x", data("text/plain", repr(ANSWER.split())))),
    "a list of words, one a line": lambda: notebook(code("x", stream("\n".join(ANSWER.split())))),
    "words with their numbers": lambda: notebook(code("x", stream(repr(list(enumerate(ANSWER.split())))))),
    "a DataFrame as text": lambda: notebook(code("df", data("text/plain", repr(frame())))),
    "a DataFrame, cells cut at 30": lambda: notebook(code("df", data("text/plain", frame().to_string(max_colwidth=30)))),
    "a DataFrame, cells cut at 20": lambda: notebook(code("df", data("text/plain", frame().to_string(max_colwidth=20)))),
    "a DataFrame as HTML": lambda: notebook(code("df", data("text/html", frame(QUESTION).to_html()))),
    "a DataFrame as HTML, escaped": lambda: notebook(code("df", data("text/html", html.escape(frame().to_html())))),
    "a DataFrame as CSV": lambda: notebook(code("df", stream(frame().to_csv()))),
    "a DataFrame as Markdown": lambda: notebook(code("df", data("text/markdown", f"| a | {ANSWER} |"))),
    "a Series of lines": lambda: notebook(code("x", data("text/plain", repr(pd.Series(textwrap.wrap(ANSWER, 30)))))),
    "wrapped to 20 characters": lambda: notebook(code("x", stream(textwrap.fill(ANSWER, 20)))),
    "wrapped and indented": lambda: notebook(code("x", stream(textwrap.indent(textwrap.fill(ANSWER, 35), "  #  > ")))),
    "broken at every ninth character": lambda: notebook(code("x", stream("\n".join(textwrap.wrap(ANSWER, 9, break_long_words=True))))),
    "a wrapped column of a table": lambda: notebook(code("x", stream(wrapped_table(ANSWER)))),
    "numbered lines": lambda: notebook(code("x", stream("\n".join(f"{n:>3}  {one}" for n, one in enumerate(textwrap.wrap(ANSWER, 25)))))),
    "cut by ...": lambda: notebook(code("x", stream(QUESTION[:26] + "..."))),
    "cut by … within a word": lambda: notebook(code("x", stream("0  " + ANSWER[:19] + "…  12"))),
    "cut in the middle": lambda: notebook(code("x", stream(f"'{QUESTION[:13]}...{QUESTION[-19:]}'"))),
    "its end alone": lambda: notebook(code("x", stream("…" + ANSWER[-24:]))),
    "in capitals": lambda: notebook(code("x", stream(ANSWER.upper()))),
    "without spaces": lambda: notebook(code("x", stream(re.sub(r"\W", "", ANSWER)))),
    "with soft hyphens": lambda: notebook(code("x", data("text/html", "&shy;".join(ANSWER[n:n + 7] for n in range(0, 180, 7))))),
    "HTML, each word marked up": lambda: notebook(code("x", data("text/html", "".join(f"<span class=w>{w}</span> " for w in QUESTION.split())))),
    "HTML, in an attribute": lambda: notebook(code("x", data("text/html", f'<i title="{html.escape(ANSWER)}">?</i>'))),
    "HTML, as numbers of characters": lambda: notebook(code("x", data("text/html", "".join(f"&#{ord(one)};" for one in ANSWER)))),
    "HTML, escaped twice": lambda: notebook(code("x", data("text/html", html.escape(html.escape(f"<p>'{ANSWER}'</p>"))))),
    "HTML, a link to download it": lambda: notebook(code("x", data("text/html", f'<a href="data:text/csv;base64,{base64.b64encode(ANSWER.encode()).decode()}">x</a>'))),
    "a link with it in the query": lambda: notebook(code("x", stream("https://e.example/?q=" + urllib.parse.quote_plus(QUESTION)))),
    "base64": lambda: notebook(code("x", stream(base64.b64encode(ANSWER.encode()).decode()))),
    "base64 in lines": lambda: notebook(code("x", stream(base64.encodebytes(ANSWER.encode()).decode()))),
    "Markdown with links": lambda: notebook(code("x", data("text/markdown", re.sub(r"(\w{6,})", r"[\1](http://e.example/\1)", ANSWER)))),
    "LaTeX": lambda: notebook(code("x", data("text/latex", r"\text{" + ANSWER.replace(" ", r"\ ") + "}"))),
    "an SVG": lambda: notebook(code("x", data("image/svg+xml", f"<svg><text>{html.escape(ANSWER)}</text></svg>"))),
    "JavaScript": lambda: notebook(code("x", data("application/javascript", f"alert({json.dumps(ANSWER)})"))),
    "a chart's data": lambda: notebook(code("x", data("application/vnd.vegalite.v5+json", {"data": {"values": [{"t": ANSWER}]}}))),
    "an error and its traceback": lambda: notebook(code("raise ValueError(answer.text)", ERROR)),
    "colours between the words": lambda: notebook(code("x", stream("\x1b[1m \x1b[0m".join(ANSWER.split())))),
    "word by word, in outputs of their own": lambda: notebook(code("x", *in_pieces(ANSWER))),
    "an output's metadata": lambda: notebook(code("x", stream("2\n") | {"metadata": {"note": ANSWER}})),
    "a cell's metadata": lambda: notebook(code("1") | {"metadata": {"note": {"deep": [ANSWER]}, "kept": 1}}),
    "a name in a cell's metadata": lambda: notebook(code("1") | {"metadata": {QUESTION: 1}}),
    "a cell's id": lambda: notebook(code("1") | {"id": "-".join(re.findall(r"\w+", QUESTION))[:64]}),
    "a cell's tag": lambda: notebook(code("1") | {"metadata": {"tags": [ARGUMENTS["note"]]}}),
    "the notebook's metadata": lambda: notebook(title=QUESTION, authors=[{"name": SYSTEM}]),
    "the metadata, in lines": lambda: notebook(abstract=ANSWER.splitlines(keepends=True)),
    "widgets' state": lambda: notebook(widgets={"application/vnd.jupyter.widget-state+json": {"state": {"a": {"value": ANSWER}}}}),
    "papermill's parameters": lambda: notebook(papermill={"parameters": {"prompt": QUESTION}}),
    "an attachment": lambda: notebook(attached("text/plain", ANSWER)),
    "an attachment in base64": lambda: notebook(attached("text/plain", base64.b64encode(ANSWER.encode()).decode())),
    "a widget's view": lambda: notebook(code("w", data("application/vnd.jupyter.widget-view+json", {"model_id": "a"}) | {"metadata": {"v": ANSWER}})),
    "only the ledger knows it": lambda: notebook(code("print(other)", stream(ALONE))),
    "typed in a Markdown cell": lambda: notebook({"cell_type": "markdown", "id": "m", "metadata": {}, "source": f"I asked: {QUESTION}"}),
    "typed in Python": lambda: notebook(code(f"again = {QUESTION!r}")),
    "typed in a raw cell": lambda: notebook({"cell_type": "raw", "id": "r", "metadata": {}, "source": ANSWER}),
    "typed where it is asked": lambda: notebook(code(f"og.ask({ALONE!r})")),
}  # fmt: skip


@dataclass
class Row:
    """A planted sentence: how often it is left, which a person is told of, and whether `--check` finds it."""

    place: str
    removed: bool
    named: bool
    found: bool
    clean: bool

    @property
    def ok(self) -> bool:
        return self.found and self.clean and self.removed != self.named

    @property
    def line(self) -> str:
        how = "removed" if self.removed else "named for a person" if self.named else "LEFT"
        found = "found by --check" if self.found else "NOT FOUND by --check"
        return f"{self.place:<40} {how:<20} {found:<22} {'' if self.clean else 'THE COPY IS CALLED WHAT IT IS NOT'}"


def plain_readings(text: str) -> Iterator[str]:
    """Yield a saved notebook's texts in all the forms that are planted, undone one by one; not by our own search."""
    todo, seen = [text], set()
    while todo and len(seen) < 40:
        one = todo.pop(0)
        if one in seen:
            continue
        seen.add(one)
        yield one
        todo += [
            re.sub(r"\\u001b\[\d*m", "", one),
            one.replace('\\n", "', ""),
            html.unescape(one),
            re.sub(r"<[^>]*>", " ", one),
            urllib.parse.unquote_plus(one),
        ]
        with contextlib.suppress(UnicodeError, ValueError):
            todo.append(re.sub(r"\\u([0-9a-f]{4})", lambda found: chr(int(found[1], 16)), one))
            todo.append(one.replace("\\n", "\n").replace('\\"', '"').replace("\\\\", "\\"))
        for run in re.findall(r"[A-Za-z0-9+/]{40,}=*", one):
            with contextlib.suppress(ValueError):
                todo.append(base64.b64decode(run).decode())


def left(content: Any) -> list[str]:
    """Return the runs of six words of the secrets that a notebook holds: as letters in a row, or with something else
    between them, such as numbers and cells of a table.
    """
    read = [one.casefold() for one in plain_readings(json.dumps(content, ensure_ascii=False))]
    letters = [re.sub(r"[\W_]+", "", one) for one in read]
    found: list[str] = []
    for secret in SECRETS:
        words = re.findall(r"[^\W_]+", secret.casefold())
        for six in (words[at : at + 6] for at in range(len(words) - 5)):
            apart = re.compile(r"[\W_](?:.{0,90}?[\W_])??".join(map(re.escape, six)), re.DOTALL)
            if any("".join(six) in one for one in letters) or any(map(apart.search, read)):
                found.append(" ".join(six))
    return found


def run(place: str, folder: Path) -> Row:
    """Plant, scrub, look, and check the copy."""
    content = PLACES[place]()
    source, target = folder / "n.ipynb", folder / "n.scrubbed.ipynb"
    source.write_text(json.dumps(content).replace('"receipt_id": "01"', f'"receipt_id": "{ledger_of(folder)}"'))
    with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.redirect_stderr(said):
        found = main(["scrub", "--check", str(source)]) == 1 and len(said.getvalue().splitlines()) > 2
        status = main(["scrub", str(source)])
        again = main(["scrub", "--check", str(target)])
    copy = json.loads(target.read_text())
    planted = {**content, "cells": content["cells"][1:]}
    assert left(planted) or _starts(planted) or "widget-view" in json.dumps(planted), f"nothing was planted: {place}"
    removed = not left(copy) and not _starts(copy)
    return Row(place, removed, not removed and status == 1, found, again == status == (0 if removed else 1))


def _starts(content: Any) -> bool:
    """Return True for a notebook that shows the beginning or the end of a secret, which is shorter than six words."""
    text = json.dumps([cell.get("outputs") for cell in content["cells"]], ensure_ascii=False)
    return any(secret[:13] in text or secret[-19:] in text for secret in SECRETS)


@cache
def ledger_of(folder: Path) -> str:
    """Write the notebook's ledger, also with an answer that no output shows; return the id of the receipt it shows."""
    path = folder / ".og" / "n.db"
    with Ledger(path) as ledger:
        alone = {"model": "gpt-5", "messages": [{"role": "user", "content": "What does nobody else know?"}]}
        shown = answer(ledger, asked().request, ANSWER)
        answer(ledger, alone, ALONE)
    return shown


def answer(ledger: Ledger, body: Mapping[str, Any], text: str, notebook: str = "n.ipynb") -> str:
    """Note an answer in a ledger; return its receipt's id."""
    batch = x402SettlementMode.BATCH_HASHED
    request = ChatRequest("/v1/chat/completions", "openai/gpt-5", body, batch, notebook=notebook)
    receipt_id = ledger.open(request, "devnet", 1_800_000_000.0)
    outcome = Outcome(
        text=text, tool_calls=(), finish_reason="stop", prompt_tokens=1, completion_tokens=1, latency=1.0, ttft=1.0,
        enclave=Enclave("https://gateway.example", public_key=b"0"), tee_id="0xt", tee_signature="c2ln",
        tee_timestamp=1, tee_request_hash="aa", tee_output_hash="bb", data_settlement_hash="", blob_id="",
    )  # fmt: skip
    ledger.serve(receipt_id, outcome, cost_usd=None, weight=0, enclave=Verdict(True, "april", "It holds."))
    return receipt_id


@dataclass(frozen=True)
class Verdict:
    """An `EnclaveVerdict`."""

    ok: bool | None
    form: str | None
    reason: str


def table(folder: Path) -> Iterator[Row]:
    """Plant in all places, one after the other."""
    for place in PLACES:
        yield run(place, folder)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        rows = []
        for row in table(Path(name)):
            print(row.line, flush=True)
            rows.append(row)
    lost = [row.place for row in rows if not row.ok]
    print(
        f"{len(rows)} places: {sum(row.removed for row in rows)} removed, {sum(row.named for row in rows)} named, {len(lost)} left"
    )
    sys.exit(bool(lost))
