"""The rounds of a turn: one call, or as many as functions and one repair make of it. Each is paid, with a receipt."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..errors import AnswerError, ToolRoundsExceeded
from ..llm import LLM
from ..progress import MORE_ROUNDS, UNFIT, Again, Progress
from ..types import Question, TextGenerationOutput
from .answers import Answer
from .forms import Form, Unfit, repair_of
from .runs import answered
from .toolloop import Tools, recalled, results_of

PAID = "Every call of the turn was answered and is paid for; the receipts are kept."


class Exchange:
    """What was asked and answered so far in one turn.

    Attributes:
        question: the last one. rounds: what each call returned.
    """

    def __init__(self, llm: LLM, question: Question, progress: Progress) -> None:
        self.question = question
        self.rounds: list[TextGenerationOutput] = []
        self._llm = llm
        self._progress = progress

    async def ask(self) -> TextGenerationOutput:
        """Ask the question; its answer.

        Raises:
            OGError: see the tree.
        """
        self.rounds.append(await answered(self._llm, self.question, self._progress))
        return self.rounds[-1]

    async def call_functions(self, tools: Tools) -> str:
        """Go on for as long as functions are asked for, and there are rounds left; a remark on how that ended, or "".

        Raises:
            ToolRoundsExceeded: no round is left, and not one of them said a word.
            OGError: see the tree.
        """
        output = self.rounds[-1]
        while (calls := output.tool_calls) and tools.runs(calls):
            if len(self.rounds) >= tools.rounds:
                return self._exceeded(tools.rounds)
            self._go_on(await self._results(calls, tools))
            output = await self.ask()
        return ""

    async def parse(self, form: Form) -> Any:
        """The object that the answer is; one that does not fit is asked for again, once.

        Raises:
            AnswerError: the second does not fit either, or there is none: the model asks for functions.
            OGError: see the tree.
        """
        if self.rounds[-1].tool_calls:
            return None
        try:
            return self._parsed(form, self.rounds[-1].text)
        except Unfit as error:
            self._progress.put(Again(str(error)))
            self._go_on([{"role": "user", "content": repair_of(str(error))}])
        output = await self.ask()
        try:
            return self._parsed(form, output.text)
        except Unfit as error:
            raise AnswerError(
                f"The answer does not fit {form.name}: {error}",
                answer=self.answer(note=UNFIT),
                money=PAID,
                remedy="The error's .answer has it, with its .text. Ask in other words, or loosen the schema.",
            ) from None

    def _parsed(self, form: Form, text: str) -> Any:
        try:
            return form.parsed(text)
        except Unfit:
            raise
        except BaseException as error:  # noqa: BLE001 - a validator's exit is its failure, not this loop's end
            told = " ".join(f"{type(error).__name__}: {error}".split())[:200]
            raise AnswerError(
                f"The answer could not be checked against {form.name}, which raised {told}",
                answer=self.answer(note=UNFIT),
                money=PAID,
                remedy="The error's .answer has it, with its .text. Correct the schema, or what it calls.",
            ) from None

    def answer(self, parsed: Any = None, note: str = "") -> Answer:
        """What it came to."""
        answer = Answer.of(self.rounds, self.question.body.get("messages", ()))
        answer.parsed, answer.note = parsed, note
        return answer

    async def _results(self, calls: Sequence[Mapping[str, Any]], tools: Tools) -> list[dict[str, Any]]:
        """What came of these calls. Where the answer is a recorded one, they are not made: what came of them is too."""
        receipt = self.rounds[-1].receipt
        if receipt is not None and receipt.replayed:
            said = await asyncio.to_thread(self._llm.replays.said_after, receipt)
            if [one.get("tool_call_id") for one in said] == [call.get("id") or "" for call in calls]:
                recalled(calls, said, tools, self._progress)
                return said
        key = self._llm.settings.private_key
        return await results_of(calls, tools, self._progress, "" if key is None else key.reveal())

    def _go_on(self, said: Sequence[Mapping[str, Any]]) -> None:
        """The next question: all that was said, the answer exactly as it came, and this."""
        body = self.question.body
        reply = self.rounds[-1].chat_output or {"role": "assistant", "content": self.rounds[-1].text}
        messages = [*body["messages"], dict(reply), *map(dict, said)]
        first = self.rounds[0].receipt
        turn = "" if first is None else first.receipt_id
        self.question = replace(self.question, body={**body, "messages": messages}, turn=turn)

    def _exceeded(self, rounds: int) -> str:
        if any(one.text.strip() for one in self.rounds):
            return MORE_ROUNDS
        told = "1 round" if rounds == 1 else f"{rounds} rounds"
        raise ToolRoundsExceeded(
            f"The model still asks for functions after {told}, and has answered nothing.",
            answer=self.answer(note=MORE_ROUNDS),
            money=PAID,
            remedy="Allow more with --rounds, or ask for less at once.",
        )
