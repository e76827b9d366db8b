"""The request of a panel, by the notebook's settings, and the cell that would ask the same."""

from __future__ import annotations

import shlex
import threading
from dataclasses import dataclass, replace

from ..conversation import Options, Turn
from ..core.errors import ConfigError
from ..core.options import CALL, SETTINGS
from ..core.settings import Settings
from ..session import Session

PANEL = "panel"
"""The cell that a panel's receipts name."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A turn, and the cell that asks it again."""

    turn: Turn
    cell: str


_last: Asked | None = None
_lock = threading.Lock()


def ask_of(app: Session, settings: Settings, prompt: str, model: str | None = None) -> Asked:
    """Return the turn of a prompt, by these settings of the notebook.

    Where a model is named, it is one of several that are asked: such a question stands alone, without a conversation,
    and no function is called.

    Raises:
        ConfigError: nothing that could be asked.
    """
    if not prompt.strip():
        raise ConfigError("The prompt is empty.", remedy="Write it into the box above.")
    if model is not None:
        settings = replace(settings, model=model, thread="", tools="", web_search=False)
    options = Options(**{name: getattr(settings, name) for name in CALL if name in SETTINGS})
    turn = app.build_turn(prompt, options)
    turn = replace(turn, request=replace(turn.request, cell=PANEL))
    return Asked(turn, cell_of(settings.replace(model=turn.request.model), prompt))


def remember(asked: Asked) -> None:
    """Keep what a panel asked, for `%og cell`."""
    global _last
    with _lock:
        _last = asked


def last_cell() -> str | None:
    """The cell that asks what a panel asked last; None where none has asked."""
    return None if _last is None else _last.cell


def cell_of(settings: Settings, prompt: str) -> str:
    """The source of a cell that asks this prompt with these settings."""
    flags = [word for name, one in SETTINGS.items() if one.call for word in one.as_flags(getattr(settings, name))]
    flags += ["--no-vars"] if "{" in prompt else []
    line = shlex.join(flags)
    if line.splitlines() != [line] or prompt.splitlines()[0].strip() == "":
        # A line of a cell cannot hold a line break, nor can a cell begin with an empty one.
        return f"get_ipython().run_cell_magic('ogchat', {line!r}, {prompt!r})"
    return f"%%ogchat {line}\n{prompt}"
