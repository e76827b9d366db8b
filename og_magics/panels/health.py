"""The panel's health: whether all that a call needs is there, and what to do where it is not."""

from __future__ import annotations

from html import escape
from typing import Any

import ipywidgets as widgets

from ..app.standing import Part
from .desk import Desk
from .parts import badge, line, problem

_KINDS: dict[bool | None, tuple[str, str]] = {True: ("ok", "good"), False: ("fails", "bad"), None: ("unknown", "plain")}


class Health:
    """The section of health."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self.told = widgets.HTML(line("Not asked yet."))
        self.check = widgets.Button(description="Check", icon="heartbeat", tooltip="Ask the gateway and the chain now")
        self.told.add_class("og-health")
        self.check.add_class("og-check")
        self.box = widgets.VBox([self.told, self.check])
        self.check.on_click(lambda _: self.read())

    def read(self, _: Any = None) -> None:
        """Ask again, aside."""
        desk = self._desk
        desk.put(self.check, disabled=True)
        desk.put(self.told, value=line("Asking…", "og-status"))

        def work() -> None:
            try:
                desk.put(self.told, value=_table(desk.app.health()))
            finally:
                desk.put(self.check, disabled=False)

        desk.aside(work, lambda error: desk.put(self.told, value=problem(error)))


def _table(parts: tuple[Part, ...]) -> str:
    rows = "".join(
        f"<tr><td>{escape(part.name)}</td><td>{badge(*_KINDS[part.ok])}</td><td>{escape(part.told)}"
        f"{line(part.remedy, 'og-remedy')}</td></tr>"
        for part in parts
    )
    return f'<div class="og-scroll"><table><tbody>{rows}</tbody></table></div>'
