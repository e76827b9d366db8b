"""A turn: one prompt, and every call until its answer is there: function calls, and one repair of a misfit.

`run_turn` is the whole of it. Each call is paid and has its receipt; a turn that failed keeps the receipts it has.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from ..client.llm import LLM
from ..client.replay import replay_mode, results_missing
from ..core.deltas import sendable
from ..core.endings import ending_note
from ..core.errors import AnswerError, ConfigError, StreamError, ToolRoundsExceeded
from ..core.progress import MORE_ROUNDS, UNFIT, Progress, RepairRequest
from ..core.types import ChatRequest, TextGenerationOutput
from ..gateway.bounds import MAY_BE_CHARGED
from .answer import Answer
from .context import Context
from .options import Options
from .structured_output import FORMATS, OutputSchema, SchemaMismatch, json_output, output_schema_of, repair_of
from .threads import Place
from .tool_execution import ROUNDS, TIMEOUT, Tools, recalled, results_of
from .tools import toolbox
from .web_search import bound_to, with_web_search

PAID = "Every call of the turn was answered and is paid for; the receipts are kept."
_IN_JSON = {"role": "system", "content": "Answer in JSON."}


@dataclass(frozen=True, slots=True)
class Turn:
    """One prompt, and all that decides how it is asked.

    Attributes:
        request: the first call.
        place: the turn's place in a thread; None for a turn of its own.
        context: the earlier cells that are sent along; None for none.
        tools: the functions that the model may call; None for none.
        schema: what the answer must be; None for anything.
        format: how the answer is shown, one of `FORMATS`.
        repr: makes the mime bundle that the answer shows itself by; None for plain text.
    """

    request: ChatRequest
    place: Place | None = None
    context: Context | None = None
    tools: Tools | None = None
    schema: OutputSchema | None = None
    format: str = "md"
    repr: Callable[[Answer], dict[str, Any]] | None = None


async def run_turn(llm: LLM, turn: Turn, progress: Progress) -> Answer:
    """Ask, call the functions that the model asks for, repair a misfit once; return the answer.

    Runs on the background loop. What arrives is in `progress` as it comes.

    Raises:
        ToolRoundsExceeded: no round is left, and not one of them said a word.
        AnswerError: the answer does not fit the schema, also after one repair.
        OGError: a call failed; see `LLM.stream`.
    """
    tools = None if turn.tools is None else bound_to(turn.tools, llm, turn.request)
    request, rounds, note, parsed, repaired = turn.request, list[TextGenerationOutput](), "", None, False
    while True:
        output = None
        async with contextlib.aclosing(llm.stream(request, progress)) as chunks:
            async for chunk in chunks:
                if request.stream:
                    progress.add(chunk.choices[0].delta.content or "")
                output = chunk.output or output
        if output is None:
            raise StreamError("The answer ended without a result.", money=MAY_BE_CHARGED, remedy="Ask again.")
        rounds.append(output)
        follow_up: Sequence[Mapping[str, Any]]
        if output.tool_calls:
            if tools is None or not tools.runs(output.tool_calls):
                break  # the caller makes them: they are in `.tool_calls`
            if len(rounds) >= tools.rounds:
                note = MORE_ROUNDS
                break
            follow_up = await _tool_messages(llm, request, output, tools, progress)
        elif turn.schema is not None:
            try:
                parsed = await _parsed(turn.schema, output.text, rounds, request, last=repaired)
                break
            except SchemaMismatch as error:
                progress.append(RepairRequest(str(error)))
                follow_up, repaired = [{"role": "user", "content": repair_of(str(error))}], True
        else:
            break
        request = await _next_request(request, rounds, follow_up)
    answer = await _answer(rounds, request, parsed, note)
    if note and not any(one.text.strip() for one in rounds):
        count = "1 round" if len(rounds) == 1 else f"{len(rounds)} rounds"
        raise ToolRoundsExceeded(
            f"The model still asks for functions after {count}, and has answered nothing.",
            answer=answer,
            money=PAID,
            remedy="Allow more with --rounds, or ask for less at once.",
        )
    answer._shown = turn.repr
    place = turn.place
    return answer if place is None else await asyncio.to_thread(lambda: place.keep(answer, turn.request))


async def _next_request(
    request: ChatRequest, rounds: Sequence[TextGenerationOutput], follow_up: Sequence[Mapping[str, Any]]
) -> ChatRequest:
    """Return the request that goes on: all that was said, the last answer as it came, and `follow_up`."""
    reply = rounds[-1].chat_output or {"role": "assistant", "content": rounds[-1].text}
    said = dict(reply)
    if said.get("tool_calls"):
        said["tool_calls"] = sendable(said["tool_calls"])
    messages = [*request.body["messages"], said, *map(dict, follow_up)]
    first = await asyncio.to_thread(lambda: rounds[0].receipt)
    return replace(request, body={**request.body, "messages": messages}, turn="" if first is None else first.receipt_id)


async def _tool_messages(
    llm: LLM, request: ChatRequest, output: TextGenerationOutput, tools: Tools, progress: Progress
) -> Sequence[Mapping[str, Any]]:
    """Make the calls and return their `tool` messages; of a replayed answer, return those that were recorded.

    Raises:
        NotRecorded: not all of them were. No function is called with arguments that a recording holds.
    """
    calls, receipt = output.tool_calls, await asyncio.to_thread(lambda: output.receipt)
    if receipt is not None and receipt.replayed:
        paying = replay_mode(request, llm.settings.replay) == "auto"
        recorded = await asyncio.to_thread(
            partial(llm.replays.messages_after, receipt, request, in_place_of_paying=paying)
        )
        if [one.get("tool_call_id") for one in recorded] != [call["id"] for call in sendable(calls)]:
            raise results_missing(request, calls)
        recalled(calls, recorded, tools, progress)
        return recorded
    key = llm.settings.private_key
    return await results_of(calls, tools, progress, "" if key is None else key.reveal(), llm.settings.max_calls)


async def _parsed(
    schema: OutputSchema, text: str, rounds: Sequence[TextGenerationOutput], request: ChatRequest, *, last: bool
) -> Any:
    """Return the value that an answer holds.

    Raises:
        SchemaMismatch: it does not fit, and may be repaired.
        AnswerError: it does not fit, and is the `last`; or it could not be checked.
    """
    try:
        return schema.parsed(text)
    except SchemaMismatch as error:
        if not last:
            raise
        raise await _misfit(f"The answer does not fit {schema.name}: {error}", rounds, request) from None
    except BaseException as error:  # noqa: BLE001 - a validator's exit is its failure, not this loop's end
        raised = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise await _misfit(
            f"The answer could not be checked against {schema.name}, which raised {raised}", rounds, request, "Correct"
        ) from None


async def _misfit(
    what: str,
    rounds: Sequence[TextGenerationOutput],
    request: ChatRequest,
    remedy: str = "Ask in other words, or loosen",
) -> AnswerError:
    return AnswerError(
        what,
        answer=await _answer(rounds, request, None, UNFIT),
        money=PAID,
        remedy=f"The error's .answer has it, with its .text. {remedy} the schema"
        + (", or what it calls." if remedy == "Correct" else "."),
    )


async def _answer(rounds: Sequence[TextGenerationOutput], request: ChatRequest, parsed: Any, note: str) -> Answer:
    answer = Answer.of(rounds, request.body.get("messages", ()))
    ending = answer._ending
    if ending is None:  # a recorded answer, of which the receipt tells
        receipt = await asyncio.to_thread(lambda: answer.receipt)  # which may have to wait for the disk
        ending = "" if receipt is None else ending_note(receipt, images=bool(answer.images))
    answer.parsed, answer.note = parsed, note if note == MORE_ROUNDS else ending or note
    return answer


def with_tools_and_schema(turn: Turn, options: Options, names: Mapping[str, Any]) -> Turn:
    """Return the turn with the functions and the schema that its options name.

    Args:
        names: the notebook's variables, among which functions and schemas are looked up.

    Raises:
        ConfigError: no such function or schema, or an option that makes no sense.
    """
    if options.format is not None and options.format not in FORMATS:
        raise ConfigError(f"There is no format {options.format!r}.", remedy=f"Choose one of {', '.join(FORMATS)}.")
    tools = tools_of(options, names)
    if options.schema is not None:
        schema: OutputSchema | None = output_schema_of(options.schema, names)
    else:
        schema = json_output() if options.format == "json" else None
    body = dict(turn.request.body)
    if tools is not None:
        body |= {"tools": tools.schemas, "tool_choice": "auto"}
    if schema is not None:
        body["response_format"] = schema.response_format(turn.request.model).to_dict()
        if schema.schema is None and not any("json" in str(one.get("content")).lower() for one in body["messages"]):
            body["messages"] = [_IN_JSON, *body["messages"]]  # without the word, OpenAI refuses json_object
    format = options.format or ("json" if schema is not None else "md")
    request = replace(turn.request, body=body) if body != turn.request.body else turn.request
    return replace(turn, request=request, tools=tools, schema=schema, format=format)


def tools_of(options: Options, names: Mapping[str, Any]) -> Tools | None:
    """Return the functions that options name, and how they are called; None without any.

    Raises:
        ConfigError: no such function, or a limit without any.
    """
    if not options.tools and not options.web_search:
        limited = options.rounds is not None or options.tool_timeout is not None
        if limited or options.tools_confirm or options.tools_show:
            raise ConfigError(
                "There are no tools for this to be about.", remedy="Name them: --tools f,g or --tools all."
            )
        return None
    by_name = toolbox(options.tools, names) if options.tools else {}
    return Tools(
        with_web_search(by_name) if options.web_search else by_name,
        rounds=ROUNDS if options.rounds is None else options.rounds,
        confirm=options.tools_confirm,
        show=options.tools_show,
        timeout=TIMEOUT if options.tool_timeout is None else options.tool_timeout,
    )
