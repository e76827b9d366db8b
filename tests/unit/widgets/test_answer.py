"""An answer in a row of Output widgets: what is finished is not sent again, and what stands there in the end is whole."""

from __future__ import annotations

import time

import pytest

from og_magics.core.errors import StreamError
from og_magics.core.progress import Call, Progress
from og_magics.core.receipt import Receipt
from og_magics.display import throttle
from og_magics.widgets.answer import Answer
from og_magics.widgets.worker import PanelWorker

RECEIPT = Receipt(
    receipt_id="01", time=1795343449.0, cell="panel", notebook="", network="devnet", provider="openai",
    model="openai/<b>gpt</b>", settlement="batch", status="served", authorization_hash="0x" + "ab" * 32,
)  # fmt: skip
PARAGRAPHS = "".join(f"Paragraph {n} says **a few** words of no great weight to anyone.\n\n" for n in range(100))
CODE = "```python\n" + "x = 1  # a comment\n" * 300 + "```\n"
LIST = "".join(f"- item {n}, which is `code` and more\n" for n in range(200))


def nowhere(_: str) -> str:
    return ""


@pytest.fixture
def at_once(monkeypatch):
    """No time passes between the pieces of a stream."""
    monkeypatch.setattr(throttle.FramePace, "wait", lambda _: 0.0)


class Wire(PanelWorker):
    """Notes each row of outputs that is set again."""

    def __init__(self) -> None:
        super().__init__(None)
        self.set: list[tuple[int, int]] = []

    def put(self, widget, **traits):
        if "outputs" in traits:
            self.set.append((id(widget), len(str(traits["outputs"]))))
        super().put(widget, **traits)


def stream(answer: Answer, text: str, size: int = 150) -> Progress:
    progress = Progress()
    answer.begin("starting…")
    for start in range(0, len(text), size):
        progress.add(text[start : start + size])
        answer.show(progress)
    return progress


def text_of(answer: Answer) -> str:
    """The Markdown of all rows."""
    data = [output["data"] for row in answer._text.children for output in row.outputs]
    return "\n\n".join(one.get("text/markdown", "") for one in data)


def words(text: str) -> list[str]:
    return [word for word in text.replace("\\", "").split() if not word.startswith("```")]


@pytest.mark.parametrize(
    "text", [PARAGRAPHS, CODE, LIST, "# A\n\n" + LIST + "\n" + CODE + "\n" + PARAGRAPHS, "one word"]
)
def test_what_is_shown_in_the_end_is_the_whole_text(at_once, text):
    answer = Answer(PanelWorker(None))
    for told in (text, "short"):
        stream(answer, told)
        answer.finish([RECEIPT], told, nowhere)
        assert words(text_of(answer)) == words(told)


def test_a_piece_that_is_finished_is_not_set_again(at_once):
    wire = Wire()
    answer = Answer(wire)
    stream(answer, PARAGRAPHS * 2)
    answer.finish([RECEIPT], PARAGRAPHS * 2, nowhere)
    order = [widget for widget, _ in wire.set]
    assert len(set(order)) > 3
    assert order == sorted(order, key=list(dict.fromkeys(order)).index)


def test_what_is_set_again_stays_small_however_long_the_text_is(at_once):
    wire = Wire()
    stream(Answer(wire), PARAGRAPHS * 8, 400)
    assert max(size for _, size in wire.set) < 0.25 * len(PARAGRAPHS) * 8


def test_an_answer_that_did_not_stream_is_shown_whole():
    answer = Answer(PanelWorker(None))
    answer.begin("starting…")
    answer.show(Progress())
    answer.finish([RECEIPT], "All at once, **bold**.", nowhere)
    assert text_of(answer) == "All at once, **bold**."


def test_the_first_words_are_shown_and_the_state_before_them():
    answer = Answer(PanelWorker(None))
    answer.begin("starting…")
    assert "starting" in answer._note.value
    progress = Progress()
    time.sleep(0.06)
    answer.show(progress)
    assert "connecting" in answer._note.value
    progress.add("Hello")
    answer.show(progress)
    assert "Hello" in text_of(answer)
    assert answer._note.value == ""


def test_a_failure_keeps_what_had_arrived_and_escapes_what_others_wrote():
    answer = Answer(PanelWorker(None))
    error = StreamError("<img src=x> broke", money="Nothing <b>paid</b>.", remedy="Try <i>again</i>.")
    answer.fail(error, RECEIPT, "half an <u>answer</u>", nowhere)
    html = answer._note.value + answer._footer.value
    for text in ("broke", "Nothing", "Try"):
        assert text in html
    assert "half an" in text_of(answer)
    for tag in ("<img", "<b>", "<i>", "<u>"):
        assert tag not in html + text_of(answer)


def test_pictures_that_came_along_are_shown_and_others_are_named():
    answer = Answer(PanelWorker(None))
    images = ["data:image/png;base64,AAAA", "data:image/svg+xml;base64,AAAA", "https://e.example/x.png"]
    answer.finish([RECEIPT], "look", nowhere, images=images)
    shown = [set(output["data"]) for row in answer._text.children for output in row.outputs]
    assert shown == [{"text/markdown"}, {"image/png", "text/plain"}]
    assert "https://e.example/x.png" in answer._note.value
    assert "src=" not in answer._note.value


def test_function_calls_are_shown_as_text():
    call = {"id": "1", "type": "function", "function": {"name": "<f>", "arguments": "{}"}}
    answer = Answer(PanelWorker(None))
    receipt = Receipt(**{name: getattr(RECEIPT, name) for name in RECEIPT.__slots__} | {"tool_calls": (call,)})
    answer.finish([receipt], "", nowhere)
    assert "```\n<f>({})\n```" in text_of(answer)


def test_a_function_call_stands_between_the_texts_while_it_streams(at_once):
    answer, progress = Answer(PanelWorker(None)), Progress()
    progress.add("I look it up.")
    progress.append(Call("look", '{"x": 1}', "done", "found"))
    answer.show(progress)
    progress.add("It is there.")
    answer.show(progress)
    answer.finish([RECEIPT], "It is there.", nowhere)
    told = text_of(answer)
    assert told.index("look it up") < told.index("look(") < told.index("It is there.")
