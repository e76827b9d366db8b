"""What is shown where a display cannot be updated in its place: once, when it is complete."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import ipywidgets
import pytest
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell

from og_magics.core.progress import Progress
from og_magics.display import live, progress_bar
from og_magics.display.columns import live_columns_for

KERNEL = SimpleNamespace(kernel=object())


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """The displays that a captured cell keeps."""
    shell = InteractiveShell.instance()
    publisher = CapturingDisplayPublisher()
    publisher.outputs = []
    monkeypatch.setattr(shell, "display_pub", publisher)
    yield publisher.outputs
    InteractiveShell.clear_instance()


def streamed(progress: Progress) -> None:
    live.live_for(KERNEL, progress, "openai/gpt-5").show()
    live_columns_for(KERNEL, ["a/b", "c/d"], [Progress(), Progress()]).show({})
    progress_bar.progress_bar_for(KERNEL, 3).show(1, "1 of 3")


def test_a_capture_keeps_no_frames(shown: list[Any]) -> None:
    streamed(Progress())
    assert shown == []

    progress_bar.progress_bar_for(KERNEL, 3).show(3, "3 of 3", last=True)
    assert len(shown) == 1


def test_an_output_widget_that_takes_the_cells_output_keeps_no_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[Any] = []
    for module in (live, progress_bar):
        monkeypatch.setattr(module, "show_bundle", lambda bundle, **how: sent.append(bundle))
    monkeypatch.setattr("og_magics.display.columns.show_bundle", lambda bundle, **how: sent.append(bundle))
    out = ipywidgets.Output()
    try:
        out.msg_id = "a cell's message"
        streamed(Progress())
        assert sent == []

        out.msg_id = ""
        streamed(Progress())
        assert len(sent) == 3
    finally:
        out.close()
        InteractiveShell.clear_instance()
