"""What is asked in a notebook: turns and their runs, and what is made of several."""

from __future__ import annotations

from .answers import Answer
from .cells import Context, context_of
from .compare import Compared, Comparison
from .equipment import equipped
from .many import Answers, Batch, Interrupted, failure_of
from .options import Options
from .runs import Run, answered, follow
from .threads import Threads, checked_name
from .tools import registered
from .turns import Turn, take
from .variables import Filled, fill, may_become

__all__ = [
    "Answer",
    "Answers",
    "Batch",
    "Compared",
    "Comparison",
    "Context",
    "Filled",
    "Interrupted",
    "Options",
    "Run",
    "Threads",
    "Turn",
    "answered",
    "checked_name",
    "context_of",
    "equipped",
    "failure_of",
    "fill",
    "follow",
    "may_become",
    "registered",
    "take",
]
