"""A long answer in a kernel: the messages of its pieces, and what they leave."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.typist import MODEL, Typist, prompt
from og_magics.core.receipt import MIME

if TYPE_CHECKING:
    from .conftest import Cell, Kernel

LONG = prompt("prose", 2500, 1500)
STATUS = re.compile(r"\*[^*\n]*\*")
HEAD = f"-m {MODEL} -n 9000"


@pytest.fixture(scope="module")
def typist() -> Iterator[Typist]:
    with Typist() as running:
        yield running


@pytest.fixture(scope="module")
def typed(start: Callable[..., Kernel], typist: Typist, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    """A kernel that asks the typist."""
    kernel = start(tmp_path_factory.mktemp("typed"), None, OG_GATEWAY_URL=typist.url)
    yield kernel
    kernel.close(now=True)


def ids(cell: Cell) -> list[str]:
    """The displays of a cell, in the order in which they began."""
    return list(dict.fromkeys(display["transient"]["display_id"] for display in cell.displays))


def left(cell: Cell) -> list[dict[str, Any]]:
    """What the displays were left with."""
    return list({display["transient"]["display_id"]: display["data"] for display in cell.displays}.values())


@pytest.mark.ci
def test_only_the_last_piece_is_sent_again_and_the_first_has_all_of_it_at_the_end(typed: Kernel) -> None:
    cell = typed.ask(f"%%ogchat {HEAD}\n{LONG}")
    began: list[str] = []
    sizes: dict[str, int] = {}
    final = next(place for place, display in enumerate(cell.displays) if MIME in display["data"])
    for display in cell.displays[:final]:
        name, data = display["transient"]["display_id"], display["data"]
        if name not in began:
            began.append(name)
        if STATUS.fullmatch(shown := data.get("text/markdown", "")):
            assert name == began[-1]  # below all pieces
            continue
        assert name in began[-3:]  # the one that is closed, the last, and the status below it
        without = len(shown.rpartition("\n\n*")[0] or shown)
        assert without >= sizes.get(name, 0) or name != began[-1]
        sizes[name] = without
    assert 3 <= len(began) <= 42
    assert cell.displays[final]["transient"]["display_id"] == began[0]
    rest = cell.displays[final + 1 :]
    assert [one["transient"]["display_id"] for one in rest] == [name for name in began[1:] for _ in range(2)]
    assert [one["data"] for one in rest[1::2]] == [{}] * len(began[1:])
    assert all("og-blank" in one["data"]["text/html"] for one in rest[::2])
    assert not cell.of("clear_output")


@pytest.mark.ci
@pytest.mark.parametrize(("tokens", "rate", "most"), [(2500, 400, 1.5), (1200, 48, 2.5)])
@pytest.mark.parametrize("kind", ["prose", "code", "table", "list"])
def test_the_bytes_are_hardly_more_than_those_of_printing_each_token(
    typed: Kernel, kind: str, tokens: int, rate: int, most: float
) -> None:
    printed = typed.ask(f"for token in range({tokens}):\n    print('word', end='', flush=True)")
    cell = typed.ask(f"%%ogchat {HEAD}\n{prompt(kind, tokens, rate)}")
    assert sum(cell.sizes) <= most * sum(printed.sizes)


@pytest.mark.ci
def test_in_a_loop_the_pieces_are_larger_and_each_answer_stays(typed: Kernel) -> None:
    cell = typed.ask(f"for turn in range(3):\n    print('turn', turn)\n    %ogchat {HEAD} {LONG}")
    assert sum(MIME in data for data in left(cell)) == 3
    assert len(ids(cell)) <= 3 * 4  # three pieces each, and the one that hides them while they are put together
    assert cell.text.count("turn") == 3
    assert not cell.of("clear_output")


@pytest.mark.ci
def test_a_capture_gets_the_final_bundle_alone(typed: Kernel) -> None:
    assert not typed.ask(f"%%capture got\n%%ogchat {HEAD}\n{LONG}").displays
    assert typed.eval("[MIME in output.data for output in got.outputs]".replace("MIME", repr(MIME))) == [True]


@pytest.mark.ci
def test_in_an_output_widget_an_answer_streams_and_stays(typed: Kernel) -> None:
    """JupyterLab's rule: the widget takes what is displayed, and drops updates."""
    typed.ask("import ipywidgets as widgets\nout = widgets.Output()\nout.append_stdout('mine')")
    cell = typed.ask(f"with out:\n    %ogchat {HEAD} {LONG}")
    assert not cell.of("update_display_data")
    states = [content["data"].get("state", {}) for content in cell.of("comm_msg", "comm_open")]
    frames = [state["outputs"] for state in states if state.get("outputs")]
    assert len(frames) > 1
    assert MIME in cell.displays[-1]["data"]
    assert typed.eval("[one['text'] for one in out.outputs]") == ["mine"]


@pytest.mark.ci
def test_saved_one_output_has_the_answer_and_the_others_have_no_data(
    execute: Callable[..., Any], typist: Typist, tmp_path: Path
) -> None:
    cells = ("%load_ext og_magics", f"%%ogchat {HEAD}\n{LONG}")
    outputs = execute(*cells, OG_GATEWAY_URL=typist.url).cells[1].outputs
    assert MIME in outputs[0]["data"]
    assert len(outputs) > 1
    assert all(output["data"] == {} for output in outputs[1:])
