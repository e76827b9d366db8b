"""A notebook for publication: without prompts and answers, with receipts that still prove what they can.

A receipt without its text keeps the hashes of it and the enclave's signature over them, and all of its payment. What is
private (keys, tokens, the home folder) is taken out of everything else as well.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..core.networks import described
from ..core.progress import SCRUBBED
from ..core.receipt import MIME
from ..core.redaction import private_in, redacted
from ..core.secret import holds_session_id, note_secret
from ..core.settings import Settings, ledger_path
from ..display import answer_bundle
from ..display.panel_snapshot import SUMMARY
from ..notebook.file import answers_of, joined, read_notebook, write_notebook
from .answer_uses import uses_of_answers
from .known_texts import Known, is_binary, known_of
from .scrub_source import asks, asks_from_python, scrubbed_source

_TELLING = re.compile(r"^[^\S\n]*%og(?:[^\S\n]+(?:status|use|threads|panel|cell)\b|[^\S\n]*$)", re.M)
"""Lines whose outputs repeat what was asked or answered, or how."""
_WIDGET = "application/vnd.jupyter.widget-view+json"
_MACHINE = ("widgets", "papermill")
"""Keys of a notebook's metadata with widget states, parameters and paths of a run."""
_PICTURE_IN_TEXT = re.compile(r"data:(?:image|audio|video|application)/[\w.+-]+;base64,|<(?:svg|canvas)\b", re.I)
_OURS, _CHECKED = "og_magics", "outputs_checked"
"""Place in a cell's metadata of the digest of the outputs that were compared with the answers they may repeat."""
PUBLIC_TAG = "og-public"
"""Tag of a cell that a person looked at: what is only named of it is not named again."""


def scrub_notebook(notebook: Path, output: Path | None, *, all_outputs: bool, ledger: Path | None = None) -> int:
    """Write a copy of a notebook without what was asked and answered. Cells that ask nothing stay as they are, but for
    what repeats it.

    Args:
        output: None for `<notebook>.scrubbed.ipynb` beside it.
        all_outputs: the outputs of the other cells go too.
        ledger: one that is not beside the notebook.

    Returns:
        0; 1 where a person has to look at something: a source that repeats what was taken out, a picture made with an
        answer, or what could not be compared.

    Raises:
        LedgerError: the file cannot be read or written, or is not a notebook.
    """
    output = notebook.with_suffix(".scrubbed.ipynb") if output is None else output
    scrubbing = _Scrubbing(notebook, ledger)
    scrubbed = scrubbing.copy(all_outputs=all_outputs)
    write_notebook(output, scrubbed)
    receipts = scrubbing.known.receipts
    print(f"{output}: {len(receipts)} receipts are left, without what was asked and answered.")
    if public := sum(receipt.settlement == "individual" for receipt in receipts):
        print(f"{public} of them were settled as individual: their text is public on chain, whatever is removed here.")
    for place, cell in _numbered(scrubbing.content):
        if cell.get("cell_type") == "code" and asks_from_python(_source(cell)):
            print(f"Cell {place} asks from Python: its source is left. Look whether it holds a prompt.")
    left = list(scrubbing.undecided(scrubbed))
    for problem in left:
        print(f"og-magics: {problem}.", file=sys.stderr)
    if left:
        print(
            f"og-magics: edit what is named, clear its outputs, or give the cell the tag {PUBLIC_TAG} if all of it may "
            "be published.",
            file=sys.stderr,
        )
    return 1 if left else 0


def check_notebooks(notebooks: Sequence[Path], *, keep_answers: bool, ledger: Path | None = None) -> int:
    """Print what notebooks hold that should not be published; 0 if nothing, else 1.

    Args:
        keep_answers: prompts and answers may be there; what is private may not.
        ledger: one that is not beside them.

    Raises:
        LedgerError: a file cannot be read, or is not a notebook.
    """
    found = [
        f"{notebook}: {problem}"
        for notebook in notebooks
        for problem in _Scrubbing(notebook, ledger).problems(keep_answers=keep_answers)
    ]
    print("\n".join(found), end="\n" if found else "")
    return 1 if found else 0


class _Scrubbing:
    """A notebook that is to be published, and what is known of its exchanges.

    Raises:
        LedgerError: the file cannot be read, or is not a notebook.
    """

    def __init__(self, notebook: Path, ledger: Path | None) -> None:
        self.content = read_notebook(notebook)
        for _, cell in _numbered(self.content):
            for output in cell.get("outputs", []):
                for session_id in _session_ids(output.get("data")):
                    note_secret(session_id)  # so that it is found wherever else it stands
        settings = Settings.from_env()
        self.known: Known = known_of(
            self.content, notebook, ledger, ledger_path(settings, None) if settings.ledger else None
        )
        sources = [_source(cell) if cell.get("cell_type") == "code" else None for _, cell in _numbered(self.content)]
        self._uses = uses_of_answers(sources)

    def copy(self, *, all_outputs: bool) -> dict[str, Any]:
        """Return the notebook without what was asked and answered."""
        kept = {name: value for name, value in _metadata(self.content).items() if name not in _MACHINE}
        rest = {name: value for name, value in self.content.items() if name not in ("cells", "metadata")}
        cells = [self._cell(place, cell, all_outputs=all_outputs) for place, cell in _numbered(self.content)]
        whole = {**self._cleaned(rest), "metadata": self._cleaned(kept), "cells": cells}
        order = [*self.content, *(name for name in whole if name not in self.content)]
        return {name: whole[name] for name in order}

    def undecided(self, scrubbed: Mapping[str, Any]) -> Iterator[str]:
        """Yield what a person has to look at in a copy."""
        yield from self._unknown()
        for place, cell in _numbered(scrubbed):
            yield from self._to_decide(place, cell)

    def problems(self, *, keep_answers: bool) -> Iterator[str]:
        """Yield what the notebook holds that should not be published."""
        if not keep_answers:
            yield from self._answers()
        for place, cell in _numbered(self.content):
            for part in ("source", "outputs", "metadata", "attachments"):
                for what in _private(cell.get(part)):
                    yield f"cell {place}, {part}: {what}"
        for what in _private(self.content.get("metadata")):
            yield f"the notebook's metadata: {what}"

    def _answers(self) -> Iterator[str]:
        metadata = _metadata(self.content)
        for name in _MACHINE:
            if name in metadata:
                yield f"the notebook's metadata: {name}, which may hold what was asked and answered"
        if self._tells({name: value for name, value in metadata.items() if name not in _MACHINE}):
            yield "the notebook's metadata: what was asked or answered"
        for place, cell in _numbered(self.content):
            if cell.get("cell_type") == "code" and scrubbed_source(_source(cell)) != _source(cell):
                yield f"cell {place}: a prompt"
            after = self._cell(place, cell, all_outputs=False)
            if _shown(after) != _shown(cell):
                yield f"cell {place}: an answer, or an output that tells of one"
            for part in ("id", "metadata", "attachments"):
                if self._tells(cell.get(part)):
                    yield f"cell {place}, {part}: what was asked or answered"
            yield from self._to_decide(place, after)
        yield from self._unknown()

    def _unknown(self) -> Iterator[str]:
        """Yield what could not be read, so that nobody knows what of it is elsewhere."""
        for place, problem in self.known.problems:
            cell = self.content["cells"][place - 1] if place else {}
            if not _is_public(cell):
                where = f"cell {place} {problem}" if place else problem
                yield f"{where}: what it holds may stand elsewhere in this notebook, and was not looked for"

    def _to_decide(self, place: int, cell: Mapping[str, Any]) -> Iterator[str]:
        """Yield what a person has to look at in a cell of the copy."""
        if _is_public(cell):
            return
        if self.known.texts.found_in(_source(cell)):
            yield f"cell {place} repeats in its source what was asked or answered"
        outputs = [output for output in cell.get("outputs", []) if MIME not in output.get("data", {})]
        uses = self._uses[place - 1]
        if not uses or not outputs:
            return
        if any(map(_holds_picture, outputs)):
            yield f"cell {place} shows a picture that may be made of an answer"
        if any(one + 1 in self.known.unknown for one in uses) and not _is_checked(cell):
            yield f"cell {place} uses an answer that is not known here, and its outputs may repeat it"

    def _cell(self, place: int, cell: Mapping[str, Any], *, all_outputs: bool) -> dict[str, Any]:
        source = _source(cell)
        rest = {name: value for name, value in cell.items() if name not in ("source", "outputs")}
        kept = self._cleaned(rest)
        if "id" in kept and self._tells(cell["id"]):  # which has to be there, in letters and digits
            kept["id"] = hashlib.sha256(str(cell["id"]).encode("utf-8", "replace")).hexdigest()[:8]
        if cell.get("cell_type") != "code":
            return _ordered(cell, kept | ({"source": _redacted(cell["source"])} if "source" in cell else {}))
        scrubbed = scrubbed_source(source)
        kept["source"] = _redacted(cell.get("source", "") if scrubbed == source else scrubbed)
        outputs = cell.get("outputs", [])
        if asks(source) or any(MIME in output.get("data", {}) for output in outputs):
            return _ordered(cell, kept | {"outputs": [one for output in outputs for one in _receipts_of(output)]})
        if all_outputs or _TELLING.search(source):
            return _ordered(cell, kept | {"outputs": []})
        uses = self._uses[place - 1]
        kept["outputs"] = [_redacted(one) for one in self._honest(outputs, near=bool(uses))]
        if kept["outputs"] and uses and not any(one + 1 in self.known.unknown for one in uses):
            _mark_checked(kept)
        return _ordered(cell, kept)

    def _honest(self, outputs: Sequence[Mapping[str, Any]], *, near: bool) -> list[Mapping[str, Any]]:
        """Return the outputs that repeat nothing: neither one alone, nor several one after the other."""
        kept = [one for one in outputs if not _is_panel(one) and not self._tells(one, near=near)]
        for kinds in (("stdout",), ("stderr",), ("stdout", "stderr"), ()):
            those = [one for one in kept if not kinds or one.get("name") in kinds]
            texts = list(map(_main_text, those))
            if len(those) > 1 and any(map(self.known.texts.found_in, ("".join(texts), " ".join(texts)))):
                kept = [one for one in kept if one not in those or not _main_text(one)]
        return kept

    def _tells(self, value: Any, *, near: bool = False) -> bool:
        """Return True for a JSON value that holds what was asked or answered, in one text or in several."""
        texts = list(_texts(value))
        found = self.known.texts.found_in
        return (
            any(found(text, near=near) for text in texts)
            or (len(texts) > 1 and found("\n".join(texts)))
            or any(map(self.known.texts.holds_picture, _encoded(value)))
        )

    def _cleaned(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """Return a JSON object without what is private, and without the texts that tell."""
        cleaned = {name: self._without_telling(one) for name, one in value.items() if not self._tells(name)}
        return {name: _redacted(one) for name, one in cleaned.items() if name in _NEEDED or not self._tells(one)}

    def _without_telling(self, value: Any) -> Any:
        whole = joined(value)
        if isinstance(whole, str):
            removed = SCRUBBED if isinstance(value, str) else [SCRUBBED]
            return removed if self._tells(whole) else value
        if isinstance(value, Mapping):
            return {
                name: self._without_telling(one)
                for name, one in value.items()
                if not self._tells(name) and not self._is_known_picture(one)
            }
        return [self._without_telling(one) for one in value] if isinstance(value, list) else value

    def _is_known_picture(self, value: Any) -> bool:
        whole = joined(value)
        return isinstance(whole, str) and self.known.texts.holds_picture(whole)


_NEEDED = ("cell_type", "id", "nbformat", "nbformat_minor", "execution_count", "metadata")
"""Keys without which a file is no notebook."""


def _receipts_of(output: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield one output for each receipt, whether it stood alone, in a comparison or in a turn of several calls."""
    data = output.get("data", {})
    for place, answer in enumerate(answers_of(data) if MIME in data else []):
        if answer.receipt is not None:
            receipt = answer.receipt.without_text()
            carried = {} if place else answer.documents  # once for all calls of an output
            bundle = answer_bundle(receipt, "", _explorer(receipt.network), head=answer.head, documents=carried)
            yield {"output_type": "display_data", "data": json.loads(json.dumps(bundle)), "metadata": {}}


def _source(cell: Mapping[str, Any]) -> str:
    source = joined(cell.get("source", ""))
    return source if isinstance(source, str) else ""


def _ordered(cell: Mapping[str, Any], scrubbed: Mapping[str, Any]) -> dict[str, Any]:
    """Return a cell with its keys in the order in which they stood."""
    names = [*(name for name in cell if name in scrubbed), *(name for name in scrubbed if name not in cell)]
    return {name: scrubbed[name] for name in names}


def _is_public(cell: Mapping[str, Any]) -> bool:
    tags = _metadata(cell).get("tags")
    return isinstance(tags, list) and PUBLIC_TAG in tags


def _digest(cell: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(_shown(cell), sort_keys=True).encode()).hexdigest()


def _mark_checked(cell: dict[str, Any]) -> None:
    """Note in a cell that its outputs were compared: where the texts are not known later, nobody can do it again."""
    metadata = dict(_metadata(cell))
    ours = metadata.get(_OURS)
    metadata[_OURS] = {**(ours if isinstance(ours, Mapping) else {}), _CHECKED: _digest(cell)}
    cell["metadata"] = metadata


def _is_checked(cell: Mapping[str, Any]) -> bool:
    ours = _metadata(cell).get(_OURS)
    return isinstance(ours, Mapping) and ours.get(_CHECKED) == _digest(cell)


def _is_panel(output: Mapping[str, Any]) -> bool:
    """Return True for a widget, and for the summary of a panel: it shows the chat."""
    data = output.get("data", {})
    return _WIDGET in data or f'class="{SUMMARY}' in str(joined(data.get("text/html", "")))


def _holds_picture(output: Mapping[str, Any]) -> bool:
    data = output.get("data", {})
    texts = (joined(value) for value in data.values())
    return any(is_binary(kind) or kind == "image/svg+xml" for kind in data) or any(
        isinstance(text, str) and _PICTURE_IN_TEXT.search(text) for text in texts
    )


def _main_text(output: Mapping[str, Any]) -> str:
    """Return what a reader sees of an output as text; "" of a picture."""
    data = output.get("data", {})
    text = joined(output.get("text", data.get("text/plain", data.get("text/markdown", data.get("text/html", "")))))
    return text if isinstance(text, str) and not _holds_picture(output) else ""


def _encoded(value: Any) -> Iterator[str]:
    """Yield the pictures in a JSON value, as base64."""
    value = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for kind, one in value:
        if is_binary(kind) and isinstance(text := joined(one), str):
            yield text
        elif isinstance(one, (Mapping, list)):
            yield from _encoded(one)


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
    """Yield all texts in a JSON value, names too, those held in lines as one; no pictures."""
    value = joined(value)
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for kind, one in value.items():
            if not is_binary(kind):
                yield str(kind)
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
        return {k: v if k == MIME or is_binary(k) else _redacted(v) for k, v in value.items()}
    return [_redacted(one) for one in value] if isinstance(value, list) else value


def _explorer(network: str) -> Callable[[str], str]:
    return described(network).transaction_url
