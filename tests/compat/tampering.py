"""Tampering with saved notebooks, of every kind, and counts of what is found: `python -m tests.compat.tampering`."""

from __future__ import annotations

import contextlib
import copy
import io
import json
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from og_magics.cli import main
from og_magics.core.receipt import MIME
from og_magics.notebook.file import joined, read_notebook

HERE = Path(__file__).resolve().parent
Notebook = dict[str, Any]
Change = Callable[[Notebook, int], set[int] | None]
"""Changes a notebook in a cell; returns the places of the cells that differ now, or None where it cannot be made."""

_LONGEST = re.compile(r"(?<![\w/])[A-Za-z]{4,}(?![\w/])")
_FAKE = (
    "The answer is 42.\n\nopenai/gpt-5 · 7 + 28 tokens · 0.001 OPG · BATCH_HASHED · enclave proof ✓ · paid 0xabcdef12…"
)
_SHOWN = ("text/markdown", "text/html", "text/plain")


@dataclass
class Line:
    """Of one kind of tampering: how often it was made, found, and found in the cell where it was made and in no other."""

    kind: str
    made: int = 0
    found: int = 0
    in_its_cell: int = 0
    missed: list[str] = field(default_factory=list)


def audit(content: Notebook, path: Path) -> dict[int, list[str]]:
    """Return for each cell what `og-magics verify` says of it, receipts that hold included."""
    path.write_text(json.dumps(content))
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()):
        main(["verify", str(path), "--json"])
    said: dict[int, list[str]] = {}
    for row in json.loads(out.getvalue() or "[]"):
        verdict = row["verdicts"]["enclave"]
        said.setdefault(row["cell"], []).append(f"{verdict['ok']} {verdict['reason']}")
    return said


def table(notebooks: list[Path], every: int = 1) -> list[Line]:
    """Make each kind of tampering in every cell where it can be made, one at a time; or in each `every`-th of them."""
    lines, possible = [Line(kind) for kind in KINDS], Counter[str]()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "n.ipynb"
        for notebook in notebooks:
            original = dict(read_notebook(notebook))
            before = audit(original, path)
            for line in lines:
                for place in asking(original):
                    changed = copy.deepcopy(original)
                    cells = KINDS[line.kind](changed, place)
                    if cells is None or changed == original:
                        continue
                    possible[line.kind] += 1
                    if possible[line.kind] % every != 1 % every:
                        continue
                    after = audit(changed, path)
                    differ = {cell for cell in before.keys() | after.keys() if before.get(cell) != after.get(cell)}
                    worse = {cell for cell in differ if any(not one.startswith("True") for one in after.get(cell, ()))}
                    line.made += 1
                    line.found += bool(worse)
                    line.in_its_cell += worse == {cell + 1 for cell in cells} == differ
                    if worse != {cell + 1 for cell in cells} or worse != differ:
                        line.missed.append(f"{notebook.stem}, cell {place + 1}: {sorted(differ)}")
    return lines


def asking(content: Notebook) -> list[int]:
    """Return the places of the cells with a receipt."""
    return [
        place
        for place, cell in enumerate(content["cells"])
        if any(MIME in output.get("data", {}) for output in cell.get("outputs", []))
    ]


def data_of(content: Notebook, place: int) -> dict[str, Any]:
    """Return the data of the output with the receipt; its texts are single strings."""
    output = next(one for one in content["cells"][place]["outputs"] if MIME in one.get("data", {}))
    found: dict[str, Any] = output["data"]
    for kind in _SHOWN:
        if kind in found:
            found[kind] = joined(found[kind])
    return found


def source_of(content: Notebook, place: int) -> str:
    return str(joined(content["cells"][place]["source"]))


def _parts(text: str) -> tuple[str, str]:
    """The answer with all above, and the last line."""
    place = max(text.rfind("\n\n"), text.rfind("<p><small>"))
    return (text[:place], text[place:]) if place >= 0 else ("", text)


def replaced(old: str | re.Pattern[str], new: str | Callable[[re.Match[str]], str], *, footer: bool) -> Change:
    """Replace the first match in each representation, in the answer or below it."""

    def change(content: Notebook, place: int) -> set[int] | None:
        data, count = data_of(content, place), 0
        pattern = re.compile(re.escape(old)) if isinstance(old, str) else old
        for kind in _SHOWN:
            if kind in data:
                above, last = _parts(data[kind])
                if "<table" in data[kind]:
                    above, last = ("", data[kind]) if footer else (data[kind], "")
                text, other = (last, above) if footer else (above, last)
                text, made = pattern.subn(new, text, count=1)
                count += made
                data[kind] = other + text if footer else text + other
        return {place} if count else None

    return change


def _word(content: Notebook, place: int) -> set[int] | None:
    """Another word in the text of the answer, wherever it stands."""
    data = data_of(content, place)
    for form in reversed(_forms(data[MIME])):
        words = _LONGEST.findall(form["text"])
        if words:
            for kind in _SHOWN:
                if kind in data:
                    data[kind] = data[kind].replace(max(words, key=len), "otherwise")
            return {place}
    return None


def _forms(form: Mapping[str, Any]) -> list[Any]:
    if "columns" in form:
        return [one["receipt"] for one in form["columns"] if one["receipt"]]
    return list(form.get("receipts", [form]))


def _added(output: dict[str, Any]) -> Change:
    def change(content: Notebook, place: int) -> set[int]:
        content["cells"][place]["outputs"].append(copy.deepcopy(output))
        return {place}

    return change


def _copied(content: Notebook, place: int) -> set[int]:
    """The answer once more as a print, with a word changed."""
    text = data_of(content, place)["text/plain"].replace("direct", "false")
    output = {"output_type": "stream", "name": "stdout", "text": text}
    content["cells"][place]["outputs"].append(output)
    return {place}


def _receipt_removed(content: Notebook, place: int) -> set[int]:
    del data_of(content, place)[MIME]
    return {place}


def _output_removed(content: Notebook, place: int) -> set[int] | None:
    failed = any(one["output_type"] == "error" for one in content["cells"][place]["outputs"])
    if failed or not _only_asks(content, place) or not content["cells"][place].get("execution_count"):
        return None
    content["cells"][place]["outputs"] = []
    return {place}


def _only_asks(content: Notebook, place: int) -> bool:
    return source_of(content, place).startswith(("%%ogchat", "%%ogcompare", "%ogchat"))


def _scrubbed(content: Notebook, place: int) -> bool:
    return any(form["scrubbed"] for form in _forms(data_of(content, place)[MIME]))


def _other(content: Notebook, place: int) -> int | None:
    """Another cell with one answer to another prompt."""
    kind = "columns" in data_of(content, place)[MIME]
    for other in asking(content):
        same = "columns" in data_of(content, other)[MIME]
        texts = [data_of(content, one)["text/plain"] for one in (place, other)]
        if (
            other != place
            and kind == same
            and texts[0] != texts[1]
            and _prompt(content, other) != _prompt(content, place)
        ):
            return other
    return None


def _prompt(content: Notebook, place: int) -> str:
    return source_of(content, place).partition("\n")[2]


def _swapped(content: Notebook, place: int) -> set[int] | None:
    other = _other(content, place)
    if other is None or _scrubbed(content, place) or not (_only_asks(content, place) and _only_asks(content, other)):
        return None
    cells = content["cells"]
    cells[place]["outputs"], cells[other]["outputs"] = cells[other]["outputs"], cells[place]["outputs"]
    return {place, other}


def _texts_swapped(content: Notebook, place: int) -> set[int] | None:
    other = _other(content, place)
    if other is None or _scrubbed(content, place):
        return None
    one, two = data_of(content, place), data_of(content, other)
    for kind in _SHOWN:
        if kind in one or kind in two:
            one[kind], two[kind] = two.get(kind, ""), one.get(kind, "")
    return {place, other}


def _footer_of_another(content: Notebook, place: int) -> set[int] | None:
    other = _other(content, place)
    if other is None or "columns" in data_of(content, place)[MIME]:
        return None
    one, two = data_of(content, place), data_of(content, other)
    if one["text/plain"].split("\n\n")[-1] == two["text/plain"].split("\n\n")[-1]:
        return None
    for kind in ("text/markdown", "text/plain"):
        if kind in one and kind in two:
            one[kind] = _parts(one[kind])[0] + _parts(two[kind])[1]
    return {place}


def _answer_copied(content: Notebook, place: int) -> set[int] | None:
    """The output of another cell, with its receipt, beside this cell's own."""
    other = _other(content, place)
    if other is None or not _only_asks(content, place):
        return None
    content["cells"][place]["outputs"] += copy.deepcopy(content["cells"][other]["outputs"])
    return {place}


def _receipt_field(name: str, new: Any) -> Change:
    def change(content: Notebook, place: int) -> set[int] | None:
        form = _forms(data_of(content, place)[MIME])[-1]
        if form[name] in (None, "", new) or not form["tee_signature"]:
            return None
        form[name] = new
        return {place}

    return change


def _prompt_changed(content: Notebook, place: int) -> set[int] | None:
    if not _only_asks(content, place):
        return None
    content["cells"][place]["source"] = source_of(content, place) + " Really?"
    return {place}


def _call_added(content: Notebook, place: int) -> set[int] | None:
    data = data_of(content, place)
    if "columns" in data[MIME] or _scrubbed(content, place):
        return None
    data["text/plain"] = f'✓ pay({{"amount": 5}})\n  → done\n\n{data["text/plain"]}'
    if "text/markdown" in data:
        call = '<details><summary><code>✓ pay({"amount": 5})</code></summary>\n\n```\ndone\n```\n\n</details>'
        data["text/markdown"] = f"{call}\n\n{data['text/markdown']}"
    return {place}


def _column_swapped(content: Notebook, place: int) -> set[int] | None:
    data = data_of(content, place)
    texts = [one["receipt"]["text"] for one in data[MIME].get("columns", []) if one["receipt"]]
    if len(texts) < 2 or texts[0] == texts[1]:
        return None
    for kind in ("text/html", "text/plain"):
        one, two = (text.replace('"', "&quot;") if kind == "text/html" else text for text in texts[:2])
        data[kind] = data[kind].replace(one, "\x00").replace(two, one).replace("\x00", two)
    return {place}


def _wrapped(tag: str) -> Change:
    """Text that a reader does not see, in the footer of the representation that a front end prefers."""

    def change(content: Notebook, place: int) -> set[int] | None:
        data = data_of(content, place)
        kind = next((one for one in ("text/html", "text/markdown") if one in data), None)
        if kind is None:
            return None
        data[kind] = data[kind].replace("</small>", f"{tag}</small>", 1).replace("</sub>", f"{tag}</sub>", 1)
        return {place}

    return change


def _in_answer(make: Callable[[str], str]) -> Change:
    """Change a word of the answer in the representation that a front end prefers."""

    def change(content: Notebook, place: int) -> set[int] | None:
        data = data_of(content, place)
        kind = next((one for one in ("text/html", "text/markdown") if one in data), None)
        words = [word for form in reversed(_forms(data[MIME])) for word in _LONGEST.findall(form["text"])]
        if kind is None or not words:
            return None
        data[kind] = data[kind].replace(words[0], make(words[0]), 1)
        return {place}

    return change


def _in_all(change: Callable[[str], str]) -> Change:
    def made(content: Notebook, place: int) -> set[int]:
        data = data_of(content, place)
        for kind in _SHOWN:
            if kind in data:
                data[kind] = change(data[kind])
        return {place}

    return made


def _sentence(text: str) -> str:
    above, last = _parts(text)
    return f"{above}<p>No, it is 4.</p>{last}" if "<p>" in text else f"{above}\n\nNo, it is 4.{last}"


def _rewritten(output: dict[str, Any]) -> Change:
    """The answer with its receipt is gone, and another one stands there."""

    def change(content: Notebook, place: int) -> set[int] | None:
        if not _only_asks(content, place) or len(content["cells"][place]["outputs"]) > 1:
            return None
        content["cells"][place]["outputs"] = [copy.deepcopy(output)]
        return {place}

    return change


def _beside(output: dict[str, Any], *, before: bool) -> Change:
    """An output without a receipt beside a real one, in a cell that does nothing but ask."""

    def change(content: Notebook, place: int) -> set[int] | None:
        outputs = content["cells"][place]["outputs"]
        failed = any(one["output_type"] == "error" for one in outputs)
        if not _only_asks(content, place) or failed:
            return None
        outputs.insert(0 if before else len(outputs), copy.deepcopy(output))
        return {place}

    return change


def _named(flags: str) -> Change:
    """Another flag on the line of the cell; the last one counts."""

    def change(content: Notebook, place: int) -> set[int] | None:
        source = source_of(content, place)
        first, end, prompt = source.partition("\n")
        if not first.startswith(("%%ogchat", "%%ogcompare")):
            return None
        if any(word in flags for word in ("-t", "-n", "--system")) and _scrubbed(content, place):
            return None
        content["cells"][place]["source"] = f"{first} {flags}{end}{prompt}"
        return {place}

    return change


def _calls_in_receipt(content: Notebook, place: int) -> set[int] | None:
    """Function calls in the receipt of an answer that ended with its text, and shown below it."""
    data = data_of(content, place)
    form = data[MIME]
    if "columns" in form or "receipts" in form or form["scrubbed"] or not form["tee_signature"] or form["tool_calls"]:
        return None
    form["tool_calls"] = [{"id": "c", "type": "function", "function": {"name": "pay", "arguments": '{"amount": 5}'}}]
    for kind, shown in (("text/plain", 'pay({"amount": 5})'), ("text/markdown", '```\npay({"amount": 5})\n```')):
        if kind in data:
            above, last = _parts(data[kind])
            data[kind] = f"{above}\n\n{shown}{last}"
    return {place}


def _cell_copied(content: Notebook, place: int) -> set[int] | None:
    """The cell once more, at the end."""
    forms = _forms(data_of(content, place)[MIME])
    if not _only_asks(content, place) or any(form["replayed"] for form in forms):
        return None
    content["cells"].append(copy.deepcopy(content["cells"][place]))
    return {len(content["cells"]) - 1}


def _of_another_notebook(content: Notebook, place: int) -> set[int] | None:
    """The receipt is one of a call that another notebook asked."""
    asked = [at for at in asking(content) if _only_asks(content, at)]
    forms = _forms(data_of(content, place)[MIME])
    others = [form for at in asked if at != place for form in _forms(data_of(content, at)[MIME])]
    counted = [form for form in others if not form["replayed"]]
    if place not in asked or any(form["replayed"] for form in forms) or len(counted) <= len(forms):
        return None
    for form in others:
        form["notebook_id"] = "a" * 32
    for form in forms:
        form["notebook_id"] = "f" * 32
    return {place}


def _said(role: str, content_of: str) -> Change:
    """Another message in the request of the receipt, with the prompt of the cell left as it is."""

    def change(content: Notebook, place: int) -> set[int] | None:
        form = _forms(data_of(content, place)[MIME])[-1]
        if not form["tee_signature"] or _scrubbed(content, place) or not form["request"].get("messages"):
            return None
        form["request"]["messages"].insert(0, {"role": role, "content": content_of})
        return {place}

    return change


def _error(name: str, says: str) -> dict[str, Any]:
    return {"output_type": "error", "ename": name, "evalue": says, "traceback": [f"{name}: {says}"]}


_LINE = {"output_type": "stream", "name": "stdout", "text": "It is 42.\n"}
_ON_STDERR = {"output_type": "stream", "name": "stderr", "text": "It is 42, and not what stands below.\n"}
_RICH = {
    "output_type": "display_data",
    "data": {"text/markdown": "It is 42.", "text/plain": "It is 42."},
    "metadata": {},
}
_DRAWN = {"output_type": "display_data", "data": {"image/png": "iVBORw0KGgo=", "text/plain": "<img>"}, "metadata": {}}
_NUMBER = re.compile(r"\d+(?= tokens)|\d+(?= more)|(?<=\+ )\d+")
_AMOUNT = re.compile(r"(?<=[\d.])\d(?= OPG)|(?<=\$0\.\d\d\d)\d")
_HASH = re.compile(r"0x[0-9a-f]{8}")

KINDS: dict[str, Change] = {
    "answer: a word changed": _word,
    "answer: a word changed in one form": _in_answer(lambda word: "otherwise"),
    "answer: a number changed": replaced(re.compile(r"gpt-5\]|flash\]|4-[56]\]"), "gpt-9]", footer=False),
    "answer: a link added": _in_answer(lambda word: f'<a href="https://evil.example">{word}</a>'),
    "answer: a sentence added": _in_all(_sentence),
    "answer: a picture added": _in_answer(lambda word: f'{word}<img src="https://evil.example/x.png">'),
    "answer: a zero-width character": _in_answer(lambda word: f"{word[:2]}\u200b{word[2:]}"),
    "answer: letters in another order (bidi)": _in_answer(lambda word: f"\u202e{word}\u202c"),
    "answer: text of the other columns": _column_swapped,
    "answers swapped between cells": _swapped,
    "texts swapped, receipts left": _texts_swapped,
    "another cell's answer added": _answer_copied,
    "receipt removed": _receipt_removed,
    "output removed": _output_removed,
    "output added: Markdown": _added({"output_type": "display_data", "data": {"text/markdown": _FAKE}, "metadata": {}}),
    "output added: HTML": _added(
        {"output_type": "display_data", "data": {"text/html": f"<p>{_FAKE}</p>"}, "metadata": {}}
    ),
    "output added: a value": _added(
        {"output_type": "execute_result", "execution_count": 1, "data": {"text/plain": _FAKE}, "metadata": {}}
    ),
    "output added: a print": _copied,
    "call added": _call_added,
    "call: its arguments changed": replaced(re.compile(r'"b": \d'), '"b": 8', footer=False),
    "call: its name changed": replaced(re.compile(r"add(?=\()"), "sub", footer=False),
    "call: its result changed": replaced(re.compile(r"(?<=→ )\d+|(?<=```\n)\d+(?=\n)"), "77", footer=False),
    "call: its mark changed": replaced(re.compile(r"✓(?= add)"), "✗", footer=False),
    "footer: tokens": replaced(_NUMBER, "999", footer=True),
    "footer: amount": replaced(_AMOUNT, lambda one: str((int(one[0]) + 5) % 10), footer=True),
    "footer: unit": replaced(" OPG", " USD", footer=True),
    "footer: hash": replaced(_HASH, "0xdeadbeef", footer=True),
    "footer: model": replaced(re.compile(r"(?:openai|anthropic|google)/\S+"), "openai/gpt-6", footer=True),
    "footer: settlement mode": replaced(
        re.compile("BATCH_HASHED|PRIVATE|INDIVIDUAL_FULL"),
        lambda one: "PRIVATE" if one[0] != "PRIVATE" else "INDIVIDUAL_FULL",
        footer=True,
    ),
    "footer: mark": replaced("proof ✓", "proof ✗", footer=True),
    "footer: a mark added": replaced("proof ✓", "proof ✓ ✅ audited", footer=True),
    "footer: a proof claimed": replaced("proof: none", "proof ✓", footer=True),
    "footer: simulated left out": replaced(" · devnet, simulated", "", footer=True),
    "footer: replayed left out": replaced(re.compile(r" · replayed: [^<]*"), "", footer=True),
    "footer: replayed claimed": replaced(re.compile(r"simulated(?! · replayed)"), "simulated · replayed", footer=True),
    "footer: another time": replaced(re.compile(r"20\d\d-\d\d-\d\d"), "2020-01-01", footer=True),
    "footer: a link added": _wrapped(' <a href="https://evil.example">paid</a>'),
    "footer: a sentence added": replaced("simulated", "simulated, refunded by our bank", footer=True),
    "footer: of another cell": _footer_of_another,
    "hidden: a comment": _wrapped("<!-- approved -->"),
    "hidden: display:none": _wrapped('<span style="display:none">approved</span>'),
    "hidden: white on white": _wrapped('<span style="color:#fff;background:#fff">approved</span>'),
    "hidden: an attribute": _wrapped("<span hidden>approved</span>"),
    "hidden: an unknown tag": _wrapped("<template>approved</template>"),
    "hidden: a zero-width character": _wrapped("\u200b"),
    "prompt changed": _prompt_changed,
    "answer rewritten as a line, receipt gone": _rewritten(_LINE),
    "answer rewritten as Markdown, receipt gone": _rewritten(_RICH),
    "answer rewritten as an error, receipt gone": _rewritten(_error("Answer", _FAKE)),
    "line printed before the answer": _beside(_LINE, before=True),
    "line printed behind the answer": _beside(_LINE, before=False),
    "line on stderr": _beside(_ON_STDERR, before=True),
    "error beside the answer": _beside(_error("Correction", "It is 42."), before=False),
    "picture beside the answer": _beside(_DRAWN, before=False),
    "rich output before the answer": _beside(_RICH, before=True),
    "source: another model": _named("-m openai/gpt-6"),
    "source: another provider": _named("-p nous"),
    "source: another settlement mode": lambda content, place: _named(
        "-s private" if _forms(data_of(content, place)[MIME])[-1]["settlement"] != "private" else "-s batch"
    )(content, place),
    "source: another temperature": _named("-t 1.7"),
    "source: another limit of tokens": _named("-n 31313"),
    "source: another system prompt": _named("--system 'Say 42.'"),
    "calls added to an answer that ended in text": _calls_in_receipt,
    "cell copied with its receipt": _cell_copied,
    "receipt of another notebook": _of_another_notebook,
    "receipt: a system prompt added": _said("system", "Say 42."),
    "receipt: a turn added": _said("assistant", "It is 42."),
    "receipt: its signature changed": _receipt_field("tee_signature", "AAAA"),
    "receipt: its key changed": _receipt_field("public_key", "3001"),
    "receipt: its enclave changed": _receipt_field("tee_id", "0x" + "11" * 32),
    "receipt: its request hash changed": _receipt_field("request_hash", "0" * 64),
    "receipt: its text changed": _receipt_field("text", "It is 42."),
    "receipt: its model changed": _receipt_field("model", "openai/gpt-6"),
    "receipt: its output hash changed": _receipt_field("output_hash", "0" * 64),
    "receipt: its time changed": _receipt_field("tee_timestamp", 1),
}


def notebooks() -> list[Path]:
    """Return the notebooks that releases wrote."""
    return sorted(path for path in HERE.glob("[0-9]*/*.ipynb"))


def lines_of(found: list[Line]) -> Iterator[str]:
    """Return the table as text."""
    yield f"{'kind':42} {'made':>5} {'found':>5} {'in its cell':>11}"
    for line in found:
        yield f"{line.kind:42} {line.made:5} {line.found:5} {line.in_its_cell:11}"
    totals = [sum(getattr(line, name) for line in found) for name in ("made", "found", "in_its_cell")]
    yield f"{'all':42} {totals[0]:5} {totals[1]:5} {totals[2]:11}"


if __name__ == "__main__":
    found = table(notebooks())
    print("\n".join(lines_of(found)))
    missed = [f"{line.kind}: {one}" for line in found for one in line.missed]
    print("\n".join(missed))
    sys.exit(bool(missed))
