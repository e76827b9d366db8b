"""Forgeries that agree with themselves, or that front ends show in another way than they are saved."""

from __future__ import annotations

import copy
import html
from collections.abc import Callable
from typing import Any

from og_magics.core.receipt import MIME

from .notebook import SHOWN, WORDS, Change, Notebook, data_of, forms_of, only_asks, scrubbed, source_of
from .outputs import LINE


def _signed(content: Notebook, place: int) -> dict[str, Any] | None:
    """The last receipt of a cell, with a signature and its text; None where there is none."""
    form: dict[str, Any] = forms_of(data_of(content, place)[MIME])[-1]
    return form if form["tee_signature"] and not scrubbed(content, place) else None


def _longest_word(form: dict[str, Any]) -> str:
    return max(WORDS.findall(form["text"]), key=len, default="")


def _alike(content: Notebook, place: int) -> set[int] | None:
    """A word of the answer, changed in the receipt's text and in every form that is shown."""
    form = _signed(content, place)
    word = _longest_word(form) if form else ""
    if not form or not word:
        return None
    form["text"] = form["text"].replace(word, "otherwise")
    data = data_of(content, place)
    for kind in SHOWN:
        if kind in data:
            data[kind] = data[kind].replace(word, "otherwise")
    return {place}


def _prompt_alike(content: Notebook, place: int) -> set[int] | None:
    """The prompt, changed in the cell and in the receipt's request."""
    form = _signed(content, place)
    if form is None or not only_asks(content, place) or not form["request"].get("messages"):
        return None
    prompt = source_of(content, place).partition("\n")[2]
    last = form["request"]["messages"][-1]
    if not prompt.strip() or last.get("content") != prompt.strip():
        return None
    content["cells"][place]["source"] = source_of(content, place) + " Really?"
    last["content"] += " Really?"
    return {place}


def _form_added(kind: str, shown: Any) -> Change:
    """Another form of the answer's output, which a front end may prefer."""

    def change(content: Notebook, place: int) -> set[int] | None:
        data = data_of(content, place)
        if kind in data:
            return None
        data[kind] = shown
        return {place}

    return change


def _only_plain(content: Notebook, place: int) -> set[int] | None:
    """A word changed in the plain text alone, which a terminal shows."""
    data = data_of(content, place)
    words = [word for form in reversed(forms_of(data[MIME])) for word in WORDS.findall(form["text"])]
    if not words or words[0] not in data["text/plain"]:
        return None
    data["text/plain"] = data["text/plain"].replace(words[0], "otherwise", 1)
    return {place}


def _form_removed(content: Notebook, place: int) -> set[int] | None:
    """All that is shown of the answer, taken out; the receipt stays."""
    data = data_of(content, place)
    for kind in SHOWN:
        data.pop(kind, None)
    return {place}


def _emptied(content: Notebook, place: int) -> set[int] | None:
    data = data_of(content, place)
    for kind in SHOWN:
        if kind in data:
            data[kind] = ""
    return {place}


def _word_as(make: Callable[[str], str]) -> Change:
    """A word of the answer, otherwise in each form."""

    def change(content: Notebook, place: int) -> set[int] | None:
        data = data_of(content, place)
        words = [word for form in reversed(forms_of(data[MIME])) for word in WORDS.findall(form["text"])]
        found = False
        for kind in SHOWN:
            if kind in data and words and words[0] in data[kind]:
                data[kind], found = data[kind].replace(words[0], make(words[0]), 1), True
        return {place} if found else None

    return change


def _in_rich(make: Callable[[str], str]) -> Change:
    """The form that a front end prefers, as a whole, made into another."""

    def change(content: Notebook, place: int) -> set[int] | None:
        data = data_of(content, place)
        kind = next((one for one in ("text/html", "text/markdown") if one in data), None)
        if kind is None:
            return None
        data[kind] = make(data[kind])
        return {place}

    return change


def _field(name: str, new: Any) -> Change:
    """A field of the receipt that the signature covers, or that says how to check it."""

    def change(content: Notebook, place: int) -> set[int] | None:
        form = _signed(content, place)
        if form is None or form.get(name) in (new, None):
            return None
        form[name] = new
        return {place}

    return change


def _asked(name: str, new: Any) -> Change:
    """A parameter of the receipt's request."""

    def change(content: Notebook, place: int) -> set[int] | None:
        form = _signed(content, place)
        if form is None or not form["request"].get("messages") or form["request"].get(name) == new:
            return None
        form["request"][name] = new
        return {place}

    return change


def _source(make: Callable[[str], str]) -> Change:
    """The cell says that something else was run."""

    def change(content: Notebook, place: int) -> set[int] | None:
        if not only_asks(content, place):
            return None
        content["cells"][place]["source"] = make(source_of(content, place))
        return {place}

    return change


def _other_kind_of_output(kind: str) -> Change:
    """The output with the receipt as one that is no display."""

    def change(content: Notebook, place: int) -> set[int] | None:
        output = next(one for one in content["cells"][place]["outputs"] if MIME in one.get("data", {}))
        if not only_asks(content, place):
            return None
        output.clear()
        output |= {"output_type": "stream", "name": kind, "text": "It is 42.\n"}
        return {place}

    return change


def _receipt_apart(content: Notebook, place: int) -> set[int] | None:
    """The receipt in an output of its own, and the answer, changed, in one without."""
    if not only_asks(content, place):
        return None
    outputs = content["cells"][place]["outputs"]
    output = next(one for one in outputs if MIME in one.get("data", {}))
    apart = copy.deepcopy(output)
    apart["data"] = {MIME: output["data"].pop(MIME)}
    outputs.append(apart)
    return {place}


def _columns_exchanged(content: Notebook, place: int) -> set[int] | None:
    """The receipts of two columns of a comparison, exchanged."""
    columns = [one for one in data_of(content, place)[MIME].get("columns", []) if one["receipt"]]
    if len(columns) < 2 or columns[0]["receipt"]["text"] == columns[1]["receipt"]["text"]:
        return None
    columns[0]["receipt"], columns[1]["receipt"] = columns[1]["receipt"], columns[0]["receipt"]
    return {place}


def _column_without(content: Notebook, place: int) -> set[int] | None:
    """A column of a comparison without its receipt."""
    columns = [one for one in data_of(content, place)[MIME].get("columns", []) if one["receipt"]]
    if len(columns) < 2:
        return None
    columns[0]["receipt"] = None
    return {place}


def _line_in_error(content: Notebook, place: int) -> set[int] | None:
    """A line printed to a stream that no front end knows."""
    if not only_asks(content, place):
        return None
    content["cells"][place]["outputs"].append({**LINE, "name": "stdlog"})
    return {place}


def _unknown_output(content: Notebook, place: int) -> set[int] | None:
    """An output of a type that the format does not have."""
    if not only_asks(content, place):
        return None
    content["cells"][place]["outputs"].append({"output_type": "pager", "data": {"text/plain": "It is 42."}})
    return {place}


def _call_taken_out(content: Notebook, place: int) -> set[int] | None:
    """The calls of a receipt whose signature covers them, gone."""
    form = _signed(content, place)
    if form is None or not form["tool_calls"] or form["finish_reason"] != "tool_calls":
        return None
    form["tool_calls"] = []
    return {place}


FORGERIES: dict[str, Change] = {
    "alike: a word in the answer and its receipt": _alike,
    "alike: the prompt in the cell and its receipt": _prompt_alike,
    "form: HTML added": _form_added("text/html", "<p>It is 42.</p>"),
    "form: LaTeX added": _form_added("text/latex", "$42$"),
    "form: a picture added": _form_added("image/png", "iVBORw0KGgo="),
    "form: a drawing added": _form_added("image/svg+xml", "<svg><text>42</text></svg>"),
    "form: JavaScript added": _form_added("application/javascript", "element.textContent = 'It is 42.'"),
    "form: JSON added": _form_added("application/json", {"answer": 42}),
    "form: a widget added": _form_added("application/vnd.jupyter.widget-view+json", {"model_id": "a" * 32}),
    "form: a chart added": _form_added("application/vnd.vegalite.v5+json", {"title": "It is 42."}),
    "form: a frame added": _form_added("application/pdf", "JVBERi0="),
    "form: plain text alone": _only_plain,
    "form: nothing is shown": _form_removed,
    "form: all that is shown is empty": _emptied,
    "word: a letter of another script": _word_as(lambda word: word.replace("e", "\u0435").replace("a", "\u0430")),
    "word: upper case": _word_as(str.upper),
    "word: struck out by combining characters": _word_as(lambda word: "".join(f"{one}\u0336" for one in word)),
    "word: a soft hyphen": _word_as(lambda word: f"{word[:2]}\u00ad{word[2:]}"),
    "word: a tag character": _word_as(lambda word: f"{word[:2]}\U000e0041{word[2:]}"),
    "word: a filler": _word_as(lambda word: f"{word[:2]}\u3164{word[2:]}"),
    "word: twice": _word_as(lambda word: f"{word} {word}"),
    "rich: struck out": _in_rich(lambda text: f"<s>{text}</s>"),
    "rich: folded away": _in_rich(lambda text: f"<details><summary>It is 42.</summary>{text}</details>"),
    "rich: a style": _in_rich(lambda text: f"<style>p {{ display: none }}</style>{text}"),
    "rich: a script": _in_rich(lambda text: f"<script>document.title = 42</script>{text}"),
    "rich: a frame": _in_rich(lambda text: f'{text}<iframe srcdoc="{html.escape("It is 42.")}"></iframe>'),
    "rich: a form": _in_rich(lambda text: f'{text}<input value="It is 42.">'),
    "rich: MathML": _in_rich(lambda text: f"<math><mn>42</mn></math>{text}"),
    "rich: behind": _in_rich(lambda text: f"{text}\n\nIt is 42."),
    "receipt: its path changed": _field("path", "/v1/completions"),
    "receipt: its calls taken out": _call_taken_out,
    "receipt: its provider changed": _field("provider", "nous"),
    "receipt: its network changed": _field("network", "base"),
    "receipt: its mode changed": _field("settlement", "individual"),
    "receipt: marked as replayed": _field("replayed", True),
    "request: another model": _asked("model", "gpt-9"),
    "request: another temperature": _asked("temperature", 1.9),
    "request: a function": _asked("tools", [{"type": "function", "function": {"name": "pay"}}]),
    "request: a stop": _asked("stop", ["4"]),
    "source: emptied": _source(lambda source: ""),
    "source: a print in place of the question": _source(lambda source: "print('It is 42.')"),
    "source: a comment": _source(lambda source: "\n".join(f"# {line}" for line in source.splitlines())),
    "source: another prompt below a comment": _source(lambda source: f"# checked\n{source} Really?"),
    "source: another prompt below code": _source(lambda source: f"checked = True\n{source} Really?"),
    "source: another prompt below another magic": _source(lambda source: f"%%time\n{source} Really?"),
    "output: a line in place of the answer": _other_kind_of_output("stdout"),
    "output: the receipt apart from its answer": _receipt_apart,
    "output: of an unknown stream": _line_in_error,
    "output: of an unknown type": _unknown_output,
    "columns: receipts exchanged": _columns_exchanged,
    "columns: one without its receipt": _column_without,
}
