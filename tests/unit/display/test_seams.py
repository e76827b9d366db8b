"""Pieces of one block are drawn as one: the rules for that, and the order in which they come."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from benchmarks.typist import text_of
from og_magics.core.progress import Progress
from og_magics.display import live
from og_magics.display.borders import BorderFinder
from og_magics.display.outlets import _Row
from og_magics.display.pieces import MOST, SMALL, Pieces
from og_magics.display.seams import Seams


class Row(_Row):
    """An outlet that notes what each place was shown, in its order."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[tuple[int, dict[str, str]]] = []

    @property
    def places(self) -> list[dict[str, str]]:
        return self._shown

    def _put(self, place: int, bundle: Any) -> None:
        assert place <= len(self._shown), "no place is left out"
        self._shown[place : place + 1] = [bundle]
        self.sent.append((place, bundle))


def streamed(text: str, monkeypatch: pytest.MonkeyPatch, step: int = 200, rate: float = 80.0) -> Row:
    """Stream a text into a cell, so many characters at a time, as if it came at a rate of so many tokens a second."""
    row, progress = Row(), Progress()
    monkeypatch.setattr(Progress, "rate", rate)
    monkeypatch.setattr(live, "outlet_here", lambda: row)
    shown = live._Rich(progress, "model", "md", small=True)
    shown._pace.wait = lambda: 0.0  # type: ignore[method-assign]
    progress.note("answering")
    for end in range(0, len(text), step):
        progress.add(text[end : end + step])
        shown.show()
    return row


def rules(row: Row) -> list[tuple[int, dict[str, str]]]:
    return [(place, data) for place, data in row.sent if data.get("text/html", "").startswith("<style")]


@pytest.fixture
def lower_halves(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[int]]:
    """The places of lower halves, by the rules that are about them; what a browser does with them is tested in one."""
    found: dict[str, set[int]] = {"": set()}
    bundle = Seams.bundle

    def noted(self: Seams, seams: Iterable[tuple[int, int]]) -> dict[str, str]:
        known = list(seams)
        made = bundle(self, known)
        found[made["text/html"]] = {lower for _, lower in known}
        return made

    monkeypatch.setattr(Seams, "bundle", noted)
    return found


@pytest.mark.parametrize("kind", ["code", "list", "table"])
def test_each_half_of_a_block_has_a_rule_before_it_has_a_text(
    kind: str, monkeypatch: pytest.MonkeyPatch, lower_halves: dict[str, set[int]]
) -> None:
    row = streamed(text_of(kind, 6000), monkeypatch)
    found = rules(row)
    places = {place for place, _ in found}
    assert len(places) == 1
    (place,) = places
    halves = [at for at in range(1, len(row.places) - 1) if at != place]
    assert lower_halves[found[-1][1]["text/html"]] == set(halves)
    assert len(halves) >= 4
    # A half is empty until its rule is there.
    began = {at: next(n for n, (put, _) in enumerate(row.sent) if put == at) for at in halves}
    filled = {at: next(n for n, (put, data) in enumerate(row.sent) if put == at and len("".join(data.values())) > 40)
              for at in halves}  # fmt: skip
    ruled = [n for n, (put, data) in enumerate(row.sent) if put == place]
    for at in halves:
        with_rule = next(n for n in ruled if at in lower_halves[row.sent[n][1].get("text/html", "")])
        assert began[at] < with_rule < filled[at]


def test_prose_needs_no_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    row = streamed(text_of("prose", 3000), monkeypatch)
    assert len(row.places) > 3
    assert rules(row) == []


def test_the_text_of_the_pieces_is_all_of_the_text(monkeypatch: pytest.MonkeyPatch) -> None:
    text = text_of("prose", 1500) + "\n\n" + text_of("code", 3000) + "\n```\n\n" + text_of("list", 2000)
    row = streamed(text, monkeypatch)
    shown = "\n".join(data.get("text/markdown", "") for data in row.places)
    for line in text.split("\n"):
        assert line.strip() in shown


@pytest.mark.parametrize("kind", ["prose", "code", "list", "table"])
def test_after_many_pieces_became_one_the_row_goes_on_behind_it(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text = text_of(kind, 5000)
    row = streamed(text, monkeypatch, rate=20)
    long = [data["text/markdown"] for place, data in row.sent if place == 0 and len("".join(data.values())) > 9_000]
    assert len(long) == 1
    assert text.startswith(long[0].removesuffix("```\n"))
    assert len(row.places) <= MOST + 2  # the status, and the rules
    filled = [bool(data) for data in row.places]
    assert filled == sorted(filled, reverse=True), "what is empty stands behind all pieces"
    assert ("margin-top:0" in str(row.places[2])) is (kind != "prose")


def test_the_rules_of_many_seams_are_hardly_longer_than_those_of_few() -> None:
    few, many = ([(0, 1), (1, 3), *[(at, at + 1) for at in range(3, end)]] for end in (6, 38))
    assert len(str(Seams(2).bundle(many))) < 1.4 * len(str(Seams(2).bundle(few))) < 3_000


@pytest.mark.parametrize(("kind", "within"), [("prose", False), ("code", True), ("list", True), ("table", True)])
def test_a_border_says_if_it_stands_within_a_block(kind: str, within: bool) -> None:
    text = text_of(kind, 2500)
    border = BorderFinder().find(text, 1500, 4000)
    assert border is not None
    assert border.within is within


CODE = "```python\n" + "total = total + 1\n" * 30


@pytest.mark.parametrize(
    ("begun", "found"), [("", False), ("   ", False), ("    ", True), ("    x", True), ("``", False), ("x", True)]
)
def test_a_line_of_code_goes_to_the_next_piece_as_soon_as_it_cannot_end_the_block(begun: str, found: bool) -> None:
    border = BorderFinder().find(CODE + begun, 1, len(CODE) - 5)
    assert (border is not None and border.offset == len(CODE)) is found


def test_an_indented_line_outside_of_code_waits_for_what_it_is() -> None:
    text = "- one\n\n" + "para\n\n" * 100
    assert BorderFinder().find(text + "    ", len(text) - 2, 4000) is None


def test_a_line_that_has_nothing_on_it_yet_is_not_shown() -> None:
    pieces = Pieces(SMALL)
    assert pieces.last([CODE + "  "]) == pieces.last([CODE.rstrip()])
    assert pieces.last([CODE + "    "]) != pieces.last([CODE.rstrip()])
