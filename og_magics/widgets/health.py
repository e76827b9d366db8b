"""The Health tab: a check of everything that a call needs, each with its remedy."""

from __future__ import annotations

from html import escape
from typing import Any

import ipywidgets as widgets

from ..session.health import HealthCheck
from .html import badge, line, problem
from .worker import PanelWorker

_KINDS: dict[bool | None, tuple[str, str]] = {True: ("ok", "good"), False: ("fails", "bad"), None: ("unknown", "plain")}


class Health:
    """The section that checks the gateway, the chain and the wallet whenever it is opened or its button is clicked."""

    def __init__(self, worker: PanelWorker) -> None:
        self._worker = worker
        self.status = widgets.HTML(line("Not checked yet."))
        self.check = widgets.Button(description="Check", icon="heartbeat", tooltip="Ask the gateway and the chain now")
        self.status.add_class("og-health")
        self.check.add_class("og-check")
        self.box = widgets.VBox([self.status, self.check])
        self.check.on_click(lambda _: self.read())

    def read(self, _: Any = None) -> None:
        """Check again on a thread of its own."""
        worker = self._worker
        worker.put(self.check, disabled=True)
        worker.put(self.status, value=line("Asking…", "og-status"))

        def work() -> None:
            try:
                worker.put(self.status, value=_table(worker.app.health()))
            finally:
                worker.put(self.check, disabled=False)

        worker.aside(work, lambda error: worker.put(self.status, value=problem(error)))


def _table(checks: tuple[HealthCheck, ...]) -> str:
    rows = "".join(
        f"<tr><td>{escape(check.name)}</td><td>{badge(*_KINDS[check.ok])}</td><td>{escape(check.summary)}"
        f"{line(check.remedy, 'og-remedy')}</td></tr>"
        for check in checks
    )
    return f'<div class="og-scroll"><table><tbody>{rows}</tbody></table></div>'
