"""The control panel: widgets that show and change the notebook's settings, and ask the models."""

from __future__ import annotations

from .panel import Panel, panel
from .panel_request import last_cell

__all__ = ["Panel", "last_cell", "panel"]
