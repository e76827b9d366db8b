"""The notebook that runs in a kernel, as each front end tells it.

| front end | what it tells |
|---|---|
| JupyterLab, Notebook 7 | `JPY_SESSION_NAME`: the path when the kernel started; it stays after a rename |
| VS Code | `__vsc_ipynb_file__` in the namespace: the path, or a name without a folder before it is saved |
| Colab | nothing, or a name in `JPY_SESSION_NAME` of a file that is not there |
| papermill | `PAPERMILL_OUTPUT_PATH` in the namespace, with `--inject-output-path`; else nothing |
| nbclient, nbconvert, a console | nothing |
| `og-magics run` | `JPY_SESSION_NAME`, as a Jupyter server |
| a terminal, a script | nothing, and there is no kernel |

A kernel has a connection file, whose name and key stay when it is restarted.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_SUFFIX = ".ipynb"
_VS_CODE = "__vsc_ipynb_file__"


@dataclass(frozen=True, slots=True)
class RunningNotebook:
    """The notebook that runs in this process, as far as its front end tells.

    Attributes:
        path: of its file, absolute, whether or not it is there; None where it is not named, or not saved yet.
        kernel: name of the kernel, the same after a restart; "" in a terminal or a script.
    """

    path: Path | None = None
    kernel: str = ""


def running_notebook(
    namespace: Mapping[str, Any] | None = None, env: Mapping[str, str] | None = None, kernel: str | None = None
) -> RunningNotebook:
    """Return the notebook that runs here.

    Args:
        namespace: the notebook's own names.
        env: the process's environment, as it is unless given.
        kernel: the kernel's name, as it is unless given.
    """
    names, env = namespace or {}, os.environ if env is None else env
    kernel = _kernel() if kernel is None else kernel
    named = names.get(_VS_CODE)
    if isinstance(named, str) and named:
        # A name without a folder is that of a notebook that VS Code has not saved yet: each day has its Untitled-1.
        return RunningNotebook(_notebook(named) if Path(named).is_absolute() else None, kernel)
    named = names.get("PAPERMILL_OUTPUT_PATH")
    if isinstance(named, str) and _notebook(named) is not None and "://" not in named:
        return RunningNotebook(_notebook(named), kernel)
    name = env.get("JPY_SESSION_NAME", "")
    return RunningNotebook(None if not name or _inherited(name, env) else _notebook(name), kernel)


def is_vs_code(namespace: Mapping[str, Any]) -> bool:
    """Return True where VS Code runs the notebook with these names."""
    return _VS_CODE in namespace


def _notebook(named: str) -> Path | None:
    # A console session of Jupyter carries an id with no suffix: it belongs to no file.
    path = Path(named)
    return Path.cwd() / path if path.suffix == _SUFFIX else None


def _inherited(name: str, env: Mapping[str, str]) -> bool:
    """Return True where another notebook's kernel started this one: papermill or nbclient, called in a cell."""
    parent = env.get("JPY_PARENT_PID", "")
    if not parent.isdigit():
        return False
    try:
        started = Path(f"/proc/{parent}/environ").read_bytes()
    except OSError:  # another system, or another user's process
        return False
    return f"JPY_SESSION_NAME={name}".encode("utf-8", "surrogateescape") in started.split(b"\0")


def _kernel() -> str:
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    app = getattr(getattr(shell, "kernel", None), "parent", None)
    name = Path(str(getattr(app, "connection_file", "") or "")).name
    # Some hosts name the file alike for each kernel; its key is random, and kept when the kernel is restarted.
    key = getattr(getattr(app, "session", None), "key", b"") or b""
    return hashlib.sha256(name.encode("utf-8", "surrogateescape") + b"\0" + key).hexdigest()[:16] if name else ""
