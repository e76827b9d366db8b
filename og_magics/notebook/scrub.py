"""A notebook for publication: without prompts and answers, with receipts that still prove what they can.

A receipt without its text keeps the hashes of it and the enclave's signature over them, and all of its payment. What is
private (keys, tokens, the home folder) is taken out of everything else as well.
"""

from __future__ import annotations

import html
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.networks import described
from ..core.options import OPTIONS
from ..core.progress import SCRUBBED
from ..core.receipt import MIME, Receipt
from ..core.redaction import note_address, private_in, redacted
from ..core.secret import holds_session_id, note_secret
from ..display import answer_bundle
from ..notebook.file import answers_of, joined, read_notebook, write_notebook

_WORD = re.compile(r"""\s*((?:[^\s"'\\]|\\.|"(?:[^"\\]|\\.)*"|'[^']*')+)(?=\s|$)""", re.S)
_VALUE = re.compile(r"[\w./:,+-]+")
_ASKING = re.compile(r"%%og(chat|compare)(?!\w)")
_LINE = re.compile(
    r"(?P<before>(?:[\w., \[\]\"'*]+=\s*)?)(?P<magic>%ogchat|%og\s+(?:use|explain|fix))(?!\w)(?P<rest>.*)", re.S
)
_DROPPED = {flag for one in OPTIONS.values() if one.tells for flag in one.flags}
_KEPT = {flag for one in OPTIONS.values() if not one.tells for flag in one.value_flags} | {"-o", "--output"}
_SWITCHES = {flag for one in OPTIONS.values() for flag in one.switches} | {"--no-vars", "--dry-run", "--nest-asyncio"}
"""Flags of the magics: those that go with their value, those whose value stays, and those without one."""

_PYTHON = re.compile(r"(?<!\w)a?ask(?:_many)?\s*\(|\.(?:chat|completion)(?:_sync)?\s*\(")
"""Python that asks. What it prints holds no receipt by which to tell an answer, so its outputs go."""

_TELLING = re.compile(r"^[^\S\n]*%og(?:[^\S\n]+(?:status|use|threads|panel|cell)\b|[^\S\n]*$)", re.M)
"""Lines whose outputs repeat what was asked or answered, or how."""
_WIDGET = "application/vnd.jupyter.widget-view+json"
_MACHINE = ("widgets", "papermill")
"""Keys of a notebook's metadata with widget states, parameters and paths of a run."""
_TELLING_LENGTH = 20
"""Characters of a line from which it is taken for a part of one text, and not for a word of any."""


def scrub_notebook(notebook: Path, output: Path | None, *, all_outputs: bool) -> int:
    """Write a copy of a notebook without what was asked and answered. Cells that ask nothing stay as they are.

    Args:
        output: None for `<notebook>.scrubbed.ipynb` beside it.
        all_outputs: the outputs of the other cells go too.

    Returns:
        0; 1 where the source of a cell still repeats what was taken out, which a person has to look at.

    Raises:
        LedgerError: the file cannot be read or written, or is not a notebook.
    """
    output = notebook.with_suffix(".scrubbed.ipynb") if output is None else output
    content = read_notebook(notebook)
    receipts, removed = _contents(content)
    scrubbed = _scrubbed(content, removed, all_outputs=all_outputs)
    write_notebook(output, scrubbed)
    print(f"{output}: {len(receipts)} receipts are left, without what was asked and answered.")
    if public := sum(receipt.settlement == "individual" for receipt in receipts):
        print(f"{public} of them were settled as individual: their text is public on chain, whatever is removed here.")
    for place, cell in _numbered(content):
        if cell.get("cell_type") == "code" and _PYTHON.search(_without_magic(str(joined(cell.get("source", ""))))):
            print(f"Cell {place} asks from Python: its source is left. Look whether it holds a prompt.")
    left = [place for place, cell in _numbered(scrubbed) if removed.is_in(str(joined(cell.get("source", ""))))]
    for place in left:
        print(f"og-magics: cell {place} repeats in its source what was asked or answered. Edit it.", file=sys.stderr)
    return 1 if left else 0


def check_notebooks(notebooks: Sequence[Path], *, keep_answers: bool) -> int:
    """Print what notebooks hold that should not be published; 0 if nothing, else 1.

    Args:
        keep_answers: prompts and answers may be there; what is private may not.

    Raises:
        LedgerError: a file cannot be read, or is not a notebook.
    """
    found = [
        f"{notebook}: {problem}"
        for notebook in notebooks
        for problem in _problems(read_notebook(notebook), keep_answers=keep_answers)
    ]
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


def scrubbed_source(source: str) -> str:
    """Return a cell's source with a placeholder where it held a prompt. What was scrubbed already is as it was."""
    lines = source.split("\n")
    for place, line in enumerate(lines):
        if asking := _ASKING.match(line):
            return "\n".join([*lines[:place], " ".join([asking.group(), *_split(line[asking.end() :])[0]]), SCRUBBED])
        if line.strip() and not line.startswith("%%"):
            break
    kept: list[str] = []
    for line in lines:
        if kept and kept[-1].endswith("\\") and _LINE.fullmatch(kept[-1].lstrip()):
            kept[-1] = f"{kept[-1][:-1]}\n{line}"  # IPython reads on where a magic's line ends so
        else:
            kept.append(line)
    return "\n".join(_scrubbed_line(line) for line in kept)


def _scrubbed_line(line: str) -> str:
    found = _LINE.fullmatch(line.lstrip())
    if found is None or found["rest"].strip().startswith("?"):
        return line
    flags, prompt = _split(found["rest"])
    placeholder = [SCRUBBED] if prompt and not found["magic"].endswith("use") else []
    indent = line[: len(line) - len(line.lstrip())]
    return " ".join([indent + found["before"] + found["magic"], *flags, *placeholder])


def _split(rest: str) -> tuple[list[str], str]:
    """Return those flags of a magic that tell nothing of what was asked, and what stands behind all flags."""
    kept: list[str] = []
    at = 0
    while word := _WORD.match(rest, at):
        flag, equals, given = word[1].partition("=")
        if not flag.startswith("-"):
            break
        at = word.end()
        if flag in _SWITCHES or (flag in _KEPT and _VALUE.fullmatch(given)):
            kept.append(word[1])
        elif flag in _KEPT | _DROPPED and not equals:
            value = _WORD.match(rest, at)
            at = value.end() if value else at
            kept += [flag, value[1]] if value and flag in _KEPT and _VALUE.fullmatch(value[1]) else []
        elif flag not in _KEPT | _DROPPED:
            break  # not known here: what follows may be of it, or the prompt
    return kept, rest[at:].strip()


@dataclass(frozen=True, slots=True)
class _Removed:
    """Texts that are taken out: lines long enough to be recognized, and whole answers, however short."""

    lines: frozenset[str]
    answers: frozenset[str]

    def is_in(self, text: str) -> bool:
        plain = html.unescape(text)
        return plain.strip(" \n'\"") in self.answers or any(line in plain for line in self.lines)


def _contents(content: Mapping[str, Any]) -> tuple[list[Receipt], _Removed]:
    """Return the receipts of a notebook that can be read, and what was asked and answered."""
    receipts: list[Receipt] = []
    texts: set[str] = set()
    for _, cell in _numbered(content):
        source = str(joined(cell.get("source", "")))
        if cell.get("cell_type") == "code" and (lines := scrubbed_source(source).split("\n")) != source.split("\n"):
            texts |= set(source.split("\n")) - set(lines)
        for output in cell.get("outputs", []):
            if MIME in output.get("data", {}):
                receipts += [answer.receipt for answer in answers_of(output["data"]) if answer.receipt]
            for session_id in _session_ids(output.get("data")):
                note_secret(session_id)  # so that it is found wherever else it stands
    for receipt in receipts:
        note_address(receipt.payer or "")
        for text in _texts([receipt.request.get("messages"), receipt.request.get("prompt"), receipt.tool_calls]):
            texts |= set(text.split("\n"))
        texts |= set(receipt.text.split("\n"))
    telling = frozenset(line.strip() for line in texts if len(line.strip()) >= _TELLING_LENGTH)
    return receipts, _Removed(telling, frozenset(receipt.text.strip() for receipt in receipts if receipt.text.strip()))


def _scrubbed(content: Mapping[str, Any], removed: _Removed, *, all_outputs: bool) -> dict[str, Any]:
    kept = {name: value for name, value in _metadata(content).items() if name not in _MACHINE}
    cells = [_scrubbed_cell(cell, removed, all_outputs=all_outputs) for _, cell in _numbered(content)]
    return {**_redacted({**content, "metadata": kept, "cells": []}), "cells": cells}


def _scrubbed_cell(cell: Mapping[str, Any], removed: _Removed, *, all_outputs: bool) -> dict[str, Any]:
    source = joined(cell.get("source", ""))
    if cell.get("cell_type") != "code" or not isinstance(source, str):
        return dict(_redacted(cell))
    outputs = cell.get("outputs", [])
    scrubbed = {**_redacted({**cell, "outputs": []}), "source": redacted(scrubbed_source(source))}
    if _asks(source) or any(MIME in output.get("data", {}) for output in outputs):
        return scrubbed | {"outputs": [one for output in outputs for one in _scrubbed_outputs(output)]}
    if all_outputs or _TELLING.search(source):
        return scrubbed
    return scrubbed | {"outputs": [_redacted(output) for output in outputs if not _tells(output, removed)]}


def _scrubbed_outputs(output: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield one output for each receipt, whether it stood alone, in a comparison or in a turn of several calls."""
    data = output.get("data", {})
    for answer in answers_of(data) if MIME in data else []:
        if answer.receipt is not None:
            receipt = answer.receipt.without_text()
            bundle = answer_bundle(receipt, "", _explorer(receipt.network), head=answer.head)
            yield {"output_type": "display_data", "data": json.loads(json.dumps(bundle)), "metadata": {}}


def _tells(output: Mapping[str, Any], removed: _Removed) -> bool:
    return _WIDGET in output.get("data", {}) or any(removed.is_in(text) for text in _texts(output))


def _asks(source: str) -> bool:
    return _PYTHON.search(_without_magic(source)) is not None or any(
        _ASKING.match(line) or ((found := _LINE.fullmatch(line.lstrip())) and not found["magic"].endswith("use"))
        for line in source.split("\n")
    )


def _without_magic(source: str) -> str:
    """Return the Python of a cell: nothing if the cell is a prompt."""
    return "" if any(_ASKING.match(line) for line in source.split("\n")) else source


def _problems(content: Mapping[str, Any], *, keep_answers: bool) -> Iterator[str]:
    _, removed = _contents(content)  # notes too whose keys and which sessions are to be looked for
    if not keep_answers:
        for name in _MACHINE:
            if name in _metadata(content):
                yield f"the notebook's metadata: {name}, which may hold what was asked and answered"
        for place, cell in _numbered(content):
            if cell.get("cell_type") != "code":
                continue
            source = str(joined(cell.get("source", "")))
            if scrubbed_source(source) != source:
                yield f"cell {place}: a prompt"
            after = _scrubbed_cell(cell, removed, all_outputs=False)
            if _shown(after) != _shown(cell):
                yield f"cell {place}: an answer, or an output that tells of one"
    for place, cell in _numbered(content):
        for part in ("source", "outputs", "metadata", "attachments"):
            for what in _private(cell.get(part)):
                yield f"cell {place}, {part}: {what}"
    for what in _private(content.get("metadata")):
        yield f"the notebook's metadata: {what}"


def _session_ids(value: Any) -> Iterator[str]:
    """Yield the ids of payment sessions in the receipts of a version that kept them."""
    if isinstance(value, Mapping):
        for name, one in value.items():
            if name == "session_id" and holds_session_id(one):
                yield str(one)
            else:
                yield from _session_ids(one)
    elif isinstance(value, list):
        for one in value:
            yield from _session_ids(one)


def _private(value: Any) -> list[str]:
    found = ["a payment session's id" for _ in _session_ids(value)]
    return list(dict.fromkeys([*found, *(what for text in _texts(value) for what in private_in(text))]))


def _shown(cell: Mapping[str, Any]) -> list[Any]:
    """Return the contents of a cell's outputs; private parts are looked for elsewhere."""
    shown = []
    for output in cell.get("outputs", []):
        one = {name: value for name, value in output.items() if name != "metadata"}
        if "data" in output:
            one["data"] = {kind: joined(value) for kind, value in output["data"].items()}
        shown.append(_redacted(one))
    return shown


def _numbered(content: Mapping[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    yield from enumerate(content["cells"], 1)


def _metadata(content: Mapping[str, Any]) -> Mapping[str, Any]:
    metadata = content.get("metadata")
    return metadata if isinstance(metadata, Mapping) else {}


def _texts(value: Any) -> Iterator[str]:
    """Yield all texts in a JSON value, those held in lines as one; no pictures."""
    value = joined(value)
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for kind, one in value.items():
            if not _is_picture(kind):
                yield from _texts(one)
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _texts(one)


def _redacted(value: Any) -> Any:
    """Return a JSON value without the private parts of its texts. Receipts and pictures stay as they are."""
    if isinstance(joined(value), str):
        whole = joined(value)
        clean = redacted(whole)
        return value if clean == whole else clean
    if isinstance(value, Mapping):
        return {k: v if k == MIME or _is_picture(k) else _redacted(v) for k, v in value.items()}
    return [_redacted(one) for one in value] if isinstance(value, list) else value


def _is_picture(kind: object) -> bool:
    return str(kind).startswith("image/") and kind != "image/svg+xml"  # which is text


def _explorer(network: str) -> Callable[[str], str]:
    return described(network).transaction_url
