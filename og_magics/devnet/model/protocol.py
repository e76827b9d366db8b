"""The pieces of an answer, its failures, and a source of answers: the practice network's own, or another server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

JSON = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call; `images` is the number of pictures made."""

    prompt_tokens: int
    completion_tokens: int
    images: int = 0

    def fields(self) -> dict[str, int]:
        """Return `usage` as an answer has it."""
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
            "total_tokens": self.prompt_tokens + self.completion_tokens,
        }


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
    """A source of answers: prepared ones, or another server's.

    Attributes:
        answered_by: what answers say of their origin: "prepared", a local model's name, or "" for nothing.
    """

    answered_by: str

    def knows(self, model: str) -> bool:
        """Return True if this model id is served."""
        ...

    def answer(self, body: Mapping[str, Any]) -> AsyncIterator[Piece]:
        """Yield the pieces of one answer; the last is an `Ending`. Raises `Fault`."""
        ...
