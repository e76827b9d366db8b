"""What is shown where a display cannot be updated in its place: by widgets, or once, when it is complete."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import ipywidgets
import pytest
from IPython.core.displaypub import CapturingDisplayPublisher, DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from ipywidgets.widgets.widget import _instances

from og_magics.core.progress import Progress
from og_magics.display import live, progress_bar
from og_magics.display.columns import live_columns_for
from og_magics.display.outlets import _BLANK as BLANK
from og_magics.display.outlets import asks_once, outlet_here

KERNEL = SimpleNamespace(kernel=object())


class Sent(DisplayPublisher):
    """Keeps what is published, and runs for one request."""

    parent_header: dict[str, Any]
    seen: list[tuple[bool, Any]]

    def publish(self, data: Any, metadata: Any = None, **how: Any) -> None:
        self.seen.append((how.get("update", False), dict(data)))


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sent]:
    """A publisher for the request that is named "cell"."""
    publisher = Sent()
    publisher.parent_header, publisher.seen = {"msg_id": "cell"}, []
    monkeypatch.setattr(InteractiveShell.instance(), "display_pub", publisher)
    yield publisher
    InteractiveShell.clear_instance()


@pytest.fixture
def captured(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """The displays that a captured cell keeps."""
    publisher = CapturingDisplayPublisher()
    publisher.outputs = []
    monkeypatch.setattr(InteractiveShell.instance(), "display_pub", publisher)
    yield publisher.outputs
    InteractiveShell.clear_instance()


@pytest.fixture
def out() -> Iterator[Any]:
    widget = ipywidgets.Output()
    yield widget
    ipywidgets.Widget.close_all()


def streamed(progress: Progress) -> None:
    live.live_for(KERNEL, progress, "openai/gpt-5").show()
    live_columns_for(KERNEL, ["a/b", "c/d"], [Progress(), Progress()]).show({})
    progress_bar.progress_bar_for(KERNEL, 3).show(1, "1 of 3")


def test_a_capture_keeps_no_frames(captured: list[Any]) -> None:
    streamed(Progress())
    assert captured == []

    progress_bar.progress_bar_for(KERNEL, 3).show(3, "3 of 3", last=True)
    assert len(captured) == 1


def test_in_an_output_widget_an_answer_is_shown_by_widgets_that_are_empty_at_the_end(sent: Sent, out: Any) -> None:
    out.msg_id, out.outputs = "cell", ({"output_type": "stream", "name": "stdout", "text": "the user's"},)
    outlet = outlet_here()
    for words in ("one", "one two"):
        outlet.put(0, {"text/markdown": words})
    outlet.put(1, {"text/markdown": "three"})
    rows = [widget for widget in _instances.values() if isinstance(widget, ipywidgets.Output)]
    assert [row.outputs[0]["data"] for row in rows if row is not out] == [
        {"text/markdown": "one two"},
        {"text/markdown": "three"},
    ]
    assert outlet.finish({"text/plain": "all"}) is None
    assert all(row.outputs == () for row in rows if row is not out)
    assert out.outputs[0]["text"] == "the user's"
    assert [update for update, _ in sent.seen] == [False] * 3
    assert sent.seen[-1] == (False, {"text/plain": "all"})


def test_in_vs_code_an_output_widget_gets_the_answer_as_a_widget(sent: Sent, out: Any, monkeypatch: Any) -> None:
    """What has a type of a vendor is drawn there by the widget, and once more below it."""
    monkeypatch.setitem(InteractiveShell.instance().user_ns, "__vsc_ipynb_file__", "/a.ipynb")
    bundle = {"text/markdown": "all", "application/vnd.og.receipt+json": {}}
    outlet_here().finish(bundle)
    out.msg_id = "cell"
    outlet_here().finish(bundle)
    (_, plain), (_, inside) = sent.seen
    assert plain == bundle
    view = inside["application/vnd.jupyter.widget-view+json"]
    assert "text/markdown" not in inside
    assert _instances[view["model_id"]].outputs[0]["data"] == bundle


@pytest.mark.parametrize("message", ["", "another cell"])
def test_an_output_widget_that_takes_nothing_of_this_cell_is_none_of_its_business(
    sent: Sent, out: Any, message: str
) -> None:
    out.msg_id = message
    outlet = outlet_here()
    for place, words in ((0, "one"), (1, "two"), (0, "three")):
        outlet.put(place, {"text/markdown": words})
    outlet.finish({"text/plain": "all"})
    shown = [(False, "one"), (False, "two"), (True, "three")]
    assert [(update, data["text/markdown"]) for update, data in sent.seen[:3]] == shown
    (new, hiding), *rest = sent.seen[3:]
    assert (new, set(hiding)) == (False, {"text/html"})
    assert rest[0] == (True, {"text/plain": "all"})
    assert [data for _, data in rest[1:]] == [BLANK, {}, BLANK, {}]


def test_a_row_grows_before_any_of_it_changes(sent: Sent) -> None:
    outlet = outlet_here()
    outlet.put(0, {"text/markdown": "one two"})
    outlet.put(0, *({"text/markdown": words} for words in ("one", "two", "status")))
    shown = [(False, "two"), (False, "status"), (True, "one")]
    assert [(update, data["text/markdown"]) for update, data in sent.seen[1:]] == shown


def test_one_piece_alone_needs_no_other_output_at_the_end(sent: Sent) -> None:
    outlet = outlet_here()
    outlet.put(0, {"text/markdown": "one"})
    outlet.finish({"text/plain": "all"})
    assert sent.seen[1:] == [(True, {"text/plain": "all"})]


def test_a_comparison_and_a_bar_show_no_frames_in_an_output_widget(sent: Sent, out: Any) -> None:
    out.msg_id = "cell"
    live_columns_for(KERNEL, ["a/b", "c/d"], [Progress(), Progress()]).show({})
    progress_bar.progress_bar_for(KERNEL, 3).show(1, "1 of 3")
    assert sent.seen == []


@pytest.mark.parametrize(
    ("source", "once"),
    [
        ("%%ogchat\nhi", True),
        ("\n%%time\n%%ogchat -n 5\nhi\n%ogchat", True),
        ("%ogchat hi", True),
        ("x = %ogchat hi", True),
        ("x = 1\n%ogchat hi", True),
        ("%ogchat hi\n%ogchat you", False),
        ("for x in range(3):\n    %ogchat hi", False),
        ("def ask():\n    %ogchat hi\nask()", False),
        ("with out:\n    %ogchat hi", False),
        ("ask()", False),
        ("for i in range(3): get_ipython().run_line_magic('ogchat', 'hi')", False),
        ("%ogchat hi\nget_ipython().run_line_magic('ogchat', 'hi')", False),
        ("", False),
    ],
)
def test_a_cell_that_asks_once_is_known_by_its_source(source: str, once: bool) -> None:
    shell = SimpleNamespace(kernel=object(), get_parent=lambda: {"content": {"code": source}})
    assert asks_once(shell) is once
    assert not asks_once(KERNEL)
