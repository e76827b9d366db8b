"""The answer to a turn, with the calls that led to it and the messages with which to continue."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from ..client.replay import result_of
from ..core.receipt import Receipt
from ..core.types import TextGenerationOutput
from .structured_output import parsed_json

_LINE = 60
"""Characters of the text in a repr."""


@dataclass
class Answer(TextGenerationOutput):
    """The answer to a turn: all that its last call returned, and what led there.

    Attributes:
        messages: the whole exchange in the OpenAI form, this answer last.
        rounds: what each paid call returned, oldest first; more than one where functions were called or an answer was
            repaired.
        usage: tokens of all rounds together.
        parsed: the object that a schema asked for, or the JSON that `-f json` did; None without either.
        note: a remark on why this is not the end ("... after 5 rounds"); "" where it is.
        thread: the conversation that it is a turn of; "" for none.
        left_out: earlier turns of the thread that were not sent, since they did not fit.
    """

    messages: list[dict[str, Any]] = field(default_factory=list)
    rounds: list[TextGenerationOutput] = field(default_factory=list)
    parsed: Any = None
    note: str = ""
    thread: str = ""
    left_out: int = 0
    _shown: Callable[[Answer], dict[str, Any]] | None = field(default=None, init=False, repr=False, compare=False)

    @classmethod
    def of(cls, rounds: Sequence[TextGenerationOutput], messages: Sequence[Mapping[str, Any]]) -> Self:
        """Build the answer from the rounds of a turn; `messages` are those of the last request."""
        last, answer = rounds[-1], cls()
        vars(answer).update(vars(last))  # as they are: what is read from its receipt is read when it is wanted
        answer.usage, answer.rounds = _total(rounds), list(rounds)
        reply = dict(last.chat_output or {"role": "assistant", "content": last.text})
        answer.messages = [*map(dict, messages), reply]
        return answer

    @classmethod
    def broken_off(cls, receipts: Sequence[Receipt], lookup: Callable[[str], Receipt], note: str) -> Self:
        """Build an incomplete answer from the receipts of its calls; `note` says why it is incomplete.

        Args:
            lookup: returns the current receipt of an id.
        """
        rounds = [result_of(receipt, functools.partial(lookup, receipt.receipt_id)) for receipt in receipts]
        answer = cls.of(rounds, receipts[-1].request.get("messages", ()))
        answer.note = note
        return answer

    def json(self) -> Any:
        """Parse the text as JSON; a code fence around it is removed.

        Raises:
            ValueError: the text is not JSON; the message says where it stops being so.
        """
        try:
            return parsed_json(self.text)
        except ValueError as error:
            raise ValueError(f"The answer is not JSON: {error}. It begins with {self.text[:_LINE]!r}.") from None

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        text = " ".join(self.text.split())
        model = "".join(character for character in str(self.model) if character.isprintable())
        return f"<Answer of {model}: {text if len(text) <= _LINE else text[: _LINE - 1] + '…'!r}>"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return {"text/plain": self.text} if self._shown is None else self._shown(self)

    @property
    def receipts(self) -> list[Receipt]:
        """The receipts of all rounds as they stand now, oldest first."""
        return [receipt for output in self.rounds if (receipt := output.receipt) is not None]


def _total(rounds: Sequence[TextGenerationOutput]) -> dict[str, int] | None:
    counted = [output.usage for output in rounds if output.usage is not None]
    if len(counted) < len(rounds):
        return None  # a sum with a part missing would be read as the whole
    return {name: sum(usage.get(name, 0) for usage in counted) for name in counted[-1]}
