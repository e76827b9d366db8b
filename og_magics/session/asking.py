"""The turns of prompts that Python asks: the process's session, options by their names, one prompt or many."""

from __future__ import annotations

import contextlib
import warnings
from dataclasses import replace
from typing import Any

from ..client import preparation
from ..conversation import Options, PromptRows, Turn
from ..core.errors import ConfigError
from ..core.fork import new_lock
from ..core.option import Option
from ..core.options import CALL, known
from ..core.settings import Settings
from ..core.spending import Spending
from .approval import with_spending
from .request import refuse_keys
from .session import Session

_app: Session | None = None
_app_lock = new_lock()


def current() -> Session:
    """Return the process's session."""
    global _app
    with _app_lock:
        if _app is None:
            _app = Session()
        return _app


def prepare() -> None:
    """Prepare the first call, where nothing has to be started for it. Blocks; no session is made, and nothing raised.

    The environment may still be changed before that call: what was prepared for other settings is not used then.
    """
    with contextlib.suppress(ConfigError):
        preparation.prepare(Settings.from_env() if _app is None else _app.settings)


def options_from(given: dict[str, Any]) -> Options:
    """Return options by their names, as Python gives them; amounts in OPG.

    Raises:
        ConfigError: no such option, or a value that it cannot have.
    """
    return Options(**{known(name, CALL): _value(CALL[name], value) for name, value in given.items()})


def _value(option: Option, value: Any) -> Any:
    # Tools may be given as functions, names and dicts together; what they are is found out where they are called.
    return value if option.name == "tools" else option.convert(value)


def of_many(asked: Options) -> Options:
    """Return the options of each of many prompts.

    Raises:
        ConfigError: they name a thread.
    """
    if asked.thread:
        raise ConfigError(
            "ask_many asks all prompts at once, so they cannot be turns of one thread.", remedy="Leave thread out."
        )
    return asked.replace(thread="")


def turn_of(app: Session, prompt: str, options: Options) -> Turn:
    """Return the turn of a prompt that will be asked; warn of what is to be known before.

    Raises:
        ConfigError: as `Session.build_turn`.
    """
    turn = built(app, prompt, options)
    warn_before(app, turn)
    return turn


def warn_before(app: Session, turn: Turn) -> None:
    """Warn, once, of what to know before a turn is asked."""
    for notice in filter(None, (app.ledger.note(), app.model_notice(turn.request.model))):
        warnings.warn(notice, stacklevel=4)


def built(app: Session, prompt: str, options: Options, *, counted: bool = True) -> Turn:
    """Return the turn of a prompt; see `Session.build_turn`."""
    if not isinstance(prompt, str):
        raise ConfigError(
            f"The prompt must be a str, got {type(prompt).__name__}.", remedy="Write it with an f-string."
        )
    if not prompt.strip():
        raise ConfigError("The prompt is empty.", remedy="Nothing was sent.")
    return app.build_turn(prompt, options, counted=counted)


class TurnMaker:
    """Makes the turns of many prompts, each when it is wanted.

    They differ in their prompts alone. So the first is built with all its checks, and the others are copies of it with
    another prompt in its place, which takes a hundredth of the time.

    Attributes:
        spending: what they may come to together; None for no limit.
    """

    def __init__(self, app: Session, rows: PromptRows, options: Options) -> None:
        self.rows = rows
        self.spending: Spending | None = None
        self._app, self._options = app, options
        self._settings: Settings = app.settings
        self._first: Turn | None = None
        self._built: dict[int, Turn] = {}
        """Turns that have no copies: what is sent with them depends on more than their prompts."""

    def plain(self, at: int) -> Turn:
        """Return the turn of a row, of which nobody has looked whether it holds a key: it is not to be sent."""
        prompt = self.rows[at]
        first = self._first
        if first is None:
            if at not in self._built:
                turn = built(self._app, prompt, self._options)
                if _ends_with(turn, prompt):
                    self._first = turn
                    return turn
                self._built[at] = turn
            return self._built[at]
        body = first.request.body
        try:
            prompt.encode()
        except UnicodeEncodeError as error:
            raise ConfigError(
                f"{self.rows.name(at)} cannot be sent as text: {error.reason}.", remedy="Replace what is no character."
            ) from None
        messages = [*body["messages"][:-1], {"role": "user", "content": prompt}]
        return replace(first, request=replace(first.request, body={**body, "messages": messages}))

    def turn(self, at: int) -> Turn:
        """Return the turn of a row, to be asked.

        Raises:
            ConfigError: its prompt is empty, or holds a private key.
        """
        turn = self.plain(at)
        if self._first is not None:
            refuse_keys(self.rows[at], self._settings)
        return with_spending(turn, self.spending)


def _ends_with(turn: Turn, prompt: str) -> bool:
    """Return True where another prompt can take the place of this one in a copy of its turn."""
    free_form = turn.schema is not None and turn.schema.schema is None  # what is sent depends on the prompt's words
    messages = turn.request.body.get("messages") or [None]
    alone = turn.context is None and turn.place is None and not free_form
    return alone and messages[-1] == {"role": "user", "content": prompt}
