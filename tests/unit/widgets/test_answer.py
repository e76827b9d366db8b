"""An answer in pages: what is finished is not sent again, and what is shown in the end is the whole."""

from __future__ import annotations

import time

import pytest

from og_magics.core.errors import StreamError
from og_magics.core.progress import Progress
from og_magics.core.receipt import Receipt
from og_magics.display import throttle as pace
from og_magics.display.markdown import to_html
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
    monkeypatch.setattr(pace, "_FLOOR", 0.0)


class Wire(PanelWorker):
    """Notes the bytes of each message about a widget."""

    def __init__(self) -> None:
        super().__init__(None)
        self.sent: list[int] = []

    def put(self, widget, **traits):
        for name, value in traits.items():
            if getattr(widget, name) != value:
                # A list of children holds an id each; a widget that is new is sent whole.
                self.sent.append(900 + (len(value.encode()) if isinstance(value, str) else 50 * len(value) + 1500))
        super().put(widget, **traits)


def stream(answer: Answer, text: str, size: int = 6) -> Progress:
    progress = Progress()
    answer.begin("starting…")
    for start in range(0, len(text), size):
        progress.add(text[start : start + size])
        answer.show(progress)
    return progress


def text_of(answer: Answer) -> str:
    return "".join(page.value for page in answer._pages)


@pytest.mark.parametrize(
    "text", [PARAGRAPHS, CODE, LIST, "# A\n\n" + LIST + "\n" + CODE + "\n" + PARAGRAPHS, "one word"]
)
def test_what_is_shown_in_the_end_is_the_whole_text(at_once, text):
    answer = Answer(PanelWorker(None), "empty")
    stream(answer, text)
    answer.finish([RECEIPT], text, nowhere)
    assert text_of(answer) == to_html(text)
    stream(answer, "short")
    answer.finish([RECEIPT], "short", nowhere)
    assert text_of(answer) == to_html("short")


@pytest.mark.parametrize(
    "text", [PARAGRAPHS, CODE, LIST, "word " * 1000], ids=["paragraphs", "code", "list", "one line"]
)
def test_the_bytes_on_the_wire_are_at_most_ten_times_the_text(at_once, text):
    wire = Wire()
    answer = Answer(wire, "")
    stream(answer, text)
    answer.finish([RECEIPT], text, nowhere)
    assert sum(wire.sent) < 10 * len(text.encode())
    assert len(wire.sent) > 10


def test_the_bytes_stay_linear_and_finished_pages_keep_updates_frequent(at_once):
    counts = []
    for times in (1, 4, 16):
        wire = Wire()
        answer = Answer(wire, "")
        stream(answer, PARAGRAPHS * times, 40)
        assert sum(wire.sent) < 8 * len(PARAGRAPHS) * times
        counts.append(len(wire.sent))
    assert counts[0] > 20
    assert counts[2] > counts[1] > counts[0]


def test_the_end_of_a_text_may_change_what_stands_before(at_once):
    text = "See [it].\n\n" + PARAGRAPHS + "[it]: https://e.example/\n"
    answer = Answer(PanelWorker(None), "")
    stream(answer, text)
    answer.finish([RECEIPT], text, nowhere)
    assert text_of(answer) == to_html(text)
    assert 'href="https://e.example/"' in text_of(answer)


def test_the_first_words_are_shown_and_the_state_before_them():
    answer = Answer(PanelWorker(None), "")
    answer.begin("starting…")
    assert "starting" in text_of(answer)
    progress = Progress()
    time.sleep(0.06)
    answer.show(progress)
    assert "connecting" in text_of(answer)
    progress.add("Hello")
    answer.show(progress)
    assert "Hello" in text_of(answer)


def test_a_failure_keeps_what_had_arrived_and_escapes_what_others_wrote():
    answer = Answer(PanelWorker(None), "")
    error = StreamError("<img src=x> broke", money="Nothing <b>paid</b>.", remedy="Try <i>again</i>.")
    answer.fail(error, RECEIPT, "half an <u>answer</u>", nowhere)
    html = text_of(answer) + answer._note.value + answer._footer.value
    for text in ("half an", "broke", "Nothing", "Try"):
        assert text in html
    for tag in ("<img", "<b>", "<i>", "<u>"):
        assert tag not in html


def test_pictures_that_came_along_are_shown_and_others_are_named():
    answer = Answer(PanelWorker(None), "")
    images = ["data:image/png;base64,AAAA", 'data:image/png;base64,A"onerror="x', "https://e.example/x.png"]
    answer.finish([RECEIPT], "look", nowhere, images=images)
    note = answer._note.value
    assert 'src="data:image/png;base64,AAAA"' in note
    assert 'A"onerror' not in note
    assert 'src="https' not in note
    assert "https://e.example/x.png" in note


def test_function_calls_are_shown_as_text():
    call = {"id": "1", "type": "function", "function": {"name": "<f>", "arguments": "{}"}}
    answer = Answer(PanelWorker(None), "")
    receipt = Receipt(**{name: getattr(RECEIPT, name) for name in RECEIPT.__slots__} | {"tool_calls": (call,)})
    answer.finish([receipt], "", nowhere)
    assert "&lt;f&gt;({})" in text_of(answer)
