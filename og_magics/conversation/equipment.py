"""What options add to a turn: functions that the model may call, and the form that the answer must have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..errors import ConfigError
from .forms import FORMATS, Form, any_json, form_of
from .options import Options
from .toolloop import ROUNDS, TIMEOUT, Tools
from .tools import toolbox
from .turns import Turn

_IN_JSON = {"role": "system", "content": "Answer in JSON."}


def equipped(turn: Turn, options: Options, names: Mapping[str, Any]) -> Turn:
    """The turn with its functions and its form.

    Args:
        names: the notebook's, among which functions and schemas are looked up.

    Raises:
        ConfigError: no such function or schema, or an option that makes no sense.
    """
    if options.format is not None and options.format not in FORMATS:
        raise ConfigError(f"There is no format {options.format!r}.", remedy=f"Choose one of {', '.join(FORMATS)}.")
    tools = tools_of(options, names)
    form = _form(options, names)
    body = dict(turn.question.body)
    if tools is not None:
        body |= {"tools": tools.schemas, "tool_choice": "auto"}
    if form is not None:
        body["response_format"] = form.response_format(turn.question.model).to_dict()
        if form.schema is None and not any("json" in str(one.get("content")).lower() for one in body["messages"]):
            body["messages"] = [_IN_JSON, *body["messages"]]  # without the word, OpenAI refuses json_object
    shown = options.format or ("json" if form is not None else "md")
    question = replace(turn.question, body=body) if body != turn.question.body else turn.question
    return replace(turn, question=question, tools=tools, form=form, format=shown)


def tools_of(options: Options, names: Mapping[str, Any]) -> Tools | None:
    """The functions that options name, and how they are called; None without any.

    Raises:
        ConfigError: no such function, or a limit without any.
    """
    if not options.tools:
        limited = options.rounds is not None or options.tool_timeout is not None
        if limited or options.tools_confirm or options.tools_show:
            raise ConfigError(
                "There are no tools for this to be about.", remedy="Name them: --tools f,g or --tools all."
            )
        return None
    return Tools(
        toolbox(options.tools, names),
        rounds=ROUNDS if options.rounds is None else options.rounds,
        confirm=options.tools_confirm,
        show=options.tools_show,
        timeout=TIMEOUT if options.tool_timeout is None else options.tool_timeout,
    )


def _form(options: Options, names: Mapping[str, Any]) -> Form | None:
    if options.schema is not None:
        return form_of(options.schema, names)
    return any_json() if options.format == "json" else None
