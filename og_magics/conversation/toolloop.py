"""Calling the functions that a model asks for: in parallel, within a time limit, and not without the word it needs."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import ConfigError
from ..private import holds_this_key
from ..progress import Call, Progress
from .results import error_of, error_text, result_text
from .tools import BadArguments, Tool

ROUNDS = 5
"""Paid calls of a turn with functions, at most, unless another number is asked for."""
TIMEOUT = 60.0
"""Seconds that a function may take, unless it or the question says otherwise."""

NOBODY = "This call needs a person's word, and there is nobody to ask. It was not made."
SECRET = "The result holds this wallet's private key. It was not sent."
REFUSED = "The person at the notebook did not allow this call. It was not made."


@dataclass(frozen=True, slots=True)
class Tools:
    """The functions of a turn, and how they are called.

    Attributes:
        box: by name.
        rounds: paid calls at most, 1 or more.
        confirm: ask a person before each call, not only of a function that writes or spends.
        show: make no call: the answer has them in `.tool_calls`.
        timeout: seconds that a function may take that has no limit of its own.

    Raises:
        ConfigError: no round, or no time.
    """

    box: Mapping[str, Tool]
    rounds: int = ROUNDS
    confirm: bool = False
    show: bool = False
    timeout: float = TIMEOUT

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise ConfigError(f"{self.rounds} rounds are too few.", remedy="Allow 1 or more.")
        if not self.timeout > 0:
            raise ConfigError(f"A timeout of {self.timeout} seconds leaves the tools no time.")

    @property
    def schemas(self) -> list[dict[str, Any]]:
        """The request's `tools`."""
        return [tool.schema for tool in self.box.values()]

    def runs(self, calls: Sequence[Mapping[str, Any]]) -> bool:
        """Whether calls are made: not where they are only to be shown, or one is of a function that is not here."""
        known = [self.box.get(_named(call)) for call in calls]
        return not self.show and not any(tool is not None and tool.function is None for tool in known)


async def results_of(
    calls: Sequence[Mapping[str, Any]], tools: Tools, progress: Progress, key: str = ""
) -> list[dict[str, Any]]:
    """Make these calls, all at once; the `tool` messages that tell the model what came of each, in their order.

    A call that cannot be made, fails or takes too long is told to the model as `{"error": ...}`. Where this is
    cancelled, an async function is, too; a plain one goes on in its thread, and nobody waits for it.

    Args:
        key: the wallet's; a result that holds it is not told.
    """
    shown = [_call(call, tools) for call in calls]
    progress.note("calling")
    for call in shown:
        progress.put(call)
    try:
        told = await asyncio.gather(*(_made(call, tools, progress, key) for call in shown))
    except asyncio.CancelledError:
        for call in shown:
            if call.state in ("waiting", "running"):
                call.state = "stopped"
        progress.step()
        raise
    return [
        {"role": "tool", "tool_call_id": call.get("id") or "", "content": result}
        for call, result in zip(calls, told, strict=True)
    ]


def recalled(
    calls: Sequence[Mapping[str, Any]], said: Sequence[Mapping[str, Any]], tools: Tools, progress: Progress
) -> None:
    """Show calls that were made before, with what came of them then."""
    for call, result in zip(calls, said, strict=True):
        shown = _call(call, tools)
        shown.state, shown.result = "done", str(result.get("content") or "")
        progress.put(shown)


def _named(call: Mapping[str, Any]) -> str:
    function = call.get("function")
    return str(function.get("name") or "") if isinstance(function, Mapping) else ""


def _call(call: Mapping[str, Any], tools: Tools) -> Call:
    name, function = _named(call), call.get("function")
    arguments = str(function.get("arguments") or "") if isinstance(function, Mapping) else ""
    tool = tools.box.get(name)
    return Call(name, arguments, guarded=tool is not None and tool.guarded)


async def _made(call: Call, tools: Tools, progress: Progress, key: str) -> str:
    began = time.monotonic()
    try:
        state, result = await _outcome(call, tools, progress)
        if holds_this_key(result, key):
            state, result = "failed", error_text(SECRET)
        call.state, call.result = state, result
    finally:
        call.seconds = time.monotonic() - began
    progress.step(call.result)
    return call.result


async def _outcome(call: Call, tools: Tools, progress: Progress) -> tuple[str, str]:
    """The state that a call ends in, and what the model is told."""
    tool = tools.box.get(call.name)
    if tool is None or tool.function is None:
        return "failed", error_text(f"There is no function {call.name!r}. There is: {', '.join(tools.box)}.")
    try:
        positional, named = tool.bound(call.arguments)
    except BadArguments as error:
        return "failed", error_text(f"Bad arguments: {error}")
    except BaseException as error:  # noqa: BLE001 - a type's own validator may raise anything
        return "failed", error_of(error)
    if tools.confirm or tool.guarded:
        call.state = "waiting"
        progress.step()
        word = await asyncio.wrap_future(progress.ask(call))
        if not word:
            return "refused", error_text(NOBODY if word is None else REFUSED)
        call.state = "running"
        progress.step()
    limit = tools.timeout if tool.timeout is None else tool.timeout
    work = asyncio.ensure_future(_worked(tool.function, positional, named))
    try:
        done, _ = await asyncio.wait({work}, timeout=limit)
    finally:
        work.cancel()  # nothing where it is done; not waited for: it may never end
    if not done:
        return "failed", error_text(f"The function took longer than {limit:g} seconds. Its result is not known.")
    return work.result()


async def _worked(function: Callable[..., Any], positional: Sequence[Any], named: Mapping[str, Any]) -> tuple[str, str]:
    try:
        if _is_async(function):
            value = await function(*positional, **named)
        else:
            value = await _in_thread(function, *positional, **named)
            if inspect.isawaitable(value):
                value = await value
        return "done", await _in_thread(result_text, value)
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        return "failed", error_of(error)  # a function's own
    except BaseException as error:  # noqa: BLE001 - a function's exit is its failure, not this process's end
        return "failed", error_of(error)


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004 - of which kind it is


async def _in_thread(function: Callable[..., Any], *positional: Any, **named: Any) -> Any:
    """What a function returns, or raises, in a thread of its own.

    Not one of a pool: a function that never ends would keep it, and the interpreter's exit would wait for it.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()
    context = contextvars.copy_context()  # what it prints belongs to the cell that asked

    def end(value: Any, error: BaseException | None) -> None:
        if not outcome.done():
            outcome.set_result((value, error))

    def work() -> None:
        value, failure = None, None
        try:
            value = context.run(function, *positional, **named)
        except BaseException as error:  # noqa: BLE001 - it is raised where it is waited for
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(end, value, failure)

    threading.Thread(target=work, name="og_magics-tool", daemon=True).start()
    value, failure = await outcome
    if failure is not None:
        raise failure
    return value
