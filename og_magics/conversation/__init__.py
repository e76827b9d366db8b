"""Turns, the runs that answer them, and batches and comparisons of several."""

from __future__ import annotations

from .answer import Answer
from .answer_store import NAMES, AnswerStore, Occupied
from .batch import BatchResult, Interrupted, failure_of
from .batch_run import BatchRun, Row, Take
from .batch_words import pace_of
from .compare import Compared, Comparison
from .context import Context, context_of
from .estimate import EstimateBasis, estimate_turns
from .images import content_with_images
from .options import Options
from .prompt_rows import PromptRows, prompt_rows
from .prompt_variables import Substituted, could_expand_to, substitute, unknown_names
from .row_store import RowStore
from .run import Run, follow
from .schema_columns import FieldColumn, columns_of
from .sql_store import TABLE, SqlStore, is_url, sqlite_file, url_for_workers
from .stored_answers import StoredAnswers, StoredRows, fingerprint_of
from .threads import Threads, checked_name
from .throttle import MOST, PATIENCE, Throttle
from .tools import registered
from .turn import Turn, run_turn, with_tools_and_schema

__all__ = [
    "MOST",
    "NAMES",
    "PATIENCE",
    "TABLE",
    "Answer",
    "AnswerStore",
    "BatchResult",
    "BatchRun",
    "Compared",
    "Comparison",
    "Context",
    "EstimateBasis",
    "FieldColumn",
    "Interrupted",
    "Occupied",
    "Options",
    "PromptRows",
    "Row",
    "RowStore",
    "Run",
    "SqlStore",
    "StoredAnswers",
    "StoredRows",
    "Substituted",
    "Take",
    "Threads",
    "Throttle",
    "Turn",
    "checked_name",
    "columns_of",
    "content_with_images",
    "context_of",
    "could_expand_to",
    "estimate_turns",
    "failure_of",
    "fingerprint_of",
    "follow",
    "is_url",
    "pace_of",
    "prompt_rows",
    "registered",
    "run_turn",
    "sqlite_file",
    "substitute",
    "unknown_names",
    "url_for_workers",
    "with_tools_and_schema",
]
