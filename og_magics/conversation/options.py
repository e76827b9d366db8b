"""How one thing is asked: what flags of a cell and keywords of a Python call have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Options:
    """What is None comes from the notebook's settings.

    Attributes:
        model, provider: as a person types them.
        settlement: "private", "batch" or "individual".
        temperature: 0 to 2. max_tokens: of the answer, at most.
        system: a system prompt.
        stream: show the answer as it comes. web_search: let the model search the web.
        max_cost: base units that the call may cost at most; each call, where functions make it several.
        replay: "auto" (a recorded answer where there is one), "only" (never pay) or "off".
        pace: "instant" or "recorded": how a recorded answer is shown.
        tools: functions that the model may call: names in one text ("f,g", or "all" that are registered), or a sequence
            of names, functions and OpenAI-format dicts.
        rounds: calls to the model at most, where functions are called; 5 unless it is said.
        tools_confirm: ask a person before each function is called, not only before those that write or spend.
        tools_show: call no function: `.tool_calls` has what the model asks for.
        tool_timeout: seconds that a function may take; 60 unless it is said.
        schema: what the answer must be: a pydantic model, a dataclass, a TypedDict, a JSON schema, or a name of one.
        format: as what the answer is shown: "md", "text", "json" (which it must be), "code", "html", "math" or "image".
        thread: name of the conversation that this goes on with; "" for none.
        context: earlier cells to send along: "last", a number of the last ones, "all", or "errors" (the last that
            failed).
    """

    model: str | None = None
    provider: str | None = None
    settlement: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    system: str | None = None
    stream: bool | None = None
    web_search: bool | None = None
    max_cost: int | None = None
    replay: str | None = None
    pace: str | None = None
    tools: str | Sequence[Any] | None = None
    rounds: int | None = None
    tools_confirm: bool = False
    tools_show: bool = False
    tool_timeout: float | None = None
    schema: Any = None
    format: str | None = None
    thread: str | None = None
    context: str | None = None
