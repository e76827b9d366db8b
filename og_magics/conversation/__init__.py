"""What is asked in a notebook: turns and their runs, and what is made of several."""

from __future__ import annotations

from .answers import Answer
from .options import Options
from .runs import Run, answered, follow
from .turns import Turn, take

__all__ = ["Answer", "Options", "Run", "Turn", "answered", "follow", "take"]
