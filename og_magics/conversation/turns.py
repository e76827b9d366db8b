"""A turn: one thing that is asked, and all that happens until its answer is there."""

from __future__ import annotations

from dataclasses import dataclass

from ..llm import LLM
from ..progress import Progress
from ..types import Question
from .answers import Answer
from .runs import answered


@dataclass(frozen=True, slots=True)
class Turn:
    """What is asked, and how.

    Attributes:
        question: the first call.
    """

    question: Question


async def take(llm: LLM, turn: Turn, progress: Progress) -> Answer:
    """Go through a turn, on the background loop; what arrives is told as it comes.

    Raises:
        OGError: see the tree.
    """
    output = await answered(llm, turn.question, progress)
    return Answer.of([output], turn.question.body.get("messages", ()))
