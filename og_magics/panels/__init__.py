"""The control panel: widgets on the notebook's one state. Callbacks queue and return; threads do the work."""

from __future__ import annotations

from .control import Panel, panel
from .question import last_cell

__all__ = ["Panel", "last_cell", "panel"]
