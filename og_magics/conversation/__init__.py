"""What is asked in a notebook: runs of questions, and what is made of several."""

from __future__ import annotations

from .runs import Run, answered, follow

__all__ = ["Run", "answered", "follow"]
