"""Asking from Python: one prompt or many, blocking or not, in scripts, cells and functions."""

from __future__ import annotations

import asyncio
import dataclasses
import difflib
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..amounts import parse_opg
from ..conversation import Answer, Answers, Interrupted, Options, Turn, failure_of, follow
from ..display import HEARTBEAT, Bar, bar_for
from ..errors import ConfigError
from ..runtime import runtime
from .person import confirmed
from .surface import current

if TYPE_CHECKING:
    from .notebook import App

_MOST = 64
"""Prompts on their way at once."""


def ask(prompt: str, **options: Any) -> Answer:
    """Ask, and wait for the answer. It works in a script, a cell, a function, and where an event loop runs.

    The prompt is sent as it is: Python has f-strings. An interrupt keeps what had arrived, with its receipt.

    Args:
        prompt: what to ask.
        **options: as the flags of `%%ogchat`, by the names of `og_magics.conversation.Options`: `model`, `provider`,
            `settlement`, `temperature`, `max_tokens`, `system`, `tools`, `schema`, `thread`, `context` ...;
            `max_cost` in OPG. What is left out comes from `%og use`.

    Raises:
        ConfigError: an option that makes no sense, or an empty prompt; nothing was sent.
        OGError: see `og_magics.errors`.
    """
    runtime.refuse_to_block()
    app = current()
    run = app.start(_turn(app, prompt, options_from(options)), listening=True)
    for _ in follow([run], HEARTBEAT, confirmed):
        pass
    return run.result()


async def aask(prompt: str, **options: Any) -> Answer:
    """`ask` for coroutines, on any event loop; cancelling it keeps what had arrived, with its receipt."""
    app = current()
    return await app.start(_turn(app, prompt, options_from(options))).answer()


def ask_many(prompts: Iterable[str], concurrency: int = 8, *, progress: bool = True, **options: Any) -> Answers:
    """Ask many prompts, so many at once, and wait for all answers. They share payment sessions; each has its receipt.

    A prompt that fails does not end the others: its error stands in its place. When a budget is used up, or the wallet
    is empty, nothing more is asked, and `.errors` says why. Where no prompt at all was answered, the error is raised.
    Function calls that need a person's word are refused: nobody could answer for so many.

    Args:
        prompts: what to ask. All are looked at before the first is asked.
        concurrency: how many are on their way at once, 1 to 64.
        progress: show how far it is.
        **options: as `ask`.

    Returns:
        As many as there were prompts, in their order; `.done`, `.errors`, `.texts`, `.receipts`, and `.frame`, a
        DataFrame.

    Raises:
        ConfigError: an option that makes no sense, or a prompt that is empty; nothing was sent.
        Interrupted: a KeyboardInterrupt. The answers that had come are in its `.partial` and, in IPython, in `_`.
    """
    runtime.refuse_to_block()
    many = _Many(prompts, concurrency, options, shown=progress)
    try:
        while not many.batch.wait(HEARTBEAT):
            many.show()
    except KeyboardInterrupt:
        many.batch.stop()
        many.left()
        raise Interrupted(many.answers) from None
    return many.result()


async def aask_many(prompts: Iterable[str], concurrency: int = 8, *, progress: bool = True, **options: Any) -> Answers:
    """`ask_many` for coroutines, on any event loop. Where it is cancelled, what had come is in `_`, in IPython."""
    many = _Many(prompts, concurrency, options, shown=progress)
    ended = asyncio.wrap_future(many.batch.job.future)
    try:
        while not (await asyncio.wait([ended], timeout=HEARTBEAT))[0]:
            many.show()
    except (asyncio.CancelledError, KeyboardInterrupt):
        many.batch.job.cancel()
        await many.batch.job.last_words_async()
        many.left()
        raise
    return many.result()


class _Many:
    """A batch, and the bar that shows it."""

    def __init__(self, given: Iterable[str], concurrency: int, options: dict[str, Any], *, shown: bool) -> None:
        if isinstance(given, str):
            raise ConfigError("The prompts are one text.", remedy="Give a list of prompts, or use og.ask.")
        prompts = list(given)
        if not isinstance(concurrency, int) or not 1 <= concurrency <= _MOST:
            raise ConfigError(f"concurrency is {concurrency!r}.", remedy=f"Give a whole number from 1 to {_MOST}.")
        asked = options_from(options)
        if asked.thread:
            raise ConfigError("Prompts that are asked at once are no conversation.", remedy="Leave thread out.")
        app = current()
        once = dataclasses.replace(asked, thread="")
        turns = [_turn(app, prompt, once, at) for at, prompt in enumerate(prompts)]
        self._shell = _shell()
        self._bar: Bar | None = bar_for(self._shell, len(prompts)) if shown else None
        self.answers = Answers(prompts, app.ledger)
        self.batch = app.start_many(self.answers, turns, concurrency)

    def show(self, *, last: bool = False) -> None:
        if self._bar is not None:
            ended, told = len(self.answers.done) + len(self.answers.errors), self.answers.told
            if last and ended < len(self.answers):
                why = self.batch.stopped_by
                told += f", {len(self.answers) - ended} not" + ("" if why is None else f": {why}")
            self._bar.show(ended, told, last=last)

    def left(self) -> None:
        """It was interrupted: leave what there is where it is found."""
        self.show(last=True)
        if self._shell is not None:
            self._shell.displayhook.update_user_ns(self.answers)

    def result(self) -> Answers:
        self.batch.job.future.result()  # what is no prompt's failure
        self.show(last=True)
        failure = failure_of(self.answers)
        if failure is not None:
            raise failure
        return self.answers


def options_from(given: dict[str, Any]) -> Options:
    """Options by their names, as Python gives them.

    Raises:
        ConfigError: no such option, or not an amount.
    """
    known = [one.name for one in dataclasses.fields(Options)]
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            remedy = f"Did you mean {near[0]}?" if near else f"There are {', '.join(known)}."
            raise ConfigError(f"There is no option {name!r}.", remedy=remedy)
    cost = given.get("max_cost")
    return Options(**{**given, "max_cost": None if cost is None else parse_opg(cost)})


def _turn(app: App, prompt: str, options: Options, at: int | None = None) -> Turn:
    which = "The prompt" if at is None else f"Prompt {at}"
    if not isinstance(prompt, str):
        raise ConfigError(
            f"{which} is of type {type(prompt).__name__}, and a prompt is text.", remedy="Write it with an f-string."
        )
    if not prompt.strip():
        raise ConfigError(f"{which} is empty.", remedy="Nothing was sent.")
    return app.turn(prompt, options)


def _shell() -> Any:
    """The IPython that runs this, or None. It is not imported for the question."""
    ipython = sys.modules.get("IPython")
    return None if ipython is None else ipython.get_ipython()
