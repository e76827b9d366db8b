"""Turns, the runs that answer them, and batches and comparisons of several."""

from __future__ import annotations

from .answer import Answer
from .batch import BatchResult, BatchRun, Interrupted, failure_of
from .compare import Compared, Comparison
from .context import Context, context_of
from .estimate import EstimateBasis, estimate_turns
from .images import content_with_images
from .options import Options
from .prompt_variables import Substituted, could_expand_to, substitute, unknown_names
from .run import Run, follow
from .threads import Threads, checked_name
from .tools import registered
from .turn import Turn, run_turn, with_tools_and_schema

__all__ = [
    "Answer",
    "BatchResult",
    "BatchRun",
    "Compared",
    "Comparison",
    "Context",
    "EstimateBasis",
    "Interrupted",
    "Options",
    "Run",
    "Substituted",
    "Threads",
    "Turn",
    "checked_name",
    "content_with_images",
    "context_of",
    "could_expand_to",
    "estimate_turns",
    "failure_of",
    "follow",
    "registered",
    "run_turn",
    "substitute",
    "unknown_names",
    "with_tools_and_schema",
]
