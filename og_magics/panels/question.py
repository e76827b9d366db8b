"""What a panel asks: a question of the notebook's settings, and the cell that would ask the same."""

from __future__ import annotations

import shlex
import threading
from dataclasses import dataclass, replace

from ..app import App
from ..conversation import Options, Turn
from ..errors import ConfigError
from ..settings import Settings

PANEL = "panel"
"""Where a panel's receipts say that they were asked."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked, and the cell that asks it again."""

    turn: Turn
    cell: str


_last: Asked | None = None
_lock = threading.Lock()


def ask_of(app: App, settings: Settings, prompt: str, model: str | None = None) -> Asked:
    """The question of a prompt, by these settings of the notebook.

    Where a model is named, it is one of several that are asked: such a question stands alone, without a conversation,
    and no function is called.

    Raises:
        ConfigError: nothing that could be asked.
    """
    if not prompt.strip():
        raise ConfigError("The prompt is empty.", remedy="Write it into the box above.")
    if model is not None:
        settings = replace(settings, model=model, thread="", tools="")
    options = Options(
        model=settings.model,
        settlement=settings.settlement.value,
        temperature=settings.temperature,
        max_tokens=settings.max_tokens,
        system=settings.system,
        stream=settings.stream,
        web_search=settings.web_search,
        thread=settings.thread,
        tools=settings.tools,
    )
    turn = app.turn(prompt, options)
    turn = replace(turn, question=replace(turn.question, cell=PANEL))
    return Asked(turn, cell_of(settings.but(model=turn.question.model), prompt))


def remember(asked: Asked) -> None:
    """What `%og cell` writes out."""
    global _last
    with _lock:
        _last = asked


def last_cell() -> str | None:
    """The cell that asks what a panel asked last; None where none has asked."""
    return None if _last is None else _last.cell


def cell_of(settings: Settings, prompt: str) -> str:
    """The source of a cell that asks this prompt with these settings."""
    flags = ["-m", settings.model, "-s", settings.settlement.value, "-t", f"{settings.temperature:g}"]
    flags += ["-n", str(settings.max_tokens)]
    flags += ["--system", settings.system] if settings.system else []
    flags += ["--web-search"] if settings.web_search else []
    flags += [] if settings.stream else ["--no-stream"]
    flags += ["--thread", settings.thread] if settings.thread else []
    flags += ["--tools", settings.tools] if settings.tools else []
    flags += ["--no-vars"] if "{" in prompt else []
    line = shlex.join(flags)
    if line.splitlines() != [line] or prompt.splitlines()[0].strip() == "":
        # A line of a cell cannot hold a line break, nor can a cell begin with an empty one.
        return f"get_ipython().run_cell_magic('ogchat', {line!r}, {prompt!r})"
    return f"%%ogchat {line}\n{prompt}"
