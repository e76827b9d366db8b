"""The places where a cell's output goes, and how to change what was shown there.

- A front end shows displays, and an update in the place of the one that it names.
- An Output widget takes the displays of the cell, or of the callback, that writes into it, and drops updates. A widget
  that is displayed in it can be changed.
- A capture (`%%capture`) keeps each display and each update as an output of its own.

No output is ever cleared: that would move the page, and erase what the cell has printed, and answers before.
"""

from __future__ import annotations

import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol
from uuid import uuid4

from ..core.front_end import is_vs_code
from ..core.receipt import Receipt
from .answer_bundle import Head

_ASKS_ONCE = re.compile(r"(?:\s*%%\w+[^\n]*\n)*?\s*%%og\w+\b")
_LINE = re.compile(r"(?:\w+[ \t]*=[ \t]*)?%og\w+\b")
_MENTION = re.compile(r"%og\w+\b|run_(?:line|cell)_magic")

_FOREIGN = "application/vnd"
"""Types that VS Code draws below an Output widget, while the widget draws what else is in the bundle: it would be seen
twice. What is the state of a widget is drawn by it alone."""

_BLANK = {
    "text/html": '<style class="og-blank">.output_area:has(> .output_subarea > .og-blank) {display: none}</style>'
}
"""nbclassic goes on showing what a display was before it had no data: so it is this before."""

Bundle = Mapping[str, Any]


class Outlet(Protocol):
    """Shows a row of pieces, and one bundle in their place at the end. Used on the thread that runs the cell."""

    live: bool
    """True where something is shown before the end."""

    def put(self, first: int, *bundles: Bundle) -> None:
        """Show pieces from a place of the row on; new ones stand after all others and come first."""

    def join(self, growing: int, bundle: Bundle, *rest: Bundle) -> None:
        """Show Markdown in place of all pieces before the one that has grown until now, and others in its place."""

    def finish(self, bundle: Bundle) -> str | None:
        """Show this in place of all pieces; return the id of its display, None where that cannot be updated later."""

    def drop(self) -> None:
        """Show nothing in place of all pieces."""


def outlet_here() -> Outlet:
    """Return the outlet of the cell or callback that runs in this thread."""
    if _captured():
        return _Capture()
    return _Widgets() if _in_output_widget() else _Displays()


class _Row(ABC):
    """Parts of an answer, one below the other."""

    live = True

    def __init__(self) -> None:
        self._shown: list[Any] = []

    def put(self, first: int, *bundles: Bundle) -> None:
        places = range(first, first + len(bundles))
        known = len(self._shown)
        # The row grows before it gets lower anywhere, so the page never loses the height that a reader has scrolled by.
        for place in [*places[max(0, known - first) :], *reversed(places[: max(0, known - first)])]:
            self._put(place, bundles[place - first])

    def join(self, growing: int, bundle: Bundle, *rest: Bundle) -> None:
        self._fill(bundle, *rest)

    def drop(self) -> None:
        self._fill()

    def _fill(self, *bundles: Bundle) -> None:
        """Show these from the first place on, and then nothing in the places after them."""
        for place, bundle in enumerate([*bundles, *[{}] * (len(self._shown) - len(bundles))]):
            self._put(place, bundle)

    @abstractmethod
    def _put(self, place: int, bundle: Bundle) -> None:
        """Show a bundle at a place of the row."""


class _Displays(_Row):
    """A row of displays. At the end the first one has all; the others are empty, and take no place."""

    def _put(self, place: int, bundle: Bundle) -> None:
        known = place < len(self._shown)
        if not known:
            self._shown.append(uuid4().hex[:12])  # it is sent each time
        elif not bundle:
            show_bundle(_BLANK, display_id=self._shown[place], update=True)
        show_bundle(bundle, display_id=self._shown[place], update=known)

    def join(self, growing: int, bundle: Bundle, *rest: Bundle) -> None:
        end, mark = len(self._shown), f"og-{uuid4().hex}"
        # What is drawn after each of these messages looks the same.
        self._put(end, hiding(f".{mark}", end, range(1, growing)))
        self._put(0, {"text/markdown": f'{bundle["text/markdown"]}\n\n<i class="{mark}"></i>'})
        for place, one in enumerate(rest, 1):
            self._put(place, one)
        self._put(end, hiding(f".{mark}", end, range(1 + len(rest), end)))
        for place in range(1 + len(rest), end + 1):
            self._put(place, {})

    def finish(self, bundle: Bundle) -> str | None:
        if (end := len(self._shown)) > 1:
            self._put(end, hiding("sub", end, range(1, end)))  # its footer
        self._fill(bundle)
        return str(self._shown[0])


class _Widgets(_Row):
    """A row of Output widgets inside of the user's. At the end they are empty, and a display stands below them.

    The user's own widget is not written to: that would erase what they have printed there.
    """

    def _put(self, place: int, bundle: Bundle) -> None:
        if place < len(self._shown):
            self._shown[place].outputs = (_output(bundle),) if bundle else ()
        else:
            self._shown.append(_widget_of(bundle))
            show_widget(self._shown[place])

    def finish(self, bundle: Bundle) -> str | None:
        self.drop()
        show_bundle(bundle)
        return None


class _Capture:
    """A capture: it gets what is complete, and nothing before."""

    live = False

    def put(self, first: int, *bundles: Bundle) -> None:
        pass

    def join(self, growing: int, bundle: Bundle, *rest: Bundle) -> None:
        pass

    def finish(self, bundle: Bundle) -> str | None:
        show_bundle(bundle)
        return None

    def drop(self) -> None:
        pass


def hiding(mark: str, place: int, hidden: range) -> dict[str, str]:
    """Return a bundle that hides places of a row once its first one has an element.

    A front end may paint between two messages. Without this rule the page would, for a moment, hold the answer twice,
    and then move by its height under who reads it.

    Args:
        mark: a CSS selector of the element.
        place: that of this bundle in the row.
        hidden: places before it.
    """
    name, output = f"og-{uuid4().hex}", ".jp-OutputArea-child"
    first = f"{output}:has({mark}):has({'+ * ' * place}.{name})"
    since, until = "+ * " * (hidden.start - 1), " + *" * (place - hidden.stop)
    chosen = f"{first} {since}~ {output}:has(~ *{until} .{name})"
    return {"text/html": f'<style class="{name}">{chosen} {{display: none}}</style>'}


def asks_once(shell: Any) -> bool:
    """Return True if the cell that runs asks a single time: not in a loop, and not in a function.

    Its source came with the request; where there is none, it may be anything.
    """
    parent: Mapping[str, Any] = getattr(shell, "get_parent", dict)() or {}
    source = str((parent.get("content") or {}).get("code") or "")
    if _ASKS_ONCE.match(source):
        return True
    lines = [line for line in source.split("\n") if _LINE.match(line)]
    return len(lines) == 1 == len(_MENTION.findall(source))


def _captured() -> bool:
    from IPython.core.displaypub import CapturingDisplayPublisher
    from IPython.core.interactiveshell import InteractiveShell

    return isinstance(InteractiveShell.instance().display_pub, CapturingDisplayPublisher)


def _in_output_widget() -> bool:
    """Return True if a live Output widget takes the output of the request that runs in this thread, at any depth."""
    from IPython.core.interactiveshell import InteractiveShell

    instances = getattr(sys.modules.get("ipywidgets.widgets.widget"), "_instances", {})
    taking = {
        str(getattr(widget, "msg_id", ""))
        for widget in list(instances.values())
        if getattr(widget, "_model_name", "") == "OutputModel"
    } - {""}
    if not taking:
        return False
    publisher: Any = InteractiveShell.instance().display_pub
    parent: Any = getattr(publisher, "parent_header", None)
    header = parent.get("header", parent) if isinstance(parent, Mapping) else {}
    return not header or str(header.get("msg_id")) in taking


def updated_in_place() -> bool:
    """Return True where a display can be shown again in its place."""
    return not _captured() and not _in_output_widget()


def show_bundle(bundle: Bundle, **how: Any) -> None:
    """Display a mime bundle as it is."""
    from IPython.display import display

    if any(kind.startswith(_FOREIGN) for kind in bundle) and _vs_code() and not _captured() and _in_output_widget():
        show_widget(_widget_of(bundle))
        return
    show: Callable[..., Any] = display  # IPython's has no types
    show(dict(bundle), raw=True, **how)


def _widget_of(bundle: Bundle) -> Any:
    """Return an Output widget that holds a bundle."""
    from ipywidgets import Layout, Output

    return Output(outputs=(_output(bundle),), layout=Layout(margin="0"))


def _output(bundle: Bundle) -> dict[str, Any]:
    return {"output_type": "display_data", "data": dict(bundle), "metadata": {}}


def _vs_code() -> bool:
    from IPython.core.interactiveshell import InteractiveShell

    return is_vs_code(InteractiveShell.instance().user_ns)


def show_widget(widget: Any) -> None:
    """Display a widget."""
    from IPython.display import display

    show: Callable[..., Any] = display
    show(widget)


def republisher(
    display_id: str | None, bundle: Callable[[Sequence[Receipt], Head | None], Bundle]
) -> Callable[[Sequence[Receipt], Head | None], None] | None:
    """Return a function that shows a display again, on any thread; None where that cannot be updated.

    The publisher is remembered: at that later time a cell may have put another one in its place, to capture what it
    shows itself.
    """
    from IPython.core.interactiveshell import InteractiveShell

    publisher: Any = InteractiveShell.instance().display_pub
    if display_id is None or getattr(publisher, "session", None) is None:
        return None

    def again(receipts: Sequence[Receipt], head: Head | None) -> None:
        publisher.publish(dict(bundle(receipts, head)), {}, transient={"display_id": display_id}, update=True)

    return again
