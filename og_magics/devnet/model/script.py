"""The words in a prompt by which a test steers the practice network's model.

They stand in the last user message:

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
`badjson` is a body of broken JSON.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_DIRECTIVE = re.compile(r"\[\[(fail:[a-z0-9]+|words:\d+|rounds:\d+|say:[^\[\]:]*|slow:\d+(?:\.\d+)?)\]\]")
_CALL = re.compile(r"\[\[call:(?P<name>[\w.-]+)(?:\((?P<arguments>.*?)\))?\]\]", re.S)


@dataclass(frozen=True, slots=True)
class Script:
    """The steering words of one prompt: each member is the value of its word, calls are (name, arguments)."""

    fail: str = ""
    words: int | None = None
    slow: float = 0.0
    rounds: int = 1
    say: str = ""
    calls: tuple[tuple[str, str | None], ...] = ()

    @classmethod
    def read(cls, text: str) -> Script:
        """Return what a prompt asks for."""
        found: dict[str, str] = dict(word.split(":") for word in _DIRECTIVE.findall(text))
        return cls(
            fail=found.get("fail", ""),
            words=int(found["words"]) if "words" in found else None,
            slow=float(found.get("slow", 0)),
            rounds=int(found.get("rounds", 1)),
            say=found.get("say", ""),
            calls=tuple((call["name"], call["arguments"]) for call in _CALL.finditer(text)),
        )


def without_steering(text: str) -> str:
    """Return a prompt without the words that steer."""
    return _CALL.sub("", _DIRECTIVE.sub("", text))
