"""The history of cells: what each was and showed, kept while the extension is loaded, for prompts that send some of it.

Nothing of it leaves the process unasked. Each text is bounded, and so is the number of cells.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..core.cell_context import CellRun
from ..core.receipt import MIME
from ..core.redaction import holds_secret
from .tracebacks import trace_of

_MOST_CELLS = 200
_MOST_SOURCE = 8_000
_MOST_TEXT = 4_000
_MOST_DISPLAYS = 50

_ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
_REDRAWN = re.compile(r"^[^\n]*\r(?!\n|$)", re.M)
_TRACEBACK = "-" * 75
"""The line above a traceback that IPython prints in a terminal."""


class CellRecorder:
    """A recorder of the last cells; `install` starts it and `remove` ends it."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._cells: deque[CellRun] = deque(maxlen=_MOST_CELLS)
        self._info: Any = None
        self._printed = _Text()
        self._shown: dict[Any, str] = {}
        self._undo: list[Callable[[], None]] = []

    def install(self) -> None:
        """Watch the cells from now on."""
        self._shell.events.register("pre_run_cell", self._before)
        self._shell.events.register("post_run_cell", self._after)

    def remove(self) -> None:
        """Stop watching, and forget."""
        self._shell.events.unregister("pre_run_cell", self._before)
        self._shell.events.unregister("post_run_cell", self._after)
        self._let_go()
        self._cells.clear()

    def cells(self) -> Sequence[CellRun]:
        """Return the cells that have ended, oldest first."""
        return tuple(self._cells)

    def _before(self, info: Any) -> None:
        if not info.store_history or info.silent:
            return  # of a front end's own, or run by another cell
        self._let_go()
        self._info, self._printed, self._shown = info, _Text(), {}
        for stream in (sys.stdout, sys.stderr):
            self._listen(stream, "write", self._wrote)
        if getattr(self._shell, "kernel", None) is not None:  # a terminal prints these
            self._listen(self._shell.displayhook, "write_format_data", self._valued)
            self._listen(self._shell.display_pub, "publish", self._displayed)

    def _after(self, result: Any) -> None:
        info = getattr(result, "info", None)
        if info is None or info is not self._info:
            return
        self._let_go()
        error = result.error_before_exec or result.error_in_exec
        printed = self._printed.text()
        if error is not None:
            printed = printed.partition(_TRACEBACK)[0]
        source = info.raw_cell or ""
        ran = CellRun(
            number=result.execution_count or 0,
            source=source if len(source) <= _MOST_SOURCE else source[:_MOST_SOURCE] + "\n…",
            printed=_plain(printed),
            shown="\n".join(text for text in map(_plain, self._shown.values()) if text),
            error="" if error is None else _plain(trace_of(error)),
        )
        self._info = None
        if not any(map(holds_secret, (source, ran.printed, ran.shown, ran.error))):
            self._cells.append(ran)

    def _listen(self, owner: Any, name: str, heard: Callable[..., None]) -> None:
        """Wrap a method so that each call of it is seen; it goes on to do what it does."""
        method = getattr(owner, name, None)
        if method is None:
            return

        def overheard(*args: Any, **kwargs: Any) -> Any:
            with contextlib.suppress(Exception):  # who listens must not break what it listens to
                heard(*args, **kwargs)
            return method(*args, **kwargs)

        def undo() -> None:
            if vars(owner).get(name) is overheard:
                delattr(owner, name)

        with contextlib.suppress(AttributeError, TypeError):  # a stream that takes no attributes
            setattr(owner, name, overheard)
            self._undo.append(undo)

    def _let_go(self) -> None:
        while self._undo:
            self._undo.pop()()

    def _wrote(self, text: str, *_: Any) -> None:
        self._printed.add(text)

    def _valued(self, formats: Mapping[str, Any], *_: Any, **__: Any) -> None:
        self._keep(object(), formats)

    def _displayed(self, data: Mapping[str, Any], *_: Any, **how: Any) -> None:
        display_id = (how.get("transient") or {}).get("display_id")
        if how.get("update") and display_id not in self._shown:
            return  # it changes what another cell shows, such as a footer whose payment was found
        self._keep(object() if display_id is None else display_id, data)

    def _keep(self, key: Any, formats: Mapping[str, Any]) -> None:
        plain, markdown = str(formats.get("text/plain", "")), formats.get("text/markdown")
        unreadable = not plain or plain.startswith("<IPython.")
        text = str(markdown) if markdown is not None and unreadable and MIME not in formats else plain
        if key in self._shown or len(self._shown) < _MOST_DISPLAYS:
            self._shown[key] = text[:_MOST_TEXT]


class _Text:
    """Printed text, bounded: its start, and its end."""

    def __init__(self) -> None:
        self._start = ""
        self._end: deque[str] = deque()
        self._size = 0
        self._lost = False

    def add(self, text: str) -> None:
        room = _MOST_TEXT // 2 - len(self._start)
        if room > 0:
            self._start += text[:room]
            text = text[room:]
        if text:
            self._end.append(text[-_MOST_TEXT // 2 :])
            self._lost |= len(text) > _MOST_TEXT // 2
            self._size += len(self._end[-1])
            while self._size - len(self._end[0]) >= _MOST_TEXT // 2:
                self._size -= len(self._end.popleft())
                self._lost = True

    def text(self) -> str:
        return self._start + ("\n…\n" if self._lost else "") + "".join(self._end)


def _plain(text: str) -> str:
    """Return text without colours, and without what a progress bar has drawn over."""
    text = _REDRAWN.sub("", _ESCAPES.sub("", text)).strip("\n")
    return text if len(text) <= 2 * _MOST_TEXT else text[:_MOST_TEXT] + "\n…\n" + text[-_MOST_TEXT:]
