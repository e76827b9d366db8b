"""A turn: one thing that is asked, and all that happens until its answer is there."""

from __future__ import annotations

from dataclasses import dataclass

from ..llm import LLM
from ..progress import Progress
from ..types import Question
from .answers import Answer
from .cells import Context
from .exchange import Exchange
from .forms import Form
from .threads import Place
from .toolloop import Tools


@dataclass(frozen=True, slots=True)
class Turn:
    """What is asked, and how.

    Attributes:
        question: the first call.
        place: where in a thread it stands; None for a turn of its own.
        context: the earlier cells that are sent along; None for none.
        tools: the functions that the model may call; None for none.
        form: what the answer must be; None for anything.
        format: as what it is shown.
    """

    question: Question
    place: Place | None = None
    context: Context | None = None
    tools: Tools | None = None
    form: Form | None = None
    format: str = "md"


async def take(llm: LLM, turn: Turn, progress: Progress) -> Answer:
    """Go through a turn, on the background loop; what arrives is told as it comes.

    Raises:
        OGError: see the tree.
    """
    exchange = Exchange(llm, turn.question, progress)
    await exchange.ask()
    note = "" if turn.tools is None else await exchange.call_functions(turn.tools)
    parsed = None if turn.form is None else await exchange.parse(turn.form)
    answer = exchange.answer(parsed, note)
    return answer if turn.place is None else turn.place.keep(answer, turn.question)
