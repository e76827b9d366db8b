"""The simulated model: deterministic, free of any weights, and saying in every answer that it is simulated.

A test steers it with words in the last user message:

| word | what happens |
|---|---|
| `[[fail:500]]` | 500 `Request processing failed`; in a stream, an error event at once |
| `[[fail:503]]` | 503 `Pricing unavailable: ...` |
| `[[fail:html]]` | 502 with an HTML page, as from a proxy |
| `[[fail:stream]]` | a stream that carries an error event midway and no `[DONE]` |
| `[[fail:cut]]` | a connection that breaks midway |
| `[[fail:nofinal]]` | a stream that ends, with `[DONE]`, but has no final event (no proof, no usage) |
| `[[fail:badjson]]` | a stream with an event of broken JSON midway |
| `[[fail:nousage]]` | an answer whose tokens were not counted: it is free |
| `[[words:N]]` | an answer of N words |
| `[[slow:S]]` | S seconds pass before the first token |
| `[[call:NAME]]` | where functions are offered: NAME is called, be it among them or not; several of these, at once |
| `[[call:NAME({...})]]` | with these arguments, as they stand there, be they JSON or not |
| `[[rounds:N]]` | functions are called again, until there were results N times |
| `[[say:TEXT]]` | TEXT comes before the calls |

Without a stream, `stream` is a 500, `cut` breaks the connection within the body, `nofinal` leaves the proof out and
`badjson` is a body of broken JSON. Tokens are words, in prompts and in answers.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import struct
import zlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ...core.models import WEB_SEARCH, catalogue
from .calls import provider_of
from .prices import Usage
from .schema import example

JSON = dict[str, Any]

KNOWN_MODELS = frozenset(
    name for name, id in catalogue().names.items() if id != WEB_SEARCH and catalogue().models[id].status != "removed"
)
_IMAGE_MODEL = re.compile(r"image|seedream|seedance")
_DIRECTIVE = re.compile(r"\[\[(fail:[a-z0-9]+|words:\d+|rounds:\d+|say:[^\[\]:]*|slow:\d+(?:\.\d+)?)\]\]")
_CALL = re.compile(r"\[\[call:(?P<name>[\w.-]+)(?:\((?P<arguments>.*?)\))?\]\]", re.S)

# Each family's opening words, so that a comparison of providers shows different texts.
_VOICES = {
    "gpt": "Here is a direct answer to",
    "o": "Thinking it through first, here is an answer to",
    "claude": "Happy to help with",
    "gemini": "Here is an overview of",
    "grok": "Straight to the point on",
}
_FILLER = (
    "The devnet makes this text without a model, so that a notebook can be tried without money. "
    "Every word is one token, and the same request gives the same words again."
)


@dataclass(frozen=True, slots=True)
class Delta:
    """One piece of an answer: the members of a stream's `choices[0].delta`."""

    fields: JSON


@dataclass(frozen=True, slots=True)
class Garbage:
    """A line that goes out as it is, in place of an event."""

    line: str


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of an answer. `silent` asks for no final event.

    Attributes:
        finish_reason: the provider's; April's gateway does not pass it on.
        usage: None where the provider counted nothing: the call is free.
        images: data: URIs.
    """

    finish_reason: str
    usage: Usage | None
    images: tuple[str, ...] = ()
    silent: bool = False


Piece = Delta | Garbage | Ending


class Fault(Exception):
    """The model cannot answer.

    Attributes:
        kind: a word of the table above: "500", "503", "html" or "cut".
        detail: the cause, for stderr; empty for a failure that was asked for.
    """

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(kind, detail)
        self.kind, self.detail = kind, detail


class ProviderFault(Fault):
    """The provider refused the request, or did not answer.

    Attributes:
        status: its own; None where there is none.
        reason: what it said.
        late: True where it took too long.
    """

    def __init__(self, status: int | None, reason: str, *, late: bool = False) -> None:
        super().__init__("provider", f"the provider answered {status}: {reason}")
        self.status, self.reason, self.late = status, reason, late


class Model(Protocol):
    """A source of answers: the simulation, or another server."""

    def knows(self, model: str) -> bool:
        """Return True if this model id is served."""
        ...

    def answer(self, body: Mapping[str, Any]) -> AsyncIterator[Piece]:
        """Yield the pieces of one answer; the last is an `Ending`. Raises `Fault`."""
        ...


@dataclass(frozen=True, slots=True)
class _Script:
    fail: str = ""
    words: int | None = None
    slow: float = 0.0
    rounds: int = 1
    say: str = ""
    calls: tuple[tuple[str, str | None], ...] = ()

    @classmethod
    def read(cls, text: str) -> _Script:
        found: dict[str, str] = dict(word.split(":") for word in _DIRECTIVE.findall(text))
        return cls(
            fail=found.get("fail", ""),
            words=int(found["words"]) if "words" in found else None,
            slow=float(found.get("slow", 0)),
            rounds=int(found.get("rounds", 1)),
            say=found.get("say", ""),
            calls=tuple((call["name"], call["arguments"]) for call in _CALL.finditer(text)),
        )


class SimulatedModel:
    """Deterministic answers, made from the request alone.

    `token_delay` is the pause, in seconds, between two tokens of a stream.
    """

    def __init__(self, token_delay: float) -> None:
        self._token_delay = token_delay

    def knows(self, model: str) -> bool:
        return model in KNOWN_MODELS

    async def answer(self, body: Mapping[str, Any]) -> AsyncIterator[Piece]:
        script = _Script.read(_last_user_text(body))
        if script.slow:
            await asyncio.sleep(script.slow)
        if script.fail in ("500", "503", "html"):
            raise Fault(script.fail)
        pieces, ending = _compose(body, script)
        streamed = bool(body.get("stream"))
        if script.fail == "stream" and not streamed:
            raise Fault("500")
        for i, piece in enumerate(pieces):
            if streamed and i:
                await asyncio.sleep(self._token_delay)
            yield piece
            if i == len(pieces) // 2:
                if script.fail in ("stream", "cut"):
                    raise Fault("500" if script.fail == "stream" else "cut")
                if script.fail == "badjson":
                    yield Garbage('{"choices": [{"delta": {"content": "half an eve')
        yield ending


def _compose(body: Mapping[str, Any], script: _Script) -> tuple[list[Delta], Ending]:
    prompt_tokens = sum(len(text.split()) for text in _texts(body))
    calls = _calls_to_make(body, script)
    if calls:
        deltas, words = _call_deltas(body, calls, script.say)
        return deltas, Ending("tool_calls", Usage(prompt_tokens, words))
    # A prompt may hold half a surrogate pair, which no hash can be taken of.
    whole = _text(body, script).encode(errors="replace").decode()
    text, finish_reason = _clipped(whole, body)
    tokens = _tokens(text)
    images: tuple[str, ...] = ()
    if _IMAGE_MODEL.search(str(body.get("model"))):
        images = (_picture(_gist(body)),)
    deltas = [Delta({"content": token, "role": "assistant"}) for token in tokens]
    usage = None if script.fail == "nousage" else Usage(prompt_tokens, len(tokens), len(images))
    return deltas, Ending(finish_reason, usage, images, silent=script.fail == "nofinal")


def _clipped(text: str, body: Mapping[str, Any]) -> tuple[str, str]:
    """Return the text up to a stop sequence or the token limit, and the finish reason."""
    stop = body.get("stop") or []
    cuts = [at for s in ([stop] if isinstance(stop, str) else stop) if (at := text.find(s)) >= 0]
    if cuts:
        text = text[: min(cuts)]
    limit = body.get("max_tokens") or body.get("max_completion_tokens")
    tokens = _tokens(text)
    if limit is not None and len(tokens) > int(limit):
        return "".join(tokens[: int(limit)]), "length"
    return text, "stop"


def _text(body: Mapping[str, Any], script: _Script) -> str:
    if script.words is not None:
        words = _prose(body).split()
        while len(words) < script.words:
            words += _FILLER.split()
        return " ".join(words[: script.words])
    response_format = body.get("response_format") or {}
    match response_format.get("type"):
        case "json_object":
            answer = {"simulated": True, "model": body.get("model"), "answer": _gist(body)}
            return json.dumps(answer, ensure_ascii=False)
        case "json_schema":
            schema = (response_format.get("json_schema") or {}).get("schema", {})
            return json.dumps(example(schema), ensure_ascii=False)
    return _prose(body)


def _prose(body: Mapping[str, Any]) -> str:
    """Write a few readable sentences about the request."""
    model, gist = str(body.get("model")), _gist(body)
    mark = f"[simulated {model}]"
    results = _tool_results(body)
    if results:
        results_text = " ".join(f"The tool {name} returned {_shortened(result, 40)}." for name, result in results)
        return f'{mark} {results_text} That is what there is to say about "{gist}".'
    if _IMAGE_MODEL.search(model):
        return f'{mark} One small picture for "{gist}".'
    family = re.match(r"[a-z]+", model)
    voice = _VOICES.get(family[0] if family else "", "Here is an answer to")
    sentences = [f'{mark} {voice} "{gist}".']
    system = [_content_text(m) for m in _messages(body) if m.get("role") in ("system", "developer")]
    if system:
        sentences.append(f'It keeps to the instruction "{_shortened(" ".join(system), 12)}".')
    turns = sum(m.get("role") == "user" for m in _messages(body))
    if turns > 1:
        sentences.append(f"This is turn {turns} of the conversation.")
    sentences.append(f"No model was asked: the devnet wrote this in the place of {model}.")
    return " ".join(sentences)


# -- tools ---------------------------------------------------------------------------------


def _calls_to_make(body: Mapping[str, Any], script: _Script) -> list[tuple[str, str]]:
    """Return (function, arguments) of each call; none when text is wanted or the tools have answered already."""
    functions: list[Mapping[str, Any]] = [
        t["function"] for t in body.get("tools") or [] if t.get("type", "function") == "function"
    ]
    choice = body.get("tool_choice", "auto")
    if not functions or choice == "none" or _rounds_of_results(body) >= script.rounds:
        return []
    schemas = {f["name"]: f.get("parameters") for f in functions}
    calls = script.calls or ((_tool_to_call(body, functions, choice)["name"], None),)
    return [
        (name, json.dumps(example(schemas.get(name) or {"type": "object"})) if arguments is None else arguments)
        for name, arguments in calls
    ]


def _tool_to_call(body: Mapping[str, Any], functions: Sequence[Mapping[str, Any]], choice: Any) -> Mapping[str, Any]:
    """Choose the function to call where the prompt does not name it."""
    if isinstance(choice, Mapping):
        name = (choice.get("function") or {}).get("name")
        return next((f for f in functions if f["name"] == name), functions[0])
    asked = set(re.findall(r"[a-z]{3,}", _gist(body).lower()))
    # max keeps the first of equals, so with no word in common the first tool is called.
    return max(functions, key=lambda f: len(asked & set(re.findall(r"[a-z]{3,}", f["name"].lower()))))


def _call_deltas(body: Mapping[str, Any], calls: Sequence[tuple[str, str]], say: str) -> tuple[list[Delta], int]:
    deltas = [Delta({"content": token, "role": "assistant"}) for token in _tokens(say)]
    words = len(deltas)
    for index, (name, arguments) in enumerate(calls):
        seed = json.dumps([body.get("model"), body.get("messages"), name, *([index] if index else [])], sort_keys=True)
        call_id = "call_" + hashlib.sha256(seed.encode()).hexdigest()[:24]
        if provider_of(str(body.get("model"))) == "google":
            function = {"name": name, "arguments": arguments}
            whole = {"index": None, "id": call_id, "type": "function", "function": function}
            deltas.append(Delta({"tool_calls": [whole]}))
            words += len(arguments.split())
            continue
        head = {"index": index, "id": call_id, "type": "function", "function": {"name": name, "arguments": ""}}
        deltas.append(Delta({"content": "", "role": "assistant", "tool_calls": [head]}))
        for start in range(0, len(arguments), 8):
            piece = {"index": index, "function": {"arguments": arguments[start : start + 8]}}
            deltas.append(Delta({"tool_calls": [piece]}))
        words += len(arguments.split())
    return deltas, words


def _rounds_of_results(body: Mapping[str, Any]) -> int:
    """Count the rounds of function results since the last question."""
    rounds, called = 0, False
    for message in _messages(body):
        if message.get("role") == "user":
            rounds = 0
        rounds += called and message.get("role") == "tool"
        called = bool(message.get("tool_calls"))
    return rounds


def _tool_results(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return (tool, result) of each tool message since the last question."""
    names: dict[Any, str] = {}
    results: list[tuple[str, str]] = []
    for message in _messages(body):
        if message.get("role") == "user":
            results = []
        for call in message.get("tool_calls") or []:
            names[call.get("id")] = call["function"]["name"]
        if message.get("role") == "tool":
            results.append((names.get(message.get("tool_call_id"), "called"), _content_text(message)))
    return results


# -- reading the request -------------------------------------------------------------------


def _messages(body: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    if "prompt" in body and "messages" not in body:
        return [{"role": "user", "content": body["prompt"]}]
    return [m for m in body.get("messages") or [] if isinstance(m, Mapping)]


def _texts(body: Mapping[str, Any]) -> Iterator[str]:
    return (_content_text(message) for message in _messages(body))


def _content_text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return " ".join(
            str(part.get("text") or f"({part.get('type')})") for part in content if isinstance(part, Mapping)
        )
    return "" if content is None else str(content)


def _last_user_text(body: Mapping[str, Any]) -> str:
    return next((_content_text(m) for m in reversed(_messages(body)) if m.get("role") == "user"), "")


def _gist(body: Mapping[str, Any]) -> str:
    return _shortened(_CALL.sub("", _DIRECTIVE.sub("", _last_user_text(body))), 24) or "an empty prompt"


def _shortened(text: str, most_words: int) -> str:
    words = text.split()
    return " ".join(words[:most_words]) + (" ..." if len(words) > most_words else "")


def _tokens(text: str) -> list[str]:
    return re.findall(r"\s*\S+\s*", text)


def _picture(seed: str) -> str:
    """Draw a PNG of 8 by 8 pixels in one colour, as a data: URI."""
    colour = hashlib.sha256(seed.encode()).digest()[:3]
    rows = b"".join(b"\x00" + colour * 8 for _ in range(8))

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(png).decode()
