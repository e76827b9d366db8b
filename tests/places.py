"""The places where a cell's output can go, each as the cells of a notebook, and what must be seen of it there."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.typist import prompt, text_of

LOAD = "%load_ext og_magics\nimport threading\nimport ipywidgets as widgets\nfrom IPython.display import clear_output, display"
VIEW = "application/vnd.jupyter.widget-view+json"
STATES = "application/vnd.jupyter.widget-state+json"
PRINTED = "own words"

LONG, SHORT = prompt("prose", 1300, 650), prompt("prose", 400, 650)
_SENTENCE = re.compile(r"[a-z] (\d+)\.(?!\d)")
_ASK = f"%ogchat -n 4000 {LONG}"
_ASK_SHORT = f"%ogchat -n 4000 {SHORT}"
_FUNCTION = f"def ask(*_):\n    print('{PRINTED} before')\n    {_ASK}\n    print('{PRINTED} after')\n"


@dataclass(frozen=True)
class Place:
    """One place.

    Attributes:
        cells: what is run, one after the other.
        asked: the prompt; its answer is told by its numbered sentences.
        answers, prints: how often the answer, and lines of the cell's own, must stand there at the end.
        action: what a person does once the cells have run: "click" on the last button, "slide" the last slider.
        grows: it can be seen while it comes.
        in_widget: an Output widget has it, whose state pages do not save unless they are told to.
        subshell: the last cell is sent to a subshell of the kernel.
    """

    name: str
    cells: Sequence[str]
    asked: str = LONG
    answers: int = 1
    prints: int = 2
    action: str = ""
    grows: bool = True
    in_widget: bool = False
    subshell: bool = False

    @property
    def sentences(self) -> list[str]:
        """The numbers of the answer's sentences."""
        tokens = int(self.asked.split(", ")[1].split()[0])
        return sentences(text_of("prose", tokens))


def sentences(text: str) -> list[str]:
    """Return the numbers of the typist's sentences in a text, as Markdown or as it is shown."""
    return _SENTENCE.findall(text.replace("**", ""))


PLACES = (
    Place("a cell", [f"%%ogchat -n 4000\n{LONG}"], prints=0),
    Place("a line among others", [f"print('{PRINTED} before')\n{_ASK}\nprint('{PRINTED} after')"]),
    Place("x = %ogchat", [f"x = {_ASK}\nprint('{PRINTED}', len(x.text) > 100, x.receipt.enclave_ok)"], prints=1),
    Place("under %%time", [f"%%time\n%%ogchat -n 4000\n{LONG}"], prints=0),
    Place("a loop", [f"for turn in range(3):\n    print('{PRINTED}', turn)\n    {_ASK_SHORT}"], SHORT, 3, 3),
    Place(
        "a loop that clears",
        [f"for turn in range(3):\n    clear_output(wait=True)\n    print('{PRINTED}', turn)\n    {_ASK_SHORT}"],
        SHORT, prints=1,
    ),
    Place("a function", [f"{_FUNCTION}\nask()"]),
    Place("%%capture, then show()", [f"%%capture got\n{_FUNCTION}\nask()", "got.show()"], grows=False),
    Place("%%ogcompare", [f"%%ogcompare -m gpt-5 -m claude-sonnet-4-6 -n 4000\n{SHORT}"], SHORT, 2, 0),
    Place("a thread", [f"{_FUNCTION}\nthread = threading.Thread(target=ask)\nthread.start()\nthread.join()"]),
    Place(
        "two threads at once",
        [f"def short():\n    {_ASK_SHORT}\nboth = [threading.Thread(target=short) for _ in range(2)]\n"
         "[one.start() for one in both]\n[one.join() for one in both]\nNone"],
        SHORT, 2, 0,
    ),
    Place("asyncio.to_thread", [f"import asyncio\n{_FUNCTION}\nawait asyncio.to_thread(ask)"]),
    Place("a subshell", [f"{_FUNCTION}\nask()"], subshell=True),
    Place("with widgets.Output()", [f"out = widgets.Output()\ndisplay(out)\n{_FUNCTION}\nwith out:\n    ask()"], in_widget=True),
    Place(
        "an Output widget of another cell", ["out = widgets.Output()\nout", f"{_FUNCTION}\nwith out:\n    ask()"],
        in_widget=True,
    ),
    Place(
        "nested Output widgets",
        [f"outer, inner = widgets.Output(), widgets.Output()\ndisplay(outer)\n{_FUNCTION}\n"
         "with outer:\n    display(inner)\n    with inner:\n        ask()"],
        in_widget=True,
    ),
    Place("an Output widget in a tab", [f"out = widgets.Output()\ndisplay(widgets.Tab([out]))\n{_FUNCTION}\nwith out:\n    ask()"], in_widget=True),
    Place("@out.capture()", [f"out = widgets.Output()\ndisplay(out)\n{_FUNCTION}\nout.capture()(ask)()"], in_widget=True),
    Place(
        "a thread in an Output widget",
        [f"out = widgets.Output()\ndisplay(out)\n{_FUNCTION}\nwith out:\n    thread = threading.Thread(target=ask)\n"
         "    thread.start()\n    thread.join()"],
        in_widget=True,
    ),
    Place(
        "%%ogcompare in an Output widget",
        [f"out = widgets.Output()\ndisplay(out)\nwith out:\n"
         f"    get_ipython().run_cell_magic('ogcompare', '-m gpt-5 -m claude-sonnet-4-6 -n 4000', '{SHORT}')"],
        SHORT, 2, 0, grows=False, in_widget=True,
    ),
    Place(
        "@interact, its first run", [f"{_FUNCTION}\nwidgets.interact(ask, n=widgets.IntSlider(1, 1, 3))\nNone".replace("*_", "n")],
        grows=False, in_widget=True,
    ),
    Place(
        "@interact, moved", [f"{_FUNCTION}\nwidgets.interact(ask, n=widgets.IntSlider(1, 1, 3))\nNone".replace("*_", "n")],
        action="slide", in_widget=True,
    ),
    Place(
        "a button's callback, with an Output widget",
        [f"out, button = widgets.Output(), widgets.Button(description='Ask')\n{_FUNCTION}\n"
         "def clicked(_):\n    with out:\n        ask()\nbutton.on_click(clicked)\ndisplay(button, out)"],
        action="click", in_widget=True,
    ),
    Place(
        "a button's callback, with none",
        [f"button = widgets.Button(description='Ask')\n{_FUNCTION}\nbutton.on_click(ask)\ndisplay(button)"],
        action="click",
    ),
)  # fmt: skip


def shown(outputs: Sequence[Mapping[str, Any]], states: Mapping[str, Mapping[str, Any]]) -> str:
    """Return what a reader sees of outputs; `states` are those of the widgets, by their models' ids."""
    return "\n".join(_shown(output, states) for output in outputs)


def _shown(output: Mapping[str, Any], states: Mapping[str, Mapping[str, Any]]) -> str:
    if output["output_type"] == "stream":
        return str(output["text"])
    if output["output_type"] == "error":
        return f"{output['ename']}: {output['evalue']}"
    data = output["data"]
    if VIEW in data:
        return _widget(str(data[VIEW]["model_id"]), states)
    if "text/markdown" in data:
        return str(data["text/markdown"])
    if "text/html" in data:
        plain = re.sub(r"<style.*?</style>", "", str(data["text/html"]), flags=re.S)
        return re.sub(r"<[^>]*>", "", plain)
    return str(data.get("text/plain", ""))


def _widget(model: str, states: Mapping[str, Mapping[str, Any]]) -> str:
    state = states.get(model, {})
    inner = [_widget(child.removeprefix("IPY_MODEL_"), states) for child in state.get("children", ())]
    return "\n".join([shown(state.get("outputs", ()), states), *inner])


@dataclass
class Seen:
    """What was seen of a place.

    Attributes:
        text: on the screen at the end.
        lengths: how many sentences were on the screen, each time that this changed; None where there is no screen.
        outputs: of the place's cells, in the saved file; None where nothing is saved.
        skipped: why the place was not tried here.
        by_rule: why the front end shows nothing there, whatever a cell does.
    """

    text: str = ""
    lengths: set[int] | None = None
    outputs: Sequence[Mapping[str, Any]] | None = None
    skipped: str = ""
    by_rule: str = ""


@dataclass
class Row:
    """One line of the list; `wrong` has what is not as it must be."""

    place: Place
    front_end: str
    seen: Seen
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.judge()

    @property
    def all(self) -> int:
        """Sentences on the screen when everything is there."""
        return self.place.answers * len(self.place.sentences)

    @property
    def growing(self) -> int | None:
        """Number of lengths seen before the end."""
        if self.seen.lengths is None:
            return None
        return sum(0 < one < self.all for one in self.seen.lengths)

    @property
    def times(self) -> tuple[int, int]:
        """How often a sentence of the answer stands there, at the least and at the most."""
        return _times(self.seen.text, self.place)

    @property
    def saved(self) -> tuple[int, int] | None:
        """The same, of the outputs of the file."""
        return None if self.seen.outputs is None else _times(shown(self.seen.outputs, {}), self.place)

    def judge(self) -> None:
        """Find what is wrong."""
        place, seen = self.place, self.seen
        if seen.skipped or seen.by_rule or self.wrong:
            return
        want = (place.answers, place.answers)
        if self.times != want:
            self.wrong.append(f"the answer stands there {_range(self.times)} times, must be {place.answers}")
        if seen.text.count(PRINTED) != place.prints:
            self.wrong.append(f"{seen.text.count(PRINTED)} printed lines, must be {place.prints}")
        if place.grows and self.growing is not None and self.growing < 1:
            self.wrong.append("not live")
        if self.saved is not None and self.saved != ((0, 0) if place.in_widget else want):
            self.wrong.append(f"the file has the answer {_range(self.saved)} times")
        if "Traceback" in seen.text or "Error" in seen.text:
            self.wrong.append("an error stands there")

    @property
    def line(self) -> str:
        """Return the row as it is printed."""
        if told := self.seen.skipped or self.seen.by_rule:
            return " | ".join([f"{self.place.name:<42}", f"{self.front_end:<17}", told])
        growing = "no screen" if self.growing is None else str(self.growing)
        least, most = self.times
        outputs = self.seen.outputs
        file = "no file"
        if outputs is not None:
            full = sum(bool(one.get("data") or one.get("text")) for one in outputs)
            file = f"{full} + {len(outputs) - full} outputs, answer {_range(self.saved or (0, 0))}"
        cells = [
            f"{self.place.name:<42}", f"{self.front_end:<17}", f"{growing:>9}", "whole" if least else "not whole",
            f"{_range((least, most)):>6}", f"{self.seen.text.count(PRINTED):>6}", f"{file:<28}",
            "WRONG: " + "; ".join(self.wrong) if self.wrong else "ok",
        ]  # fmt: skip
        return " | ".join(cells)


def _times(text: str, place: Place) -> tuple[int, int]:
    found = Counter(sentences(text))
    counts = [found[one] for one in place.sentences]
    return min(counts), max(counts)


def _range(times: tuple[int, int]) -> str:
    return str(times[0]) if times[0] == times[1] else f"{times[0]}-{times[1]}"


HEAD = " | ".join(
    [
        f"{'place':<42}",
        f"{'front end':<17}",
        "live seen",
        "at end",
        " times",
        "prints",
        f"{'the saved file':<28}",
        "verdict",
    ]
)
