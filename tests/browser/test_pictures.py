"""The README's and the manual's pictures, taken of the real thing: `python -m tests.pictures README` takes them."""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from PIL import Image
from playwright.sync_api import FloatRect, expect

from og_magics.devnet import Devnet

from .hand import LOAD, PANEL, Hand

if TYPE_CHECKING:
    from .lab import Lab
    from .server import Server

PICTURES = Path(__file__).parents[2] / "docs" / "images"
COLORS = 64  # of a frame: letters and their edges
LAST = 3000  # milliseconds for which the last frame of a film stays
HEIGHT = 580
QUESTION = "What is a receipt good for?"

pytestmark = pytest.mark.skipif(not os.environ.get("OG_PICTURES"), reason="python -m tests.pictures README takes them")
in_each_theme = pytest.mark.parametrize("theme", ["Light", "Dark"])


@pytest.fixture(scope="module")
def paced(server: Server) -> Iterator[str]:
    """A kernel whose devnet answers at its usual pace, so that one sees how an answer comes."""
    with Devnet(settle_after=3, batch_after=0.5) as devnet:
        server.kernel("paced", {"OG_DEVNET": json.dumps(devnet.info)})
        yield "paced"


Frames = list[tuple[bytes, float]]


def filmed(lab: Lab, clip: FloatRect, done: Callable[[], bool]) -> Frames:
    """Take a part of the page again and again until it is done; what differs, and when it was seen first."""
    frames: Frames = []
    ended = False
    while not ended:
        ended = done()
        taken = lab.page.screenshot(clip=clip)
        if not frames or taken != frames[-1][0]:
            frames.append((taken, time.monotonic()))
    return frames


def write(path: Path, *films: Frames) -> None:
    """Write films, one after the other, as an animated GIF."""
    seen = [Image.open(io.BytesIO(taken)).convert("RGB") for frames in films for taken, _ in frames]
    # One palette for all frames: what has not changed is then the same in the next one, and is not written again.
    both = Image.new("RGB", (seen[0].width, 2 * seen[0].height))
    both.paste(Image.open(io.BytesIO(films[0][-1][0])), (0, 0))
    both.paste(seen[-1], (0, seen[0].height))
    palette = both.quantize(COLORS)
    pictures = [one.quantize(palette=palette, dither=Image.Dither.NONE) for one in seen]
    lengths: list[int] = []
    for frames in films:
        lengths += [round((after - at) * 1000) for at, after in pairwise(at for _, at in frames)] + [LAST]
    first, *rest = pictures
    first.save(path, save_all=True, append_images=rest, duration=lengths, loop=0, optimize=True)
    assert path.stat().st_size < 1_000_000


@in_each_theme
def test_an_answer_that_streams_and_the_panel(lab: Lab, paced: str, theme: str) -> None:
    lab.open(LOAD, "%%ogchat -s individual\nWhat is the x402 payment protocol?", PANEL, kernel=paced, theme=theme)
    lab.width(860, 900)
    lab.run(0).finished(0)
    box = lab.cell(1).bounding_box()
    assert box is not None
    clip: FloatRect = {"x": box["x"], "y": box["y"], "width": box["width"], "height": HEIGHT}
    lab.run(1)
    paid = lab.output(1).get_by_text("payment: paid")
    answer = filmed(lab, clip, lambda: paid.count() > 0)
    lab.run(2).finished(2)
    panel = Hand(lab, 2)
    panel.box.evaluate("box => box.scrollIntoView({block: 'start'})")
    box = panel.box.bounding_box()
    assert box is not None
    clip |= {"y": box["y"]}
    typed = iter(QUESTION)

    def used() -> bool:
        if (letter := next(typed, None)) is not None:
            lab.page.keyboard.type(letter)
            if letter == QUESTION[-1]:
                lab.page.keyboard.press("Enter")
        return panel.turns.get_by_text("payment: paid").count() > 0

    panel["prompt"].locator("textarea").click()
    write(PICTURES / f"answer-{theme.lower()}.gif", answer, filmed(lab, clip, used))


@in_each_theme
def test_the_panel(lab: Lab, theme: str) -> None:
    lab.open(LOAD, "%%ogchat -n 200\nWhat is x402?", "%ogchat -p google -n 60 Hello from Google!", PANEL, theme=theme)
    for index in (0, 1, 2, 3):
        lab.run(index).finished(index)
    lab.width(1000, 2200)
    panel = Hand(lab, 3)
    panel.click("Anthropic")
    panel.ask("Explain what a Trusted Execution Environment is in two sentences.")
    expect(panel["footer"].first).to_contain_text("payment: paid")
    expect(panel.rows.filter(has_text="settled")).to_have_count(3)
    panel.box.screenshot(path=PICTURES / f"panel-{theme.lower()}.png")


def test_a_comparison(lab: Lab) -> None:
    compare = "%%ogcompare -m gpt-5 -m claude-sonnet-4-6 -m gemini-2.5-flash -n 60\nWhat makes a good question?"
    lab.open(LOAD, compare)
    lab.width(1000, 900)
    lab.run_all().finished(0, 1)
    expect(lab.output(1)).to_contain_text("payment: paid")
    lab.cell(1).screenshot(path=PICTURES / "comparison.png")
