"""Which run of which cell is on: what a thread tells the turns of a cell by when it is run again."""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections import OrderedDict
from typing import Any

from ..origin import NOWHERE, Execution

_MOST = 200
"""Runs that are remembered: asynchronous work may go on when its cell has ended."""
_VS_CODE = "vscode-notebook-cell:"
"""Before the id that VS Code sends, which counts the cells of an open notebook: it is another one the next time."""


class Executions:
    """Tells the runs of a kernel's cells apart, by the requests that its front end sends.

    In a terminal nothing is known: there a line that is typed once more is a new question.
    """

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._session = secrets.token_hex(4)
        self._lock = threading.Lock()
        self._runs: OrderedDict[str, Execution] = OrderedDict()
        self._cells: dict[str, list[str]] = {}

    def current(self) -> Execution:
        """The run that the code that runs now is part of; all of it "" where that is not known."""
        if getattr(self._shell, "kernel", None) is None:
            return NOWHERE
        request = self._shell.get_parent() or {}
        header = request.get("header", {})
        if header.get("msg_type") != "execute_request":
            return NOWHERE
        with self._lock:
            known = self._runs.get(header["msg_id"])
            if known is None:
                known = self._runs[header["msg_id"]] = self._run(request)
                while len(self._runs) > _MOST:
                    self._runs.popitem(last=False)
            return known

    def _run(self, request: dict[str, Any]) -> Execution:
        cell = str(request.get("metadata", {}).get("cellId") or "")
        if cell:
            cell = f"{self._session}:{cell}" if cell.startswith(_VS_CODE) else f"cell:{cell}"
        code = str(request.get("content", {}).get("code", ""))
        text = hashlib.sha256(code.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        alike = self._cells.setdefault(text, [])
        if not cell or cell not in alike:
            alike.append(cell)
        count = alike.index(cell) + 1 if cell else len(alike)
        return Execution(f"{self._session}/{request['header']['msg_id']}", cell, f"{text}#{count}")
