"""The identity of a cell's run: by it a thread knows a cell again when it is run once more."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from typing import Any

from ..core.cell_context import NO_CELL, CellExecution, source_digest

_MOST = 200
"""Runs that are remembered: asynchronous work may go on when its cell has ended."""
_VS_CODE = "vscode-notebook-cell:"
"""Before the id that VS Code sends, which counts the cells of an open notebook: it is another one the next time."""


class Executions:
    """The runs of a kernel's cells, distinguished by the requests that its front end sends.

    In a terminal nothing is known: there a line that is typed once more is a new question.
    """

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._session = secrets.token_hex(4)
        self._lock = threading.Lock()
        self._runs: OrderedDict[str, CellExecution] = OrderedDict()
        self._cells: dict[str, list[str]] = {}

    def current(self) -> CellExecution:
        """Return the current cell execution; `NO_CELL` where it is not known."""
        if getattr(self._shell, "kernel", None) is None:
            return NO_CELL
        request = self._shell.get_parent() or {}
        header = request.get("header", {})
        if header.get("msg_type") != "execute_request":
            return NO_CELL
        with self._lock:
            known = self._runs.get(header["msg_id"])
            if known is None:
                known = self._runs[header["msg_id"]] = self._run(request)
                while len(self._runs) > _MOST:
                    self._runs.popitem(last=False)
            return known

    def _run(self, request: dict[str, Any]) -> CellExecution:
        cell = str(request.get("metadata", {}).get("cellId") or "")
        if cell:
            cell = f"{self._session}:{cell}" if cell.startswith(_VS_CODE) else f"cell:{cell}"
        text = source_digest(str(request.get("content", {}).get("code", "")))
        alike = self._cells.setdefault(text, [])
        if not cell or cell not in alike:
            alike.append(cell)
        count = alike.index(cell) + 1 if cell else len(alike)
        return CellExecution(f"{self._session}/{request['header']['msg_id']}", cell, f"{text}#{count}")
