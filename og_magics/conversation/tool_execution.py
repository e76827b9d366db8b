"""Execution of the functions that a model calls: in parallel, within a time limit, confirmed where that is needed."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..core.deltas import sendable
from ..core.errors import ConfigError
from ..core.progress import Call, Progress
from ..core.redaction import holds_this_key
from .tool_results import error_of, error_text, result_text
from .tools import BadArguments, Tool

ROUNDS = 5
"""Default for the most paid calls of a turn with tools."""
TIMEOUT = 60.0
"""Default for the seconds that a function may take."""

NO_CONFIRMER = "This call needs a confirmation, and there is nobody to ask. It was not made."
SECRET = "The result holds this wallet's private key. It was not sent."
REFUSED = "The person at the notebook did not allow this call. It was not made."


@dataclass(frozen=True, slots=True)
class Tools:
    """The tools of a turn and the rules for calling them.

    Attributes:
        by_name: tools by name.
        rounds: most paid calls, 1 or more.
        confirm: ask the user before each call, not only those of functions that write or spend.
        show: make no call; the answer lists them in `.tool_calls`.
        timeout: seconds for a function without a limit of its own.

    Raises:
        ConfigError: `rounds` is below 1, or `timeout` is not positive.
    """

    by_name: Mapping[str, Tool]
    rounds: int = ROUNDS
    confirm: bool = False
    show: bool = False
    timeout: float = TIMEOUT

    def __post_init__(self) -> None:
        if self.rounds < 1:
            raise ConfigError(f"{self.rounds} rounds are too few.", remedy="Allow 1 or more.")
        if not self.timeout > 0:
            raise ConfigError(f"The tool timeout must be a positive number of seconds, got {self.timeout}.")

    @property
    def schemas(self) -> list[dict[str, Any]]:
        """The `tools` of the request."""
        return [tool.schema for tool in self.by_name.values()]

    def runs(self, calls: Sequence[Mapping[str, Any]]) -> bool:
        """Return False if calls are only shown, or if one is of a tool that has no function here."""
        known = [self.by_name.get(_named(call)) for call in calls]
        return not self.show and not any(tool is not None and tool.function is None for tool in known)


_TOO_MANY = json.dumps({"error": "Not called: one answer asks for too many functions (OG_MAX_CALLS)."})


async def results_of(
    calls: Sequence[Mapping[str, Any]], tools: Tools, progress: Progress, key: str = "", most: int = 32
) -> list[dict[str, Any]]:
    """Make these calls in parallel, and return their `tool` messages in the same order.

    The message of a call that cannot be made, fails or takes too long is `{"error": ...}`. Cancellation ends async
    functions; a plain function goes on in its thread, and its result is dropped.

    Args:
        key: the wallet's private key; a result that holds it is not sent.
        most: calls that are made; what one answer asks for beyond them is an error to the model.
    """
    running = [_call(call, tools) for call in calls[:most]]
    progress.note("calling")
    for call in running:
        progress.append(call)
    try:
        results = await asyncio.gather(*(_result_of(call, tools, progress, key) for call in running))
    except asyncio.CancelledError:
        for call in running:
            if call.state in ("waiting", "running"):
                call.state = "stopped"
        progress.step()
        raise
    return [
        {"role": "tool", "tool_call_id": call["id"], "content": result}
        for call, result in zip(sendable(calls), [*results, *[_TOO_MANY] * len(calls[most:])], strict=True)
    ]


def recalled(
    calls: Sequence[Mapping[str, Any]], messages: Sequence[Mapping[str, Any]], tools: Tools, progress: Progress
) -> None:
    """Show calls of an earlier run with the results they had then."""
    for call, result in zip(calls, messages, strict=True):
        recorded = _call(call, tools)
        recorded.state, recorded.result = "done", str(result.get("content") or "")
        progress.append(recorded)


def _named(call: Mapping[str, Any]) -> str:
    function = call.get("function")
    return str(function.get("name") or "") if isinstance(function, Mapping) else ""


def _call(call: Mapping[str, Any], tools: Tools) -> Call:
    name, function = _named(call), call.get("function")
    arguments = str(function.get("arguments") or "") if isinstance(function, Mapping) else ""
    tool = tools.by_name.get(name)
    return Call(name, arguments, guarded=tool is not None and tool.guarded)


async def _result_of(call: Call, tools: Tools, progress: Progress, key: str) -> str:
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
    """Make a call, and return its final state and the text for the model."""
    tool = tools.by_name.get(call.name)
    if tool is None or tool.function is None:
        return "failed", error_text(f"There is no function {call.name!r}. There is: {', '.join(tools.by_name)}.")
    try:
        positional, named = tool.bound(call.arguments)
    except BadArguments as error:
        return "failed", error_text(f"Bad arguments: {error}")
    except BaseException as error:  # noqa: BLE001 - a type's own validator may raise anything
        return "failed", error_of(error)
    if tools.confirm or tool.guarded:
        call.state = "waiting"
        progress.step()
        confirmed = await asyncio.wrap_future(progress.request_confirmation(call))
        if not confirmed:
            return "refused", error_text(NO_CONFIRMER if confirmed is None else REFUSED)
        call.state = "running"
        progress.step()
    limit = tools.timeout if tool.timeout is None else tool.timeout
    work = asyncio.ensure_future(_state_and_text(tool.function, positional, named))
    try:
        done, _ = await asyncio.wait({work}, timeout=limit)
    finally:
        work.cancel()  # no effect on a finished task; not awaited, since it may never end
    if not done:
        return "failed", error_text(f"The function took longer than {limit:g} seconds. Its result is not known.")
    return work.result()


async def _state_and_text(
    function: Callable[..., Any], positional: Sequence[Any], named: Mapping[str, Any]
) -> tuple[str, str]:
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
        return "failed", error_of(error)  # raised by the function itself
    except BaseException as error:  # noqa: BLE001 - even SystemExit of a function must not end this process
        return "failed", error_of(error)


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))  # noqa: B004 - asks for the kind of the method, not for its existence


async def _in_thread(function: Callable[..., Any], *positional: Any, **named: Any) -> Any:
    """Run a function in a thread of its own, and return or raise its outcome.

    It is not a thread of a pool, since a function that never ends would block the interpreter's exit there.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[tuple[Any, BaseException | None]] = loop.create_future()
    context = contextvars.copy_context()  # its prints go to the cell that asked

    def end(value: Any, error: BaseException | None) -> None:
        if not outcome.done():
            outcome.set_result((value, error))

    def work() -> None:
        value, failure = None, None
        try:
            value = context.run(function, *positional, **named)
        except BaseException as error:  # noqa: BLE001 - raised again below, in the coroutine
            failure = error
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(end, value, failure)

    threading.Thread(target=work, name="og_magics-tool", daemon=True).start()
    value, failure = await outcome
    if failure is not None:
        raise failure
    return value
