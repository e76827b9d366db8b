"""The practice network's model: prepared answers in the place of every model, as its provider would send them.

Tokens are words, in prompts and in answers. `script` has the words by which a test steers it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import re
import struct
import zlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from ...core.gateway_notes import PREPARED
from ...core.models import WEB_SEARCH, catalogue
from .prepared import Prepared, blocks, prepared_answer
from .protocol import Delta, Ending, Fault, Garbage, Piece, Usage
from .provider import provider_of
from .request import (
    content_text,
    last_user_text,
    messages,
    question_of,
    rounds_of_results,
    shortened,
    texts,
    tool_results,
)
from .schema import example
from .script import Script

KNOWN_MODELS = frozenset(
    name for name, id in catalogue().names.items() if id != WEB_SEARCH and catalogue().models[id].status != "removed"
)
_IMAGE_MODEL = re.compile(r"image|seedream|seedance")

# Each family's opening words, so that a comparison of providers shows different texts.
_VOICES = {
    "gpt": "Here is a direct answer: a prepared sample of Markdown. No model thought about",
    "o": "Here is a prepared sample of Markdown, without a thought about",
    "claude": "A prepared sample of Markdown, since no model read",
    "gemini": "Here is a prepared sample of Markdown; it knows nothing about",
    "grok": "Just a prepared sample of Markdown. It does not answer",
}
_SAMPLE = """\
Answers are prepared for *What is the x402 payment protocol?*, *What is a receipt good for?* and others of the manual.

A sample shows what an answer can hold: **strong** and *soft* words, `code`, and more.

1. Steps stand in their order.
2. Then come a table, a program and a formula.

| part | costs |
|---|---:|
| this answer | nothing real |
| its receipt | nothing at all |

```python
total = sum(n * n for n in range(1, 11))  # 385
```

$$\\sum_{k=1}^{n} k^2 = \\frac{n(n+1)(2n+1)}{6}$$"""
_FILLER = (
    "The practice network makes this text without a model, so that a notebook can be tried without money. "
    "Every word is one token, and the same request gives the same words again."
)


class SimulatedModel:
    """Prepared answers: the same request has the same one again.

    `token_delay` is the pause, in seconds, between two tokens of a stream.
    """

    answered_by = PREPARED

    def __init__(self, token_delay: float) -> None:
        self._token_delay = token_delay

    def knows(self, model: str) -> bool:
        """Return True for the models of the catalogue."""
        return model in KNOWN_MODELS

    async def answer(self, body: Mapping[str, Any]) -> AsyncIterator[Piece]:
        """Yield the answer, at the pace of its stream. Raises `Fault` where the prompt asks for one."""
        script = Script.read(last_user_text(body))
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


def _compose(body: Mapping[str, Any], script: Script) -> tuple[list[Delta], Ending]:
    model = str(body.get("model"))
    prepared = prepared_answer(question_of(body), provider_of(model))
    prompt_tokens = sum(len(text.split()) for text in texts(body))
    calls = _calls_to_make(body, script, prepared)
    if calls:
        deltas, words = _call_deltas(body, calls, script.say)
        return deltas, Ending("tool_calls", Usage(prompt_tokens, words))
    # A prompt may hold half a surrogate pair, which no hash can be taken of.
    whole = _text(body, script, prepared).encode(errors="replace").decode()
    text, finish_reason = _clipped(whole, body)
    tokens = _tokens(text)
    images: tuple[str, ...] = ()
    if _IMAGE_MODEL.search(model):
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
    limit = _limit(body)
    tokens = _tokens(text)
    if limit is not None and len(tokens) > limit:
        return "".join(tokens[:limit]), "length"
    return text, "stop"


def _limit(body: Mapping[str, Any]) -> int | None:
    limit = body.get("max_tokens") or body.get("max_completion_tokens")
    return None if limit is None else int(limit)


def _text(body: Mapping[str, Any], script: Script, prepared: Prepared | None) -> str:
    if script.words is not None:
        words = _first_words(body).split()
        while len(words) < script.words:
            words += _FILLER.split()
        return " ".join(words[: script.words])
    response_format = body.get("response_format") or {}
    value = prepared.value if prepared else None
    match response_format.get("type"):
        case "json_object":
            answer = {"simulated": True, "model": body.get("model"), "answer": _gist(body)}
            return json.dumps(answer if value is None else value, ensure_ascii=False)
        case "json_schema":
            schema = (response_format.get("json_schema") or {}).get("schema", {})
            return json.dumps(value if _fits(value, schema) else example(schema), ensure_ascii=False)
    return _prose(body, prepared)


def _prose(body: Mapping[str, Any], prepared: Prepared | None) -> str:
    """Return the prepared answer; else what functions returned; else the sample."""
    results = tool_results(body)
    if prepared and prepared.fits(results):
        return _within(prepared.text, body)
    gist = _gist(body)
    if results:
        results_text = " ".join(f"The tool {name} returned {shortened(result, 40)}." for name, result in results)
        return f'{results_text} That is what there is to say about "{gist}".'
    if _IMAGE_MODEL.search(str(body.get("model"))):
        return f'One small picture for "{gist}".'
    return _within(f"{_first_words(body)}\n\n{_SAMPLE}", body)


def _first_words(body: Mapping[str, Any]) -> str:
    """Return the paragraph with which a sample begins: what it is, and what it was given."""
    model = str(body.get("model"))
    family = re.match(r"[a-z]+", model)
    voice = _VOICES.get(family[0] if family else "", "A prepared sample of Markdown, not thought about:")
    sentences = [f'{voice} "{_gist(body)}".']
    system = [content_text(m) for m in messages(body) if m.get("role") in ("system", "developer")]
    if system:
        sentences.append(f'The instruction is "{shortened(" ".join(system), 12)}".')
    turns = sum(m.get("role") == "user" for m in messages(body))
    if turns > 1:
        sentences.append(f"This is turn {turns} of the conversation.")
    sentences.append(f"It stands in the place of {model}.")
    return " ".join(sentences)


def _within(text: str, body: Mapping[str, Any]) -> str:
    """Leave out the last blocks of a text that has more tokens than are wanted, so that none is cut but the first."""
    limit = _limit(body)
    kept, *rest = blocks(text)
    for block in rest:
        if limit is not None and len(_tokens(kept + block)) > limit:
            break
        kept += block
    return kept.rstrip()


def _fits(value: Any, schema: Any) -> bool:
    try:
        return value is not None and Draft202012Validator(schema).is_valid(value)
    except (SchemaError, LookupError, TypeError, ValueError):
        return False


# -- tools ---------------------------------------------------------------------------------


def _calls_to_make(body: Mapping[str, Any], script: Script, prepared: Prepared | None) -> list[tuple[str, str]]:
    """Return (function, arguments) of each call; none when text is wanted or the tools have answered already."""
    functions: list[Mapping[str, Any]] = [
        t["function"] for t in body.get("tools") or [] if t.get("type", "function") == "function"
    ]
    choice = body.get("tool_choice", "auto")
    if not functions or choice == "none" or rounds_of_results(body) >= script.rounds:
        return []
    schemas = {f["name"]: f.get("parameters") for f in functions}
    if prepared and prepared.calls and not script.calls and not isinstance(choice, Mapping):  # noqa: SIM102
        if all(name in schemas and _fits(json.loads(text), schemas[name] or {}) for name, text in prepared.calls):
            return list(prepared.calls)
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


# -- parts -----------------------------------------------------------------------------------


def _gist(body: Mapping[str, Any]) -> str:
    return shortened(question_of(body), 24) or "an empty prompt"


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
