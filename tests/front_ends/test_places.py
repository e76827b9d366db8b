"""The places where an output can go: what the list of them finds, and rows of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.typist import text_of

from ..message_rules import Screen, VSCode
from ..output_places import rows
from ..places import PLACES, PRINTED, VIEW, Row, Seen, sentences

ANSWER = {"text/markdown": text_of("prose", 1300), "application/vnd.og.receipt+json": {}}
CELL = PLACES[0]


def display(data: dict[str, Any], **transient: str) -> dict[str, Any]:
    return {"msg_type": "display_data", "content": {"data": data, "transient": transient}}


def widget(name: str, **state: Any) -> dict[str, Any]:
    content = {"comm_id": name, "target_name": "jupyter.widget", "data": {"state": state}}
    return {"msg_type": "comm_open", "content": content}


def change(name: str, **state: Any) -> dict[str, Any]:
    return {"msg_type": "comm_msg", "content": {"comm_id": name, "data": {"method": "update", "state": state}}}


def written_into_a_widget(screen: Screen, *messages: dict[str, Any]) -> Screen:
    screen.cells["request"] = "cell"
    for message in (
        widget("out", _model_name="OutputModel", outputs=[]),
        display({VIEW: {"model_id": "out"}}),
        change("out", msg_id="request"),
        *messages,
        change("out", msg_id=""),
    ):
        screen.take("request", message)
    return screen


@pytest.mark.parametrize(
    ("text", "outputs", "lengths", "wrong"),
    [
        (ANSWER["text/markdown"], [], {0, 5, 60, 9}, []),
        (ANSWER["text/markdown"], [], {0}, ["not live"]),
        (2 * (str(ANSWER["text/markdown"]) + " "), [], {5, 9}, ["2 times"]),
        (str(ANSWER["text/markdown"])[:1000], [], {5, 9}, ["0-1 times"]),
        (f"{ANSWER['text/markdown']} {PRINTED}", [], {5, 9}, ["1 printed lines"]),
        (f"{ANSWER['text/markdown']} NameError: x", [], {5, 9}, ["an error"]),
        (ANSWER["text/markdown"], None, {5, 9}, ["the file has the answer 0 times"]),
    ],
)
def test_what_is_not_as_it_must_be_is_found(text: str, outputs: Any, lengths: set[int], wrong: list[str]) -> None:
    saved = [{"output_type": "display_data", "data": ANSWER}] if outputs is not None else []
    row = Row(CELL, "a page", Seen(text, lengths, saved))
    assert len(row.wrong) == len(wrong)
    assert all(told in found for told, found in zip(wrong, row.wrong, strict=True))
    assert ("WRONG" in row.line) is bool(wrong)


@pytest.mark.parametrize("kind", [Screen, VSCode])
def test_an_update_changes_a_display_in_its_place_and_none_in_a_widget(kind: type[Screen]) -> None:
    update = {
        "msg_type": "update_display_data",
        "content": {"data": {"text/plain": "new"}, "transient": {"display_id": "a"}},
    }
    old = display({"text/plain": "old"}, display_id="a")
    screen = kind()
    screen.cells["request"] = "cell"
    for message in (old, update):
        screen.take("request", message)
    assert screen.text("cell") == "new"
    assert written_into_a_widget(kind(), old, update).text("cell").strip() == "old"


def test_vs_code_shows_a_vendors_type_in_the_widget_and_below_and_a_widgets_state_once() -> None:
    times = [written_into_a_widget(kind(), display(ANSWER)).text("cell") for kind in (Screen, VSCode)]
    assert [sentences(text).count("7") for text in times] == [1, 2]
    inner = widget("inner", _model_name="OutputModel", outputs=[{"output_type": "display_data", "data": ANSWER}])
    screen = written_into_a_widget(VSCode(), inner, display({VIEW: {"model_id": "inner"}}))
    assert sentences(screen.text("cell")).count("7") == 1


@pytest.mark.ci
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("front_end", "skipped"),
    [("VS Code", 0), ("Colab", 1), ("jupyter execute", 4)],  # no person in a file, and one rule is not known
)
def test_in_each_place_an_answer_stands_once(tmp_path: Path, front_end: str, skipped: int) -> None:
    found = list(rows(tmp_path, [front_end]))
    assert len(found) == len(PLACES)
    assert [row.line for row in found if row.wrong] == []
    assert sum(bool(row.seen.skipped) for row in found) == skipped
